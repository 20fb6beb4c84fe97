"""Trunks, the providers they are made from, and their codecs."""

from nethvoice import bodies
from nethvoice.answers import RawJson
from nethvoice.pbx import providers, trunk_list, trunks, voip_codecs, voip_trunks
from nethvoice.pbx.voip_trunks import NewTrunk, TrunkChange, codec_list
from nethvoice.system import System


def list_trunks(*, system: System) -> RawJson:
    """All trunks."""
    return RawJson(trunk_list.list_trunks(system))


def count_trunks(*, system: System) -> int:
    """How many there are."""
    return trunk_list.count_trunks(system)


def list_trunks_by_technology(*, trunk: str, system: System) -> RawJson:
    """Those of a technology, which the path calls a trunk."""
    return RawJson(trunk_list.list_trunks(system, trunk))


def create_trunk(*, body: bodies.NewTrunk, system: System) -> bodies.CreatedTrunk:
    """Make a trunk from a provider."""
    wanted = NewTrunk(
        provider=body["provider"],
        username=body["username"],
        password=body["password"],
        phone=body["phone"],
        name=body.get("name") or "",
        codecs=codec_list(body.get("codecs"), body.get("codec")),
        only_these_codecs=body.get("forceCodec") or False,
    )
    return {"trunkid": str(voip_trunks.create_trunk(system, wanted))}


def update_trunk(*, trunk: str, body: bodies.TrunkChange, system: System) -> None:
    """Change account, number or codecs."""
    change = TrunkChange(
        username=body.get("username"),
        password=body.get("password"),
        phone=body.get("phone"),
        codecs=codec_list(body.get("codecs"), body.get("codec")),
        only_these_codecs=body.get("forceCodec") or False,
    )
    voip_trunks.update_trunk(system, int(trunk), change)


def delete_trunk(*, trunk: str, system: System) -> None:
    """Remove a trunk."""
    trunks.delete_trunk(system, int(trunk))


def list_providers(*, system: System) -> RawJson:
    """Providers that a trunk can be made from."""
    return RawJson(providers.list_providers(system))


def list_voip_codecs(*, system: System) -> list[bodies.VoipCodec]:
    """Codecs of VoIP trunks, all switched on."""
    return [{"codec": codec, "enabled": True} for codec in voip_codecs.list_codecs(system)]
