"""Generated requests for every operation, on both stores: see tests/fuzzing.py.

Run by scripts/fuzz. The short run sends a few, the same each time; `make fuzz` sends at least 100
valid and 100 wrong ones for each operation.
"""

import pytest
from schemathesis import GenerationMode

from nethvoice.document import load_document
from tests.fuzzing import Fuzzer, is_isolated
from tests.support import Service

pytestmark = [
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not is_isolated(), reason="runs in a network namespace: scripts/fuzz"),
]

DOCUMENT = load_document()
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [
    (path, method, item[method])
    for path, item in DOCUMENT["paths"].items()
    for method in METHODS
    if method in item
]
ALL = [pytest.param(path, method, id=op["operationId"]) for path, method, op in OPERATIONS]
BREAKABLE = [
    pytest.param(path, method, id=op["operationId"])
    for path, method, op in OPERATIONS
    if op.get("parameters") or "requestBody" in op
]


STORES = [
    pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("embedded", "production")
]


@pytest.fixture(scope="module", params=STORES)
def fuzzed(request: pytest.FixtureRequest) -> Service:
    """A service on one of the stores."""
    service: Service = request.getfixturevalue(f"{request.param}_service")
    return service


@pytest.fixture(scope="module")
def fuzzer(fuzzed: Service) -> Fuzzer:
    """It is not emptied between operations: what one has left is what the next one finds."""
    _seed(fuzzed)
    return Fuzzer(DOCUMENT, fuzzed.port)


def _seed(service: Service) -> None:
    """A system that knows what the document's examples name."""
    service.reset()
    service.person("ada", "200", displayname="Ada Rossi")
    service.post("/physicalextensions", {"mainextension": "200", "mac": "00-15-65-AA-BB-CC"})
    service.post("/physicalextensions", {"mainextension": "200"})
    service.post("/mobiles", {"username": "ada", "mobile": "3331234567"})
    service.post("/voicemails", {"extension": "200", "state": "yes"})


@pytest.mark.parametrize(("path", "method"), ALL)
def test_valid_requests(fuzzer: Fuzzer, path: str, method: str) -> None:
    fuzzer.run(path, method, GenerationMode.POSITIVE)


@pytest.mark.parametrize(("path", "method"), BREAKABLE)
def test_wrong_requests_are_refused(fuzzer: Fuzzer, path: str, method: str) -> None:
    fuzzer.run(path, method, GenerationMode.NEGATIVE)


def test_operations_one_after_the_other(fuzzer: Fuzzer, fuzzed: Service) -> None:
    fuzzer.walk(lambda: _seed(fuzzed))
