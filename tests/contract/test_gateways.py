"""Gateways: every row, key and file of one, and nothing left of it afterwards."""

import base64
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update

from nethvoice.pbx import gateway_catalogue
from nethvoice.store import tables as t
from nethvoice.store.device_files import DeviceFiles
from nethvoice.store.outbox import TargetDown
from tests.support import Service, eventually

MAC = "00:A0:BA:0B:1C:DA"
DIGITS = "00A0BA0B1CDA"
UID = "0b1cda"
PORT_TABLES = (
    t.gateway_config_isdn,
    t.gateway_config_pri,
    t.gateway_config_fxo,
    t.gateway_config_fxs,
)

BASE = {
    "name": "Patton-TRINITY ISDN 2 Porte",
    "mac": MAC,
    "model": "17",
    "manufacturer": "Patton",
    "ipv4": "",
    "ipv4_new": "192.168.1.250",
    "gateway": "192.168.1.254",
    "ipv4_green": "192.168.1.1",
    "netmask_green": "255.255.255.0",
}
WIZARD = {
    "network_key": "eth0",
    "network": "192.168.1.0",
    "trunks_pri": [],
    "trunks_fxo": [],
    "trunks_fxs": [],
    "onSave": True,
    "onSaveSuccess": False,
    "onError": False,
    "onDeleteSuccess": False,
    "onPushSuccess": False,
}
ISDN2 = [{"name": 0, "type": "pp"}, {"name": 1, "type": "pmp"}]

DIRECT = {
    "aor_contact": "",
    "client_uri": "",
    "contact_user": "",
    "from_domain": "",
    "from_user": "",
    "language": "",
    "match": "",
    "maxchans": "",
    "npanxx": "",
    "server_uri": "",
    "sv_usercontext": "",
    "dialopts": "",
    "auth_rejection_permanent": "on",
    "authentication": "outbound",
    "codecs": "ulaw,alaw,gsm,g726,g722",
    "context": "from-pstn",
    "dialoutopts_cb": "sys",
    "disabletrunk": "off",
    "dtmfmode": "rfc4733",
    "expiration": "3600",
    "fax_detect": "no",
    "forbidden_retry_interval": "10",
    "hcid": "on",
    "max_retries": "10",
    "outbound_proxy": "",
    "qualify_frequency": "60",
    "registration": "none",
    "retry_interval": "60",
    "sendrpid": "no",
    "sip_server": "192.168.1.250",
    "sip_server_port": "5060",
    "t38_udptl": "no",
    "t38_udptl_nat": "no",
    "t38_udptl_ec": "none",
    "transport": "0.0.0.0-udp",
}
REGISTERED = {
    **DIRECT,
    "auth_rejection_permanent": "off",
    "authentication": "inbound",
    "direct_media": "no",
    "force_rport": "no",
    "identify_by": "default",
    "inband_progress": "no",
    "media_encryption": "no",
    "outbound_proxy": "sip:10.0.0.9:5060;lr",
    "pjsip_line": "true",
    "registration": "receive",
    "rewrite_contact": "no",
    "rtp_symmetric": "no",
    "support_path": "no",
    "trust_id_outbound": "no",
    "trust_rpid": "no",
    "user_eq_phone": "no",
    "send_connected_line": "false",
}


@pytest.fixture(autouse=True)
def models(service: Service) -> None:
    """A fresh table of models and an empty folder of device files."""
    with service.database.write() as connection:
        gateway_catalogue.load(connection, service.settings.data_dir)
    for path in files(service):
        (folder(service) / path).unlink()


@pytest.fixture
def behind_proxy(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.settings, "proxy_ip", "10.0.0.9")
    monkeypatch.setattr(service.settings, "proxy_port", 5060)
    monkeypatch.setattr(service.settings, "proxy_fqdn", "proxy.example.org")


def folder(service: Service) -> Path:
    return service.settings.tftp_folder


def files(service: Service) -> list[str]:
    if not folder(service).is_dir():
        return []
    return sorted(path.name for path in folder(service).iterdir())


def save(service: Service, **more: Any) -> str:
    answer = service.post("/devices/gateways", {**BASE, **more})
    assert answer == {
        "status": True,
        "errors": [],
        "warnings": answer["warnings"],
        "infos": [],
        "id": answer["id"],
    }
    return str(answer["id"])


def pjsip(service: Service, trunk_id: int) -> dict[str, str]:
    return {row["keyword"]: row["data"] for row in service.rows(t.pjsip, id=str(trunk_id))}


def traces(service: Service) -> dict[str, Any]:
    """Everything that a gateway may leave behind."""
    state = service.everything()
    return {**state, "files": files(service)}


def unchanged(service: Service, act: Callable[[], Any]) -> None:
    """What is done writes no row, no key and no file, and asks for no reload."""
    service.settle()
    before = traces(service)
    times = {name: (folder(service) / name).stat().st_mtime_ns for name in files(service)}
    jobs = len(service.rows(t.rest_tasks))
    act()
    assert traces(service) == before
    assert len(service.rows(t.rest_tasks)) == jobs
    assert times == {name: (folder(service) / name).stat().st_mtime_ns for name in files(service)}


# --- models ---------------------------------------------------------------------------------------


def test_models(service: Service) -> None:
    answer = service.get("/devices/gateways/manufacturers")
    assert list(answer) == ["Patton", "Sangoma", "Mediatrix", "Grandstream"]
    assert answer["Patton"][0] == {
        "id": "1",
        "model": "4552",
        "manufacturer": "Patton",
        "tech": "isdn",
        "n_pri_trunks": "0",
        "n_isdn_trunks": "1",
        "n_fxo_trunks": "0",
        "n_fxs_ext": "0",
        "description": "SMARTNODE ISDN 1 Porta",
        "proxy": "",
        "ipv4_green": answer["Patton"][0]["ipv4_green"],
    }
    ids = [int(model["id"]) for group in answer.values() for model in group]
    assert len(ids) == len(set(ids)) >= 46
    for group in answer.values():
        numbers = [int(model["id"]) for model in group]
        assert numbers == sorted(numbers)


def test_models_propose_the_proxy(service: Service, behind_proxy: None) -> None:
    model = service.get("/devices/gateways/manufacturers")["Sangoma"][0]
    assert model["proxy"] == "sip:10.0.0.9:5060;lr"


def test_models_are_loaded_once_and_added_to(service: Service, tmp_path: Path) -> None:
    (tmp_path / "gateway_models.yaml").write_text(
        "- family: trinity\n  manufacturer: Patton\n  slot: 0\n  first_port: 0\n"
        "  models:\n    - {id: 17, model: TRI_ISDN_2, isdn: 2, description: ours}\n"
        "    - {model: TRI_ISDN_6, isdn: 6, description: six}\n"
    )
    before = service.rows(t.gateway_models)
    with service.database.write() as connection:
        connection.execute(delete(t.gateway_models).where(t.gateway_models.c.id == 40))
        gateway_catalogue.load(connection, tmp_path)
        gateway_catalogue.load(connection, tmp_path)
    after = {row["id"]: row for row in service.rows(t.gateway_models)}
    added = [row for row in after.values() if row["model"] == "TRI_ISDN_6"]
    assert len(added) == 1
    assert 40 not in after, "a row that somebody removed does not come back"
    assert all(after[row["id"]] == row for row in before if row["id"] != 40)


