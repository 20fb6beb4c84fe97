"""Regressions that the histories of such systems show, in the area of people and extensions.

The numbers are those of the list of lessons this product keeps to; each test says what was wrong
elsewhere and holds what is right here. Others have their place beside the operation they concern:
reloads in tests/unit/test_apply.py, CSV in test_csv.py, the crash in tests/integration.
"""

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nethvoice.store import tables as t
from tests.support import Service, eventually

HOSTILE = [
    "O'Neil",
    'Ada "the first"',
    "back\\slash",
    "100% _wild_",
    "<b>Ada</b> & Co.",
    "x'; DROP TABLE users; -- ",
    "Zoë Größe 日本",
    "$(reboot) `id` ${HOME} ; | &",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_1_quotes_and_unicode_in_names(service: Service, name: str) -> None:
    """A1: names broke SQL and contexts."""
    service.person("ada", displayname=name)
    service.post("/mainextensions", {"username": "ada", "extension": "200"}, 201)
    service.post("/voicemails", {"extension": "200", "state": "yes"})
    service.post("/physicalextensions", {"mainextension": "200", "mac": "001565AABBCC"})
    assert service.get("/users/ada")["displayname"] == name
    shown = name.strip().replace("<", "(").replace(">", ")")
    assert service.row(t.users, extension="200")["name"] == shown
    assert service.astdb("AMPUSER", "200")["cidname"] == name.strip()
    assert service.get("/extension/200/displayname") == {"displayname": name.strip()}
    assert service.get("/voicemails/200")["mailbox"] == 200
    assert len(service.rows(t.users)) == 1


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(max_size=60), path=st.text(min_size=1, max_size=40))
def test_1_no_text_breaks_anything(service: Service, name: str, path: str) -> None:
    from urllib.parse import quote

    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/mainextensions", {"username": name, "extension": "200"}),
        ("/mobiles", {"username": name, "mobile": path}),
        ("/users", {"username": name, "fullname": path}),
        ("/extension/200", {"displayname": name}),
    ]
    for where, body in bodies:
        assert service.call("POST", where, json=body).status_code < 500
    segment = quote(path, safe="")
    for where in (f"/users/{segment}", f"/mobiles/{segment}", f"/users/{segment}/password"):
        answer = service.call("GET", where)
        assert answer.status_code < 500
        assert answer.headers["content-type"].startswith("application/")


@pytest.mark.parametrize(
    "mac", ["' OR 1=1 --", "00:11:22:33:44:5g", "001122334455667", "0011.2233"]
)
def test_2_macs_are_checked_at_the_edge(service: Service, mac: str) -> None:
    """A2: the address was pasted into SQL."""
    service.person("ada", "200")
    body = {"mainextension": "200", "mac": mac}
    service.refused("POST", "/physicalextensions", 400, json=body)


def test_3_devices_belong_by_relation_not_by_suffix(service: Service) -> None:
    """A3: what ends in 200 is not all of 200."""
    for name, number in (("ada", "200"), ("bob", "1200"), ("eve", "9200"), ("joe", "90012200")):
        service.person(name, number)
        service.post("/physicalextensions", {"mainextension": number, "mac": None})
        service.post("/physicalextensions", {"mainextension": number})
    others = [row for row in service.rows(t.users) if row["extension"] not in ("200", "91200")]
    service.post("/extension/200", {"displayname": "Another"}, 204)
    assert [
        row for row in service.rows(t.users) if row["extension"] not in ("200", "91200")
    ] == others
    service.post("/mainextensions", {"username": "ada", "extension": ""})
    assert service.rows(t.users) == others


def test_4_large_csv_files(service: Service) -> None:
    """A4: above 98 kB nothing happened and the answer was 200; passwords stood in `ps`."""
    comment = "# " + "x" * 1000 + "\n"
    text = comment * 400 + "ada,Ada Rossi,200\n"
    data = base64.b64encode(text.encode()).decode()
    service.post("/csv/csvimport", {"file": data})
    eventually(lambda: service.call("GET", "/csv/csvimport").json().get("result") == 100, 60)
    assert service.row(t.users, extension="200")["name"] == "Ada Rossi"


