"""Codecs that a VoIP trunk can be made to prefer."""

from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.system import System

_CODECS = ("alaw", "ulaw", "g729")
_MODULE = {"g729": "codec_g729"}
"""Codecs that Asterisk only has with a module of its own."""


def list_codecs(system: System) -> list[str]:
    """The codecs, the best first. With the setting `G729_CHECK`, those whose module Asterisk says
    it has not loaded are left out; nobody to ask means that they are there."""
    return [codec for codec in _CODECS if not _is_missing(system, codec)]


def _is_missing(system: System, codec: str) -> bool:
    module = _MODULE.get(codec)
    if module is None or system.ami is None or not system.settings.g729_check:
        return False
    try:
        system.ami.action("ModuleCheck", {"Module": module})
    except AmiRefused as error:
        return "not loaded" in error.message
    except AmiUnavailable:
        return False
    return False
