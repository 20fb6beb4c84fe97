"""Files of devices: whole or not there, and only where they belong."""

import stat
import threading
from pathlib import Path

import pytest

from nethvoice.store.device_files import DeviceFiles, remove_file, write_file
from nethvoice.store.outbox import TargetDown


def test_write_and_remove_can_be_repeated(tmp_path: Path) -> None:
    files = DeviceFiles(tmp_path / "new" / "tftpboot")
    operations = [write_file("00A0BA0B1CDA.cfg", b"a\r\nb\n"), write_file("x.txt", b"")]
    for _ in range(2):
        files.apply(operations)
        assert files.read("00A0BA0B1CDA.cfg") == b"a\r\nb\n"
        assert files.read("x.txt") == b""
    path = files.folder / "00A0BA0B1CDA.cfg"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    for _ in range(2):
        files.apply([remove_file("00A0BA0B1CDA.cfg"), remove_file("never-there.cfg")])
    assert files.read("00A0BA0B1CDA.cfg") is None
    assert [found.name for found in files.folder.iterdir()] == ["x.txt"]


def test_the_last_one_wins(tmp_path: Path) -> None:
    files = DeviceFiles(tmp_path)
    files.apply([write_file("a.cfg", b"1"), remove_file("a.cfg"), write_file("a.cfg", b"2")])
    assert files.read("a.cfg") == b"2"


def test_readers_see_whole_files(tmp_path: Path) -> None:
    files = DeviceFiles(tmp_path)
    files.apply([write_file("a.cfg", b"0" * 100_000)])
    seen: set[bytes] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            content = files.read("a.cfg")
            assert content is not None
            seen.add(content)

    reader = threading.Thread(target=read)
    reader.start()
    for digit in b"123456":
        files.apply([write_file("a.cfg", bytes([digit]) * 100_000)])
    stop.set()
    reader.join(10)
    assert all(len(content) == 100_000 and len(set(content)) == 1 for content in seen)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\nb", "/etc/passwd", "x" * 256])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        write_file(name, b"")
    with pytest.raises(ValueError, match="name"):
        remove_file(name)
    files = DeviceFiles(tmp_path / "root")
    with pytest.raises(ValueError, match="name"):
        files.apply([["write", name, "x"]])
    assert list((tmp_path / "root").iterdir()) == []


def test_links_are_replaced_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.cfg").symlink_to(outside)
    DeviceFiles(folder).apply([write_file("a.cfg", b"theirs")])
    assert outside.read_text() == "mine"
    assert not (folder / "a.cfg").is_symlink()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The effects wait until it can be."""
    (tmp_path / "root").write_text("a file")
    with pytest.raises(TargetDown, match="root"):
        DeviceFiles(tmp_path / "root").apply([write_file("a.cfg", b"x")])


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    """Only this effect fails; nothing is left lying about."""
    (tmp_path / "a.cfg").mkdir()
    with pytest.raises(OSError, match="directory"):
        DeviceFiles(tmp_path).apply([write_file("a.cfg", b"x")])
    assert [found.name for found in tmp_path.iterdir()] == ["a.cfg"]
