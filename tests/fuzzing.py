"""Generated requests for every operation of the document, and what every answer must be.

Schemathesis makes the requests: valid ones from the schemas, and wrong ones by breaking them. Some
operations look for phones or call other hosts, wherever a generated address may lead. So all of it
runs where there is nothing but loopback, in a network namespace that scripts/fuzz makes.
"""

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, strategies
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi import checks as built_in

from nethvoice.http.bodies import FORM
from tests.support import BASE, headers

EXAMPLES = int(os.environ.get("NETHVOICE_FUZZ_EXAMPLES", "0"))
"""Examples an operation, valid and wrong ones each; 0 is the short deterministic run."""

SHORT = 4

OUTSIDE = {
    "push_gateway_configuration",
    "reboot_phone",
    "reconfigure_phone",
    "register_phone_redirect",
    "reload_phone_configuration",
    "suggest_external_ip",
    "sync_phonebook_source",
    "test_phonebook_source",
}
"""Operations that cannot do without another host or a device, and say so with 502, 503 or 504."""


def is_isolated() -> bool:
    """True where no request can leave this machine."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]


def settings(short: int = SHORT) -> hypothesis.settings:
    """How many examples, and whether they are the same each time."""
    return hypothesis.settings(
        max_examples=EXAMPLES or short,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=bool(EXAMPLES),
    )


class Fuzzer:
    """Sends generated requests of one document to a server and judges the answers."""

    def __init__(self, document: Mapping[str, Any], port: int) -> None:
        self.base = f"http://127.0.0.1:{port}{BASE}"
        self.schema = schemathesis.openapi.from_dict(dict(document), config=SchemathesisConfig())
        self.schema.config.update(base_url=self.base)
        # Each request is sent with the right key, so a wrong one must not count as its fault.
        self.schema.config.generation.update(with_security_parameters=False)
        self._session = requests.Session()
        self._headers = headers()

    def run(self, path: str, method: str, mode: GenerationMode) -> None:
        """All examples of an operation. Raises with the request of the first one that is wrong."""
        operation = self.schema[path][method.upper()]
        example = _own_example(operation.definition.raw)

        @settings()
        @hypothesis.given(operation.as_strategy(generation_mode=mode), strategies.booleans())
        def send(case: Case, known: bool) -> None:
            if known and mode is GenerationMode.POSITIVE:
                case.path_parameters = {**(case.path_parameters or {}), **example}
            self.send(case)

        send()

    def walk(self, begin: Callable[[], None]) -> None:
        """Chains of operations: what one answers goes into the next, along the links.

        `begin` makes the system that each chain starts from: one that is repeated must find what it
        found before.
        """
        fuzzer = self

        class Walk(self.schema.as_state_machine()):  # type: ignore[misc]
            """One chain after the other."""

            def setup(self) -> None:
                begin()

            def get_call_kwargs(self, case: Case) -> dict[str, Any]:
                return {"headers": fuzzer._headers, "timeout": 60, "session": fuzzer._session}

            def validate_response(self, response: Any, case: Case, **more: Any) -> None:
                case.validate_response(response, checks=CHECKS, headers=fuzzer._headers)

        Walk.run(settings=hypothesis.settings(settings(short=25), stateful_step_count=8))

    def send(self, case: Case) -> requests.Response:
        """One request, and all checks of its answer."""
        answer = case.call(session=self._session, headers=self._headers, timeout=60)
        case.validate_response(answer, checks=CHECKS, headers=self._headers)
        return answer


def _own_example(operation: Mapping[str, Any]) -> dict[str, Any]:
    """The document's own path values, which the seeded system knows."""
    return {
        parameter["name"]: parameter["example"]
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "path" and "example" in parameter
    }


def no_fault(_ctx: CheckContext, response: Response, case: Case) -> None:
    """No 5xx, but for a task that has failed, and for operations that want another host."""
    operation = case.operation.definition.raw["operationId"]
    if response.status_code < 500 or (
        operation in OUTSIDE and response.status_code in (502, 503, 504)
    ):
        return
    if operation != "get_task" or response.json()["title"] != "Task failed":
        raise Failure(operation=case.operation.label, title="Server error", message=response.text)


def valid_is_not_malformed(_ctx: CheckContext, response: Response, case: Case) -> None:
    """What fits the schemas may be refused, but not by them. How a form says null, or nested data,
    is no matter of the document, so forms are left out."""
    meta = case.meta
    if (
        meta is not None
        and meta.generation.mode.is_positive
        and response.status_code == 400
        and case.media_type != FORM
        and "pointer" in response.json()
    ):
        raise Failure(
            operation=case.operation.label,
            title="Valid request answered as malformed",
            message=response.text,
        )


CHECKS: list[Callable[..., Any]] = [
    no_fault,
    built_in.status_code_conformance,
    built_in.content_type_conformance,
    built_in.response_schema_conformance,
    built_in.response_headers_conformance,
    built_in.negative_data_rejection,
    valid_is_not_malformed,
]
