"""MAC addresses and the makers they belong to."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.mac_vendors import address_map, engine_vendor_of, normalise_mac, vendor_of

OUIS = {
    "2N": "7C1EB3",
    "Aastra": "00085D 0010BC",
    "AG": "009033",
    "Akuvox": "0C1105 9C7514",
    "Alcatel Temporis": "7465D1",
    "Cisco/Linksys": "00000C 000142 000143 000163 000164 000196 000197 0001C7 0001C9 00036B 00070E"
    " 000E38 000E84 000F23 0013C4 0016C8 00175A 001795 001818 001930 0019AA 001A2F 001BD4 001C58"
    " 001D45 001DA2 001EF7 002155 1CDF0F 30E4DB 3CCE73 5475D0 547C69 58BFEA 649EF3 A44C11 C46413"
    " C89C1D E02F6D E05FB9",
    "CloudTC": "000000",
    "Digium": "000FD3",
    "Fanvil": "00A859 0C383E 00A85A",
    "Gigaset": "589EC6 7C2F80 002104 14B370",
    "Grandstream": "000B82 C074AD EC74D7 144CFF",
    "Mediatrix": "0090F8",
    "Mitel": "08000F",
    "Nethesis": "E0E656",
    "Norphonic": "0050C2 1045BE",
    "Panasonic": "BCC342",
    "Patton": "00A0BA",
    "Polycom": "0004F2 00907A",
    "Sangoma": "005058",
    "Sipura": "000E08",
    "Snom": "000413 1C7126",
    "Thomson": "00147F 001F9F",
    "Xorcom": "642400",
    "Yealink/Dreamwave": "001565 249AD8 44DBD2 805E0C 805EC0 C4FC22",
}
BLOCKS = [(vendor, oui) for vendor, ouis in OUIS.items() for oui in ouis.split()]


@pytest.mark.parametrize(("vendor", "oui"), BLOCKS, ids=[oui for _, oui in BLOCKS])
def test_whole_blocks(vendor: str, oui: str) -> None:
    assert vendor_of(f"{oui}000001") == vendor
    assert vendor_of(f"{oui}ffffff".lower()) == vendor
    assert vendor_of(oui) == vendor
    assert vendor_of(f"{oui[:2]}:{oui[2:4]}:{oui[4:]}") == vendor


def test_the_address_of_nobody() -> None:
    assert vendor_of("00:00:00:00:00:00") is None
    assert vendor_of("00:00:00") == "CloudTC"


@pytest.mark.parametrize("text", ["", "x", "00:15", "0015651", "FF:FF:FF:FF:FF:FF", "AA:BB:CC"])
def test_unknown(text: str) -> None:
    assert vendor_of(text) is None
    assert engine_vendor_of(text) is None


@pytest.mark.parametrize(
    ("mac", "engine"),
    [
        ("000413e20000", "gigaset"),
        ("000413e3ffff", "gigaset"),
        ("000413e40000", "snom"),
        ("000413e50000", "gigaset"),
        ("000413e7ffff", "gigaset"),
        ("000413800000", "gigaset"),
        ("000413809fff", "gigaset"),
        ("00041380a000", "snom"),
        ("00041380a200", "gigaset"),
        ("00041380f5ff", "gigaset"),
        ("00041380f600", "snom"),
        ("00041380f8e0", "gigaset"),
        ("00041380f900", "snom"),
        ("000413d84f2f", "snom"),
        ("000413d84f30", "gigaset"),
        ("000413d8507f", "gigaset"),
        ("000413d85080", "snom"),
        ("000413d86ee0", "gigaset"),
        ("000413d8719f", "gigaset"),
        ("000413d871a0", "snom"),
    ],
)
def test_gigaset_phones_made_by_snom(mac: str, engine: str) -> None:
    assert vendor_of(mac) == "Snom"
    assert engine_vendor_of(mac) == engine


def test_engine_vendors() -> None:
    assert engine_vendor_of("C4:FC:22:00:00:01") == "yealink"
    assert engine_vendor_of("00acdce3aabb") == vendor_of("00acdce3aabb", None).lower()  # type: ignore[union-attr]
    assert vendor_of("00acdce5aabb") is None
    assert engine_vendor_of("00:90:F8:00:00:01") is None


def test_address_map() -> None:
    listed = address_map()
    assert list(listed) == list(OUIS)
    assert listed["CloudTC"] == [{"start": "00-00-00-00-00-01", "end": "00-00-00-FF-FF-FF"}]
    assert listed["Snom"] == [
        {"start": "00-04-13-00-00-00", "end": "00-04-13-FF-FF-FF"},
        {"start": "1C-71-26-00-00-00", "end": "1C-71-26-FF-FF-FF"},
    ]
    starts = {
        (vendor, r["start"][:8].replace("-", "")) for vendor in listed for r in listed[vendor]
    }
    assert starts == {*BLOCKS, ("Gigaset", "00ACDC")}


@pytest.mark.parametrize(
    "text", ["00:15:65:aa:bb:cc", "00-15-65-AA-BB-CC", "001565AABBCC", " 001565aabbcc\n"]
)
def test_normalise(text: str) -> None:
    assert normalise_mac(text) == "00:15:65:AA:BB:CC"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00:15:65:aa:bb",
        "00:15:65:aa:bb:cc:dd",
        "00:15:65-aa:bb:cc",
        "0015.65aa.bbcc",
        "001:565:aabb:cc",
        "00:15:65:aa:bb:cg",
        "\uff10\uff101565aabbcc",
        "00:15:65:aa:bb:cc;",
        "0015:65:aabbcc",
        "00 15 65 aa bb cc",
    ],
)
def test_not_an_address(text: str) -> None:
    assert normalise_mac(text) is None


@given(st.integers(0, 2**48 - 1), st.sampled_from(["", ":", "-"]), st.booleans())
def test_every_way_of_writing(address: int, separator: str, upper: bool) -> None:
    text = address.to_bytes(6).hex(*([separator] if separator else []))
    canonical = address.to_bytes(6).hex(":").upper()
    assert normalise_mac(text.upper() if upper else text) == canonical


@given(st.text(max_size=20))
def test_any_text_is_answered(text: str) -> None:
    mac = normalise_mac(text)
    assert mac is None or normalise_mac(mac) == mac
    assert vendor_of(text) is None or isinstance(vendor_of(text), str)


def test_overlay_goes_first(tmp_path: Path) -> None:
    overlay = tmp_path / "mac_vendors.yaml"
    assert vendor_of("00A85A", overlay) == "Fanvil"
    overlay.write_text(
        "- {vendor: Acme, engine: acme, ranges: [00A85A, '0C383E000000-0C383E0000FF', 'FFFFFF']}\n"
    )
    assert vendor_of("00:A8:5A:00:00:01", overlay) == "Acme"
    assert engine_vendor_of("00:A8:5A:00:00:01", overlay) == "acme"
    assert vendor_of("0C383E0000FF", overlay) == "Acme"
    assert vendor_of("0C383E000100", overlay) == "Fanvil"
    assert vendor_of("001565000001", overlay) == "Yealink/Dreamwave"
    listed = address_map(overlay)
    assert {"start": "00-A8-5A-00-00-00", "end": "00-A8-5A-FF-FF-FF"} in listed["Acme"]
    assert [r["start"][:8] for r in listed["Fanvil"]] == ["00-A8-59", "0C-38-3E"]
    overlay.write_text("- {vendor: Other, ranges: ['00A85A']}\n")
    os.utime(overlay, ns=(1, 1))
    assert vendor_of("00A85A", overlay) == "Other"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("vendor: x", "list of vendors"),
        ("- {vendor: x}", "not a vendor"),
        ("- {vendor: x, ranges: [000413]}", "quotes"),
        ("- {vendor: x, ranges: ['0004137']}\n- [", "mac_vendors.yaml"),
        ("- {vendor: x, ranges: ['00041Z']}", "neither"),
        ("- {vendor: x, ranges: ['FFFFFFFFFFFF-000000000000']}", "neither"),
        ("- {vendor: x, engine: 1, ranges: []}", "mean nothing"),
        ("- {vendor: x, colour: red, ranges: []}", "mean nothing"),
    ],
)
def test_broken_overlay_is_named(tmp_path: Path, text: str, reason: str) -> None:
    overlay = tmp_path / "mac_vendors.yaml"
    overlay.write_text(text)
    with pytest.raises(ValueError, match=reason):
        vendor_of("00A85A", overlay)
