"""Who is let in, in which order things are checked, and what slows down guessing."""

import hashlib
from typing import Any

import httpx
import pytest

from nethvoice.store import tables as t
from tests.support import ADMIN, BASE, PASSWORD, SECRET, Service, eventually, headers, sha1

TEXTS = {
    "none": "Forbidden: no credentials",
    "user": "Forbidden: invalid user",
    "key": "Forbidden: wrong secret key",
}


def _bare(service: Service) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{service.port}{BASE}", timeout=30)


def _refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 403
    assert problem["detail"] == problem["error"]
    return str(problem["error"])


def test_the_published_vector() -> None:
    key = hashlib.sha1(f"admin{sha1('admin')}1234".encode()).hexdigest()
    assert key == "51b3bfeb54d746a8c8989e71dd8be757787d1adc"


def test_testauth_gives_the_secret(service: Service) -> None:
    with _bare(service) as client:
        answer = client.post("/testauth", json={"username": ADMIN, "password": PASSWORD})
        assert answer.status_code == 200
        assert answer.json() == {"result": SECRET}
        assert answer.headers["cache-control"] == "no-store"
        form = client.post("/testauth", data={"username": "ADMIN", "password": PASSWORD})
        assert form.json() == {"result": SECRET}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": ADMIN},
        {"username": ADMIN, "password": "wrong"},
        {"username": "", "password": PASSWORD},
        {"username": "nobody", "password": PASSWORD},
        {"username": "' OR '1'='1", "password": "x"},
    ],
)
def test_testauth_refuses(service: Service, body: dict[str, str]) -> None:
    with _bare(service) as client:
        answer = client.post("/testauth", json=body)
    assert answer.status_code == 401
    problem = answer.json()
    assert problem["error"]
    assert SECRET not in answer.text


def test_only_administrators_of_all_sections(service: Service) -> None:
    rows = [
        {"username": "clerk", "password_sha1": sha1("x"), "sections": "extensions;users"},
        {"username": "almost", "password_sha1": sha1("x"), "sections": "a*;b*c"},
        {"username": "empty", "password_sha1": "", "sections": "*"},
        {"username": "second", "password_sha1": sha1("x"), "sections": "extensions;*"},
    ]
    service.add(t.ampusers, *rows)
    with _bare(service) as client:
        for name in ("clerk", "almost", "empty"):
            assert _refusal(client.get("/login", headers=headers(name, "x"))) == TEXTS["user"]
            body = {"username": name, "password": "x"}
            assert client.post("/testauth", json=body).status_code == 401
        assert client.get("/login", headers=headers("second", "x")).json() == {"success": True}


def test_login_and_logout(service: Service) -> None:
    assert service.get("/login") == {"success": True}
    assert service.get("/logout") == {"success": True}
    assert service.get("/login") == {"success": True}


def test_the_name_in_any_case_with_the_key_of_the_stored_one(service: Service) -> None:
    right = headers()
    with _bare(service) as client:
        answer = client.get("/login", headers={**right, "User": "ADMIN"})
        assert answer.status_code == 200
        shouted = headers("ADMIN")
        assert _refusal(client.get("/login", headers=shouted)) == TEXTS["key"]


def test_each_check_has_its_text(service: Service) -> None:
    right = headers()
    with _bare(service) as client:
        assert _refusal(client.get("/login")) == TEXTS["none"]
        assert _refusal(client.get("/login", headers={"User": ADMIN})) == TEXTS["none"]
        only_key = {"Secretkey": right["Secretkey"]}
        assert _refusal(client.get("/login", headers=only_key)) == TEXTS["none"]
        nobody = {**right, "User": "nobody"}
        assert _refusal(client.get("/login", headers=nobody)) == TEXTS["user"]
        empty = {"User": "", "Secretkey": ""}
        assert _refusal(client.get("/login", headers=empty)) == TEXTS["user"]
        wrong = {**right, "Secretkey": "0" * 40}
        assert _refusal(client.get("/login", headers=wrong)) == TEXTS["key"]
        upper = {**right, "Secretkey": right["Secretkey"].upper()}
        assert _refusal(client.get("/login", headers=upper)) == TEXTS["key"]
        twice = [("User", ADMIN), ("User", ADMIN), ("Secretkey", right["Secretkey"])]
        assert _refusal(client.get("/login", headers=twice)) == TEXTS["none"]


def test_authentication_comes_before_routing(service: Service) -> None:
    with _bare(service) as client:
        for method, path in [
            ("GET", "/nowhere"),
            ("PUT", "/users"),
            ("GET", "/users/"),
            ("POST", "/physicalextensions"),
            ("GET", "/testauth/"),
            ("GET", "//testauth"),
            ("GET", "/uix"),
        ]:
            assert _refusal(client.request(method, path)) == TEXTS["none"], path
        # The one public path that has no GET.
        answer = client.get("/testauth")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"


