"""The AMI client against a peer on loopback that behaves as no Asterisk should."""

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from nethvoice.store import ami
from nethvoice.store.ami import AmiClient, AmiRefused, AmiUnavailable

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
Action = dict[str, str]


class Peer:
    """One accepted connection, seen from the server."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.connection = connection
        self.number = number
        self._buffer = b""

    def read(self) -> Action:
        """The next action; EOFError when the client has gone."""
        while b"\r\n\r\n" not in self._buffer:
            chunk = self.connection.recv(65536)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        lines = message.decode("utf-8", "surrogateescape").split("\r\n")
        return dict(reversed([line.split(": ", 1) for line in lines]))

    def send(self, text: str) -> None:
        self.connection.sendall(text.encode("utf-8", "surrogateescape"))

    def reply(self, action: Action, *lines: str, response: str = "Success") -> None:
        self.send(
            "\r\n".join(
                [f"Response: {response}", f"ActionID: {action['ActionID']}", *lines, "", ""]
            )
        )

    def event(self, action: Action, *lines: str) -> None:
        self.send("\r\n".join(["Event: Row", f"ActionID: {action['ActionID']}", *lines, "", ""]))

    def log_in(self) -> None:
        self.connection.sendall(GREETING)
        action = self.read()
        assert action["Action"] == "Login"
        assert action["Events"] == "off"
        self.reply(action, "Message: Authentication accepted")

    def wait_for_end(self) -> None:
        with suppress(EOFError):
            while True:
                self.read()


def echo(peer: Peer, action: Action) -> None:
    peer.reply(action, f"Message: {action.get('Val', '')}")


class Server:
    """A listener that runs `behave` for each connection, in a thread of its own."""

    def __init__(self, behave: Callable[[Peer], None], port: int = 0) -> None:
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            peer = Peer(connection, len(self.peers) + 1)
            self.peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(peer,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: Peer) -> None:
        try:
            self._behave(peer)
        except (EOFError, OSError):
            pass
        except BaseException as error:
            self.failures.append(error)
        finally:
            peer.connection.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.peers:
            with suppress(OSError):
                peer.connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        assert not self.failures


Start = Callable[..., tuple[Server, AmiClient]]


@pytest.fixture(autouse=True)
def short_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami, "_PROBE_TIMEOUT", 0.5)


@pytest.fixture
def start() -> Iterator[Start]:
    made: list[tuple[Server, AmiClient]] = []

    def start(behave: Callable[[Peer], None], **options: float) -> tuple[Server, AmiClient]:
        server = Server(behave)
        client = AmiClient("127.0.0.1", server.port, "rest", "secret", **options)
        made.append((server, client))
        return server, client

    # Services of other tests in this process may have connections of their own.
    before = _ami_threads()
    yield start
    for server, client in made:
        client.close()
        server.close()
    assert _ami_threads() <= before


def _ami_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "ami"}


def answering(handle: Callable[[Peer, Action], None] = echo) -> Callable[[Peer], None]:
    def behave(peer: Peer) -> None:
        peer.log_in()
        while True:
            handle(peer, peer.read())

    return behave


# --- connecting -----------------------------------------------------------------------------------


def test_opens_at_the_first_call(start: Start) -> None:
    server, client = start(answering())
    assert not client.connected
    assert not server.peers
    client.ping()
    assert client.connected
    assert client.action("DBPut", {"Val": "é: / ;"}).message == "é: / ;"
    assert len(server.peers) == 1


def test_nobody_listens(start: Start) -> None:
    server, client = start(answering())
    server.close()
    with pytest.raises(AmiUnavailable, match="cannot connect"):
        client.ping()
    assert not client.connected


def test_no_new_attempt_before_its_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = start(lambda peer: None)
    monkeypatch.setattr(ami, "_FIRST_PAUSE", 600.0)
    monkeypatch.setattr(ami, "_LONGEST_PAUSE", 600.0)
    with pytest.raises(AmiUnavailable, match="greet"):
        client.ping()
    with pytest.raises(AmiUnavailable, match="not connected"):
        client.ping()
    assert len(server.peers) == 1


@pytest.mark.parametrize("greeting", [b"", b"Aster", b"A" * 100])
def test_no_greeting(start: Start, greeting: bytes) -> None:
    def behave(peer: Peer) -> None:
        peer.connection.sendall(greeting)
        peer.wait_for_end()

    _, client = start(behave, connect_timeout=0.05)
    with pytest.raises(AmiUnavailable, match="no greeting"):
        client.ping()


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"x" * 200, b"\xff\n"])
def test_another_greeting(start: Start, greeting: bytes) -> None:
    _, client = start(lambda peer: peer.connection.sendall(greeting))
    with pytest.raises(AmiUnavailable, match="greet"):
        client.ping()


def test_login_without_an_answer(start: Start) -> None:
    def behave(peer: Peer) -> None:
        peer.connection.sendall(GREETING)
        peer.wait_for_end()

    _, client = start(behave, connect_timeout=0.05)
    with pytest.raises(AmiUnavailable, match="in time"):
        client.ping()


def test_wrong_secret_is_not_tried_again_at_once(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def behave(peer: Peer) -> None:
        peer.connection.sendall(GREETING)
        peer.reply(peer.read(), "Message: Authentication failed", response="Error")

    server, client = start(behave)
    with pytest.raises(AmiUnavailable, match="refuses the AMI user"):
        client.ping()
    with pytest.raises(AmiUnavailable, match="not connected"):
        client.ping()
    assert len(server.peers) == 1
    assert "secret" not in caplog.text


# --- losing the connection ------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ["", "Response: Succ", "Response: Success\r\nActionID: {id}\r\n"])
def test_closed_in_the_middle_of_a_reply(start: Start, rest: str) -> None:
    def behave(peer: Peer) -> None:
        peer.log_in()
        action = peer.read()
        if peer.number == 1:
            peer.send(rest.replace("{id}", action["ActionID"]))
        else:
            echo(peer, action)
            peer.wait_for_end()

    server, client = start(behave)
    with pytest.raises(AmiUnavailable, match="lost"):
        client.action("DBPut", {"Val": "1"})
    assert client.action("DBPut", {"Val": "2"}).message == "2"
    assert len(server.peers) == 2


def test_frozen_peer_is_left(start: Start) -> None:
    def behave(peer: Peer) -> None:
        peer.log_in()
        if peer.number == 1:
            peer.wait_for_end()
        while True:
            echo(peer, peer.read())

    server, client = start(behave)
    with pytest.raises(AmiUnavailable, match="in time"):
        client.action("DBPut", {"Val": "1"}, timeout=0.05)
    assert client.connected
    assert client.action("DBPut", {"Val": "2"}).message == "2"
    assert len(server.peers) == 2


def test_a_long_list_is_a_sign_of_life(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that finds Asterisk busy with a list gives up; the list still arrives."""
    go_on = threading.Event()

    def behave(peer: Peer) -> None:
        peer.log_in()
        listing = peer.read()
        peer.reply(listing, "EventList: start")
        while not go_on.wait(0.02):
            peer.event(listing, "Key: /A/1", "Val: 1")
        peer.event(listing, "EventList: Complete")
        while True:
            echo(peer, peer.read())

    server, client = start(behave)
    monkeypatch.setattr(ami, "_PROBE_TIMEOUT", 0.2)
    with ThreadPoolExecutor(1) as pool:
        listed = pool.submit(client.list_action, "DBGetTree", {"Family": "A"}, 30.0)
        for _ in range(2):
            with pytest.raises(AmiUnavailable, match="in time"):
                client.action("DBPut", {"Val": "1"}, timeout=0.3)
        go_on.set()
        assert listed.result(30)[0]["Key"] == "/A/1"
    assert client.action("DBPut", {"Val": "2"}).message == "2"
    assert len(server.peers) == 1