def test_models_cost_one_statement(service: Service) -> None:
    service.get("/devices/gateways/manufacturers")
    with service.statements() as seen:
        service.get("/devices/gateways/manufacturers")
    assert sum("gateway_models" in statement for statement in seen) == 1


# --- creating -------------------------------------------------------------------------------------


def test_isdn_gateway_in_the_direct_profile(service: Service) -> None:
    answer = service.call(
        "POST", "/devices/gateways", json={**WIZARD, **BASE, "trunks_isdn": ISDN2}
    )
    assert answer.status_code == 200, answer.text
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Apply-Task"])
    gateway_id = answer.json()["id"]
    assert answer.json() == {
        "status": True,
        "errors": [],
        "warnings": [],
        "infos": [],
        "id": gateway_id,
    }
    assert service.row(t.gateway_config) == {
        "id": int(gateway_id),
        "model_id": 17,
        "name": "Patton-TRINITY ISDN 2 Porte",
        "ipv4": "",
        "ipv4_new": "192.168.1.250",
        "gateway": "192.168.1.254",
        "ipv4_green": "192.168.1.1",
        "netmask_green": "255.255.255.0",
        "mac": MAC,
        "proxy": None,
    }
    first, second = service.rows(t.gateway_config_isdn)
    assert [first["protocol"], second["protocol"]] == ["pp", "pmp"]
    assert [first["trunk"], second["trunk"]] == [1, 2]
    assert [first["trunknumber"], second["trunknumber"]] == [20001, 20002]
    width = service.database.live(t.gateway_config_isdn).widths["secret"]  # type: ignore[union-attr]
    assert re.fullmatch("[A-Za-z0-9]+", first["secret"])
    assert len(first["secret"]) == min(16, width)
    assert first["secret"] != second["secret"]
    for port, row in enumerate((first, second)):
        name = f"Patton_{UID}_isdn_{port}"
        assert service.row(t.trunks, trunkid=row["trunk"]) == {
            "trunkid": row["trunk"],
            "tech": "pjsip",
            "channelid": name,
            "name": name,
            "outcid": "",
            "keepcid": "off",
            "maxchans": "",
            "failscript": "",
            "dialoutprefix": str(row["trunknumber"]),
            "usercontext": "from-pstn",
            "provider": "",
            "disabled": "off",
            "continue": "off",
        }
        assert pjsip(service, row["trunk"]) == {
            **DIRECT,
            "extdisplay": f"OUT_{row['trunk']}",
            "secret": row["secret"],
            "sv_channelid": name,
            "sv_trunk_name": name,
            "trunk_name": name,
            "username": str(row["trunknumber"]),
        }
    assert {row["flags"] for row in service.rows(t.pjsip)} == {0}
    assert service.astdb("TRUNK") == {}
    for table in (t.trunk_dialpatterns, t.outbound_route_trunks, t.incoming, t.rest_outbox):
        assert service.rows(table) == []
    assert files(service) == [f"{DIGITS}.cfg"]
    path = folder(service) / f"{DIGITS}.cfg"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    text = path.read_text("ascii")
    for value in ("20001", "20002", first["secret"], second["secret"], "192.168.1.250"):
        assert value in text


def test_isdn_gateway_behind_a_proxy(service: Service, behind_proxy: None) -> None:
    save(service, trunks_isdn=ISDN2, trunks_fxo=[{"number": "0721"}], proxy="sip:elsewhere:1")
    assert service.row(t.gateway_config)["proxy"] == "proxy.example.org"
    for table, kind in ((t.gateway_config_isdn, "isdn"), (t.gateway_config_fxo, "fxo")):
        for port, row in enumerate(service.rows(table)):
            name = f"Patton_{UID}_{kind}_{port}"
            assert pjsip(service, row["trunk"]) == {
                **REGISTERED,
                "aors": name,
                "extdisplay": f"OUT_{row['trunk']}",
                "secret": row["secret"],
                "sv_channelid": name,
                "sv_trunk_name": name,
                "trunk_name": name,
                "username": name,
            }
    text = (folder(service) / f"{DIGITS}.cfg").read_text("ascii")
    assert "proxy.example.org" in text
    assert f"Patton_{UID}_isdn_0" in text


def test_context_of_the_cti_module(
    service: Service, behind_proxy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.settings, "cti_module", True)
    save(service, trunks_isdn=ISDN2)
    trunk = service.rows(t.trunks)[0]
    assert trunk["usercontext"] == "from-pstn-identity"
    assert pjsip(service, trunk["trunkid"])["context"] == "from-pstn-identity"


def test_context_that_an_administrator_made(service: Service, behind_proxy: None) -> None:
    service.add(
        t.customcontexts_contexts, {"context": "from-pstn-identity", "description": "identity"}
    )
    save(service, trunks_isdn=ISDN2)
    assert {row["usercontext"] for row in service.rows(t.trunks)} == {"from-pstn-identity"}


def test_codecs_are_those_of_the_sip_settings(service: Service) -> None:
    service.add(
        t.kvstore_sipsettings,
        {
            "key": "voicecodecs",
            "val": '{"g722":"2","alaw":"1","ulaw":"10","gsm":""}',
            "type": "json-arr",
            "id": "noid",
        },
    )
    save(service, trunks_isdn=ISDN2)
    assert pjsip(service, 1)["codecs"] == "alaw,g722,ulaw"


def test_pri_and_fxo_gateways(service: Service) -> None:
    """Ports of other makers than Patton count from 1, in each kind anew."""
    save(service, mac="00:50:58:50:C3:3C", name="Vega", model="26", trunks_pri=[{"name": 1}])
    save(
        service,
        mac="00-50-58-50-c3-3d",
        name="Vega FXO",
        model=23,
        trunks_fxo=[
            {"name": 1, "number": "0721405516"},
            {"name": "2", "number": ""},
            {"number": None},
            {"number": 721405517, "linked_trunk": "x"},
        ],
    )
    pri = service.row(t.gateway_config_pri)
    assert (pri["trunk"], pri["trunknumber"]) == (1, 20001)
    fxo = service.rows(t.gateway_config_fxo)
    assert [row["number"] for row in fxo] == ["0721405516", "", "", "721405517"]
    assert [row["name"] for row in service.rows(t.trunks)] == [
        "Sangoma_50c33c_pri_1",
        "Sangoma_50c33d_fxo_1",
        "Sangoma_50c33d_fxo_2",
        "Sangoma_50c33d_fxo_3",
        "Sangoma_50c33d_fxo_4",
    ]
    assert pjsip(service, fxo[1]["trunk"])["aors"] == "Sangoma_50c33d_fxo_2"
    assert "aors" not in pjsip(service, pri["trunk"])
    assert files(service) == [
        "00505850C33Cconfig.txt",
        "00505850C33Cscript.txt",
        "00505850C33Dconfig.txt",
        "00505850C33Dscript.txt",
    ]


