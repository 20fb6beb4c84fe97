"""Files in `multipart/form-data` bodies, on the phonebook's upload."""

import contextlib
import gzip
import io
import os
import socket
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import BASE, Service, eventually, headers

PATH = "/phonebook/uploadfile"
GOOD = "Name;Tel\r\nMüller;0721\r\n"


def send(service: Service, raw: bytes, field: str = "0", name: str = "contacts.csv") -> Any:
    return service.call("POST", PATH, files={field: (name, raw, "text/csv")})


def stored(service: Service, uri: str) -> Path:
    assert uri.startswith("file:///")
    path = Path(uri.removeprefix("file://"))
    assert path.parent == service.settings.phonebook_uploads
    return path


@pytest.fixture(autouse=True)
def nothing_left(service: Service) -> Iterator[None]:
    """No test leaves a file of a request behind."""
    yield
    folder = service.settings.data_dir / "uploading"
    eventually(lambda: not list(folder.glob("*")), 3)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_file_is_kept_as_utf8(service: Service, encoding: str) -> None:
    answer = send(service, GOOD.encode(encoding)).json()
    path = stored(service, answer["uri"])
    assert answer["status"] is True
    assert path.suffix == ".csv"
    assert path.read_bytes() == GOOD.encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    trial = service.post("/phonebook/test", {"dbtype": "csv", "url": answer["uri"]})
    assert trial == [{"Name": "Müller", "Tel": "0721"}]


@pytest.mark.parametrize("name", ["../../x.csv", "/etc/passwd", "a\\b", "x\0y", "ü.csv", "x" * 999])
def test_the_name_of_the_file_is_no_matter(service: Service, name: str) -> None:
    answer = send(service, GOOD.encode(), name=name)
    assert answer.status_code == 200, answer.text
    stored(service, answer.json()["uri"])


def test_the_last_file_counts_whatever_its_field(service: Service) -> None:
    files = [("a", ("1.csv", b"x\n1\n")), ("b", ("2.csv", b"y\n2\n")), ("a", ("3.csv", b"z\n3\n"))]
    answer = service.call("POST", PATH, files=files, data={"note": "text"})
    uri = answer.json()["uri"]
    assert service.post("/phonebook/test", {"dbtype": "csv", "url": uri}) == [{"z": "3"}]


def test_without_a_file(service: Service) -> None:
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    field = b'--x\r\nContent-Disposition: form-data; name="0"\r\n\r\ntext\r\n--x--\r\n'
    problem = service.refused("POST", PATH, 400, content=field, headers=multipart)
    assert problem["detail"] == "Missing file"
    service.refused("POST", PATH, 400)


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b'{"0": "text"}', "application/json", 415),
        (b"0=text", "application/x-www-form-urlencoded", 415),
        (b"text", None, 415),
        (b"text", "multipart/form-data", 400),
        (b"text", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\ntext\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b'--x\r\nContent-Disposition: form-data; name="0"; filename="a"\r\n\r\nName\n',
         "multipart/form-data; boundary=x", 400),
        (b'--x\r\nContent-Disposition: form-data; name="0"\r\n\r\n' + b"t" * 70_000 + b"\r\n--x--",
         "multipart/form-data; boundary=x", 400),
        (b'--x\r\nContent-Disposition: form-data; name="0"; filename=""\r\n\r\n\r\n--x--\r\n',
         "multipart/form-data; boundary=x", 400),
        (b"".join(b'--x\r\nContent-Disposition: form-data; name="%d"\r\n\r\n1\r\n' % n
                  for n in range(200)) + b"--x--\r\n", "multipart/form-data; boundary=x", 400),
    ],
    ids=["json", "form", "no type", "no boundary", "no part", "no name", "cut off", "long field",
         "no file chosen", "many parts"],
)  # fmt: skip
def test_bodies_that_are_no_upload(
    service: Service, content: bytes, content_type: str | None, status: int
) -> None:
    more = {} if content_type is None else {"content-type": content_type}
    service.refused("POST", PATH, status, content=content, headers=more)


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b'Name,Tel\nAda,1\nBob,"2\n', "line 3: "),
        (b'Name,Tel\nAda,1\n"Bob"x,2\n', "line 3: "),
        (b"Name,Tel\nAda,1\nBob,\x00\n", "line 3: "),
        (b"Name,Tel\nAda,1\nB\x8d\xe9b,2\n", "line 3: "),
        (b"", "line 1: "),
    ],
)
def test_what_is_no_csv_is_refused_with_its_line(service: Service, raw: bytes, detail: str) -> None:
    upload = {"files": {"0": ("a.csv", raw)}}
    assert service.refused("POST", PATH, 422, **upload)["detail"].startswith(detail)


