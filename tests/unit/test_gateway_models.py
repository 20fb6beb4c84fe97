"""The table of gateway models, and the files of an installation that add to it."""

import os
from pathlib import Path

import pytest

from provisioning.gateway_models import (
    PORT_KINDS,
    Family,
    find_model,
    gateway_models,
    seeded_models,
)

# id, model, manufacturer, tech, pri, isdn, fxo, fxs, description: every row of a fresh table.
ROWS = """
1|4552|Patton|isdn|0|1|0|0|SMARTNODE ISDN 1 Porta
2|4554|Patton|isdn|0|2|0|0|SMARTNODE ISDN 2 Porte
3|4638|Patton|isdn|0|4|0|0|SMARTNODE ISDN 4 Porte
4|4661|Patton|isdn|0|8|0|0|SMARTNODE ISDN 8 Porte
5|4112fxs|Patton|fxs|0|0|0|2|SMARTNODE Analogico 2 Porte FXS
6|4112fxo|Patton|fxo|0|0|2|0|SMARTNODE Analogico 2 Porte FXO
7|4114fxs|Patton|fxs|0|0|0|4|SMARTNODE Analogico 4 Porte FXS
8|4114fxo|Patton|fxo|0|0|4|0|SMARTNODE Analogico 4 Porte FXO
9|4526fxs|Patton|fxs|0|0|0|6|SMARTNODE Analogico 6 Porte FXS
10|4118fxs|Patton|fxs|0|0|0|8|SMARTNODE Analogico 8 Porte FXS
11|TRI_FXO_2|Patton|fxo|0|0|2|0|TRINITY Analogico 2 Porte FXO
12|TRI_FXO_4|Patton|fxo|0|0|4|0|TRINITY Analogico 4 Porte FXO
13|TRI_FXO_8|Patton|fxo|0|0|8|0|TRINITY Analogico 8 Porte FXO
14|4970|Patton|pri|1|0|0|0|SMARTNODE PRI 1 Porta
15|4970_4|Patton|pri|4|0|0|0|SMARTNODE PRI 4 Porte
16|TRI_ISDN_1|Patton|isdn|0|1|0|0|TRINITY ISDN 1 Porta
17|TRI_ISDN_2|Patton|isdn|0|2|0|0|TRINITY ISDN 2 Porte
18|TRI_ISDN_4|Patton|isdn|0|4|0|0|TRINITY ISDN 4 Porte
19|TRI_PRI_1|Patton|pri|1|0|0|0|TRINITY PRI 1 Porta
20|TRI_PRI_2|Patton|pri|2|0|0|0|TRINITY PRI 2 Porte
21|TRI_PRI_4|Patton|pri|4|0|0|0|TRINITY PRI 4 Porte
22|Vega_50_24fxs|Sangoma|fxs|0|0|0|24|Vega 3000 FXS 24 Porte
23|Vega_60_4fxo|Sangoma|fxo|0|0|4|0|Vega 60 FXO 4 Porte
24|Vega_60_2isdn|Sangoma|isdn|0|2|0|0|Vega 60 ISDN 2 Porte
25|Vega_60_4isdn|Sangoma|isdn|0|4|0|0|Vega 60 ISDN 4 Porte
26|Vega_100_1pri|Sangoma|pri|1|0|0|0|Vega 100 PRI 1 Porta
27|Vega_200_2pri|Sangoma|pri|2|0|0|0|Vega 200 PRI 2 Porte
28|M4401|Mediatrix|isdn|0|1|0|0|4401 ISDN 1 Porta
29|M4402|Mediatrix|isdn|0|2|0|0|4402 ISDN 2 Porte
30|M4404|Mediatrix|isdn|0|4|0|0|4404 ISDN 4 Porte
31|ht801|Grandstream|fxs|0|0|0|1|HT801 SIP 1 Porta FXS
32|ht801TLS|Grandstream|fxs|0|0|0|1|HT801 SIP TLS 1 Porta FXS
33|ht802|Grandstream|fxs|0|0|0|2|HT802 SIP 2 Porte FXS
34|ht802TLS|Grandstream|fxs|0|0|0|2|HT802 SIP TLS 2 Porte FXS
35|ht812|Grandstream|fxs|0|0|0|2|HT812 SIP 2 Porte FXS
36|ht812TLS|Grandstream|fxs|0|0|0|2|HT812 SIP TLS 2 Porte FXS
37|ht814|Grandstream|fxs|0|0|0|4|HT814 SIP 4 Porte FXS
38|ht814TLS|Grandstream|fxs|0|0|0|4|HT814 SIP TLS 4 Porte FXS
39|gxw4216|Grandstream|fxs|0|0|0|16|GXW4216 SIP 16 Porte FXS
40|gxw4216TLS|Grandstream|fxs|0|0|0|16|GXW4216 SIP TLS 16 Porte FXS
41|gxw4224|Grandstream|fxs|0|0|0|24|GXW4224 SIP 24 Porte FXS
42|gxw4224TLS|Grandstream|fxs|0|0|0|24|GXW4224 SIP TLS 24 Porte FXS
43|gxw4232|Grandstream|fxs|0|0|0|32|GXW4216 SIP 32 Porte FXS
44|gxw4232TLS|Grandstream|fxs|0|0|0|32|GXW4232 SIP TLS 32 Porte FXS
45|gxw4248|Grandstream|fxs|0|0|0|48|GXW4216 SIP 48 Porte FXS
46|gxw4248TLS|Grandstream|fxs|0|0|0|48|GXW4216 SIP TLS 48 Porte FXS
"""

