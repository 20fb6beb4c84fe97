"""`nethvoice doctor`: looks at every outside thing and says how to mend what is wrong."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, text

from nethvoice.pbx import administrators, directories
from nethvoice.pbx.phonebook import sync as phonebook
from nethvoice.problems import Problem
from nethvoice.settings import PREFIX, PUBLIC_DEFAULT_SECRET, Settings, SettingsError
from nethvoice.store import restarts
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.system import System
from provisioning.hosts import scan_command
from provisioning.tftp import probe


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `state` is ok, note or fail; `mend` says what to do."""

    name: str
    state: str
    text: str
    mend: str = ""


def examine(settings: Settings, *, retry_parked: bool = False) -> Iterator[Finding]:
    """Look at everything, one finding after the other."""
    yield _secret(settings)
    yield from _folders(settings)
    system = System(settings)
    try:
        database = list(_database(system))
        yield from database
        if any(finding.state == "fail" for finding in database):
            return
        yield _administrators(system)
        yield _asterisk(system)
        yield _reload(system)
        yield _directory(system)
        yield _scanner(settings)
        yield _outbox(system, retry=retry_parked)
        yield from _phonebook(system)
        yield from _device_files(settings)
        if system.restarts.wanted():
            yield Finding(
                "restart",
                "note",
                "Asterisk still uses the old external address and local networks",
                f"run '{restarts.COMMAND}' in Asterisk, or give the manager user 'command'",
            )
    finally:
        system.stop()


def _secret(settings: Settings) -> Finding:
    try:
        secret = settings.shared_secret
    except SettingsError as error:
        return Finding("shared secret", "fail", "there is none", str(error))
    if secret == PUBLIC_DEFAULT_SECRET:
        return Finding(
            "shared secret", "note", "it is the public default", f"set another {PREFIX}SECRET"
        )
    return Finding("shared secret", "ok", "set")


def _folders(settings: Settings) -> Iterator[Finding]:
    for name, folder in (("DATA_DIR", settings.data_dir), ("RUN_DIR", settings.run_folder)):
        if folder.is_dir() and os.access(folder, os.W_OK):
            yield Finding(name, "ok", str(folder))
        else:
            yield Finding(
                name, "fail", f"{folder} is no folder we can write to", f"make it, or set {name}"
            )
    conf = settings.voicemail_conf
    writable = conf.parent if not conf.exists() else conf
    if conf.parent.is_dir() and os.access(writable, os.W_OK):
        yield Finding("voicemail.conf", "ok", str(conf))
    elif settings.asterisk_etc_dir is None:
        yield Finding("voicemail.conf", "ok", f"{conf} is made with the first mailbox")
    else:
        yield Finding(
            "voicemail.conf",
            "fail",
            f"{conf} cannot be written",
            "run the service as a user that may write it, such as asterisk",
        )
    pbx = Path("/etc/asterisk")
    if settings.asterisk_etc_dir is None and pbx.is_dir():
        yield Finding(
            "ASTERISK_ETC_DIR",
            "note",
            f"this host has {pbx}, but mailboxes are written to {conf}",
            f"set {PREFIX}ASTERISK_ETC_DIR={pbx}",
        )


def _device_files(settings: Settings) -> Iterator[Finding]:
    root = settings.tftp_folder
    if root.is_dir() and not os.access(root, os.W_OK):
        mend = "let the service's user write there"
        yield Finding("TFTP_ROOT", "fail", f"{root} cannot be written", mend)
    else:
        missing = "" if root.is_dir() else ", made with the first file"
        yield Finding("TFTP_ROOT", "ok", f"{root}{missing}")
    usual = Path("/var/lib/tftpboot")
    if settings.tftp_root is None and usual.is_dir():
        yield Finding(
            "TFTP_ROOT",
            "note",
            f"this host has {usual}, but device files are written to {root}",
            f"set {PREFIX}TFTP_ROOT={usual}",
        )
    ports = [port for port in (settings.tftp_port, 69) if probe.answers("127.0.0.1", port)]
    if ports:
        yield Finding("TFTP", "ok", f"a server answers on port {ports[0]}")
    else:
        yield Finding(
            "TFTP",
            "note",
            f"no server answers on port {settings.tftp_port} or 69 of this host",
            "run 'nethvoice tftp', or let dnsmasq or tftpd-hpa serve the folder",
        )