GRANDSTREAM = {
    "name": "Grandstream-HT802",
    "mac": "00:0B:82:AA:BB:CC",
    "manufacturer": "Grandstream",
}


def model_id(service: Service, model: str) -> str:
    return str(service.row(t.gateway_models, model=model)["id"])


def test_fxs_gateway(service: Service) -> None:
    user = service.person("alice", "201")
    ports = [{"name": 1, "linked_extension": "201"}, {"name": 2, "linked_extension": 201}]
    save(service, **GRANDSTREAM, model=model_id(service, "ht802"), trunks_fxs=ports)
    first, second = service.rows(t.gateway_config_fxs)
    assert (first["extension"], first["physical_extension"]) == ("201", "201")
    assert (second["extension"], second["physical_extension"]) == ("201", "91201")
    for row in (first, second):
        assert row["secret"] == service.sip(row["physical_extension"])["secret"]
        device = service.row(t.rest_devices_phones, extension=row["physical_extension"])
        assert device["user_id"] == user
        assert device["mac"] is None
        assert device["type"] == "physical"
        assert device["line"] == 1
        assert device["secret"] == row["secret"]
        assert device["srtp"] == 0
        assert row["physical_extension"] not in service.astdb("CW")
    assert service.astdb("AMPUSER", "201")["device"] == "201&91201"
    assert service.rows(t.trunks) == []
    assert files(service) == ["000B82AABBCC.cfg", "cfg000b82aabbcc.xml"]
    contents = {(folder(service) / name).read_bytes() for name in files(service)}
    assert len(contents) == 1
    assert b"91201" in contents.pop()


def test_more_than_nine_telephones(service: Service) -> None:
    """Port 1 once was found inside port 10."""
    service.person("alice", "201")
    service.person("bob", "202")
    ports = [{"linked_extension": "201"}] * 8 + [{"linked_extension": "202"}] * 8
    gateway_id = save(service, **GRANDSTREAM, model=model_id(service, "gxw4216"), trunks_fxs=ports)
    text = service.client.get(f"/devices/gateways/{gateway_id}/config").text
    values = dict(re.findall(r"<P([0-9]+)>([^<]*)</P", text))
    rows = service.rows(t.gateway_config_fxs)
    assert len(rows) == 16
    for index, row in enumerate(rows):
        for first in (4060, 4090, 4180):
            assert values[str(first + index)] == row["physical_extension"]
        assert values[str(4120 + index)] == row["secret"]


def test_fxs_gateway_behind_a_proxy(service: Service, behind_proxy: None) -> None:
    service.person("alice", "201")
    model = model_id(service, "ht801TLS")
    save(service, **GRANDSTREAM, model=model, trunks_fxs=[{"linked_extension": "201"}])
    sip = service.sip("201")
    for keyword, data in {
        "rewrite_contact": "no",
        "media_encryption": "no",
        "outbound_proxy": "sip:10.0.0.9:5060;lr",
        "force_rport": "no",
        "rtp_symmetric": "no",
        "transport": "0.0.0.0-udp",
    }.items():
        assert sip[keyword] == data
    assert service.row(t.rest_devices_phones, extension="201")["srtp"] == 1


def test_encryption_follows_the_model(service: Service) -> None:
    """By the model's name, else by that of the configuration; what somebody chose stays."""
    service.person("alice", "201")
    ports = [{"linked_extension": "201"}]

    def encrypted() -> tuple[str, int]:
        device = service.row(t.rest_devices_phones, extension="201")
        return service.sip("201")["media_encryption"], device["srtp"]

    plain, tls = model_id(service, "ht801"), model_id(service, "ht801TLS")
    save(service, **GRANDSTREAM, model=tls, trunks_fxs=ports)
    assert encrypted() == ("sdes", 1)
    save(service, **GRANDSTREAM, model=plain, trunks_fxs=ports)
    assert encrypted() == ("no", 0)
    save(service, **{**GRANDSTREAM, "name": "An HT801 TLS box"}, model=plain, trunks_fxs=ports)
    assert encrypted() == ("sdes", 1)
    service.post("/extensions/201/srtp/false")
    save(service, **{**GRANDSTREAM, "name": "An HT801 TLS box"}, model=plain, trunks_fxs=ports)
    assert encrypted() == ("no", 0)


@pytest.mark.parametrize("nobody", ["", None, "none"])
def test_fxs_ports_without_extension_keep_their_place(service: Service, nobody: Any) -> None:
    """The former service took an empty number for the end of every number."""
    service.person("alice", "201")
    service.person("bob", "1201")
    service.add(
        t.rest_devices_phones, {"extension": "911201", "type": "temporaryphysical", "line": 1}
    )
    ports = [{"linked_extension": nobody}, {"linked_extension": "201"}]
    save(service, **GRANDSTREAM, model=model_id(service, "ht802"), trunks_fxs=ports)
    first, second = service.rows(t.gateway_config_fxs)
    assert (first["extension"], first["physical_extension"], first["secret"]) == ("", "", "")
    assert second["physical_extension"] == "201"
    assert service.rows(t.rest_devices_phones, extension="911201")
    assert {row["id"] for row in service.rows(t.devices)} == {"201", "1201"}


def test_temporary_devices_make_room(service: Service) -> None:
    service.person("alice", "201")
    with service.database.write() as connection:
        connection.execute(
            insert(t.rest_devices_phones).values(
                extension="201", type="temporaryphysical", line=1, secret="x"
            )
        )
    ports = [{"linked_extension": "201"}]
    save(service, **GRANDSTREAM, model=model_id(service, "ht801"), trunks_fxs=ports)
    assert service.row(t.rest_devices_phones, extension="201")["type"] == "physical"


def test_fxs_by_user(service: Service) -> None:
    """The seed's form; it counts when there are no ports by extension."""
    service.person("stefanof", "201")
    people = [{"linked_user": "StefanoF"}, {"linked_user": ""}]
    save(service, **GRANDSTREAM, model=model_id(service, "ht802"), users_fxs=people)
    assert [r["extension"] for r in service.rows(t.gateway_config_fxs)] == ["201", ""]


