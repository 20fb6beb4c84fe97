"""The CTI middleware, which rereads users and profiles when it is told to."""

import logging

import httpx

from nethvoice.store.tasks import Report

log = logging.getLogger(__name__)


class Middleware:
    """Tells the middleware on this host; a failure is logged and never fails the change."""

    def __init__(self, port: int, token: str) -> None:
        self._url = f"http://127.0.0.1:{port}/admin/reload/profiles"
        self._token = token

    def notify(self, report: Report) -> None:
        """POST /admin/reload/profiles; connects within 1 s and waits 2 s at most."""
        try:
            answer = httpx.post(
                self._url,
                headers={
                    "Authorization": f"Bearer {self._token}",
                    "Content-Type": "application/json",
                },
                timeout=httpx.Timeout(2.0, connect=1.0),
            )
        except httpx.HTTPError as error:
            log.warning("the middleware could not be told", extra={"reason": type(error).__name__})
            report.write(f"the middleware could not be told: {type(error).__name__}")
            return
        report.write(f"the middleware answered {answer.status_code}")
