"""Settings from the environment and a file; what is refused before the service starts."""

from pathlib import Path

import pytest

from nethvoice.settings import PUBLIC_DEFAULT_SECRET, Settings, SettingsError, load_settings

Env = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _clean(monkeypatch: Env, tmp_path: Path) -> None:
    import os

    for name in [n for n in os.environ if n.startswith("NETHVOICE_") or n.startswith("PROXY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.base_path) == (
        "127.0.0.1",
        8080,
        "/freepbx/rest",
    )
    assert settings.sql_url.startswith("sqlite:///")
    assert settings.directory_kind == "internal"
    assert settings.seconds_between_reloads == 0.0
    assert not settings.on_proxy


def test_the_environment_wins_over_the_file(monkeypatch: Env, tmp_path: Path) -> None:
    file = tmp_path / "conf.toml"
    file.write_text('port = 1000\nreload_command = ["fwconsole", "reload"]\n')
    monkeypatch.setenv("NETHVOICE_CONFIG", str(file))
    monkeypatch.setenv("NETHVOICE_PORT", "2000")
    settings = load_settings()
    assert settings.port == 2000
    assert settings.reload_command == ["fwconsole", "reload"]
    assert settings.directory_kind == "userman"
    assert settings.seconds_between_reloads == 10.0


def test_empty_variables_are_as_good_as_none(monkeypatch: Env) -> None:
    monkeypatch.setenv("NETHVOICE_PORT", "")
    assert load_settings().port == 8080


def test_lists_as_json_or_words(monkeypatch: Env) -> None:
    monkeypatch.setenv("NETHVOICE_RELOAD_COMMAND", '["run me", "a b"]')
    monkeypatch.setenv("NETHVOICE_TRUSTED_PROXIES", "127.0.0.1 10.0.0.0/8")
    settings = load_settings()
    assert settings.reload_command == ["run me", "a b"]
    assert [str(network) for network in settings.trusted_proxies] == ["127.0.0.1/32", "10.0.0.0/8"]


def test_names_of_the_container_edition(monkeypatch: Env) -> None:
    monkeypatch.setenv("NETHVOICESECRETKEY", "from the container")
    monkeypatch.setenv("PROXY_IP", "10.5.4.1")
    monkeypatch.setenv("PROXY_PORT", "5060")
    settings = load_settings()
    assert settings.shared_secret == "from the container"
    assert settings.outbound_proxy == "sip:10.5.4.1:5060;lr"


def test_errors_name_the_setting(monkeypatch: Env) -> None:
    monkeypatch.setenv("NETHVOICE_PORT", "eighty")
    monkeypatch.setenv("NETHVOICE_PHONEBOOK_LDAPS_PORT", "none")
    monkeypatch.setenv("NETHVOICE_BASE_PATH", "no slash")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert {line.partition(":")[0] for line in str(refused.value).splitlines()} == {
        "NETHVOICE_PORT",
        "NETHVOICE_BASE_PATH",
        "NETHVOICE_PHONEBOOK_LDAPS_PORT",
    }


def test_a_missing_file_is_an_error(monkeypatch: Env) -> None:
    monkeypatch.setenv("NETHVOICE_CONFIG", "/nowhere/conf.toml")
    with pytest.raises(SettingsError, match="there is no file"):
        load_settings()


@pytest.mark.parametrize(
    ("host", "public"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("pbx", True)],
)
def test_the_public_default_secret(host: str, public: bool) -> None:
    settings = Settings(host=host, secret=PUBLIC_DEFAULT_SECRET)  # type: ignore[arg-type]
    if public:
        with pytest.raises(SettingsError, match="public default"):
            settings.refuse_public_default()
    else:
        settings.refuse_public_default()


def test_without_a_secret_there_is_no_service(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nethvoice init"):
        _ = Settings(data_dir=tmp_path / "empty").shared_secret


def test_gateway_logins(monkeypatch: Env, tmp_path: Path) -> None:
    text = '{"Patton": "admin:pa:ss", "00:A0:BA:00:00:01": ["a:b", ".:"]}'
    monkeypatch.setenv("NETHVOICE_GATEWAY_LOGINS", text)
    logins = load_settings().gateway_logins
    assert [x.get_secret_value() for x in logins["Patton"]] == ["admin:pa:ss"]
    assert [x.get_secret_value() for x in logins["00:A0:BA:00:00:01"]] == ["a:b", ".:"]
    assert "pa:ss" not in repr(logins)
    monkeypatch.delenv("NETHVOICE_GATEWAY_LOGINS")
    file = tmp_path / "conf.toml"
    file.write_text('[gateway_logins]\nvega = "admin:x"\n')
    monkeypatch.setenv("NETHVOICE_CONFIG", str(file))
    assert list(load_settings().gateway_logins) == ["vega"]


@pytest.mark.parametrize("text", ['{"vega": "nosecret"}', "vega", '["a:b"]', '{"vega": 1}'])
def test_gateway_logins_that_are_none(monkeypatch: Env, text: str) -> None:
    monkeypatch.setenv("NETHVOICE_GATEWAY_LOGINS", text)
    with pytest.raises(SettingsError, match="GATEWAY_LOGINS") as caught:
        load_settings()
    assert "nosecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("{[]}", 0),  # what NS8 ships
        ("[]", 0),
        (
            '[{"network": "10.0.0.0", "ip": "10.0.0.1", "netmask": "255.0.0.0", "gateway": null}]',
            1,
        ),
    ],
)
def test_networks_of_the_host(monkeypatch: pytest.MonkeyPatch, text: str, networks: int) -> None:
    monkeypatch.setenv("NETHVOICE_HOST_LOCAL_NETWORKS", text)
    assert len(load_settings().host_local_networks) == networks


@pytest.mark.parametrize("text", ["{", '[{"network": "10.0.0.0"}]', "5"])
def test_networks_that_are_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("NETHVOICE_HOST_LOCAL_NETWORKS", text)
    with pytest.raises(SettingsError):
        load_settings()


def test_names_of_ns8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBSCRIPTION_SYSTEMID", "system-4711")
    monkeypatch.setenv("SUBSCRIPTION_SECRET", "s3cr3t")
    settings = load_settings()
    assert settings.rps_username == "system-4711"
    assert settings.rps_password.get_secret_value() == "s3cr3t"
    assert "s3cr3t" not in repr(settings)


def test_ports_of_the_ldap_phonebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """NS8 has the service with TLS only: its name, without the prefix, is that one's port."""
    monkeypatch.setenv("PHONEBOOK_LDAP_PORT", "20105")
    monkeypatch.setenv("PHONEBOOK_LDAP_LIMIT", "50")

    def found() -> tuple[int, int, int]:
        s = load_settings()
        return s.phonebook_ldap_port, s.phonebook_ldaps_port, s.phonebook_ldap_limit

    assert found() == (10389, 20105, 50)
    monkeypatch.setenv("NETHVOICE_PHONEBOOK_LDAP_PORT", "389")
    monkeypatch.setenv("NETHVOICE_PHONEBOOK_LDAP_LIMIT", "0")
    assert found() == (389, 20105, 0)
    monkeypatch.setenv("NETHVOICE_PHONEBOOK_LDAPS_PORT", "636")
    assert found() == (389, 636, 0)
