"""What is known about the request being served, reachable from any layer without passing it on."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class RequestContext:
    """`id` is in the log and in the answer's `X-Request-Id`; `apply_task` names the apply job that
    this request's change caused and is answered as `X-Apply-Task`; `task` names the task that did
    the request's work and is answered as `X-Task`; `address` is the client's."""

    id: str
    user: str | None = None
    address: str = ""
    apply_task: str | None = None
    task: str | None = None


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)


def client_address() -> str:
    """Where the present request comes from, empty outside a request."""
    request = current_request.get()
    return request.address if request is not None else ""