def test_telephones_are_contacts_of_a_line(service: Service, tmp_path: Path) -> None:
    """A device with both: the trunk of its first line (Patton) or of its second one."""
    service.person("alice", "201")
    service.person("bob", "202")
    service.add(
        t.gateway_models,
        {"id": 900, "model": "4118fxs_fxo", "manufacturer": "Patton", "n_fxo_trunks": 4},
    )
    lines = [{"number": "1"}, {"number": "2"}]
    phones = [{"linked_extension": "201"}, {"linked_extension": "202"}]
    save(service, model="900", trunks_fxo=lines, trunks_fxs=phones)
    name = f"Patton_{UID}_fxo_0"
    assert pjsip(service, 1)["aors"] == f"{name},201,202"
    assert pjsip(service, 2)["aors"] == f"Patton_{UID}_fxo_1"
    save(service, model="900", trunks_fxo=lines, trunks_fxs=phones[1:])
    assert pjsip(service, 1)["aors"] == f"{name},202"
    save(service, model="900", trunks_fxo=lines)
    assert pjsip(service, 1)["aors"] == name
    mac = "00:50:58:50:C3:3C"
    save(service, mac=mac, model="23", trunks_fxo=lines, trunks_fxs=phones)
    assert pjsip(service, 3)["aors"] == "Sangoma_50c33c_fxo_1"
    assert pjsip(service, 4)["aors"] == "Sangoma_50c33c_fxo_2,201,202"


def test_more_ports_than_the_model_has(service: Service) -> None:
    body = {**BASE, "trunks_isdn": ISDN2, "trunks_pri": [{}], "trunks_fxo": [{"number": "1"}]}
    answer = service.post("/devices/gateways", body)
    assert len(answer["warnings"]) == 2
    assert "PRI" in answer["warnings"][0]
    assert len(service.rows(t.trunks)) == 4


