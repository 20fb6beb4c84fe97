"""Reading what a gateway says: where its answer ends, and whether it is an error."""

import asyncio
import contextlib
import re
import time
from collections.abc import Mapping

from provisioning.push.channels import Channel
from provisioning.push.failures import (
    ConnectionLost,
    DeviceSilent,
    UnexpectedAnswer,
)

CLOSED = "closed"
"""What `Conversation.until` heard when the gateway ended the connection."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-B]|[=>78])")
_PAGE = re.compile(r"-{1,3}\s*\(?more\)?\s*-{0,3}[^\r\n]{0,40}\Z", re.IGNORECASE)
_MOST_TEXT = 1 << 18
_MOST_PAGES = 200
_SEARCHED = 8192
_QUIET = 0.05
_LONG_QUIET = 1.0
_FAREWELL = 1.0

_PROMPT = (
    r"(?:\A|[\r\n])[ \t]*(?P<host>{host})(?:\([^()\r\n]{{0,80}}\))*(?:\[[^\[\]\r\n]{{0,80}}\])?"
    r"[ \t]*(?P<mark>[>#])[ \t]*\Z"
)

_ERROR = re.compile(
    r"^\s*%|\b(?:errors?|fail(?:ed|ure)?|denied|refused|rejected|not (?:found|permitted|allowed)|"
    r"no such|does not exist|time[d-]? ?out|unreachable|unable|abort(?:ed)?|illegal|violation|"
    r"(?:unknown|invalid|unrecogni[sz]ed) (?:command|file|host|address|input|argument))\b",
    re.IGNORECASE,
)
_WAITS = re.compile(r"[>#$%:?)\]]\s*\Z")
_NO_ERROR = re.compile(r"\b(?:no|0|without(?: any)?) (?:errors?|failures?)\b", re.IGNORECASE)


def error_in(text: str) -> str:
    """The first line of a gateway's answer that tells of an error, else empty."""
    for line in text.splitlines():
        if _ERROR.search(_NO_ERROR.sub("", line)):
            return line.strip()
    return ""


class Conversation:
    """Both sides of a command line. One line is under way at a time; after a failure the
    connection is out of step and is only good for closing."""

    def __init__(self, channel: Channel, address: str) -> None:
        self._channel = channel
        self._address = address
        self._secrets: list[str] = []
        self._raw = ""
        self._sent = ""
        self._echo: re.Pattern[str] | None = None
        self._pages = 0
        self.prompt = re.compile(_PROMPT.format(host=r"[A-Za-z0-9][\w.:@/+-]{0,63}"))
        self.logged_in = False

    def learn_prompt(self) -> None:
        """The prompt that was just heard: from now on only a line that begins with its name is
        one."""
        prompt = self.prompt.search(self.said()[0])
        if prompt:
            self.prompt = re.compile(_PROMPT.format(host=re.escape(prompt["host"])))

    def mark(self) -> str:
        """The last character of the prompt that was just heard."""
        prompt = self.prompt.search(self.said()[0])
        return prompt["mark"] if prompt else ""

    def send(self, line: str, *, secret: bool = False) -> None:
        """Type a line. What was said before is forgotten; what is secret is never repeated."""
        self._raw = ""
        self._pages = 0
        self._sent = "" if secret else line
        if secret and line:
            self._secrets.append(line)
        # A long line may be echoed in pieces.
        letters = [re.escape(letter) for letter in self._sent if not letter.isspace()]
        self._echo = re.compile(r"[\s\x08]*".join(letters)) if letters else None
        self._channel.send_line(line)

    async def until(
        self, patterns: Mapping[str, re.Pattern[str]], seconds: float, *, quiet: float = _QUIET
    ) -> tuple[str, str]:
        """Listen until the text since the last line matches a pattern and the gateway pauses.

        Returns the pattern's name and the text without the echo of the line. The name is `CLOSED`
        when the connection ends first. A pause as short as `quiet` will do once the line was
        echoed; without, the match may be a late answer to the line before. A pattern named
        `refused`, which any text may look like, also needs the longer one. Raises DeviceSilent, or
        UnexpectedAnswer when something else was said.
        """
        deadline = time.monotonic() + seconds
        while True:
            text, echoed = self.said()
            name = _first_match(patterns, text[-_SEARCHED:])
            sure = echoed and name != "refused"
            pause = quiet if sure else max(quiet, _LONG_QUIET)
            left = deadline - time.monotonic()
            if left <= 0:
                if name:
                    return name, text
                raise self._nothing_known(text, seconds)
            chunk = await self._read(min(pause, left) if name else left)
            if chunk is None and name:
                return name, text
            if chunk == "":
                return CLOSED, text

    async def listen(self, quiet: float, seconds: float) -> str:
        """What the gateway says until it is quiet so long, or the time is over."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            chunk = await self._read(min(quiet, left))
            if chunk is None:
                break
            if chunk == "":
                raise self.lost()
        return self.said()[0]

    def said(self) -> tuple[str, bool]:
        """The text since the last line, without its echo, and whether it was echoed."""
        text = _ANSI.sub("", self._raw).replace("\0", "")
        if self._echo is None:
            return text, True
        echo = self._echo.search(text)
        return (text[echo.end() :], True) if echo else (text, False)

    def lost(self) -> ConnectionLost:
        """The failure that tells of a connection that ended too early."""
        where = f" after '{self._sent}'" if self._sent else ""
        return ConnectionLost(f"{self._address} ended the connection{where}")

    def quote(self, text: str) -> str:
        """Some of the gateway's words for an error text: one line, without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return words if len(words) <= 160 else words[:160] + "..."

    async def close(self) -> None:
        """Say goodbye, because many gateways keep a session that was dropped for minutes, and
        close."""
        if self.logged_in:
            self._channel.send_line("exit")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    while await self._channel.read():
                        pass
        await self._channel.close()

    async def _read(self, seconds: float) -> str | None:
        """More text, empty at the end of the connection, None when nothing came in time."""
        try:
            async with asyncio.timeout(seconds):
                chunk = await self._channel.read()
        except TimeoutError:
            return None
        self._raw += chunk
        if len(self._raw) > _MOST_TEXT:
            raise UnexpectedAnswer(f"{self._address} does not stop talking")
        if self._pages < _MOST_PAGES and _PAGE.search(self._raw[-200:]):
            self._pages += 1
            self._raw = _PAGE.sub("", self._raw)
            self._channel.send_line(" ")
        return chunk

    def _nothing_known(self, text: str, seconds: float) -> DeviceSilent | UnexpectedAnswer:
        where = f"to '{self._sent}'" if self._sent else "at the login"
        heard = self.quote(text.rstrip().split("\n")[-1])
        if heard and (not self.logged_in or _WAITS.search(text)):
            return UnexpectedAnswer(f"{self._address} answered {where} with '{heard}'")
        last = f", last it said '{heard}'" if heard else ""
        return DeviceSilent(f"{self._address} gave no answer {where} for {seconds:g} s{last}")


def _first_match(patterns: Mapping[str, re.Pattern[str]], text: str) -> str:
    return next((name for name, pattern in patterns.items() if pattern.search(text)), "")