def test_half_a_reply_and_silence(start: Start) -> None:
    def behave(peer: Peer) -> None:
        peer.log_in()
        if peer.number == 1:
            action = peer.read()
            peer.send(f"Response: Success\r\nActionID: {action['ActionID']}\r\n")
            peer.wait_for_end()
        while True:
            echo(peer, peer.read())

    _, client = start(behave)
    with pytest.raises(AmiUnavailable, match="in time"):
        client.action("DBPut", {"Val": "1"}, timeout=0.05)
    assert client.action("DBPut", {"Val": "2"}).message == "2"


def test_idle_connection_is_tried_before_use(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def behave(peer: Peer) -> None:
        peer.log_in()
        if peer.number == 1:
            echo(peer, peer.read())
            peer.wait_for_end()
        while True:
            echo(peer, peer.read())

    server, client = start(behave)
    client.ping()
    monkeypatch.setattr(ami, "_IDLE_BEFORE_PROBE", -1.0)
    assert client.action("DBPut", {"Val": "2"}).message == "2"
    assert len(server.peers) == 2


def test_restarted_server(start: Start) -> None:
    server, client = start(answering())
    client.ping()
    server.close()
    second = Server(answering(), server.port)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except AmiUnavailable:
                assert time.monotonic() < deadline
        assert len(second.peers) == 1
    finally:
        client.close()
        second.close()


def test_peer_that_takes_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami, "_SEND_TIMEOUT", 1)
    done = threading.Event()

    def behave(peer: Peer) -> None:
        peer.log_in()
        done.wait(30)

    server, client = start(behave)
    client_session = client._quick.session()
    client_session._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    big = {"Val": ["x" * 1000] * 100}
    try:
        with pytest.raises(AmiUnavailable, match="lost"):
            client.pipeline([("DBPut", big)] * 500, timeout=30)
        assert not client.connected
    finally:
        done.set()
    assert len(server.peers) == 1