def test_missing_addresses_are_filled_in(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body of the seed has neither netmask nor the address of the telephone system."""
    monkeypatch.setattr(service.settings, "pbx_address", "pbx.example.org")
    body = {name: BASE[name] for name in ("name", "mac", "model", "ipv4_new", "gateway")}
    service.post("/devices/gateways", {**body, "ipv4_new": "203.0.113.7", "gateway": "203.0.113.1"})
    row = service.row(t.gateway_config)
    assert (row["ipv4_green"], row["netmask_green"]) == ("pbx.example.org", "255.255.255.0")


def test_what_the_wizard_posts_for_a_scanned_gateway(service: Service) -> None:
    body = {
        **BASE,
        "ipv4": "192.168.1.245",
        "type": "gateway",
        "isConnected": True,
        "isConfigured": False,
        "network_name": "eth0",
        "isGrandstream": False,
        "model": "11",
        "trunks_isdn": [],
        "trunks_pri": [],
        "trunks_fxo": [{"name": 0, "number": "0721405516"}, {"name": 1, "number": ""}],
        "trunks_fxs": [],
        "onSave": True,
        "onError": False,
    }
    answer = service.post("/devices/gateways", body)
    assert isinstance(answer["id"], str)
    assert service.get("/trunks/count") == 2
    [shown] = service.get("/devices/gateways/list/e2fa272b0b69291f2916ccf63f55d0e8")
    assert (shown["model"], shown["ipv4"], shown["isConfigured"]) == ("11", "192.168.1.245", True)
    assert shown["trunks_fxo"] == [
        {"linked_trunk": "1", "number": "0721405516"},
        {"linked_trunk": "2", "number": ""},
    ]
    # Sent again from the list, with the form's fields; an empty `ipv4` does not lose the address.
    service.post("/devices/gateways", {**body, "ipv4": ""})
    assert service.row(t.gateway_config)["ipv4"] == "192.168.1.245"


def test_forms(service: Service) -> None:
    """What a PHP client posts: brackets, and empty texts for empty lists."""
    service.person("alice", "201")
    form = {
        **BASE,
        "trunks_isdn[0][name]": "0",
        "trunks_isdn[0][type]": "pmp",
        "trunks_isdn[1][name]": "1",
        "trunks_isdn[1][type]": "",
        "trunks_pri": "",
        "trunks_fxo[0][name]": "0",
        "trunks_fxo[0][number]": "0721405516",
        "trunks_fxs[0][linked_extension]": "201",
        "onSave": "true",
    }
    answer = service.call("POST", "/devices/gateways", data=form)
    assert answer.status_code == 200, answer.text
    assert [row["protocol"] for row in service.rows(t.gateway_config_isdn)] == ["pmp", "pp"]
    assert service.row(t.gateway_config_fxo)["number"] == "0721405516"
    assert service.row(t.gateway_config_fxs)["extension"] == "201"
    form = {"name": BASE["name"], "mac": MAC}
    assert service.call("DELETE", "/devices/gateways", data=form).json() == {"status": True}
    assert service.rows(t.gateway_config) == []


# --- names and numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Patton + 2 port", "Rete più veloce ☎", "a/b?c#d", "100% 'x' \"y\"", "n" * 100]
)
def test_names(service: Service, name: str) -> None:
    """A plus sign once ended a name."""
    gateway_id = save(service, name=name, trunks_isdn=ISDN2)
    assert service.row(t.gateway_config)["name"] == name
    path = f"/devices/gateways/download/{_quoted(name)}"
    if "/" not in name:
        texts = [base64.b64decode(service.get(x)).decode() for x in (path, f"{path}/{MAC}")]
        assert _undated(texts[0]) == _undated(texts[1])
    assert service.get("/devices/gateways/list/x")[0]["name"] == name
    service.call("DELETE", "/devices/gateways", json={"name": name})
    assert service.rows(t.gateway_config, id=int(gateway_id)) == []


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def test_names_that_are_too_long(service: Service) -> None:
    problem = service.refused("POST", "/devices/gateways", 422, json={**BASE, "name": "n" * 101})
    assert problem["errors"]


def test_trunk_name_that_is_taken(service: Service) -> None:
    """An extension or another trunk of that name would make one section of two in PJSIP's files."""
    service.add(
        t.trunks,
        {"trunkid": 7, "tech": "pjsip", "channelid": "x", "name": f"patton_{UID}_ISDN_1"},
    )
    body = {**BASE, "trunks_isdn": ISDN2}
    problem = service.refused("POST", "/devices/gateways", 409, json=body)
    assert problem["errors"] == [problem["detail"]]
    assert problem["warnings"] == problem["infos"] == []
    assert files(service) == []


def test_more_than_forty_trunks(service: Service) -> None:
    """They once made a line of the dial plan too long."""
    for number in range(6):
        ports = [{"type": "pp"}] * 8
        save(service, mac=f"00:A0:BA:00:00:{number:02X}", model="4", trunks_isdn=ports)
    trunks = service.rows(t.trunks)
    assert sorted(row["trunkid"] for row in trunks) == list(range(1, 49))
    numbers = sorted(row["dialoutprefix"] for row in trunks)
    assert numbers == [f"20{n:03d}" for n in range(1, 49)]
    assert len({row["name"] for row in trunks}) == 48
    text = (folder(service) / "00A0BA000005.cfg").read_text("ascii")
    assert all(str(20041 + n) in text for n in range(8))
    longest = max(len(line) for line in text.splitlines())
    assert longest < 200


@pytest.mark.parametrize(
    ("prefixes", "number"),
    [
        (["20001"], 20002),
        (["200"], None),
        (["20001", "200021", "20003"], 20004),
        (["2000"], 20010),
        (["2", "20"], 20001),
        (["9", "", "0721"], 20001),
    ],
)
def test_trunk_numbers_never_begin_with_another(
    service: Service, prefixes: list[str], number: int | None
) -> None:
    rows = [
        {"trunkid": 500 + n, "tech": "sip", "channelid": f"t{n}", "name": "", "dialoutprefix": text}
        for n, text in enumerate(prefixes)
    ]
    service.add(t.trunks, *rows)
    save(service, trunks_isdn=ISDN2[:1])
    given = service.row(t.gateway_config_isdn)["trunknumber"]
    if number is not None:
        assert given == number
    assert not any(
        str(given).startswith(text) or text.startswith(str(given))
        for text in prefixes
        if len(text) > 2
    )


# --- changing -------------------------------------------------------------------------------------


def test_saving_twice_is_an_update_that_changes_nothing(service: Service) -> None:
    service.person("alice", "201")
    ports = {"trunks_isdn": ISDN2, "trunks_fxs": [{"linked_extension": "201"}]}
    first = save(service, **ports)
    unchanged(service, lambda: save(service, **ports))
    assert save(service, **ports) == first
    writings = {"mac": "00-a0-ba-0b-1c-da", "model": 17}
    unchanged(service, lambda: save(service, **ports, **writings))


def test_a_lost_file_comes_back(service: Service) -> None:
    save(service, trunks_isdn=ISDN2)
    path = folder(service) / f"{DIGITS}.cfg"
    path.unlink()
    save(service, trunks_isdn=ISDN2)
    assert path.exists()


def test_fewer_ports(service: Service) -> None:
    """What stays keeps trunk, number and secret; what goes leaves nothing."""
    lines = [{"type": "pp"}] * 4
    gateway_id = save(service, model="18", trunks_isdn=lines)
    kept = service.rows(t.gateway_config_isdn)[:2]
    service.add(t.outbound_routes, {"route_id": 1, "name": "out"}, {"route_id": 3, "name": "x"})
    service.add(
        t.outbound_route_trunks,
        *({"route_id": 1, "trunk_id": n, "seq": n} for n in (1, 2, 3, 4)),
        {"route_id": 3, "trunk_id": 9, "seq": 0},
    )
    service.add(
        t.trunk_dialpatterns,
        {
            "trunkid": 3,
            "match_pattern_prefix": "",
            "match_pattern_pass": "X.",
            "prepend_digits": "",
            "seq": 0,
        },
    )
    rows = pjsip(service, 1)
    assert save(service, model="17", trunks_isdn=lines[:2]) == gateway_id
    assert service.rows(t.gateway_config_isdn) == kept
    assert pjsip(service, 1) == rows
    assert [row["trunkid"] for row in service.rows(t.trunks)] == [1, 2]
    assert {row["id"] for row in service.rows(t.pjsip)} == {"1", "2"}
    links = {(row["route_id"], row["trunk_id"]) for row in service.rows(t.outbound_route_trunks)}
    assert links == {(1, 1), (1, 2), (3, 9)}, "route 3 only has the number of a trunk"
    assert service.rows(t.trunk_dialpatterns) == []
    text = (folder(service) / f"{DIGITS}.cfg").read_text("ascii")
    assert "20003" not in text


def test_another_maker(service: Service) -> None:
    """New names, new trunks, and the files of the old maker are gone."""
    gateway_id = save(service, trunks_isdn=ISDN2)
    assert save(service, model="24", trunks_isdn=ISDN2) == gateway_id
    names = [row["name"] for row in service.rows(t.trunks)]
    assert names == [f"Sangoma_{UID}_isdn_1", f"Sangoma_{UID}_isdn_2"]
    assert len(service.rows(t.gateway_config_isdn)) == 2
    assert files(service) == [f"{DIGITS}config.txt", f"{DIGITS}script.txt"]
    assert {row["id"] for row in service.rows(t.pjsip)} == {
        str(row["trunkid"]) for row in service.rows(t.trunks)
    }


def test_another_address(service: Service) -> None:
    """Follows everywhere, but not where somebody has set a server of their own."""
    save(service, trunks_isdn=ISDN2)
    with service.database.write() as connection:
        connection.execute(
            update(t.pjsip)
            .where(t.pjsip.c.id == "2", t.pjsip.c.keyword == "sip_server")
            .values(data="10.1.1.1")
        )
    save(service, trunks_isdn=ISDN2, ipv4_new="192.168.1.77")
    assert pjsip(service, 1)["sip_server"] == "192.168.1.77"
    assert pjsip(service, 2)["sip_server"] == "10.1.1.1"
    assert "192.168.1.77" in (folder(service) / f"{DIGITS}.cfg").read_text("ascii")


def test_what_somebody_set_in_freepbx_stays(service: Service) -> None:
    """Start-ups and edits of the former service wrote over it."""
    save(service, trunks_isdn=ISDN2)
    own = {
        "outbound_proxy": "sip:sbc.example.org;lr",
        "codecs": "g722",
        "secret": "own-secret",
        "qualify_frequency": "0",
    }
    with service.database.write() as connection:
        for keyword, data in own.items():
            connection.execute(
                update(t.pjsip)
                .where(t.pjsip.c.id == "1", t.pjsip.c.keyword == keyword)
                .values(data=data)
            )
        connection.execute(
            update(t.trunks)
            .where(t.trunks.c.trunkid == 1)
            .values(outcid="0721", name="Centrale", maxchans="2")
        )
    save(service, trunks_isdn=[{"type": "pmp"}, {"type": "pmp"}], ipv4_new="192.168.1.9")
    rows = pjsip(service, 1)
    assert {keyword: rows[keyword] for keyword in own} == own
    trunk = service.row(t.trunks, trunkid=1)
    assert (trunk["outcid"], trunk["name"], trunk["maxchans"]) == ("0721", "Centrale", "2")
    assert service.rows(t.gateway_config_isdn)[0]["secret"] == "own-secret"
    assert "own-secret" in (folder(service) / f"{DIGITS}.cfg").read_text("ascii")
    assert [row["protocol"] for row in service.rows(t.gateway_config_isdn)] == ["pmp", "pmp"]


def test_secrets_and_numbers_never_change_unasked(service: Service) -> None:
    save(service, trunks_isdn=ISDN2)
    before = [(r["trunknumber"], r["secret"]) for r in service.rows(t.gateway_config_isdn)]
    save(service, trunks_isdn=list(reversed(ISDN2)), name="another name", ipv4="192.168.1.3")
    after = [(r["trunknumber"], r["secret"]) for r in service.rows(t.gateway_config_isdn)]
    assert after == before


def test_the_profile_moves_with_the_next_save(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(service, trunks_isdn=ISDN2)
    direct = pjsip(service, 1)
    monkeypatch.setattr(service.settings, "proxy_ip", "10.0.0.9")
    monkeypatch.setattr(service.settings, "proxy_port", 5060)
    text = base64.b64decode(service.get(f"/devices/gateways/download/{BASE['name']}/{MAC}"))
    assert b"10.0.0.9" not in text, "the deployment has changed, the gateway has not"
    save(service, trunks_isdn=ISDN2)
    name = f"Patton_{UID}_isdn_0"
    assert pjsip(service, 1) == {
        **REGISTERED,
        "aors": name,
        "extdisplay": "OUT_1",
        "secret": direct["secret"],
        "sv_channelid": name,
        "sv_trunk_name": name,
        "trunk_name": name,
        "username": name,
    }
    monkeypatch.setattr(service.settings, "proxy_ip", None)
    save(service, trunks_isdn=ISDN2)
    assert pjsip(service, 1) == direct
    assert service.row(t.gateway_config)["proxy"] is None


def test_fxs_ports_change_hands(service: Service) -> None:
    for name, number in (("alice", "201"), ("bob", "202")):
        service.person(name, number)
    empty = traces(service)
    model = model_id(service, "ht802")
    one, two = {"linked_extension": "201"}, {"linked_extension": "202"}
    save(service, **GRANDSTREAM, model=model, trunks_fxs=[one, two])
    before = service.rows(t.gateway_config_fxs)
    save(service, **GRANDSTREAM, model=model, trunks_fxs=[one, one])
    first, second = service.rows(t.gateway_config_fxs)
    assert first == before[0]
    assert (second["id"], second["physical_extension"]) == (before[1]["id"], "91201")
    assert service.rows(t.rest_devices_phones, extension="202") == []
    save(service, **GRANDSTREAM, model=model, trunks_fxs=[two])
    assert service.row(t.gateway_config_fxs)["physical_extension"] == "202"
    assert service.rows(t.devices, id="91201") == []
    gateway_id = service.row(t.gateway_config)["id"]
    service.delete(f"/devices/gateways/{gateway_id}")
    after = traces(service)
    for part in ("gateway_config", "gateway_config_fxs", "rest_devices_phones", "files", "devices"):
        assert after[part] == empty[part], part


def test_the_hole_of_a_deleted_trunk(service: Service) -> None:
    """Later ports stay where they are; the next save fills the hole with number and secret kept."""
    gateway_id = save(service, model="18", trunks_isdn=[{"type": "pp"}] * 3)
    hole = service.rows(t.gateway_config_isdn)[0]
    third = service.rows(t.gateway_config_isdn)[2]
    service.delete(f"/trunks/{hole['trunk']}")
    text = service.client.get(f"/devices/gateways/{gateway_id}/config").text
    assert hole["secret"] not in text
    assert third["secret"] in text
    # The id goes to somebody else, whose trunk is none of the gateway's business.
    created = service.post(
        "/trunks", {"provider": "vivavox", "username": "u", "password": "p", "phone": "1"}
    )
    assert created["trunkid"] == str(hole["trunk"])
    assert hole["secret"] not in service.client.get(f"/devices/gateways/{gateway_id}/config").text
    save(service, model="18", trunks_isdn=[{"type": "pp"}] * 3)
    filled = service.rows(t.gateway_config_isdn)[0]
    assert filled["id"] == hole["id"]
    assert filled["trunk"] == 4
    assert (filled["trunknumber"], filled["secret"]) == (hole["trunknumber"], hole["secret"])
    service.delete(f"/devices/gateways/{gateway_id}")
    assert [row["name"] for row in service.rows(t.trunks)] == ["vivavox"]


# --- which gateway --------------------------------------------------------------------------------


def test_equal_names_are_told_apart_by_mac(service: Service) -> None:
    one = save(service, trunks_isdn=ISDN2)
    other = save(service, mac="00:A0:BA:0C:00:01", trunks_isdn=ISDN2)
    assert one != other
    name = BASE["name"]
    service.refused("DELETE", "/devices/gateways", 409, json={"name": name})
    service.refused("GET", f"/devices/gateways/download/{name}", 409)
    service.refused("POST", "/devices/gateways/push", 409, json={"name": name})
    body = {"name": name.upper(), "mac": "00a0ba0c0001"}
    assert service.call("DELETE", "/devices/gateways", json=body).json() == {"status": True}
    assert service.row(t.gateway_config)["id"] == int(one)
    assert [row["trunkid"] for row in service.rows(t.trunks)] == [1, 2]
    service.refused("DELETE", "/devices/gateways", 404, json=body)
    service.refused("DELETE", "/devices/gateways", 400, json={"name": name, "mac": "x"})


def test_a_gateway_without_mac(service: Service) -> None:
    """There may be one; it is known by its name."""
    gateway_id = save(service, mac="", name="bare", trunks_isdn=ISDN2)
    assert service.row(t.gateway_config)["mac"] == ""
    assert files(service) == ["AAAAAAAAAAAA.cfg"]
    assert save(service, mac=None, name="BARE", trunks_isdn=ISDN2) == gateway_id
    body = {**BASE, "mac": "", "name": "another"}
    assert service.refused("POST", "/devices/gateways", 409, json=body)["errors"]
    assert save(service, name="bare", trunks_isdn=[]) != gateway_id, "a MAC is another gateway"
    service.delete(f"/devices/gateways/{gateway_id}")
    assert files(service) == [f"{DIGITS}.cfg"]


def test_rows_of_the_former_service(service: Service) -> None:
    """MAC addresses in other writings, and no netmask."""
    service.add(
        t.gateway_config,
        {
            "id": 5,
            "model_id": 17,
            "name": "old",
            "mac": "00-a0-ba-0b-1c-da",
            "ipv4_new": "192.168.1.250",
            "gateway": "192.168.1.254",
            "ipv4_green": "192.168.1.1",
        },
    )
    text = base64.b64decode(service.get("/devices/gateways/download/old")).decode()
    assert "255.255.255.0" in text
    assert save(service) == "5"
    assert service.row(t.gateway_config)["mac"] == MAC


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "status", "text"),
    [
        ({"mac": "00:A0:BA"}, 400, "MAC"),
        ({"model": "999"}, 422, "model 999"),
        ({"model": "x' OR 1"}, 422, "model"),
        ({"ipv4_new": ""}, 422, "ipv4_new"),
        ({"ipv4_new": "192.168.1.999"}, 422, "ipv4_new"),
        ({"gateway": "router"}, 422, "gateway"),
        ({"ipv4": "x"}, 422, "ipv4"),
        ({"netmask_green": "255.0.255.0"}, 422, "netmask_green"),
        ({"ipv4_green": "a b"}, 422, "ipv4_green"),
        ({"name": " "}, 422, "name"),
        ({"name": "a\nb"}, 422, "name"),
        ({"trunks_isdn": [{"type": "ppp"}]}, 422, "pp or pmp"),
        ({"trunks_fxo": [{"number": "07 21"}]}, 422, "FXO port 1"),
        ({"trunks_fxo": [{"number": '1"\nreload'}]}, 422, "FXO port 1"),
        ({"trunks_fxs": [{"linked_extension": "999"}]}, 422, "999"),
        ({"trunks_fxs": [{"linked_extension": "%"}]}, 422, "%"),
        ({"users_fxs": [{"linked_user": "nobody"}]}, 422, "nobody"),
        ({"users_fxs": [{"linked_user": "carol"}]}, 422, "carol"),
    ],
)
def test_refusals(service: Service, more: dict[str, Any], status: int, text: str) -> None:
    service.person("carol")
    body = {**BASE, "trunks_isdn": ISDN2, **more}
    problem = service.refused("POST", "/devices/gateways", status, json=body)
    assert text in problem["detail"]
    assert problem["errors"]
    assert problem["warnings"] == problem["infos"] == []
    assert files(service) == []