def test_bombs_are_not_unpacked(service: Service) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("contacts.csv", b"Name,Tel\n" + b"0" * 100_000_000)
    assert len(packed.getvalue()) < 1_000_000
    problem = service.refused("POST", PATH, 422, files={"0": ("a.csv", packed.getvalue())})
    assert problem["detail"] == "line 1: the file is an archive or a document, not CSV"
    squeezed = gzip.compress(b"Name,Tel\n" + b"0" * 100_000_000)
    service.refused("POST", PATH, 422, files={"0": ("a.csv.gz", squeezed)})


class _Zeros(io.RawIOBase):
    """A file of zeros that is nowhere."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.left)
        buffer[:count] = b"0" * count
        self.left -= count
        return count


def test_a_hundred_megabytes(service: Service) -> None:
    size = 100 * 1024 * 1024
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    peak = _memory()
    for length in (True, False):
        answer = _post_zeros(service, size, told=length)
        assert answer.status_code == 413
        assert "10485760" in answer.json()["detail"]
        assert not list((service.settings.data_dir / "uploading").glob("*"))
    assert _memory() - peak < 64 * 1024, "kB"


def _memory() -> int:
    with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def _post_zeros(service: Service, size: int, *, told: bool) -> httpx.Response:
    head = b'--x\r\nContent-Disposition: form-data; name="0"; filename="a"\r\n\r\n'
    tail = b"\r\n--x--\r\n"

    def body() -> Iterator[bytes]:
        yield head
        with io.BufferedReader(_Zeros(size), 65536) as zeros:
            while chunk := zeros.read(65536):
                yield chunk
        yield tail

    more = {"content-type": "multipart/form-data; boundary=x"}
    if told:
        more["content-length"] = str(len(head) + size + len(tail))
    return service.client.post(PATH, content=body(), headers=more)


def test_a_client_that_waits_for_permission_is_refused_at_once(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), 10) as link:
        lines = [f"POST {BASE}{PATH} HTTP/1.1", "Host: x", "Content-Length: 99999999",
                 "Content-Type: multipart/form-data; boundary=x", "Expect: 100-continue",
                 *(f"{name}: {value}" for name, value in headers().items()), "", ""]  # fmt: skip
        link.sendall("\r\n".join(lines).encode())
        link.settimeout(10)
        assert link.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_goes_away_leaves_nothing(service: Service) -> None:
    folder = service.settings.data_dir / "uploading"
    with socket.create_connection(("127.0.0.1", service.port), 10) as link:
        lines = [f"POST {BASE}{PATH} HTTP/1.1", "Host: x", "Content-Length: 999999",
                 "Content-Type: multipart/form-data; boundary=x",
                 *(f"{name}: {value}" for name, value in headers().items()), "",
                 '--x', 'Content-Disposition: form-data; name="0"; filename="a"', "",
                 "Name,Tel" * 9999]  # fmt: skip
        link.sendall("\r\n".join(lines).encode())
        found = eventually(lambda: list(folder.glob("*")))
        assert stat.S_IMODE(found[0].stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written(service: Service) -> None:
    folder = service.settings.data_dir / "uploading"
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()
    folder.write_bytes(b"")
    try:
        service.refused("POST", PATH, 503, files={"0": ("a.csv", GOOD.encode())})
    finally:
        os.unlink(folder)  # noqa: PTH108
