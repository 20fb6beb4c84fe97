"""Settings: environment variables with the prefix `NETHVOICE_`, and an optional TOML file.

The file is named by `NETHVOICE_CONFIG`; without it `<DATA_DIR>/nethvoice.toml` is read when it
exists. The environment wins. Path defaults lie under `DATA_DIR`.
"""

import json
import os
import secrets
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

PUBLIC_DEFAULT_SECRET = "1234"  # noqa: S105 - the value printed in every manual, refused in public
PREFIX = "NETHVOICE_"

PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
"""Address space of local networks (RFC 1918, RFC 3927)."""


class SettingsError(Exception):
    """The settings cannot be used; the text says which one and how to mend it."""


def _words(value: object) -> object:
    """Accept a JSON array or blank-separated words as an argument vector or list."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            return json.loads(text)
        return text.split()
    return value


def _logins(value: object) -> object:
    """Accept a JSON object, from the environment, and one login in place of a list of them."""
    members = json.loads(value) if isinstance(value, str) else value
    if not isinstance(members, dict):
        return members
    return {k: [v] if isinstance(v, str) else v for k, v in members.items()}


def _login(value: SecretStr) -> SecretStr:
    if ":" not in value.get_secret_value():
        raise ValueError("a login is written user:password")
    return value


def _env(name: str, *others: str) -> AliasChoices:
    return AliasChoices(PREFIX + name, name.lower(), *others)


def _json(value: object) -> object:
    """Accept JSON text; NS8 ships `{[]}`, which is none, as an empty list of networks."""
    if isinstance(value, str):
        return [] if value.strip() == "{[]}" else json.loads(value)
    return value


class HostNetwork(BaseModel):
    """A network of this host as `GET /configuration/networks` shows it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    network: str
    ip: str
    netmask: str
    gateway: str | None = None


Words = Annotated[list[str], NoDecode, BeforeValidator(_words)]
Paths = Annotated[list[Path], NoDecode, BeforeValidator(_words)]
Logins = Annotated[
    dict[str, list[Annotated[SecretStr, AfterValidator(_login)]]],
    NoDecode,
    BeforeValidator(_logins),
]
"""`user:password` by whose it is."""
HostNetworks = Annotated[list[HostNetwork], NoDecode, BeforeValidator(_json)]
TextMap = Annotated[dict[str, str], NoDecode, BeforeValidator(_json)]
Networks = Annotated[list[IPv4Network | IPv6Network], NoDecode, BeforeValidator(_words)]