def test_close_ends_waiting_calls(start: Start) -> None:
    arrived = threading.Event()

    def behave(peer: Peer) -> None:
        peer.log_in()
        peer.read()
        arrived.set()
        peer.wait_for_end()

    _, client = start(behave)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.action, "DBPut", {"Val": "1"}, 30.0)
        assert arrived.wait(10)
        client.close()
        with pytest.raises(AmiUnavailable, match="lost"):
            call.result(10)
    with pytest.raises(AmiUnavailable, match="closed"):
        client.ping()
    client.close()


def test_child_process_opens_its_own(start: Start) -> None:
    server, client = start(answering())
    client.ping()
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):
            code = 0 if not client.connected else 2
            client.action("DBPut", {"Val": "child"})
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.action("DBPut", {"Val": "parent"}).message == "parent"
    assert len(server.peers) == 2


# --- replies find their callers -------------------------------------------------------------------


def test_late_reply_is_dropped(start: Start) -> None:
    late: list[Action] = []

    def handle(peer: Peer, action: Action) -> None:
        if action.get("Val") == "1":
            late.append(action)
            return
        for old in late:
            echo(peer, old)
        late.clear()
        echo(peer, action)

    server, client = start(answering(handle))
    with pytest.raises(AmiUnavailable, match="in time"):
        client.action("DBPut", {"Val": "1"}, timeout=0.05)
    assert [client.action("DBPut", {"Val": str(n)}).message for n in range(2, 6)] == list("2345")
    assert len(server.peers) == 1


def test_slow_reply_holds_up_nobody(start: Start) -> None:
    slow: list[Action] = []
    others = 7 * 20

    def handle(peer: Peer, action: Action) -> None:
        nonlocal others
        if action["Val"] == "slow":
            slow.append(action)
            return
        echo(peer, action)
        others -= 1
        if others == 0:
            echo(peer, slow[0])

    server, client = start(answering(handle))

    def caller(name: int) -> bool:
        values = [f"{name}-{n}" for n in range(20)]
        return [client.action("DBPut", {"Val": v}, timeout=30).message for v in values] == values

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(client.action, "DBPut", {"Val": "slow"}, 30.0)
        while not slow:
            assert not first.done()
        assert all(pool.map(caller, range(7)))
        assert first.result(30).message == "slow"
    assert len(server.peers) == 1


def test_replies_in_any_order(start: Start) -> None:
    def behave(peer: Peer) -> None:
        peer.log_in()
        shuffle = random.Random(7)
        while True:
            actions = [peer.read() for _ in range(8)]
            shuffle.shuffle(actions)
            for action in actions:
                echo(peer, action)

    _, client = start(behave)

    def caller(name: int) -> bool:
        values = [f"{name}-{n}" for n in range(50)]
        return [client.action("DBPut", {"Val": v}, timeout=30).message for v in values] == values

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(caller, range(8)))