def _database(system: System) -> Iterator[Finding]:
    kind = "embedded SQLite" if system.database.is_sqlite else "MariaDB"
    try:
        with system.read() as connection:
            version = connection.scalar(
                text(f"SELECT {'sqlite_version()' if system.database.is_sqlite else 'VERSION()'}")
            )
    except Problem:
        yield Finding(
            "database",
            "fail",
            f"{kind} does not answer",
            f"check {PREFIX}DATABASE_URL, the server, and the user's rights",
        )
        return
    yield Finding("database", "ok", f"{kind} {version}")
    wanted = [*t.own.sorted_tables, t.users, t.devices, t.sip, t.userman_users, t.ampusers]
    missing = [table.name for table in wanted if system.database.live(table) is None]
    if missing:
        yield Finding("tables", "fail", "missing: " + ", ".join(missing), "run 'nethvoice init'")
    else:
        yield Finding("tables", "ok", "all there")


def _administrators(system: System) -> Finding:
    names = administrators.list_administrators(system)
    if names:
        return Finding("administrators", "ok", ", ".join(names))
    return Finding("administrators", "fail", "there is none", "run 'nethvoice admin add NAME'")


def _asterisk(system: System) -> Finding:
    if system.ami is None:
        return Finding(
            "Asterisk", "note", "not configured, AstDB is embedded", f"set {PREFIX}AMI_HOST ..."
        )
    try:
        system.ami.ping()
        system.astdb.get("AMPUSER", "doctor")
    except AmiUnavailable as error:
        return Finding(
            "Asterisk",
            "fail",
            f"the manager cannot be used: {error}",
            f"check {PREFIX}AMI_HOST, AMI_PORT, AMI_USERNAME, AMI_PASSWORD and manager.conf",
        )
    except AmiRefused as error:
        return Finding(
            "Asterisk",
            "fail",
            f"the manager user lacks rights: {error}",
            "give it 'write = system,reporting' in manager.conf",
        )
    return Finding("Asterisk", "ok", "the manager answers")


def _reload(system: System) -> Finding:
    with system.read() as connection:
        needed = connection.scalar(
            select(t.admin.c.value).where(t.admin.c.variable == "need_reload")
        )
    state = ", changes are waiting to be applied" if needed == "true" else ""
    command = system.settings.reload_command
    if not command:
        how = "through the manager" if system.ami else "recorded only, there is no Asterisk"
        return Finding("reload", "ok", how + state)
    if shutil.which(command[0]) is None:
        return Finding(
            "reload", "fail", f"{command[0]} is not found", f"correct {PREFIX}RELOAD_COMMAND"
        )
    return Finding("reload", "ok", " ".join(command) + state)


def _directory(system: System) -> Finding:
    try:
        return Finding("user directory", "ok", directories.examine(system))
    except Problem as problem:
        names = "LDAP_* settings" if system.settings.directory_kind == "ldap" else "USER_DIRECTORY"
        return Finding("user directory", "fail", problem.detail, f"check {PREFIX}{names}")


def _phonebook(system: System) -> Iterator[Finding]:
    """The phonebook's database, and sources whose last synchronisation failed."""
    database = system.phonebook_database
    if database is not system.database:
        mend = f"check {PREFIX}PHONEBOOK_DATABASE_URL, the server, and the user's rights"
        try:
            missing = database.live(t.phonebook) is None
        except Problem:
            yield Finding("phonebook", "fail", "its database does not answer", mend)
            return
        if missing:
            yield Finding("phonebook", "fail", "its table is missing", "run 'nethvoice init'")
            return
    known = phonebook.states(system)
    keys = phonebook.all_keys(system)
    failed = [known[key] for key in keys if key in known and known[key].failed]
    for state in failed:
        name = phonebook.name_of(state.source)
        yield Finding(
            "phonebook",
            "fail",
            f"source {name}: {state.last_error}",
            f"mend it, then run 'nethvoice phonebook sync {name}'",
        )
    if not failed:
        yield Finding("phonebook", "ok", f"{len(keys)} sources, none has failed")


def _scanner(settings: Settings) -> Finding:
    command = scan_command(settings)
    if not command:
        return Finding(
            "network scan",
            "note",
            "by a sweep of our own, which finds hosts that left a minute ago too",
            f'install nmap and set {PREFIX}SCAN_COMMAND, ["nmap", "--privileged"] for instance',
        )
    if shutil.which(command[0]) is None:
        return Finding(
            "network scan", "fail", f"{command[0]} is not found", f"correct {PREFIX}SCAN_COMMAND"
        )
    return Finding("network scan", "ok", " ".join(command))


def _outbox(system: System, *, retry: bool) -> Finding:
    if retry:
        system.outbox.retry_parked()
        system.outbox.drain()
    pending = system.outbox.pending()
    if pending.parked:
        return Finding(
            "outbox",
            "fail",
            f"{pending.parked} effects were given up after an hour",
            "see the log for the reason, mend it, then run 'nethvoice doctor --retry-parked'",
        )
    if pending.waiting:
        return Finding("outbox", "note", f"{pending.waiting} effects wait to be applied")
    return Finding("outbox", "ok", "empty")