# isdn, fxo, fxs of the models that are in no fresh table.
OTHERS = {
    "4114fxs_fxo": (0, 2, 2),
    "4116fxs4_fxo2": (0, 2, 4),
    "4118fxs_fxo": (0, 4, 4),
    "4661fxs2_fxo2_isdn2": (2, 2, 2),
    "4661fxs4_isdn2": (2, 0, 4),
    "4661fxs4_isdn4": (4, 0, 4),
    "4661fxs4_fxo4_isdn4": (4, 4, 4),
    "4661fxs4_isdn8": (8, 0, 4),
    "4671fxs8_isdn4": (4, 0, 8),
    "Vega_50_2isdn": (2, 0, 0),
    "Vega_50_4isdn": (4, 0, 0),
    "Vega_50_4fxo": (0, 4, 0),
    "Vega_50_4fxs_2fxo": (0, 2, 4),
    "Vega_50_8fxs_2fxo": (0, 2, 8),
}


def test_the_rows_of_a_fresh_table() -> None:
    rows = [model.row() for model in seeded_models()]
    counts = [f"n_{name}" for name in ("pri_trunks", "isdn_trunks", "fxo_trunks", "fxs_ext")]
    columns = ["id", "model", "manufacturer", "tech", *counts, "description"]
    assert [list(row) for row in rows] == [columns] * 46
    assert [
        "|".join(str(row[name]) for name in columns) for row in rows
    ] == ROWS.strip().splitlines()


def test_the_models_without_a_row() -> None:
    others = [model for model in gateway_models() if model.id is None]
    assert {m.model: (m.isdn, m.fxo, m.fxs) for m in others} == OTHERS
    assert all(m.pri == 0 and "id" not in m.row() for m in others)
    assert all(len(model.description) <= 50 for model in gateway_models())


def test_facts_of_the_hardware() -> None:
    for model in gateway_models():
        assert model.tls == model.model.endswith("TLS")
        assert model.first_port == (0 if model.manufacturer == "Patton" else 1)
        assert model.slot == 0
        assert (model.family is Family.TRINITY) == model.model.startswith("TRI_")
    spare = {m.model for m in gateway_models() if m.spare_isdn}
    assert spare == {
        "4552", "4638", "4661", "4661fxs2_fxo2_isdn2", "4661fxs4_isdn2", "4661fxs4_isdn4",
        "4661fxs4_fxo4_isdn4", "4661fxs4_isdn8", "4671fxs8_isdn4",
    }  # fmt: skip
    assert [m.model for m in gateway_models() if m.spare_pri] == ["Vega_100_1pri"]


