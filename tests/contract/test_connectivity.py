"""Whether phones reach this server: asked of real servers, with and without TLS."""

import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nethvoice.store import outgoing
from provisioning import connectivity
from tests.services.base import free_port
from tests.support import Service

HOST = "pbx.example.org"
CHECK = "/provisioning/connectivitycheck"


class Authority:
    """A certificate authority; `certificate` makes a file with a key and a chain for a name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self._certificate = (
            self._begin(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _begin(self, subject: x509.Name, key: Any) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    def certificate(self, name: str) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = (
            self._begin(subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        path = self.folder / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        return path


Answering = Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[..., int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts web servers, with TLS when a certificate is given; returns their port."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(respond: Answering, certificate: Path | None = None) -> int:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                respond(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # clients that hang up are what some tests are about

        server = Server(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        running.append((server, thread))
        return server.server_port

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join(5)


def body(text: str) -> Answering:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        assert handler.path == "/provisioning/check/ping"
        assert handler.headers["host"] == HOST
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return respond


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A name server of our own: hosts and the loopback addresses they are at."""
    known = {HOST: "127.0.0.1", "10.0.0.5": "127.0.0.1"}

    async def look_up(host: str) -> list[Any]:
        return [ip_address(known[host])] if host in known else []

    monkeypatch.setattr(connectivity, "_addresses", look_up)
    return known


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    found = {"http": free_port(), "https": free_port()}
    monkeypatch.setattr(connectivity, "PORTS", found)
    return found


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    outgoing._verifying.cache_clear()
    yield made
    outgoing._verifying.cache_clear()


def ping(service: Service) -> str:
    answer = httpx.get(f"http://127.0.0.1:{service.port}/provisioning/check/ping")
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert isinstance(answer.json(), int)
    return answer.text


def check(service: Service, scheme: str, host: str = HOST) -> tuple[bool, bool, str]:
    found = service.post(CHECK, {"host": host, "scheme": scheme})
    assert sorted(found) == ["host_type", "is_reachable", "valid_certificate"]
    return found["is_reachable"], found["valid_certificate"], found["host_type"]


def test_the_ping_of_an_installation_stays(service: Service) -> None:
    first = ping(service)
    assert ping(service) == first
    assert httpx.post(f"http://127.0.0.1:{service.port}/provisioning/check/ping").status_code == 405


def test_the_ping_of_tancredi(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "tancredi.conf"
    conf.write_text("[config]\n")
    os.utime(conf, (1_700_000_000, 1_700_000_000))
    monkeypatch.setattr(service.settings, "tancredi_conf", conf)
    assert ping(service) == "1700000000"


def test_this_server(service: Service, names: dict[str, str], ports: dict[str, int]) -> None:
    ports["http"] = service.port
    assert check(service, "http") == (True, False, "FQDN")
    assert check(service, "http", "10.0.0.5") == (True, False, "IP")


def test_tls(
    service: Service,
    names: dict[str, str],
    ports: dict[str, int],
    authority: Authority,
    serve: Serve,
) -> None:
    text = ping(service)
    ports["https"] = serve(body(text), authority.certificate(HOST))
    assert check(service, "https") == (True, True, "FQDN")
    ports["https"] = serve(body(text), authority.certificate("other.example.org"))
    assert check(service, "https") == (True, False, "FQDN")
    (authority.folder / "stranger").mkdir()
    stranger = Authority(authority.folder / "stranger").certificate(HOST)
    ports["https"] = serve(body(text), stranger)
    assert check(service, "https") == (True, False, "FQDN")


def _elsewhere(port: int) -> Answering:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", f"http://127.0.0.1:{port}/provisioning/check/ping")
        handler.end_headers()

    return respond


def _refusing(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(403)


def test_other_servers(
    service: Service, names: dict[str, str], ports: dict[str, int], serve: Serve
) -> None:
    text = ping(service)
    answers = (
        body("12345"),
        body(f'"{text}"'),
        body(text + "0"),
        body("x" * 200_000),
        _refusing,
        _elsewhere(service.port),
    )
    for respond in answers:
        ports["http"] = serve(respond)
        assert check(service, "http") == (False, False, "FQDN")
    ports["http"] = free_port()
    assert check(service, "http") == (False, False, "FQDN")
    assert check(service, "http", "unknown.example.org") == (False, False, "FQDN")


def test_a_slow_server(
    service: Service,
    names: dict[str, str],
    ports: dict[str, int],
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connectivity, "_TIMEOUT", 0.4)
    done = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            while not done.wait(0.05):
                handler.wfile.write(b"H")
        except OSError:
            pass

    ports["http"] = serve(drip)
    began = time.monotonic()
    assert check(service, "http") == (False, False, "FQDN")
    assert time.monotonic() - began < 3
    done.set()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({}, "missing host parameter"),
        ({"host": "", "scheme": "ftp"}, "missing host parameter"),
        ({"host": HOST}, "missing scheme parameter"),
        ({"host": "nowhere", "scheme": ""}, "missing scheme parameter"),
        ({"host": "nowhere", "scheme": "ftp"}, "Invalid scheme provided"),
        ({"host": HOST, "scheme": "HTTPS"}, "Invalid scheme provided"),
    ],
)
def test_what_is_missing_first(service: Service, sent: dict[str, str], message: str) -> None:
    problem = service.refused("POST", CHECK, 400, json=sent)
    assert problem["message"] == problem["detail"] == message


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "224.0.0.1", "localhost", "nowhere",
     "localhost.localdomain", "LOCALHOST.localdomain", "300.1.1.1", "1.2.3", "::1",
     "-a.org", "a-.org", "a.b.c1",
     "pbx.example.org:8080", "pbx.example.org/x", "user@pbx.example.org", "a" * 64 + ".org",
     "x." * 126 + "org", "pbx.example.org\n", "pbx example.org"],
)  # fmt: skip
def test_what_is_no_host(service: Service, host: str) -> None:
    problem = service.refused("POST", CHECK, 400, json={"host": host, "scheme": "http"})
    assert problem["message"] == "provided host isn't a valid IP address or FQDN"


async def _look_up(host: str) -> list[Any]:
    return await connectivity._addresses(host)


def test_addresses_that_are_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may point at us, but not at a cloud's metadata service."""
    import asyncio

    assert IPv4Address("127.0.0.1") in asyncio.run(_look_up("localhost"))
    assert asyncio.run(_look_up("169.254.169.254")) == []
    assert asyncio.run(_look_up("0.0.0.0")) == []
    assert asyncio.run(_look_up("::ffff:169.254.169.254")) == []
