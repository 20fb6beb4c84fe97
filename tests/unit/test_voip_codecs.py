"""The setting `G729_CHECK` against a real Asterisk, which Debian ships without that codec."""

from pathlib import Path

import pytest

from nethvoice import first_start
from nethvoice.pbx import voip_codecs
from nethvoice.settings import Settings
from nethvoice.system import System
from tests.services.asterisk import Asterisk
from tests.services.base import free_port

ALL = ["alaw", "ulaw", "g729"]


def listed(folder: Path, **more: object) -> list[str]:
    settings = Settings(data_dir=folder, secret="s", admin_password="p", **more)  # type: ignore[arg-type]
    first_start.initialise(settings)
    system = System(settings)
    try:
        return voip_codecs.list_codecs(system)
    finally:
        system.stop()


def test_g729_is_offered_if_asterisk_has_it(
    asterisk22: Asterisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = {
        "ami_host": "127.0.0.1",
        "ami_port": asterisk22.ami_port,
        "ami_username": "provisioning",
        "ami_password": asterisk22.provisioning_secret,
    }
    assert listed(tmp_path, **manager, g729_check=True) == ["alaw", "ulaw"]
    assert listed(tmp_path, **manager) == ALL
    # A module that this Asterisk does have.
    monkeypatch.setitem(voip_codecs._MODULE, "g729", "codec_ulaw")
    assert listed(tmp_path, **manager, g729_check=True) == ALL


def test_with_nobody_to_ask_it_is_offered(tmp_path: Path) -> None:
    assert listed(tmp_path, g729_check=True) == ALL
    nobody = {"ami_host": "127.0.0.1", "ami_port": free_port()}
    assert listed(tmp_path, **nobody, g729_check=True) == ALL
