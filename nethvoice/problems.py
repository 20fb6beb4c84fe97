"""Failures that a client is told about, as RFC 9457 problem documents.

Domain code raises `Problem`; the HTTP layer turns it into `application/problem+json`.
"""

from typing import Any


class Problem(Exception):
    """A refused or failed request.

    `status` is the HTTP code, `title` a short summary that is the same for every occurrence,
    `detail` says what is wrong with this request. `members` are extension members of the document;
    `headers` go into the answer.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        type_: str = "about:blank",
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail or title
        self.type = type_
        self.headers = headers or {}
        self.members = members

    def document(self, instance: str) -> dict[str, Any]:
        """The problem document; `instance` identifies this occurrence (the request id)."""
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            **self.members,
        }


def bad_request(detail: str, **members: Any) -> Problem:
    """400: the body is not readable, of a wrong type, or lacks a required member."""
    return Problem(400, "Bad request", detail, **members)


def not_found(detail: str = "Not found", **members: Any) -> Problem:
    """404: the thing named in the path (or, where the contract says so, in the body) is unknown."""
    return Problem(404, "Not found", detail, **members)


def conflict(detail: str, **members: Any) -> Problem:
    """409: duplicate key, thing in use, operation already running."""
    return Problem(409, "Conflict", detail, **members)


def unprocessable(detail: str, **members: Any) -> Problem:
    """422: well formed, but refused."""
    return Problem(422, "Refused", detail, **members)


def unavailable(detail: str, *, retry_after: int = 10, **members: Any) -> Problem:
    """503: the database, Asterisk or a lock is not available now; try again in `retry_after` s."""
    headers = {"Retry-After": str(retry_after)}
    return Problem(503, "Service unavailable", detail, headers=headers, **members)