def test_every_operation_needs_a_key(service: Service) -> None:
    """Made from the document: whatever is added to it later is covered."""
    from nethvoice.document import load_document

    public = []
    with _bare(service) as client:
        for path, item in load_document()["paths"].items():
            for method, operation in item.items():
                concrete = path
                for name in {part[1:-1] for part in path.split("/") if part.startswith("{")}:
                    concrete = concrete.replace("{" + name + "}", "1")
                wrong = {**headers(), "Secretkey": "f" * 40}
                if operation.get("security") == []:
                    public.append(operation["operationId"])
                    continue
                answer = client.request(method.upper(), concrete)
                assert _refusal(answer) == TEXTS["none"], operation["operationId"]
                answer = client.request(method.upper(), concrete, headers=wrong)
                assert _refusal(answer) == TEXTS["key"], operation["operationId"]
    assert set(public) <= {"verify_administrator", "get_sha1_script", "get_mac_address_map"}


def test_public_things(service: Service) -> None:
    with _bare(service) as client:
        script = client.get("/sha1.js")
        assert script.status_code == 200
        assert script.headers["content-type"].startswith("text/javascript")
        assert "function sha1(" in script.text
        assert client.get("/ui/").status_code == 200
        assert client.get("/openapi.json").json()["openapi"] == "3.0.3"
        assert client.get("/openapi.yaml").status_code == 200
        root = f"http://127.0.0.1:{service.port}"
        assert client.get(f"{root}/health").status_code == 200
        assert client.get(f"{root}/metrics").status_code == 403
        assert client.get(f"{root}/metrics", headers=headers()).status_code == 200


def test_options_needs_no_key(service: Service) -> None:
    with _bare(service) as client:
        answer = client.options("/users")
        assert answer.status_code == 200
        assert answer.headers["allow"] == "GET, POST"
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text == "Allowed methods: GET, POST"
        assert "access-control-allow-origin" not in answer.headers
        assert client.options("/nowhere").status_code == 404


def test_guessing_passwords_is_stopped(service: Service) -> None:
    """The tests' service has a limit of five a minute."""
    right = {"username": ADMIN, "password": PASSWORD}
    with _bare(service) as client:
        for _ in range(service.settings.testauth_failure_limit):
            wrong = client.post("/testauth", json={"username": ADMIN, "password": "guess"})
            assert wrong.status_code == 401
        stopped = client.post("/testauth", json=right)
        assert stopped.status_code == 429
        assert 1 <= int(stopped.headers["retry-after"]) <= 60
        # A right key is never held up.
        assert client.get("/login", headers=headers()).status_code == 200


def test_guessing_keys_is_stopped_but_right_keys_pass(service: Service) -> None:
    wrong = {**headers(), "Secretkey": "1" * 40}
    limit = service.settings.login_failure_limit
    import time

    now = time.time()
    service.add(
        t.rest_login_failures,
        *({"kind": "headers", "address": "127.0.0.1", "at": now} for _ in range(limit)),
    )
    with _bare(service) as client:
        stopped = client.get("/login", headers=wrong)
        assert stopped.status_code == 429
        assert int(stopped.headers["retry-after"]) >= 1
        assert client.get("/login", headers=headers()).status_code == 200


def test_a_changed_password_makes_the_old_key_wrong(service: Service) -> None:
    old = headers()
    answer = service.call("POST", "/users/admin/password", json={"password": "better"})
    assert answer.status_code == 201
    assert answer.headers["x-apply-task"]
    try:
        with _bare(service) as client:
            assert _refusal(client.get("/login", headers=old)) == TEXTS["key"]
            new = client.get("/login", headers=headers(password="better"))
            assert new.status_code == 200
    finally:
        service.reset()

    def known_again() -> Any:
        return service.call("GET", "/login").status_code == 200

    eventually(known_again)


def test_every_answer_has_a_request_id(service: Service) -> None:
    with _bare(service) as client:
        made = client.get("/login").headers["x-request-id"]
        other = client.get("/login").headers["x-request-id"]
        assert made != other
        given = client.get("/login", headers={**headers(), "X-Request-Id": "client-7"})
        assert given.headers["x-request-id"] == "client-7"
        odd = client.get("/login", headers={**headers(), "X-Request-Id": "a b\tc"})
        assert odd.headers["x-request-id"] not in ("a b\tc", "")
        problem = client.get("/login", headers={"X-Request-Id": "client-8"}).json()
        assert problem["instance"] == "urn:request:client-8"
