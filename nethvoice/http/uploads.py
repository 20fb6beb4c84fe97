"""Reading `multipart/form-data` bodies with files.

Files are written to private temporary files while they arrive, so that neither memory nor the
event loop notices their size.
"""

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive, Scope

from nethvoice.http.bodies import LIMIT, MISSING, MULTIPART, header
from nethvoice.http.threads import HandlerThreads
from nethvoice.problems import Problem, bad_request, unavailable
from nethvoice.uploads import UploadedFile

log = logging.getLogger(__name__)

_PARTS = 100
_TEXT = 64 * 1024
_DRAIN_BYTES = 256 * 1024 * 1024
_DRAIN_SECONDS = 20.0
_LEFT_OVER = 86400.0

Body = dict[str, str | UploadedFile]


class UploadFolder:
    """Where files lie while their request is served."""

    def __init__(self, path: Path, threads: HandlerThreads) -> None:
        self.path = path
        self._threads = threads

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call something that waits for the disk. Raises Problem 503 when the disk fails."""
        try:
            return await self._threads.run(function, *arguments)
        except OSError as error:
            log.warning("an upload cannot be stored: %s", error)
            raise unavailable("the upload cannot be stored now") from error

    def open(self) -> tuple[Path, BinaryIO]:
        """A new file that only this service's user can read."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path, prefix="upload-")
        return Path(name), os.fdopen(handle, "wb", buffering=0)

    def clean(self) -> None:
        """Remove what a process that was killed left behind."""
        oldest = time.time() - _LEFT_OVER
        for path in self.path.glob("upload-*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


@dataclass
class _Part:
    name: str
    filename: str | None
    content_type: str
    text: bytearray = field(default_factory=bytearray)
    path: Path | None = None
    file: BinaryIO | None = None
    size: int = 0


class _Form:
    """The parts of one body; the parser's callbacks fill it."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.ended = False
        self.waiting: list[tuple[_Part, bytes]] = []
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._begin,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _begin(self) -> None:
        if len(self.parts) >= _PARTS:
            raise FormParserError("too many parts")
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise FormParserError("a part has no name")
        filename = options.get(b"filename")
        self.parts.append(
            _Part(
                options[b"name"].decode("utf-8", "replace"),
                None if filename is None else _label(filename.decode("utf-8", "replace")),
                self._headers.get(b"content-type", b"").decode("latin-1")[:255],
            )
        )

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.size += end - start
        if part.filename is not None:
            self.waiting.append((part, data[start:end]))
            return
        if part.size > _TEXT:
            raise FormParserError(f"the field {part.name[:40]} is too long")
        part.text += data[start:end]

    def _end(self) -> None:
        self.ended = True

    def body(self) -> tuple[Body, list[Path]]:
        """The values by name; the last of several with one name stands, and stands last.

        With them the files that later ones of the same name have replaced.
        """
        found: Body = {}
        replaced: list[Path] = []
        for part in self.parts:
            former = found.pop(part.name, None)
            if isinstance(former, UploadedFile):
                replaced.append(former.path)
            if part.path is None:
                found[part.name] = part.text.decode("utf-8", "replace")
            else:
                found[part.name] = UploadedFile(
                    part.path, part.filename or "", part.content_type, part.size
                )
        return found, replaced


def _label(filename: str) -> str:
    """The last component of the name, without control characters."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable())[:255]


class UploadReader:
    """Reads the multipart bodies of one operation; `limit` is in bytes, parts and all."""

    is_array = False

    def __init__(self, folder: UploadFolder, limit: int = LIMIT) -> None:
        self._folder = folder
        self._limit = limit

    async def read(self, scope: Scope, receive: Receive) -> Any:
        """The body by field name, `MISSING` when none was sent. Raises Problem 400, 413, 415."""
        await self._refuse_length(scope, receive)
        content_type = header(scope, b"content-type")
        if content_type is None:
            return await self._nothing(receive)
        kind, options = parse_options_header(content_type)
        if kind.lower() != MULTIPART.encode():
            shown = kind.decode("latin-1")[:80]
            raise Problem(
                415, "Unsupported media type", f"the body must be {MULTIPART}, not {shown}"
            )
        if not options.get(b"boundary"):
            raise bad_request(f"{MULTIPART} has no boundary")
        form = _Form()
        try:
            parser = MultipartParser(options[b"boundary"], form.callbacks())  # type: ignore[arg-type]
            await self._receive(form, parser, receive)
        except BaseException as error:
            await self._remove(form)
            if isinstance(error, FormParserError):
                raise bad_request(f"the form cannot be read: {error}") from None
            raise
        body, replaced = form.body()
        if replaced:
            await self._folder.run(_unlink, replaced)
        return body

    async def discard(self, body: Any) -> None:
        """Remove the files of a body that nobody has taken."""
        if not isinstance(body, Mapping):
            return
        paths = [value.path for value in body.values() if isinstance(value, UploadedFile)]
        await self._folder.run(_unlink, paths)

    @staticmethod
    def plain(body: Any) -> Any:
        """The body as validators see it: a file is a string."""
        return {k: "" if isinstance(v, UploadedFile) else v for k, v in body.items()}

    async def _receive(self, form: _Form, parser: MultipartParser, receive: Receive) -> None:
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise bad_request("the client went away")
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size > self._limit:
                await _drain(receive, more)
                raise self._too_large()
            parser.write(chunk)
            if form.waiting:
                waiting, form.waiting = form.waiting, []
                await self._folder.run(self._store, waiting)
        parser.finalize()
        if not form.ended:
            raise FormParserError("it ends too early")
        await self._folder.run(self._close, form)

    def _store(self, waiting: list[tuple[_Part, bytes]]) -> None:
        for part, data in waiting:
            if part.file is None:
                part.path, part.file = self._folder.open()
            rest = memoryview(data)
            while rest:
                rest = rest[part.file.write(rest) :]

    def _close(self, form: _Form) -> None:
        for part in form.parts:
            if part.filename and part.file is None:  # an empty file
                part.path, part.file = self._folder.open()
            if part.file is not None:
                part.file.close()

    async def _remove(self, form: _Form) -> None:
        for part in form.parts:
            if part.file is not None:
                part.file.close()
        paths = [part.path for part in form.parts if part.path is not None]
        await self._folder.run(_unlink, paths)

    async def _nothing(self, receive: Receive) -> Any:
        message = await receive()
        if message.get("body") or message.get("more_body"):
            await _drain(receive, message.get("more_body", False))
            raise Problem(415, "Unsupported media type", f"the body must be {MULTIPART}")
        return MISSING

    async def _refuse_length(self, scope: Scope, receive: Receive) -> None:
        length = header(scope, b"content-length")
        if length is None or not length.isdigit() or int(length) <= self._limit:
            return
        if (header(scope, b"expect") or "").lower() != "100-continue":
            await _drain(receive, True)
        raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(
            413,
            "Content too large",
            f"the upload is larger than {self._limit} bytes",
            headers={"Connection": "close"},
        )


async def _drain(receive: Receive, more: bool) -> None:
    """Drop what still comes: a client that is cut off while it sends never reads the answer."""
    left = _DRAIN_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while more and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