def test_slow_actions_have_their_own_connection(start: Start) -> None:
    reload_asked, answer_reload = threading.Event(), threading.Event()

    def handle(peer: Peer, action: Action) -> None:
        if action["Action"] == "Reload":
            reload_asked.set()
            assert answer_reload.wait(30)
        echo(peer, action)

    server, client = start(answering(handle))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.action, "Reload", {"Val": "done"}, 30.0)
        assert reload_asked.wait(10)
        assert client.action("DBPut", {"Val": "1"}).message == "1"
        with pytest.raises(AmiUnavailable, match="slow action"):
            client.action("Reload", {}, timeout=0.01)
        answer_reload.set()
        assert slow.result(10).message == "done"
    assert len(server.peers) == 2


def test_pipeline_keeps_its_order_and_window(start: Start) -> None:
    most = 0

    def behave(peer: Peer) -> None:
        nonlocal most
        peer.log_in()
        total = 100
        while total:
            actions = [peer.read() for _ in range(min(32, total))]
            peer.connection.setblocking(False)
            with suppress(BlockingIOError):
                peer.connection.recv(1)
                most = 99
            peer.connection.setblocking(True)
            most = max(most, len(actions))
            total -= len(actions)
            for action in actions:
                response = "Error" if action["Val"] == "50" else "Success"
                peer.reply(action, f"Message: {action['Val']}", response=response)
        peer.wait_for_end()

    _, client = start(behave)
    assert client.pipeline([]) == []
    replies = client.pipeline([("DBPut", {"Val": str(n)}) for n in range(100)])
    assert [reply.message for reply in replies] == [str(n) for n in range(100)]
    assert [reply.message for reply in replies if reply.refused] == ["50"]
    assert most == 32


def test_lost_in_a_pipeline(start: Start) -> None:
    def behave(peer: Peer) -> None:
        peer.log_in()
        for _ in range(5):
            echo(peer, peer.read())

    _, client = start(behave)
    with pytest.raises(AmiUnavailable, match="lost"):
        client.pipeline([("DBPut", {"Val": str(n)}) for n in range(40)])


# --- what comes in --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "my status will follow",
        "--END COMMAND--",
        "Response: Error",
        "Event: Shutdown",
        "ActionID: 1",
        "StatusComplete",
        "a: b: c",
        "trailing   ",
        "",
        "caf\udce9",
        "\x85\u2028\x0b",
    ],
)
def test_values_mean_nothing_to_the_protocol(start: Start, value: str) -> None:
    def handle(peer: Peer, action: Action) -> None:
        if action["Action"] == "Command":
            peer.reply(action, "Message: Command output follows", f"Output: {value}", "Output: z")
        elif action["Action"] == "DBGet":
            peer.reply(action, "EventList: start")
            peer.event(action, "Key: k", f"Val: {value}")
            peer.event(action, "EventList: Complete", "ListItems: 1")
        else:
            echo(peer, action)

    _, client = start(answering(handle))
    assert client.action("DBPut", {"Val": value}).message == value
    assert client.action("Command", {}).output == [value, "z"]
    assert client.list_action("DBGet", {})[0]["Val"] == value
    client.ping()


def test_lists(start: Start) -> None:
    def handle(peer: Peer, action: Action) -> None:
        peer.send("Event: FullyBooted\r\nActionID: none\r\n\r\nEvent: Newchannel\r\nX: 1\r\n\r\n")
        if action["Action"] == "Refused":
            # Asterisk ends this message with a lone line feed inside.
            peer.send(
                f"Response: Error\r\nActionID: {action['ActionID']}\r\n"
                "Message: No Contacts found\n\r\n\r\n"
            )
            return
        peer.reply(action, "EventList: start", "Message: Result will follow")
        for n in range(3):
            peer.event(action, f"N: {n}", "N: other")
            peer.send("Event: Row\r\nActionID: another\r\nN: 9\r\n\r\n")
        peer.event(action, "EventList: Complete", "ListItems: 1")

    _, client = start(answering(handle))
    rows = client.list_action("PJSIPShowEndpoints", {})
    assert [row["N"] for row in rows] == ["0", "1", "2"]
    with pytest.raises(AmiRefused, match="No Contacts found"):
        client.list_action("Refused", {})
    assert len(client.list_action("PJSIPShowEndpoints", {})) == 3