def test_every_reason_is_told(service: Service) -> None:
    body = {**BASE, "ipv4_new": "x", "gateway": "y", "trunks_isdn": [{"type": "z"}]}
    problem = service.refused("POST", "/devices/gateways", 422, json=body)
    assert len(problem["errors"]) == 3


@pytest.mark.parametrize("missing", ["name", "model", "ipv4_new", "gateway"])
def test_missing_members(service: Service, missing: str) -> None:
    body = {name: value for name, value in BASE.items() if name != missing}
    service.refused("POST", "/devices/gateways", 400, json=body)


def test_bodies_of_other_types(service: Service) -> None:
    service.refused("POST", "/devices/gateways", 400)
    service.refused("POST", "/devices/gateways", 400, json=[1])
    body = {**BASE, "trunks_isdn": "x"}
    problem = service.refused("POST", "/devices/gateways", 400, json=body)
    assert problem["errors"] == [problem["detail"]]
    assert (problem["warnings"], problem["infos"]) == ([], [])
    text = {"content": b"<x/>", "headers": {"Content-Type": "text/xml"}}
    service.refused("POST", "/devices/gateways", 415, **text)
    service.refused("DELETE", "/devices/gateways", 400)
    answer = service.client.request(
        "POST", "/devices/gateways", content=b'{"name": "x"', headers={"Content-Type": ""}
    )
    assert answer.status_code == 400


