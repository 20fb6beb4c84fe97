"""Structured logs: one JSON object a line for machines, readable lines for a terminal."""

import logging
import re
import time
from typing import Any

import orjson

from nethvoice.context import current_request

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's, for terminals
}
_SECRET_NAME = re.compile(r"pass(word|wd)?|secret(key)?|token|pwd|pin|authorization", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?i)\b(pass(?:word|wd)?|secret(?:key)?|token|pwd|authorization)(\"?'?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|\S+)"
)
_URL_PASSWORD = re.compile(r"(://[^/:@\s]+:)[^@\s]+@")


def redact(text: str) -> str:
    """The text without the values of anything that is called a secret, and without passwords in
    URLs."""
    return _URL_PASSWORD.sub(r"\1***@", _SECRET_TEXT.sub(r"\1\2***", text))


class _Formatter(logging.Formatter):
    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        request = current_request.get()
        fields: dict[str, Any] = {} if request is None else {"request_id": request.id}
        for name, value in record.__dict__.items():
            if name not in _STANDARD:
                fields[name] = "***" if _SECRET_NAME.fullmatch(name) else value
        return fields

    def _exception(self, record: logging.LogRecord) -> str | None:
        return redact(self.formatException(record.exc_info)) if record.exc_info else None


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **self._fields(record),
        }
        exception = self._exception(record)
        if exception:
            line["exception"] = exception
        return orjson.dumps(line, default=str).decode()


class TextFormatter(_Formatter):
    """Readable lines."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        details = " ".join(f"{name}={value}" for name, value in self._fields(record).items())
        text = f"{moment} {record.levelname:7} {redact(record.getMessage())} {details}".rstrip()
        exception = self._exception(record)
        return f"{text}\n{exception}" if exception else text


def configure(level: str, form: str) -> None:
    """Send all logs to standard error, as `json` or `text`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # One warning a request for each operation with two media types, and per-request noise.
    for name in ("connexion", "httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.ERROR, logging.getLogger().level))