def test_list_cut_short(start: Start) -> None:
    def handle(peer: Peer, action: Action) -> None:
        peer.reply(action, "EventList: start")
        peer.event(action, "N: 1")

    _, client = start(answering(handle))
    with pytest.raises(AmiUnavailable, match="in time"):
        client.list_action("DBGetTree", {}, timeout=0.05)


def test_refusal(start: Start) -> None:
    def handle(peer: Peer, action: Action) -> None:
        peer.reply(action, "Message: Permission denied", response="Error")

    _, client = start(answering(handle))
    with pytest.raises(AmiRefused) as caught:
        client.action("DBPut", {})
    assert caught.value.message == "Permission denied"


def test_garbage_is_survived(start: Start) -> None:
    def handle(peer: Peer, action: Action) -> None:
        peer.connection.sendall(b"\r\n\r\n:\r\n\r\n\xff\xfe\r\nno colon\r\n\r\nOutput: x\r\n\r\n")
        echo(peer, action)

    _, client = start(answering(handle))
    assert client.action("DBPut", {"Val": "1"}).message == "1"


def test_endless_line_ends_the_connection(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami, "_MAX_RECEIVED_LINE", 10_000)

    def handle(peer: Peer, _action: Action) -> None:
        while True:
            peer.connection.sendall(b"x" * 5_000)

    _, client = start(answering(handle))
    with pytest.raises(AmiUnavailable, match="lost"):
        client.action("DBPut", {}, timeout=30)


# --- what goes out --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Val": "v\r\n\r\nAction: DBPut\r\nFamily: x"}, "line break"),
        ({"Val": "v\n"}, "line break"),
        ({"Val": "\rv"}, "line break"),
        ({"Val": "v\0"}, "line break"),
        ({"Variable": ["good", "bad\r\nAction: Logoff"]}, "line break"),
        ({"Val\r\nAction": "x"}, "cannot be a header"),
        ({"Val: x": "x"}, "cannot be a header"),
        ({"": "x"}, "cannot be a header"),
        ({"ActionID": "x"}, "cannot be a header"),
        ({"actionid": "x"}, "cannot be a header"),
        ({"Val": "è" * 508}, "longer than"),
        ({"Variable": ["x"] * 120}, "at most"),
        ({"Val": "\ud800"}, "surrogates"),
    ],
)
def test_refuses_to_send(start: Start, fields: ami.Fields, reason: str) -> None:
    server, client = start(answering())
    with pytest.raises(ValueError, match=reason):
        client.action("DBPut", fields)
    with pytest.raises(ValueError, match=reason):
        client.pipeline([("DBPut", {"Val": "good"}), ("DBPut", fields)])
    assert not server.peers


def test_refuses_an_action_name_with_a_line_break(start: Start) -> None:
    _, client = start(answering())
    with pytest.raises(ValueError, match="line break"):
        client.action("Ping\r\n\r\nAction: Logoff", {})


def test_repeated_headers(start: Start) -> None:
    raw: list[bytes] = []

    def behave(peer: Peer) -> None:
        peer.log_in()
        raw.append(peer.connection.recv(65536))

    _, client = start(behave)
    with pytest.raises(AmiUnavailable):
        client.action("PJSIPNotify", {"Endpoint": "200", "Variable": ["Event=check-sync", "A=b;c"]})
    lines = raw[0].split(b"\r\n")
    assert lines[:4] == [
        b"Action: PJSIPNotify",
        b"Endpoint: 200",
        b"Variable: Event=check-sync",
        b"Variable: A=b;c",
    ]
    assert lines[4].startswith(b"ActionID: ")
    assert lines[5:] == [b"", b""]


def test_reset_by_the_peer(start: Start) -> None:
    def behave(peer: Peer) -> None:
        peer.log_in()
        peer.read()
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    _, client = start(behave)
    with pytest.raises(AmiUnavailable, match="lost"):
        client.action("DBPut", {"Val": "1"})
