"""The push against simulated gateways, which speak real telnet or SSH and fetch their file from the
running TFTP server, and against gateways that misbehave in every way."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pydantic import SecretStr

from provisioning.push import (
    ConnectionLost,
    DeviceRefused,
    DeviceSilent,
    DeviceUnreachable,
    Login,
    LoginRefused,
    NoDialogue,
    Patience,
    PushFailed,
    Step,
    TransferRefused,
    UnexpectedAnswer,
    conversation,
    dialogue_for,
    logins_for,
    push,
)
from provisioning.push.conversation import error_in
from provisioning.push.dialogues import MEDIATRIX, SMARTWARE, TRINITY, VEGA
from provisioning.tftp.server import TftpServer, open_port
from tests.gateways import LOGINS, Behaviour, Gateway, mute_listener

FILE = "00A0BA123456.cfg"
CONTENT = b"cli version 3.20\nclock local offset +01:00\n" * 100
FAMILIES = list(LOGINS)
TELNET = ["smartware", "trinity", "vega"]

COPY = f"copy tftp://127.0.0.1/{FILE}"
LINES = {
    "smartware": ["enable", f"{COPY} startup-config", "reload", "no", "yes"],
    "trinity": [
        "enable",
        f"{COPY} config:tmp-config",
        "copy config:tmp-config startup-config",
        "reload",
        "yes",
    ],
    "vega": [f"GET tftp://127.0.0.1/{FILE}", "SAVE", "REBOOT SYSTEM BLOCK"],
    "mediatrix": [
        f"Conf.ScriptSpecificFileName ={FILE}",
        f"Conf.ScriptGenericFileName ={FILE}",
        'Conf.ScriptsLocation =""',
        'Conf.ScriptsTransferProtocol ="tftp"',
        'Conf.ScriptsTransferSrvHostname ="127.0.0.1"',
        "Conf.ScriptsAllowRepeatedExecution =Disable",
        "Conf.ScriptsTransferOnRestartEnable =Enable",
        "reboot",
    ],
}
STEPS = {
    "smartware": [
        Step.CONNECTING,
        Step.LOGGED_IN,
        Step.FETCHING,
        Step.RESTARTING,
        Step.DONE,
    ],
    "trinity": list(Step),
    "vega": list(Step),
    "mediatrix": [
        Step.CONNECTING,
        Step.LOGGED_IN,
        Step.SAVING,
        Step.RESTARTING,
        Step.DONE,
    ],
}

DIALOGUES = {
    "smartware": dialogue_for("Patton", "4661"),
    "trinity": dialogue_for("Patton", "TRI_ISDN_2"),
    "vega": dialogue_for("Sangoma", "Vega_60_2isdn"),
    "mediatrix": dialogue_for("Mediatrix", "M4402"),
}

HASTY = Patience(connect=2, login=2, command=2, fetch=5, settle=0.2, restart=1, pause=0.1, total=30)
ENDS_WITHIN = 45
"""Only shows that a push ends at all, however slow the machine is."""


@pytest.fixture(scope="module")
def tftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    root = tmp_path_factory.mktemp("tftpboot")
    (root / FILE).write_bytes(CONTENT)
    server = TftpServer(open_port("127.0.0.1", 0), root)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server.port
    server.stop()
    thread.join(10)


@pytest.fixture(autouse=True)
def brief_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "_LONG_QUIET", 0.3)
    monkeypatch.setattr(conversation, "_FAREWELL", 0.2)


def run(
    gateway: Gateway,
    logins: list[Login] | None = None,
    *,
    file: str = FILE,
    patience: Patience = HASTY,
    steps: list[Step] | None = None,
) -> None:
    began = time.monotonic()
    try:
        push(
            DIALOGUES[gateway.family],
            "127.0.0.1",
            logins or [Login(*LOGINS[gateway.family])],
            "127.0.0.1",
            file,
            on_step=(steps if steps is not None else []).append,
            port=gateway.port,
            patience=patience,
        )
    finally:
        assert time.monotonic() - began < ENDS_WITHIN


def failure(gateway: Gateway, logins: list[Login] | None = None, **more: object) -> PushFailed:
    with pytest.raises(PushFailed) as caught:
        run(gateway, logins, **more)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "127.0.0.1" in text
    assert text.isprintable()
    assert len(text) < 500
    return caught.value


# --- a push that goes well ------------------------------------------------------------------------

MANNERS = {
    "telnet options": Behaviour(),
    "no telnet options": Behaviour(negotiates=False),
    "no echo": Behaviour(echoes=False),
    "byte by byte": Behaviour(in_pieces=True),
    "coloured prompt": Behaviour(coloured=True),
    "prompt twice": Behaviour(prompt_twice=True),
    "pages": Behaviour(pages=True),
    "all at once": Behaviour(in_pieces=True, coloured=True, prompt_twice=True, negotiates=False),
    "long banner": Behaviour(
        banner="Welcome!\r\nUnauthorized access is denied.\r\nlogin: failed attempts: 3\r\n"
        + "".join(f"line {n} of the licence # not a prompt>\r\n" for n in range(400))
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)
def test_push(tftp: int, family: str, manner: Behaviour) -> None:
    steps: list[Step] = []
    with Gateway(family, tftp, manner) as gateway:
        run(gateway, steps=steps)
    assert gateway.lines == LINES[family]
    assert gateway.fetched == {FILE: CONTENT}
    assert gateway.startup == CONTENT
    assert gateway.restarts == 1
    assert gateway.opened == gateway.closed == 1
    assert steps == STEPS[family]


def test_nothing_to_save(tftp: int) -> None:
    """A SmartNode asks about its running configuration only when that was changed; a `no` to the
    other question would call the restart off."""
    with Gateway("smartware", tftp, Behaviour(asks_to_save=False)) as gateway:
        run(gateway)
    assert gateway.lines[-2:] == ["reload", "yes"]
    assert gateway.restarts == 1


def test_trinity_that_does_not_ask(tftp: int) -> None:
    with Gateway("trinity", tftp, Behaviour(asks_to_restart=False)) as gateway:
        run(gateway)
    assert gateway.restarts == 1


@pytest.mark.parametrize("family", ["smartware", "trinity"])
@pytest.mark.parametrize(
    "question", ["Reload now? (y/n) ", "System restarting, are you sure?", "Proceed [yes/no]: "]
)
def test_questions_about_the_restart(tftp: int, family: str, question: str) -> None:
    how = Behaviour(asks_to_save=False, restart_question=question)
    with Gateway(family, tftp, how) as gateway:
        run(gateway)
    assert gateway.lines[-2:] == ["reload", "yes"]
    assert gateway.restarts == 1


@pytest.mark.parametrize("family", ["smartware", "vega"])
@pytest.mark.parametrize("farewell", ["The system is going down\r\n", "Restarting (please wait)"])
def test_gateway_that_says_that_it_goes(tftp: int, family: str, farewell: str) -> None:
    """Its word is enough: some never end the connection."""
    how = Behaviour(farewell=farewell, never_restarts=True, asks_to_save=False)
    with Gateway(family, tftp, how) as gateway:
        run(gateway)
    assert gateway.startup == CONTENT


def test_login_that_is_privileged_already(tftp: int) -> None:
    with Gateway("smartware", tftp, Behaviour(privileged_login=True)) as gateway:
        run(gateway)
    assert gateway.lines == LINES["smartware"][1:]


def test_keyboard_interactive(tftp: int) -> None:
    with Gateway("mediatrix", tftp, Behaviour(keyboard_interactive=True)) as gateway:
        run(gateway)
    assert gateway.startup == CONTENT


def test_gateway_that_vanishes(tftp: int) -> None:
    """It restarts without ending its connections, and takes no new ones."""
    with Gateway("vega", tftp, Behaviour(vanishes=True, negotiates=False)) as gateway:
        run(gateway)
    assert gateway.restarts == 1


def test_many_pushes_at_once(tftp: int) -> None:
    gateways = [Gateway(FAMILIES[number % 4], tftp) for number in range(12)]

    def one(gateway: Gateway) -> bool:
        with gateway:
            run(gateway, patience=Patience(settle=0.5))
        return gateway.startup == CONTENT and gateway.restarts == 1

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(one, gateways))


# --- Trinity: its prompt comes back before the transfer is over -----------------------------------


def test_commit_waits_for_the_transfer(tftp: int) -> None:
    with Gateway("trinity", tftp, Behaviour(prompt_before_done=0.5)) as gateway:
        run(gateway, patience=replace(HASTY, settle=3))
    assert gateway.lines == LINES["trinity"]
    assert gateway.startup == CONTENT


def test_commit_is_tried_again(tftp: int) -> None:
    with Gateway("trinity", tftp, Behaviour(prompt_before_done=1.0)) as gateway:
        run(gateway, patience=replace(HASTY, settle=0.1, pause=0.5))
    assert gateway.lines.count("copy config:tmp-config startup-config") > 1
    assert gateway.startup == CONTENT
    assert gateway.restarts == 1


def test_commit_is_not_tried_for_ever(tftp: int) -> None:
    with Gateway("trinity", tftp, Behaviour(prompt_before_done=600)) as gateway:
        told = failure(gateway, patience=replace(HASTY, settle=0.1, pause=0.1))
    assert isinstance(told, DeviceRefused)
    assert "no such file" in str(told)
    assert gateway.lines.count("copy config:tmp-config startup-config") == 6
    assert gateway.restarts == 0


# --- logins ---------------------------------------------------------------------------------------

PASSWORD = "Secr3t-9f2c"


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_password(tftp: int, family: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Gateway(family, tftp) as gateway:
        told = failure(gateway, [Login("admin", PASSWORD)])
    assert isinstance(told, LoginRefused)
    assert "login of admin" in str(told)
    assert gateway.lines == []
    everything = caplog.text + repr([record.__dict__ for record in caplog.records]) + repr(told)
    assert PASSWORD not in everything
    assert "push failed" in caplog.text


@pytest.mark.parametrize("family", FAMILIES)
def test_logins_are_tried_in_turn(tftp: int, family: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Gateway(family, tftp, login=("admin", PASSWORD)) as gateway:
        run(gateway, [Login("admin", "wrong"), Login("admin", PASSWORD), Login("x", "never")])
    assert gateway.restarts == 1
    assert PASSWORD not in caplog.text + repr([record.__dict__ for record in caplog.records])


@pytest.mark.parametrize("family", TELNET)
def test_password_that_the_gateway_repeats_is_not_told(tftp: int, family: str) -> None:
    how = Behaviour(says={"GET": f"Error: {PASSWORD}", "copy": f"Error: {PASSWORD}"})
    with Gateway(family, tftp, how, login=("admin", PASSWORD)) as gateway:
        told = failure(gateway, [Login("admin", PASSWORD)])
    assert isinstance(told, TransferRefused)
    assert "Error: ***" in str(told)


def test_login_without_the_right_to_configure(tftp: int) -> None:
    with Gateway("smartware", tftp, Behaviour(says={"enable": "% not for you"})) as gateway:
        told = failure(gateway)
    assert type(told) is DeviceRefused
    assert gateway.lines == ["enable", "exit"]


def test_which_logins() -> None:
    configured = {
        "Patton": [SecretStr("administrator:pa:ss")],
        "TRINITY": [SecretStr("admin:t")],
        "00-a0-ba-00-00-01": [SecretStr("own:1"), SecretStr(".:")],
        "mediatrix": [SecretStr("public:")],
    }
    mac = "00:A0:BA:00:00:01"
    assert logins_for(SMARTWARE, {}) == [Login(".", "")]
    assert logins_for(VEGA, configured) == [Login("admin", "admin")]
    assert logins_for(MEDIATRIX, configured, mac="00:90:F8:00:00:01") == [
        Login("public", ""),
        Login("admin", "administrator"),
    ]
    assert logins_for(SMARTWARE, configured) == [Login("administrator", "pa:ss"), Login(".", "")]
    assert logins_for(TRINITY, configured, mac) == [
        Login("own", "1"),
        Login(".", ""),
        Login("admin", "t"),
        Login("administrator", "pa:ss"),
    ]
    assert "pa:ss" not in repr(logins_for(SMARTWARE, configured))


# --- transfers and commands that fail -------------------------------------------------------------


@pytest.mark.parametrize("family", TELNET)
def test_file_that_the_server_does_not_have(tftp: int, family: str) -> None:
    with Gateway(family, tftp) as gateway:
        told = failure(gateway, file="missing.cfg")
    assert isinstance(told, TransferRefused)
    assert "TFTP error 1" in str(told)
    assert gateway.startup is None
    assert gateway.restarts == 0
    assert gateway.lines[-1] == "exit", "a session that is dropped blocks many gateways"


@pytest.mark.parametrize("family", TELNET)
def test_no_tftp_server(family: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        with Gateway(family, nobody.getsockname()[1]) as gateway:
            told = failure(gateway, patience=replace(HASTY, fetch=20))
    assert isinstance(told, TransferRefused)
    assert "timed out" in str(told)
    assert gateway.restarts == 0


COMMANDS = [
    (family, line)
    for family in FAMILIES
    for line in LINES[family]
    if line not in ("enable", "no", "yes")
]


@pytest.mark.parametrize(("family", "line"), COMMANDS, ids=[f"{f} {x[:28]}" for f, x in COMMANDS])
def test_error_text(tftp: int, family: str, line: str) -> None:
    with Gateway(family, tftp, Behaviour(says={line: "% Illegal frobnication"})) as gateway:
        told = failure(gateway)
    fetching = line.startswith(("GET", "copy tftp"))
    assert type(told) is (TransferRefused if fetching else DeviceRefused)
    assert "% Illegal frobnication" in str(told)
    assert gateway.lines[-2:] == [line, "exit"]
    assert gateway.restarts == 0


@pytest.mark.parametrize("asked", ["Overwrite? ", "Are you sure (y/n)", "Password: "])
def test_question_that_nobody_foresaw(tftp: int, asked: str) -> None:
    with Gateway("vega", tftp, Behaviour(asks_at="SAVE", question=asked)) as gateway:
        told = failure(gateway)
    assert isinstance(told, UnexpectedAnswer)
    assert asked.strip() in str(told)
    assert gateway.restarts == 0


def test_texts_that_tell_of_errors() -> None:
    for text in (
        "% Unknown command",
        "   % bad",
        "Error: x",
        "transfer FAILED",
        "TFTP: file not found",
        "connection timed out",
        "request timeout",
        "Permission denied",
        "Invalid command",
        "unknown host",
        "access violation",
        "2 errors",
    ):
        assert error_in(f"Loading...\r\n{text}\r\n"), text
    for text in (
        "",
        "Transfer complete: 100%",
        "0 errors, 4300 bytes",
        "done without errors",
        "no error",
        "########## 50 %",
        "terror, faille",
        "unknown parameter .users.1.radius ignored",
    ):
        assert not error_in(f"Loading...\r\n{text}\r\n"), text


# --- gateways that stop ---------------------------------------------------------------------------

PLACES = {
    "smartware": ["connect", "password", "enable", "copy tftp", "reload", "save?", "restart?"],
    "trinity": ["connect", "password", "enable", "copy tftp", "copy config", "reload", "restart?"],
    "vega": ["connect", "password", "GET", "SAVE"],
    "mediatrix": ["connect", "Conf.ScriptSpecific", "Conf.ScriptsTransferSrv"],
}
STOPS = [(family, place) for family in FAMILIES for place in PLACES[family]]
STOP_IDS = [f"{family} {place}" for family, place in STOPS]


@pytest.mark.parametrize(("family", "place"), STOPS, ids=STOP_IDS)
def test_silence(tftp: int, family: str, place: str) -> None:
    with Gateway(family, tftp, Behaviour(silent_at=place)) as gateway:
        told = failure(gateway, patience=replace(HASTY, login=1, command=1, fetch=1, restart=0.5))
    assert type(told) is DeviceSilent
    assert gateway.restarts == 0
    assert gateway.opened == gateway.closed


@pytest.mark.parametrize(("family", "place"), STOPS, ids=STOP_IDS)
def test_drop(tftp: int, family: str, place: str) -> None:
    with Gateway(family, tftp, Behaviour(drop_at=place)) as gateway:
        told = failure(gateway)
    assert type(told) is ConnectionLost
    assert gateway.restarts == 0
    # Before anything was asked of it there is a second attempt, and no third.
    assert gateway.opened == (2 if place in ("connect", "password") else 1)
    assert gateway.opened == gateway.closed


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", [0, 2, -1])
def test_garbage(tftp: int, family: str, number: int) -> None:
    with Gateway(family, tftp, Behaviour(garbage_at=PLACES[family][number])) as gateway:
        failure(gateway, patience=replace(HASTY, login=1, command=1, fetch=1, restart=0.5))
    assert gateway.restarts == 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", [0, 2, -1])
def test_endless_output(tftp: int, family: str, number: int) -> None:
    with Gateway(family, tftp, Behaviour(endless_at=PLACES[family][number])) as gateway:
        told = failure(gateway)
    assert isinstance(told, UnexpectedAnswer | DeviceSilent)
    assert gateway.restarts == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_gateway_that_does_not_restart(tftp: int, family: str) -> None:
    with Gateway(family, tftp, Behaviour(never_restarts=True)) as gateway:
        told = failure(gateway)
    assert type(told) is DeviceSilent
    assert "restart" in str(told)


def test_the_whole_push_has_an_end(tftp: int) -> None:
    with Gateway("smartware", tftp, Behaviour(silent_at="copy")) as gateway:
        told = failure(gateway, patience=Patience(total=2))
    assert type(told) is DeviceSilent
    assert "not done after 2 s (fetching)" in str(told)
    assert gateway.opened == gateway.closed


# --- gateways that are not there ------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_nobody_listens(family: str) -> None:
    with Gateway(family, 0) as gateway:
        pass
    told = failure(gateway)
    assert type(told) is DeviceUnreachable
    assert "connection refused" in str(told)
    assert gateway.opened == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_peer_that_never_says_a_word(family: str) -> None:
    gateway = Gateway(family, 0)
    with mute_listener() as gateway.port:
        told = failure(gateway, patience=replace(HASTY, connect=1, login=1))
    assert type(told) is DeviceSilent


@pytest.mark.parametrize("family", FAMILIES)
def test_second_attempt(tftp: int, family: str) -> None:
    steps: list[Step] = []
    with Gateway(family, tftp, Behaviour(refuses_connections=1)) as gateway:
        run(gateway, steps=steps)
    assert gateway.opened == gateway.closed == 2
    assert steps == STEPS[family]


def test_no_third_attempt(tftp: int) -> None:
    with Gateway("trinity", tftp, Behaviour(refuses_connections=9)) as gateway:
        assert type(failure(gateway)) is ConnectionLost
    assert gateway.opened == 2


def test_not_a_telnet_server_but_a_web_server(tftp: int) -> None:
    how = Behaviour(
        negotiates=False, banner="HTTP/1.1 400 Bad Request\r\n\r\n", silent_at="password"
    )
    with Gateway("vega", tftp, how) as gateway:
        told = failure(gateway, patience=replace(HASTY, login=1))
    assert isinstance(told, UnexpectedAnswer | DeviceSilent)


def test_ssh_to_a_telnet_server(tftp: int) -> None:
    with Gateway("vega", tftp, Behaviour(negotiates=False)) as gateway:
        gateway.family = "mediatrix"
        told = failure(gateway, patience=replace(HASTY, connect=1))
    assert isinstance(told, UnexpectedAnswer | DeviceSilent | ConnectionLost)


# --- the call -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "file"),
    [
        ("127.0.0.1", "a b.cfg"),
        ("127.0.0.1", "x.cfg;reload"),
        ("127.0.0.1", "../x.cfg"),
        ("127.0.0.1", "x.cfg\rreload"),
        ("127.0.0.1", ""),
        ("", FILE),
        ("pbx/x", FILE),
        ("pbx\r\nreload", FILE),
        ('pbx"', FILE),
    ],
)
def test_values_that_could_break_out_of_a_command(server: str, file: str) -> None:
    with pytest.raises(ValueError, match="part of a command"):
        push(SMARTWARE, "127.0.0.1", [Login(".", "")], server, file, on_step=print, port=1)


@pytest.mark.parametrize(
    "logins", [[], [Login("a\rb", "")], [Login("a", "b\n")], [Login("a", "\x00")]]
)
def test_logins_that_cannot_be_typed(logins: list[Login]) -> None:
    with pytest.raises(ValueError, match="login"):
        push(SMARTWARE, "127.0.0.1", logins, "127.0.0.1", FILE, on_step=print, port=1)


def test_address_must_be_one() -> None:
    with pytest.raises(ValueError, match="gateway"):
        push(SMARTWARE, "gateway", [Login(".", "")], "127.0.0.1", FILE, on_step=print)


def test_failing_callback_ends_the_push(tftp: int) -> None:
    def fail(step: Step) -> None:
        if step is Step.FETCHING:
            raise RuntimeError("the database is down")

    with Gateway("smartware", tftp) as gateway, pytest.raises(RuntimeError, match="database"):
        push(
            SMARTWARE,
            "127.0.0.1",
            [Login(".", "")],
            "127.0.0.1",
            FILE,
            on_step=fail,
            port=gateway.port,
            patience=HASTY,
        )
    assert gateway.opened == gateway.closed == 1
    assert gateway.fetched == {}


@pytest.mark.parametrize(
    ("vendor", "model", "name"),
    [
        ("Patton", "4661", "smartware"),
        ("Patton", "4118fxs", "smartware"),
        ("Patton", "TRI_ISDN_2", "trinity"),
        ("patton", "tri_pri_1", "trinity"),
        ("Sangoma", "Vega_60_2isdn", "vega"),
        ("Mediatrix", "M4402", "mediatrix"),
    ],
)
def test_dialogue_of_a_model(vendor: str, model: str, name: str) -> None:
    assert dialogue_for(vendor, model).name == name


@pytest.mark.parametrize(("vendor", "model"), [("Grandstream", "ht801"), ("Acme", "x"), ("", "")])
def test_no_dialogue(vendor: str, model: str) -> None:
    with pytest.raises(NoDialogue) as caught:
        dialogue_for(vendor, model)
    assert caught.value.status == 422


def test_statuses_and_progress() -> None:
    assert {kind.__name__: kind.status for kind in PushFailed.__subclasses__()} == {
        "NoDialogue": 422,
        "DeviceUnreachable": 502,
        "LoginRefused": 502,
        "TransferRefused": 502,
        "DeviceRefused": 502,
        "UnexpectedAnswer": 502,
        "ConnectionLost": 502,
        "DeviceSilent": 504,
    }
    percents = [step.percent for step in Step]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_every_dialogue_has_its_login_and_port() -> None:
    assert {name: dialogue.port for name, dialogue in DIALOGUES.items()} == {
        "smartware": 23,
        "trinity": 23,
        "vega": 23,
        "mediatrix": 22,
    }
    for name, dialogue in DIALOGUES.items():
        assert logins_for(dialogue, {}) == [Login(*LOGINS[name])]