def test_5_asking_has_no_side_effect(service: Service) -> None:
    """A5: reading the end state deleted it."""
    data = base64.b64encode(b"ada,Ada Rossi,200\n").decode()
    service.post("/csv/csvimport", {"file": data})
    eventually(lambda: service.call("GET", "/csv/csvimport").json().get("result") == 100, 60)
    for _ in range(3):
        assert service.get("/csv/csvimport") == {"result": 100}


def test_11_a_freed_number_can_be_used_at_once(service: Service) -> None:
    """A11: a cleared extension blocked its number until something else reloaded."""
    service.person("ada", "200")
    service.person("bob")
    service.post("/mainextensions", {"username": "ada", "extension": ""})
    service.post("/mainextensions", {"username": "bob", "extension": "200"}, 201)
    assert service.get("/users/bob")["default_extension"] == "200"


def _traces(service: Service, numbers: tuple[str, ...]) -> list[str]:
    """Where the numbers still stand, whatever the table or key."""
    found = []
    for name, rows in service.everything().items():
        if name == "voicemail.conf":
            found += [f"{name}: {n}" for n in numbers if f"\n{n}=" in rows.decode()]
        elif isinstance(rows, dict):
            found += [f"{name}/{key}" for key in rows if key.partition("/")[0] in numbers]
        else:
            found += [f"{name}: {row}" for row in rows if set(map(str, row)) & set(numbers)]
    return found


def test_14_removal_leaves_no_orphans(service: Service) -> None:
    """A14: groups, PINs, devices, keys and flags stayed behind."""
    service.person("ada", "200")
    service.post("/physicalextensions", {"mainextension": "200", "mac": "001565AABBCC"})
    service.post("/physicalextensions", {"mainextension": "200", "mac": "001565AABBCD"})
    service.post("/webrtc", {"extension": "200"})
    service.post("/mobileapp", {"mainextension": "200"}, 201)
    service.post("/nethlink", {"extension": "200"})
    service.post("/voicemails", {"extension": "200", "state": "yes"})
    service.add(t.pin, *({"extension": n, "pin": "1"} for n in (200, 91200)))
    service.add(t.findmefollow, {"grpnum": "200", "strategy": "x", "grptime": 1, "grplist": "200"})
    service.add(t.paging_groups, {"page_number": "600", "ext": "91200"})
    service.add(t.fax_users, {"user": "200", "faxenabled": "true"})
    numbers = ("200", "91200", "92200", "93200", "94200")
    assert len({trace.partition(":")[0] for trace in _traces(service, numbers)}) > 8
    service.post("/mainextensions", {"username": "ada", "extension": ""})
    assert _traces(service, numbers) == []
    phones = service.rows(t.rest_devices_phones)
    assert sorted(row["mac"] for row in phones) == ["00:15:65:AA:BB:CC", "00:15:65:AA:BB:CD"]
    assert {row["user_id"] for row in phones} == {None}


def test_15_unlinking_never_deletes_the_owner(service: Service) -> None:
    """A15: unlinking a phone deleted the main extension."""
    service.person("ada", "200")
    service.post("/physicalextensions", {"mainextension": "200", "mac": "001565AABBCC"})
    service.delete("/physicalextensions/00-15-65-AA-BB-CC")
    assert service.get("/users/ada")["default_extension"] == "200"
    assert [row["extension"] for row in service.rows(t.users)] == ["200"]
    assert service.get("/users/ada")["devices"] == []


def test_16_srtp_of_what_does_not_exist(service: Service) -> None:
    """A16: it was a 500, or a row from nowhere."""
    service.refused("POST", "/extensions/999/srtp/true", 404)
    assert service.get("/extensions/999/srtp") is False


