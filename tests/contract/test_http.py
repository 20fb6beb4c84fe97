"""What holds for every operation: paths, methods, bodies, limits."""

import socket

import pytest

from tests.support import BASE, Service, headers

MEGABYTE = 1024 * 1024


def test_paths_are_exact(service: Service) -> None:
    for path in ("/users/count/", "//users", "/Users", "/users/count/x", "/nowhere"):
        answer = service.call("GET", path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 404


def test_a_missing_method_is_405_with_the_allowed_ones(service: Service) -> None:
    answer = service.call("PUT", "/users")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    assert answer.json()["detail"] == "Method not allowed. Must be one of: GET, POST"
    # A literal segment wins whatever the method.
    assert service.call("DELETE", "/mainextensions/userlimits").status_code == 405
    assert service.call("GET", "/physicalextensions/adminpw").status_code == 405


def test_head_is_get_without_body(service: Service) -> None:
    answer = service.call("HEAD", "/users/count")
    assert answer.status_code == 200
    assert answer.content == b""
    assert service.call("HEAD", "/testauth").status_code == 405


@pytest.mark.parametrize(
    "body", [b"{", b'{"a": NaN}', b"[" * 100_000, b"\xff\xfe", b'"text"', b"1"]
)
def test_unreadable_json(service: Service, body: bytes) -> None:
    problem = service.refused("POST", "/mainextensions", 400, content=body)
    assert "JSON" in problem["detail"] or "object" in problem["detail"]


def test_missing_body_and_missing_members(service: Service) -> None:
    problem = service.refused("POST", "/mainextensions", 400)
    assert problem["detail"] == "a body is required"
    problem = service.refused("POST", "/mainextensions", 400, json={})
    assert problem["detail"] == "username is required"
    problem = service.refused("POST", "/mainextensions", 400, json={"username": None})
    assert problem["detail"] == "username is required"
    problem = service.refused("POST", "/mainextensions", 400, json={"username": ["a"]})
    assert problem["detail"] == "username must be string"
    assert problem["pointer"] == "/username"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "image/png"])
def test_other_media_types(service: Service, kind: str) -> None:
    more = {"content": b"<a/>", "headers": {"Content-Type": kind}}
    problem = service.refused("POST", "/mainextensions", 415, **more)
    assert kind in problem["detail"]


def test_large_bodies(service: Service) -> None:
    body = b'{"username": "' + b"a" * (10 * MEGABYTE) + b'"}'
    service.refused("POST", "/mainextensions", 413, content=body)
    service.refused("POST", "/mainextensions", 413, content=_chunks(body))
    # Operations without a body read and drop what is sent, but not without end.
    service.refused("POST", "/users/sync", 413, content=body)


def _chunks(body: bytes):  # type: ignore[no-untyped-def]
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


def test_a_body_just_below_the_limit_is_read(service: Service) -> None:
    service.person("ada")
    padding = "x" * (9 * MEGABYTE)
    body = {"username": "ada", "extension": "200", "ignored": padding}
    service.post("/mainextensions", body, 201)


def test_forms_in_all_variants(service: Service) -> None:
    for number, name in enumerate(["ada", "bob", "eve"]):
        service.person(name)
        body = {"username": name, "extension": str(200 + number)}
        more: dict[str, object] = [
            {"data": body},
            {"files": {key: (None, value) for key, value in body.items()}},
            {"json": body},
        ][number]  # type: ignore[assignment]
        answer = service.call("POST", "/mainextensions", **more)
        assert answer.status_code == 201, answer.text
        assert answer.content == b""
    with_junk = {"username": "ada", "0": "step", "extension": "200"}
    assert service.call("POST", "/mainextensions", data=with_junk).status_code == 201


@pytest.mark.parametrize("place", ["\u00b2", "1" * 5000, "-1", "x"])
def test_a_place_in_a_form_that_is_none(service: Service, place: str) -> None:
    answer = service.call("POST", "/trunks", data={"provider": "x", f"codecs[{place}]": "ulaw"})
    assert answer.status_code == 400, answer.text


def test_a_form_field_without_a_name(service: Service) -> None:
    more = {"content": b"=null", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    service.refused("POST", "/outboundroutes", 400, **more)


def test_files_are_taken_only_where_they_belong(service: Service) -> None:
    files = {"username": ("a.txt", b"ada")}
    service.refused("POST", "/mainextensions", 400, files=files)


def test_percent_encoded_segments(service: Service) -> None:
    service.person('o\'neil "x"/é')
    path = "/users/o%27neil%20%22x%22%2F%C3%A9"
    assert service.get(path)["username"] == 'o\'neil "x"/é'
    assert service.call("GET", "/users/%FF").status_code == 404


def test_answers_say_what_they_are(service: Service) -> None:
    answer = service.call("GET", "/users/count")
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert answer.json() == 0


def test_broken_requests_do_not_stop_the_service(service: Service) -> None:
    for data in (
        b"\x00\xff garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        f"POST {BASE}/mainextensions HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{{".encode(),
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", service.port), 5) as raw:
            raw.sendall(data)
    assert service.get("/login") == {"success": True}


def test_a_client_that_goes_away_while_sending_changes_nothing(service: Service) -> None:
    service.person("ada")
    before = service.everything()
    lines = [f"POST {BASE}/mainextensions HTTP/1.1", "Host: x", "Content-Length: 500"]
    lines += [f"{name}: {value}" for name, value in headers().items()]
    with socket.create_connection(("127.0.0.1", service.port), 5) as raw:
        raw.sendall("\r\n".join([*lines, "", '{"username": "ada", "extension": "200"']).encode())
    assert service.get("/login") == {"success": True}
    assert service.everything() == before