def test_models_are_found_by_name_in_any_case() -> None:
    model = find_model("patton", "tri_isdn_2")
    assert model is not None
    assert (model.id, model.model) == (17, "TRI_ISDN_2")
    assert find_model("Sangoma", "TRI_ISDN_2") is None
    assert find_model("", "") is None


OVERLAY = """
- family: grandstream
  manufacturer: Grandstream
  models:
    - {model: ht818, fxs: 8, variant: ht81x, description: HT818}
    - {id: 33, model: ht802, fxs: 2, variant: ht80x, description: changed}
"""


def test_an_installation_adds_and_changes_models(tmp_path: Path) -> None:
    overlay = tmp_path / "gateway_models.yaml"
    assert gateway_models(overlay) == gateway_models()
    overlay.write_text(OVERLAY)
    added = find_model("Grandstream", "ht818", overlay)
    assert added is not None
    assert (added.fxs, added.tech, added.id) == (8, "fxs", None)
    changed = find_model("Grandstream", "HT802", overlay)
    assert changed is not None
    assert changed.description == "changed"
    assert len(gateway_models(overlay)) == len(gateway_models()) + 1
    assert [m.id for m in seeded_models(overlay)] == list(range(1, 47))
    overlay.write_text(OVERLAY.replace("changed", "again"))
    os.utime(overlay, ns=(1, 1))
    again = find_model("Grandstream", "ht802", overlay)
    assert again is not None
    assert again.description == "again"
    assert find_model("Grandstream", "ht802").description == "HT802 SIP 2 Porte FXS"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("family: x", "list of families"),
        ("- {family: x, models: []}", "not a family"),
        ("- {family: vega, models: [1]}", "not a model"),
        ("- {family: vega, manufacturer: S, models: [{model: 4552, isdn: 1}]}", "must be str"),
        ("- {family: vega, manufacturer: S, models: [{model: 4970_4, pri: 1}]}", "must be str"),
        ("- {family: vega, manufacturer: S, models: [{model: a, isdn: '1'}]}", "must be int"),
        ("- {family: vega, manufacturer: S, models: [{model: a, isdn: true}]}", "must be int"),
        ("- {family: vega, manufacturer: S, models: [{model: a, colour: red}]}", "mean nothing"),
        ("- {family: vega, models: [{model: a, isdn: 1}]}", "lacks a name"),
        ("- {family: vega, manufacturer: S, models: [{model: a, isdn: 1}]}", "variant"),
        ("- {family: trinity, manufacturer: S, models: [{model: a, fxs: 1}]}", "no fxs ports"),
        ("- {family: trinity, manufacturer: S, models: [{model: a, fxo: 49}]}", "no fxo ports"),
        ("- {family: trinity, manufacturer: S, models: [{model: a, fxo: -1}]}", "no fxo ports"),
        ("- {family: trinity, manufacturer: S, models: [{model: a}]}", "has no ports"),
        ("- {family: trinity, manufacturer: S, models: [{model: '../a', fxo: 1}]}", "cannot be"),
        ("- {family: trinity, manufacturer: S, models: [{model: 'a--b', fxo: 1}]}", "cannot be"),
        ("- {family: trinity, manufacturer: S, models: [{id: 1, model: a, fxo: 1}]}", "twice"),
        ("- [", "gateway_models.yaml"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, reason: str) -> None:
    overlay = tmp_path / "gateway_models.yaml"
    overlay.write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        gateway_models(overlay)
    assert "gateway_models.yaml" in str(caught.value)


def test_tech_is_the_first_kind_of_port() -> None:
    model = find_model("Patton", "4661fxs2_fxo2_isdn2")
    assert model is not None
    assert model.tech == "isdn"
    assert [model.ports(kind) for kind in PORT_KINDS] == [2, 0, 2, 2]