class Settings(BaseSettings):
    """Every setting of the service; `nethvoice config` prints them with their effective values."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address the service listens on")
    port: int = Field(8080, ge=0, le=65535, description="TCP port; 0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="Server processes")
    threads: int = Field(16, ge=2, le=256, description="Handler threads of each process")
    base_path: str = Field("/freepbx/rest", pattern=r"^(/[A-Za-z0-9._-]+)+$")
    data_dir: Path = Field(Path("data"), description="Folder of everything the service owns")
    modules_dir: Path | None = Field(None, description="Folder of modules, see docs/modules.md")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    check_answers: bool = Field(
        False, description="Answer 500 where the document does not allow an answer; for tests"
    )

    secret: SecretStr | None = Field(
        None,
        validation_alias=_env("SECRET", "NETHVOICESECRETKEY"),
        description="Shared secret of the Secretkey header; unset: <DATA_DIR>/secret",
    )
    admin_password: SecretStr | None = Field(
        None, description="Password of the first administrator; unset: a generated one"
    )
    login_failure_limit: int = Field(300, ge=1, description="Wrong keys a minute and address")
    testauth_failure_limit: int = Field(20, ge=1, description="Failed /testauth a minute")
    trusted_proxies: Networks = Field(
        default_factory=list, description="Networks whose X-Forwarded-For is believed"
    )

    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL, mysql+pymysql://... on a PBX; unset: embedded SQLite"
    )
    cti_database_url: SecretStr | None = Field(
        None, description="Database of the CTI server (user_settings); unset: the main one"
    )

    # Phonebook
    phonebook_database_url: SecretStr | None = Field(
        None, description="Database of the central phonebook; unset: the main one"
    )
    phonebook_dir: Path | None = Field(None, description="Folder that holds sources.d/")
    phonebook_upload_dir: Path | None = Field(None, description="Folder of uploaded CSV files")
    phonebook_schedule: bool = Field(
        True, description="Synchronise by interval; false: only `nethvoice phonebook sync` does"
    )
    phonebook_ldap_host: str = Field("", description="Address of the LDAP phonebook; unset: all")
    phonebook_ldap_port: int = Field(10389, ge=1, le=65535)
    phonebook_ldaps_port: int = Field(
        10636,
        # NS8 has the service with TLS only, and calls its port so.
        validation_alias=_env("PHONEBOOK_LDAPS_PORT", "PHONEBOOK_LDAP_PORT"),
        ge=1,
        le=65535,
    )
    phonebook_ldap_limit: int = Field(
        500,
        validation_alias=_env("PHONEBOOK_LDAP_LIMIT", "PHONEBOOK_LDAP_LIMIT"),
        description="Entries of one answer; 0: no limit",
    )
    phonebook_ldap_user: str = Field(
        "ldapuser",
        validation_alias=_env("PHONEBOOK_LDAP_USER", "PHONEBOOK_LDAP_USER"),
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
    )
    phonebook_ldap_password: SecretStr | None = Field(
        None,
        validation_alias=_env("PHONEBOOK_LDAP_PASSWORD", "PHONEBOOK_LDAP_PASS"),
        description="unset: a generated one, the same for all processes",
    )
    phonebook_ldap_certificate: Path | None = Field(
        None, description="PEM file, chain included; unset: a self-signed one is made"
    )
    phonebook_ldap_key: Path | None = Field(None, description="PEM file; unset: with the former")
    hook_phonebook_ldap: Words = Field(
        default_factory=list, description="Run with `ldap` or `ldaps` and the new status"
    )

    ami_host: str | None = Field(None, description="Asterisk manager; unset: embedded AstDB")
    ami_port: int = Field(5038, ge=1, le=65535)
    ami_username: str = ""
    ami_password: SecretStr = SecretStr("")

    run_dir: Path | None = None
    asterisk_etc_dir: Path | None = Field(None, description="Folder of voicemail.conf")
    asterisk_spool_dir: Path | None = Field(None, description="Folder that holds voicemail/")
    ptrack_dir: Path | None = Field(None, description="Folder of ptrack sockets and dumps")

    reload_command: Words = Field(
        default_factory=list, description='Applies changes, e.g. ["fwconsole", "reload"]'
    )
    reload_interval: float | None = Field(
        None, ge=0, description="Seconds between reloads; unset: 10 with a command, else 0"
    )
    reload_timeout: float = Field(300, gt=0, description="Seconds after which a reload is ended")
    middleware_port: int | None = Field(None, ge=1, le=65535)
    middleware_super_admin_token: SecretStr | None = None

    user_directory: Literal["internal", "userman", "ldap", ""] | None = Field(
        None, description="unset: userman with RELOAD_COMMAND, else internal"
    )
    user_domain: str = Field("", description="Domain shown by /configuration/userprovider")
    user_portal_username: str = Field("", description="Portal user that lists never show")
    sync_command: Words = Field(
        default_factory=lambda: ["fwconsole", "userman", "--syncall", "--force"]
    )
    sync_timeout: float = Field(600, gt=0)
    userman_lock: Path = Field(
        Path("/var/run/asterisk/userman.lock"), description="Lock file of FreePBX's own sync"
    )
    ldap_url: str = Field("", description="ldap:// or ldaps://, also several, blank-separated")
    ldap_type: Literal["ldap", "ad"] = "ldap"
    ldap_start_tls: bool = False
    ldap_ca_file: Path | None = None
    ldap_bind_dn: str = ""
    ldap_bind_password: SecretStr = SecretStr("")
    ldap_base_dn: str = ""
    ldap_user_filter: str = Field("", description="unset: the usual filter of LDAP_TYPE")
    ldap_timeout: float = Field(10, gt=0)

    # The network around the telephone system
    pbx_address: str = Field("", description="Address that devices reach the PBX at; unset: found")
    provisioning_engine: Literal["tancredi", "freepbx"] = "tancredi"
    scan_command: Words = Field(
        default_factory=list,
        description='nmap with what gives it raw sockets, e.g. ["nmap", "--privileged"]',
    )
    scan_networks: Networks = Field(
        default_factory=lambda: [ip_network(text) for text in PRIVATE_NETWORKS],
        description="Networks that may be scanned",
    )
    scan_timeout: float = Field(900, gt=0, description="Seconds after which a scan is ended")
    dhcp_leases: Paths = Field(
        default_factory=list, description="Leases files of dnsmasq or ISC dhcpd, for host names"
    )
    tftp_root: Path | None = Field(None, description="Folder of device files")
    tftp_host: str = Field("0.0.0.0", description="IPv4 address of `nethvoice tftp`")  # noqa: S104
    tftp_port: int = Field(6969, ge=0, le=65535, description="UDP port; 0 takes a free one")
    tftp_transfers: int = Field(1000, ge=1, description="Transfers at once")
    tftp_client_transfers: int = Field(250, ge=1, description="Transfers at once to one address")
    tftp_client_failures: int = Field(
        300, ge=1, description="Failed requests a minute after which an address is ignored"
    )
    gateway_logins: Logins = Field(
        default_factory=dict, description="Logins for the push, by MAC address, family or vendor"
    )
    gateway_admin_password: SecretStr | None = Field(
        None, description="Administrator's password that gateways get; unset: theirs stays"
    )

    proxy_ip: str | None = Field(None, validation_alias=_env("PROXY_IP", "PROXY_IP"))
    proxy_port: int | None = Field(None, validation_alias=_env("PROXY_PORT", "PROXY_PORT"))
    proxy_fqdn: str = Field("", description="Name of the proxy for gateways; unset: PROXY_IP")
    cti_module: bool = Field(False, description="FreePBX has the CTI module with its contexts")
    mobile_app: Literal["acrobits", "native"] = "acrobits"
    last_device_digit: Literal[7, 8] = 7

    # Trunks.
    g729_check: bool = Field(False, description="Offer G.729 only with its module in Asterisk")

    # What the configuration and settings operations read from the host.
    host_local_networks: HostNetworks = Field(
        default_factory=list, description="JSON array of networks; unset: the kernel's interfaces"
    )
    suggested_ip_url: str = Field(
        "https://ifconfig.io/ip", description="Answers the caller's public IPv4 address as text"
    )
    google_auth_file: Path | None = Field(None, description="Key of the speech-to-text service")
    stt_mailcmd: str = Field(
        "/var/lib/asterisk/bin/googlestt_sendmail.php",
        pattern=r"^/[^\s;]+$",
        description="`mailcmd` of voicemail.conf that transcribes messages",
    )
    asterisk_sounds_dir: Path | None = Field(None, description="Folder of the prompts by language")
    sounds_command: Words = Field(
        default_factory=lambda: ["fwconsole", "sounds", "install"],
        description="Installs the sound package whose id is added to it",
    )
    sounds_timeout: float = Field(600, gt=0)

    # Commands that carry a choice out on this host; the value is added as last argument.
    hook_external_sips: Words = Field(default_factory=list)
    hook_conference: Words = Field(default_factory=list)
    hook_wizard_done: Words = Field(default_factory=list)
    hook_timeout: float = Field(30, gt=0, description="Seconds after which a hook is ended")

    # Phones: the redirect service, planned reboots.
    tancredi_conf: Path | None = Field(
        None,
        validation_alias=_env("TANCREDI_CONF", "TANCREDI_CONF"),
        description="Its time of change is the answer of /provisioning/check/ping",
    )
    rps_url: str = Field("https://rps.nethesis.it", pattern=r"^https?://")
    rps_username: str = Field("", validation_alias=_env("RPS_USERNAME", "SUBSCRIPTION_SYSTEMID"))
    rps_password: SecretStr = Field(
        SecretStr(""), validation_alias=_env("RPS_PASSWORD", "SUBSCRIPTION_SECRET")
    )
    rps_providers: TextMap = Field(
        default_factory=dict, description="Vendor to provider, added to the shipped table"
    )
    rps_timeout: float = Field(10, gt=0)
    reboot_crontab: Words = Field(
        default_factory=list,
        description='Has cron do the planned reboots, e.g. ["crontab"]; for a PBX of one host',
    )
    reboot_helper: str = Field(
        "nethvoice reboot-phone",
        pattern=r"^[^\n\r%]+$",
        description="What a line of that crontab runs",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the TOML file."""
        named = os.environ.get(PREFIX + "CONFIG")
        path = Path(named) if named else Path(os.environ.get(PREFIX + "DATA_DIR", "data"))
        if not named:
            path /= "nethvoice.toml"
        elif not path.is_file():
            raise SettingsError(f"{PREFIX}CONFIG: there is no file {path}")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    @cached_property
    def sql_url(self) -> str:
        """The database's URL, the embedded default included."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'nethvoice.db'}"

    @property
    def on_proxy(self) -> bool:
        """Deployment profile: True behind a SIP proxy, False when phones register directly."""
        return bool(self.proxy_ip and self.proxy_port)

    @property
    def outbound_proxy(self) -> str:
        """The SIP URI that devices are routed through, empty in the direct profile."""
        return f"sip:{self.proxy_ip}:{self.proxy_port};lr" if self.on_proxy else ""

    @property
    def proxy_for_devices(self) -> str | None:
        """Name or address of the SIP proxy that gateways register through, None without one."""
        return (self.proxy_fqdn or self.proxy_ip) if self.on_proxy else None

    @property
    def directory_kind(self) -> Literal["internal", "userman", "ldap", ""]:
        """Which user directory is in force."""
        if self.user_directory is None:
            return "userman" if self.reload_command else "internal"
        return self.user_directory

    @property
    def seconds_between_reloads(self) -> float:
        """FreePBX's own reload is heavy, so it gets a pause; the others need none."""
        if self.reload_interval is not None:
            return self.reload_interval
        return 10.0 if self.reload_command else 0.0

    @property
    def run_folder(self) -> Path:
        """Folder of lock files and other things that a reboot may remove."""
        return self.run_dir or self.data_dir / "run"

    @property
    def voicemail_conf(self) -> Path:
        """Asterisk's mailbox file."""
        return (self.asterisk_etc_dir or self.data_dir / "asterisk") / "voicemail.conf"

    @property
    def voicemail_spool(self) -> Path:
        """Folder of recorded messages, `<context>/<mailbox>` below it."""
        return (self.asterisk_spool_dir or self.data_dir / "spool") / "voicemail"

    @property
    def tftp_folder(self) -> Path:
        """Folder of the files that devices fetch."""
        return self.tftp_root or self.data_dir / "tftpboot"

    @property
    def google_key_file(self) -> Path:
        """Service account key with which messages are transcribed."""
        return self.google_auth_file or self.data_dir / "google-auth.json"

    @property
    def sounds_folder(self) -> Path:
        """Folder with one folder of prompts for each language."""
        return self.asterisk_sounds_dir or self.data_dir / "sounds"

    @property
    def phonebook_folder(self) -> Path:
        """What the service itself keeps of the phonebook."""
        return self.data_dir / "phonebook"

    @property
    def phonebook_sources(self) -> Path:
        """Folder of the phonebook's sources, one JSON file each."""
        return (self.phonebook_dir or self.phonebook_folder) / "sources.d"

    @property
    def phonebook_uploads(self) -> Path:
        """Folder of uploaded CSV files."""
        return (self.phonebook_upload_dir or self.phonebook_folder / "uploads").absolute()

    @property
    def secret_file(self) -> Path:
        """Where the generated shared secret lies when `SECRET` is not set."""
        return self.data_dir / "secret"

    @cached_property
    def shared_secret(self) -> str:
        """The shared secret of the Secretkey hash. Raises SettingsError when there is none."""
        if self.secret is not None and self.secret.get_secret_value():
            return self.secret.get_secret_value()
        try:
            value = self.secret_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            value = ""
        if not value:
            raise SettingsError(f"set {PREFIX}SECRET, or run 'nethvoice init' to make a secret")
        return value

    def refuse_public_default(self) -> None:
        """Refuse to listen on a public address with the secret that everybody knows."""
        if self.shared_secret != PUBLIC_DEFAULT_SECRET:
            return
        try:
            loopback = ip_address(self.host).is_loopback
        except ValueError:
            loopback = self.host == "localhost"
        if not loopback:
            raise SettingsError(
                f"{PREFIX}SECRET is the public default; listening on {self.host} with it would "
                "let anybody in. Set another secret, or listen on 127.0.0.1."
            )


def load_settings(**overrides: object) -> Settings:
    """Read the settings; raises SettingsError with one readable line per fault."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            f"{_shown('.'.join(map(str, fault['loc'])))}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("\n".join(lines)) from None
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _shown(name: str) -> str:
    """A setting as an operator sets it in the environment."""
    return PREFIX + name.upper().removeprefix(PREFIX)


def make_secret(path: Path) -> None:
    """Write a new random secret to `path`, readable by the owner only, unless one is there."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(secrets.token_hex(20) + "\n")