def test_no_device_number_is_left(service: Service) -> None:
    """Nothing is half made: trunks that came first are undone."""
    service.person("alice", "201")
    ports = [{"linked_extension": "201"}] * 9
    body = {**BASE, "trunks_isdn": ISDN2, "trunks_fxs": ports}
    problem = service.refused("POST", "/devices/gateways", 409, json=body)
    assert problem["status"] == 409
    assert problem["errors"] == ["There aren't available extension numbers"]


def test_a_model_without_template(service: Service) -> None:
    service.add(t.gateway_models, {"id": 901, "model": "Tin 1", "manufacturer": "Acme"})
    body = {**BASE, "model": "901"}
    assert "template" in service.refused("POST", "/devices/gateways", 422, json=body)["detail"]


# --- deleting -------------------------------------------------------------------------------------


def test_delete_leaves_nothing(service: Service) -> None:
    service.person("alice", "201")
    service.settle()
    before = traces(service)
    ports = {
        "trunks_isdn": ISDN2,
        "trunks_pri": [{}],
        "trunks_fxo": [{"number": "1"}],
        "trunks_fxs": [{"linked_extension": "201"}, {"linked_extension": "201"}],
    }
    gateway_id = save(service, **ports)
    service.add(t.outbound_routes, {"route_id": 1, "name": "out"})
    service.add(t.outbound_route_trunks, {"route_id": 1, "trunk_id": 1, "seq": 0})
    service.add(
        t.kvstore_nethcti3, {"key": "disable_topos_header", "val": "1", "type": None, "id": "1"}
    )
    answer = service.call("DELETE", f"/devices/gateways/{gateway_id}")
    assert answer.json() == {"status": True}
    assert "X-Apply-Task" in answer.headers
    after = traces(service)
    with service.database.write() as connection:
        connection.execute(delete(t.outbound_routes))
    for part, rows in before.items():
        if part in ("sip", "outbound_routes", "AMPUSER", "voicemail.conf"):
            continue  # the main extension keeps the marks of its device role
        assert after[part] == rows, part
    assert [row["extension"] for row in service.rows(t.users)] == ["201"]
    assert service.astdb("AMPUSER", "201")["device"] == "201"
    assert service.astdb("AMPUSER", "91201") == {}
    assert {row["id"] for row in service.rows(t.sip)} == {"201"}
    unchanged(service, lambda: service.delete(f"/devices/gateways/{gateway_id}"))


def test_trunks_and_extensions_are_never_mixed_up(service: Service) -> None:
    """Trunk 201 is not extension 201, and the trunk of a port that is extension 1 is not either."""
    service.person("alice", "201")
    service.person("bob", "1")
    service.add(t.trunks, {"trunkid": 201, "tech": "pjsip", "channelid": "v", "name": "v"})
    service.add(t.pjsip, {"id": "201", "keyword": "trunk_name", "data": "v", "flags": 0})
    gateway_id = save(service, trunks_isdn=ISDN2, trunks_fxs=[{"linked_extension": "201"}])
    assert service.rows(t.gateway_config_isdn)[0]["trunk"] == 1
    service.delete(f"/devices/gateways/{gateway_id}")
    assert {row["extension"] for row in service.rows(t.users)} == {"1", "201"}
    assert service.row(t.trunks)["trunkid"] == 201
    assert pjsip(service, 201) == {"trunk_name": "v"}


def test_what_others_use_is_not_deleted(service: Service) -> None:
    """A number that a phone got meanwhile, and a device that two gateways name."""
    service.person("alice", "201")
    ports = [{"linked_extension": "201"}, {"linked_extension": "201"}]
    first = save(service, **GRANDSTREAM, model=model_id(service, "ht802"), trunks_fxs=ports)
    body = {"mainextension": "201", "extension": "91201", "mac": "00:15:65:AA:BB:CC"}
    service.post("/physicalextensions", body)
    second = save(service, trunks_isdn=ISDN2)
    service.add(
        t.gateway_config_fxs,
        {"config_id": int(second), "extension": "201", "physical_extension": "201", "secret": "x"},
    )
    service.delete(f"/devices/gateways/{first}")
    assert service.rows(t.devices, id="91201")
    assert service.row(t.rest_devices_phones, mac="00:15:65:AA:BB:CC")["extension"] == "91201"
    assert service.rows(t.rest_devices_phones, extension="201")
    service.delete(f"/devices/gateways/{second}")
    assert service.rows(t.rest_devices_phones, extension="201") == []


def test_ids_that_are_none(service: Service) -> None:
    unchanged(service, lambda: service.delete("/devices/gateways/999"))
    service.refused("DELETE", "/devices/gateways/x", 404)
    service.refused("GET", "/devices/gateways/999/config", 404)
    service.refused("GET", "/devices/gateways/999/diff", 404)
    service.refused("GET", "/devices/gateways/999/tasks", 404)
    service.refused("GET", "/devices/gateways/download/nobody", 404)
    service.refused("GET", f"/devices/gateways/download/nobody/{MAC}", 404)
    service.refused("GET", "/devices/gateways/download/nobody/xx", 400)