def test_17_letter_case_and_digits_in_names(service: Service) -> None:
    """A17: names beginning with a digit, upper-case names."""
    service.person("7up")
    service.post("/mainextensions", {"username": "7UP", "extension": "200"}, 201)
    assert service.get("/users/7Up")["default_extension"] == "200"
    answer = service.call("POST", "/users", json={"username": "8ball", "fullname": "Eight"})
    assert answer.status_code == 422


def test_18_lists_are_lists_when_empty(service: Service) -> None:
    """A18: lists came as objects or with gaps, maps as lists."""
    for path in ("/users", "/users/true", "/users/false", "/users/all", "/mobiles", "/final",
                 "/mainextensions", "/physicalextensions"):  # fmt: skip
        assert service.get(path) == [], path
    assert service.get("/voicemails") == {}
    service.person("ada")
    assert service.get("/users/ada")["devices"] == []


def test_19_not_set_is_404(service: Service) -> None:
    """A19: 200 with null and 404 took turns."""
    service.person("ada", "200")
    for path in ("/mobiles/ada", "/voicemails/200", "/mobileapp/200", "/webrtc/200",
                 "/nethlink/200", "/mobileapp/undefined", "/webrtc/none"):  # fmt: skip
        answer = service.call("GET", path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"


def test_25_srtp_is_never_left_to_a_default(service: Service) -> None:
    """A25: an unset value meant another thing later."""
    service.person("ada", "200")
    service.post("/physicalextensions", {"mainextension": "200", "mac": "001565AABBCC"})
    assert service.sip("200")["media_encryption"] == "no"
    service.post("/extensions/200/srtp/true")
    assert service.sip("200")["media_encryption"] == "sdes"
    assert service.row(t.rest_devices_phones, extension="200")["srtp"] == 1
    service.post("/extensions/200/srtp/false")
    assert service.row(t.rest_devices_phones, extension="200")["srtp"] == 0


def test_42_secrets_change_only_when_asked(service: Service) -> None:
    """B42: an update without a secret made a new one."""
    service.person("ada", "200")
    secret = service.sip("200")["secret"]
    service.post("/physicalextensions", {"mainextension": "200", "mac": "001565AABBCC"})
    service.post("/extension/200", {"displayname": "Ada Lovelace"}, 204)
    service.post(
        "/mainextensions", {"username": "ada", "extension": "200", "outboundcid": "1"}, 201
    )
    service.post("/extensions/200/srtp/true")
    service.post("/voicemails", {"extension": "200", "state": "yes"})
    assert service.sip("200")["secret"] == secret


def test_no_op_writes_change_nothing_and_reload_nothing(service: Service) -> None:
    """1.1: an update must not reset what was not sent; the same again is nothing."""
    service.person("ada", "200")
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/physicalextensions", {"mainextension": "200", "mac": "001565AABBCC"}),
        ("POST", "/webrtc", {"extension": "200"}),
        ("POST", "/mobileapp", {"mainextension": "200"}),
        ("POST", "/voicemails", {"extension": "200", "state": "yes"}),
        ("POST", "/mobiles", {"username": "ada", "mobile": "+39 333 123"}),
        ("POST", "/extension/200", {"displayname": "Ada Lovelace"}),
        ("POST", "/extensions/200/srtp/true", None),
        ("POST", "/mainextensions", {"username": "ada", "extension": "200"}),
        ("POST", "/physicalextensions/adminpw", {"password": "phone-password"}),
        ("PATCH", "/physicalextensions/001565AABBCC", {"model": "yealink-T46"}),
    ]
    for method, path, body in requests:
        answer = service.call(method, path, json=body)
        assert answer.is_success, (path, answer.text)
    before = service.everything()
    for method, path, body in requests:
        answer = service.call(method, path, json=body)
        assert answer.is_success, (path, answer.text)
        assert "x-apply-task" not in answer.headers, path
    assert service.everything() == before
