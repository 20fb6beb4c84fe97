"""The gateway to the phone makers' redirect services (RPS), Falconieri or one like it.

A phone out of the box asks its maker's service where its configuration is. The gateway speaks the
makers' protocols; we tell it `PUT /providers/<provider>/<MAC>`.
"""

import logging
from typing import Any

import orjson

from nethvoice.problems import Problem, unavailable
from nethvoice.store import outgoing

log = logging.getLogger(__name__)

_JSON = "application/json;charset=utf-8"
_SHOWN = 200


class RedirectGateway:
    """A client with the credentials of this installation. They reach no log and no error text."""

    def __init__(self, url: str, username: str, password: str, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._credentials = (username, password)
        self._timeout = timeout

    async def register(self, provider: str, mac: str, url: str, crc: str | None = None) -> None:
        """Make the maker's service send the phone to `url`, which is passed on as it is.

        `mac` is written `AA-BB-CC-DD-EE-FF`; `crc` are the four characters that Gigaset prints
        beside it. Raises Problem: the gateway's own 4xx, 502 for its other refusals and when it
        cannot be reached, 503 without credentials, 504 after the time-out. `error` and `message`
        of the gateway are members of the problem.
        """
        if not all(self._credentials):
            raise unavailable("no credentials for the redirect service are configured")
        target = f"{self._url}/providers/{provider}/{mac}"
        if crc:
            target += f"?crc={crc}"
        try:
            answer = await outgoing.request(
                "PUT",
                target,
                timeout=self._timeout,
                headers={"Content-Type": _JSON, "Accept": _JSON},
                content=orjson.dumps({"url": url}),
                auth=self._credentials,
            )
        except outgoing.RequestTimedOut:
            self._note(provider, mac, "time-out")
            text = f"the redirect service did not answer within {self._timeout:g} s"
            raise Problem(504, "Redirect service timed out", text) from None
        except outgoing.RequestFailed as error:
            self._note(provider, mac, str(error))
            text = "the redirect service could not be reached or gave no valid answer"
            raise Problem(502, "Redirect service failed", text) from None
        if 200 <= answer.status < 300:
            log.info("phone registered", extra={"provider": provider, "mac": mac})
            return
        raise self._refusal(provider, mac, answer)

    def _refusal(self, provider: str, mac: str, answer: outgoing.Received) -> Problem:
        members = _members(answer.body)
        code = members.get("error", "")
        self._note(provider, mac, f"{answer.status} {code}".strip())
        text = f"the redirect service answered {answer.status}"
        if members:
            text += ": " + ", ".join(members.values())
        # A 401 or 403 would read as a refusal of our own client's credentials.
        passed_on = 400 <= answer.status < 500 and answer.status not in (401, 403)
        status = answer.status if passed_on else 502
        return Problem(status, "Refused by the redirect service", text, **members)

    @staticmethod
    def _note(provider: str, mac: str, reason: str) -> None:
        log.warning(
            "a phone was not registered",
            extra={"provider": provider, "mac": mac, "reason": reason},
        )


def _members(body: bytes) -> dict[str, Any]:
    """What the gateway says about itself, whatever it sent."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(data, dict):
        return {}
    return {
        name: _plain(data[name])
        for name in ("error", "message")
        if isinstance(data.get(name), str) and data[name]
    }


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:_SHOWN])