def test_each_change_asks_for_a_reload_and_nothing_else_does(service: Service) -> None:
    """A deleted trunk once stayed registered for want of one."""

    def jobs(method: str, path: str, body: Any = None) -> bool:
        answer = service.call(method, path, **({} if body is None else {"json": body}))
        assert answer.status_code == 200, answer.text
        return "X-Apply-Task" in answer.headers

    body = {**BASE, "trunks_isdn": ISDN2}
    assert jobs("POST", "/devices/gateways", body)
    gateway_id = service.row(t.gateway_config)["id"]
    assert not jobs("POST", "/devices/gateways", body)
    assert jobs("POST", "/devices/gateways", {**body, "trunks_isdn": ISDN2[:1]})
    assert jobs("POST", "/devices/gateways", {**body, "ipv4_new": "192.168.1.4"})
    for path in ("config", "diff", "tasks"):
        assert not jobs("GET", f"/devices/gateways/{gateway_id}/{path}")
    assert not jobs("GET", f"/devices/gateways/download/{BASE['name']}")
    assert jobs("DELETE", "/devices/gateways", {"name": BASE["name"]})


# --- texts ----------------------------------------------------------------------------------------


def _undated(text: str) -> str:
    return re.sub(r"generated [0-9 :-]+", "", text)


@pytest.mark.parametrize("model", ["3", "17", "25", "35", "ht802", "gxw4248"])
def test_download_is_the_file(service: Service, model: str) -> None:
    service.person("alice", "201")
    if not model.isdigit():
        model = model_id(service, model)
    ports = {"trunks_isdn": ISDN2, "trunks_fxs": [{"linked_extension": "201"}]}
    gateway_id = save(service, model=model, **ports)
    names = [name for name in files(service) if not name.endswith("script.txt")]
    served = (folder(service) / names[0]).read_bytes().decode("ascii")
    text = base64.b64decode(
        service.get(f"/devices/gateways/download/{BASE['name']}/{DIGITS.lower()}")
    ).decode("ascii")
    assert _undated(text) == _undated(served)
    answer = service.client.get(f"/devices/gateways/{gateway_id}/config")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    assert _undated(answer.content.decode()) == _undated(served)
    assert service.client.get(f"/devices/gateways/{gateway_id}/diff").text == ""


def test_diff(service: Service) -> None:
    gateway_id = save(service, trunks_isdn=ISDN2)
    path = folder(service) / f"{DIGITS}.cfg"
    rendered = path.read_text("ascii")
    path.write_text(rendered.replace("192.168.1.250", "192.168.1.9"))
    answer = service.client.get(f"/devices/gateways/{gateway_id}/diff")
    lines = answer.text.splitlines()
    assert lines[:2] == [f"--- served/{DIGITS}.cfg", f"+++ rendered/{DIGITS}.cfg"]
    changed = [line for line in lines[2:] if line[0] in "+-"]
    assert changed
    assert all("192.168.1.9" in line for line in changed if line[0] == "-")
    assert all("192.168.1.250" in line for line in changed if line[0] == "+")
    path.unlink()
    text = service.client.get(f"/devices/gateways/{gateway_id}/diff").text
    assert text.startswith("--- /dev/null\n")
    assert not path.exists()


def test_admin_password_only_when_set(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydantic import SecretStr

    gateway_id = save(service, model="2", trunks_isdn=ISDN2)
    path = f"/devices/gateways/{gateway_id}/config"
    assert "administrator" not in service.client.get(path).text
    monkeypatch.setattr(service.settings, "gateway_admin_password", SecretStr("Pa55-word"))
    assert "Pa55-word" in service.client.get(path).text


# --- files ----------------------------------------------------------------------------------------


def test_files_wait_for_their_folder(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The change is committed and answered; the file follows when it can be written."""
    real = DeviceFiles.apply

    def full(*_: Any) -> None:
        raise TargetDown("no space left on device")

    monkeypatch.setattr(DeviceFiles, "apply", full)
    save(service, trunks_isdn=ISDN2)
    assert files(service) == []
    assert service.row(t.rest_outbox)["target"] == "files"
    monkeypatch.setattr(DeviceFiles, "apply", real)
    eventually(lambda: files(service) == [f"{DIGITS}.cfg"] and not service.rows(t.rest_outbox), 20)


# --- many -----------------------------------------------------------------------------------------


def test_many_gateways_cost_as_many_statements_as_one(service: Service) -> None:
    save(service, trunks_isdn=ISDN2)

    def count() -> int:
        service.get("/devices/gateways/list/x")
        with service.statements() as seen:
            service.get("/devices/gateways/list/x")
            service.get("/devices/gateways/manufacturers")
        return sum("gateway_" in statement for statement in seen)

    one = count()
    rows = [
        {"id": 1000 + n, "model_id": 17, "name": f"g{n}", "mac": f"00:A0:BA:00:00:{n:02X}"}
        for n in range(100)
    ]  # fmt: skip
    service.add(t.gateway_config, *rows)
    service.add(
        t.gateway_config_isdn,
        *(
            {"config_id": 1000 + n, "trunk": 1000 + n, "trunknumber": 201000 + n, "secret": "x"}
            for n in range(100)
        ),
    )
    assert count() == one
    assert len(service.get("/devices/gateways/list/x")) == 101


def test_the_text_of_one_costs_the_same_among_many(service: Service) -> None:
    small = save(service, model="16", trunks_isdn=ISDN2[:1])
    large = save(service, mac="00:A0:BA:00:00:01", model="4", trunks_isdn=[{"type": "pp"}] * 8)
    counts = []
    for gateway_id in (small, large):
        with service.statements() as seen:
            service.client.get(f"/devices/gateways/{gateway_id}/config")
        counts.append(sum("gateway_" in s or "pjsip" in s or "trunks" in s for s in seen))
    assert counts[0] == counts[1] <= 8


def test_two_at_once(service: Service) -> None:
    """Eight saves of different gateways and of one and the same: nothing is given twice."""
    service.person("alice", "201")
    barrier = threading.Barrier(8)
    answers: list[int] = []

    def client(number: int) -> None:
        barrier.wait(30)
        mac = f"00:A0:BA:00:00:{number // 2:02X}"
        body = {**BASE, "mac": mac, "trunks_isdn": ISDN2}
        if number == 7:
            body["trunks_fxs"] = [{"linked_extension": "201"}]
        answer = service.call("POST", "/devices/gateways", json=body)
        answers.append(answer.status_code)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 8
    assert len(service.rows(t.gateway_config)) == 4
    ports = service.rows(t.gateway_config_isdn)
    assert sorted(row["trunk"] for row in ports) == list(range(1, 9))
    assert len({row["trunknumber"] for row in ports}) == 8
    assert len(service.rows(t.trunks)) == 8
    with service.database.engine.connect() as connection:
        sections = connection.scalar(
            select(func.count()).select_from(t.pjsip).where(t.pjsip.c.keyword == "trunk_name")
        )
    assert sections == 8
