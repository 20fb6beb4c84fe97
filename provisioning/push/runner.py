"""Carries out a dialogue."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from provisioning.push.channels import answers, open_ssh, open_telnet
from provisioning.push.conversation import CLOSED, Conversation, error_in
from provisioning.push.dialogues import Command, Dialogue, OnStep, Restart, Step
from provisioning.push.failures import (
    ConnectionLost,
    DeviceRefused,
    DeviceSilent,
    DeviceUnreachable,
    LoginRefused,
    PushFailed,
    TransferRefused,
    UnexpectedAnswer,
)
from provisioning.push.logins import Login

log = logging.getLogger(__name__)

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TYPED = re.compile(r"[\x20-\x7e\xa0-\xff]*")

_USER = re.compile(r"(?:login|user ?name|user)\s*:\s*\Z", re.IGNORECASE)
_PASSWORD = re.compile(r"password\s*:\s*\Z", re.IGNORECASE)
_REFUSAL = re.compile(
    r"(?:login|authenticat\w*|access|password|user\w*|credentials)[^\r\n]{0,40}"
    r"(?:fail|incorrect|denied|invalid|refused|wrong|bad)"
    r"|(?:fail|incorrect|denied|invalid|refused|wrong|bad)\w*[^\r\n]{0,20}"
    r"(?:login|authenticat|password|user|credentials)",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"(?:\?|[(\[](?:y|yes)[/|](?:n|no)[)\]]|\byes or no\b)[^\r\n]{0,20}\Z", re.IGNORECASE
)
_ANY_QUESTION = re.compile(r"[^\s:?)\]][^\r\n]*[:?)\]][ \t]*\Z")
_GOING = re.compile(
    r"going down|(?:restart|reboot|reload)ing|(?:restart|reboot|reload) (?:now|in progress)",
    re.IGNORECASE,
)

_ATTEMPTS = 2
_COMMIT_ATTEMPTS = 6
_QUESTIONS = 4


@dataclass(frozen=True)
class Patience:
    """Seconds that each kind of step may take, and all of them together. `settle` is how long a
    gateway must be quiet before its transfer counts as over; `pause` lies between two attempts."""

    connect: float = 10
    login: float = 15
    command: float = 20
    fetch: float = 45
    settle: float = 5
    restart: float = 15
    pause: float = 2
    total: float = 90


def push(
    dialogue: Dialogue,
    address: str,
    logins: Sequence[Login],
    tftp_server: str,
    file: str,
    *,
    on_step: OnStep,
    port: int | None = None,
    patience: Patience | None = None,
) -> None:
    """Make the gateway at `address` fetch `file` from `tftp_server`, store it and restart.

    Returns when the gateway has confirmed all of it, and raises PushFailed otherwise; it may be
    called again then. `on_step` is called, in this thread, as each step begins. `logins` are tried
    in turn. Raises ValueError, before anything is sent, for texts that cannot stand in a command.
    It blocks this thread for `patience.total` seconds at most (and one more to take its leave).
    """
    ip_address(address)
    for text, form in ((tftp_server, _HOST), (file, _FILE)):
        if not form.fullmatch(text):
            raise ValueError(f"{text!r} cannot be part of a command")
    if not logins or not all(_TYPED.fullmatch(x.username + x.password) for x in logins):
        raise ValueError("a login must be given, and be text that can be typed")
    run = _Push(
        dialogue,
        address,
        dialogue.port if port is None else port,
        list(logins),
        {"tftp": tftp_server, "file": file},
        on_step,
        patience or Patience(),
    )
    try:
        asyncio.run(run.within_time())
    except PushFailed as failure:
        log.warning(
            "push failed: %s",
            failure,
            extra={"device": address, "dialogue": dialogue.name, "step": str(run.step)},
        )
        raise
    log.info("pushed", extra={"device": address, "dialogue": dialogue.name, "file": file})


@dataclass
class _Push:
    dialogue: Dialogue
    address: str
    port: int
    logins: list[Login]
    values: dict[str, str]
    on_step: OnStep
    patience: Patience
    step: Step = Step.CONNECTING

    async def within_time(self) -> None:
        try:
            async with asyncio.timeout(self.patience.total):
                await self._run()
        except TimeoutError:
            raise DeviceSilent(
                f"{self.address} was not done after {self.patience.total:g} s ({self.step})"
            ) from None
        self.on_step(Step.DONE)

    async def _run(self) -> None:
        self.on_step(Step.CONNECTING)
        async with self._logged_in() as talk:
            self._begin(Step.LOGGED_IN)
            if self.dialogue.privileged:
                await self._become_privileged(talk)
            for command in self.dialogue.commands:
                self._begin(command.step)
                await self._carry_out(talk, command)
            self._begin(Step.RESTARTING)
            await self._restart(talk, self.dialogue.restart)

    def _begin(self, step: Step) -> None:
        if step is not self.step:
            self.step = step
            self.on_step(step)

    # --- logging in -----------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _logged_in(self) -> AsyncIterator[Conversation]:
        """A conversation at the prompt, with the first login that is taken."""
        talk = await self._first_that_works()
        try:
            yield talk
        finally:
            await talk.close()

    async def _first_that_works(self) -> Conversation:
        *others, last = self.logins
        for login in others:
            with contextlib.suppress(LoginRefused):
                return await self._reach(login)
        return await self._reach(last)

    async def _reach(self, login: Login) -> Conversation:
        """Log in, at the second attempt if need be: the gateway may be busy with another session,
        and nothing was asked of it yet."""
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(DeviceUnreachable, ConnectionLost):
                return await self._log_in(login)
            await asyncio.sleep(self.patience.pause)
        return await self._log_in(login)

    async def _log_in(self, login: Login) -> Conversation:
        if self.dialogue.transport == "ssh":
            channel = await open_ssh(self.address, self.port, self.patience.connect, login)
        else:
            channel = await open_telnet(self.address, self.port, self.patience.connect)
        talk = Conversation(channel, self.address)
        try:
            if self.dialogue.transport == "telnet":
                await self._give_login(talk, login)
            else:
                await self._reach_prompt(talk)
        except BaseException:
            await talk.close()
            raise
        talk.logged_in = True
        return talk

    async def _give_login(self, talk: Conversation, login: Login) -> None:
        patterns = {"user": _USER, "password": _PASSWORD, "prompt": talk.prompt}
        heard, _ = await talk.until(patterns, self.patience.login)
        if heard == "user":
            talk.send(login.username)
            patterns["refused"] = _REFUSAL
            heard, _ = await talk.until(patterns, self.patience.login)
        if heard == "password":
            talk.send(login.password, secret=True)
            patterns["refused"] = _REFUSAL
            heard, _ = await talk.until(patterns, self.patience.login)
            if heard == CLOSED:
                heard = "refused"
        if heard == CLOSED:
            raise talk.lost()
        if heard != "prompt":
            raise LoginRefused(f"{self.address} refuses the login of {login.username}")
        talk.learn_prompt()

    async def _reach_prompt(self, talk: Conversation) -> None:
        heard, _ = await talk.until({"prompt": talk.prompt}, self.patience.login)
        if heard == CLOSED:
            raise talk.lost()
        talk.learn_prompt()

    async def _become_privileged(self, talk: Conversation) -> None:
        if talk.mark() == "#":
            return
        await self._command(talk, self.dialogue.privileged, self.patience.command)
        if talk.mark() != "#":
            raise DeviceRefused(f"{self.address} does not let this login configure it")

    # --- commands -------------------------------------------------------------------------------

    async def _carry_out(self, talk: Conversation, command: Command) -> None:
        fetching = command.step is Step.FETCHING
        seconds = self.patience.fetch if fetching else self.patience.command
        line = command.text.format(**self.values)
        for attempt in range(1, _COMMIT_ATTEMPTS + 1):
            answer = await self._command(talk, line, seconds)
            if command.settles and not error_in(answer):
                answer = talk.prompt.sub("", await talk.listen(self.patience.settle, seconds))
            error = error_in(answer)
            if not error:
                return
            retry = command.not_yet and re.search(command.not_yet, error, re.IGNORECASE)
            if not retry or attempt == _COMMIT_ATTEMPTS:
                failure = TransferRefused if fetching else DeviceRefused
                raise failure(f"{self.address} answered '{line}' with '{talk.quote(error)}'")
            await asyncio.sleep(self.patience.pause)

    async def _command(self, talk: Conversation, line: str, seconds: float) -> str:
        """Type a line and return what is said until the prompt."""
        talk.send(line)
        patterns = {"prompt": talk.prompt, "password": _PASSWORD, "question": _QUESTION}
        heard, answer = await talk.until(patterns, seconds)
        if heard == CLOSED:
            raise talk.lost()
        if heard != "prompt":
            asked = talk.quote(answer.split("\n")[-1])
            raise UnexpectedAnswer(f"{self.address} answered '{line}' with the question '{asked}'")
        return talk.prompt.sub("", answer)

    # --- restarting -----------------------------------------------------------------------------

    async def _restart(self, talk: Conversation, restart: Restart) -> None:
        """Restart; returns when the gateway has said that it goes, or has gone."""
        line = restart.text
        in_order = list(restart.in_order)
        by_text = list(restart.by_text)
        final = False
        for _ in range(_QUESTIONS):
            talk.send(line)
            final = line == "yes" or not restart.asks
            # One that need not ask may say anything; one that does waits after whatever it said.
            question = _ANY_QUESTION if restart.asks else _QUESTION
            heard, said = await self._hear_restart(talk, final, None if line == "yes" else question)
            if final and heard in ("going", CLOSED):
                return
            if heard == CLOSED:
                raise talk.lost()
            error = error_in(talk.prompt.sub("", said))
            if heard == "prompt" and error:
                raise DeviceRefused(f"{self.address} answered '{line}' with '{talk.quote(error)}'")
            if heard == "question":
                line = _answer(said, by_text, in_order)
            elif restart.unasked and line == restart.text:
                line = restart.unasked
            else:
                break
            if not line:
                asked = talk.quote(said.split("\n")[-1])
                raise UnexpectedAnswer(f"{self.address} asked '{asked}'")
        if final and await self._has_gone(talk):
            return
        raise DeviceSilent(f"{self.address} does not confirm that it restarts")

    async def _hear_restart(
        self, talk: Conversation, final: bool, question: re.Pattern[str] | None
    ) -> tuple[str, str]:
        patterns = {}
        if question is not None:
            patterns["question"] = question
        if final:
            patterns["going"] = _GOING
        patterns["prompt"] = talk.prompt
        try:
            return await talk.until(patterns, self.patience.restart, quiet=0.3)
        except (DeviceSilent, UnexpectedAnswer):
            return "", talk.said()[0]

    async def _has_gone(self, talk: Conversation) -> bool:
        """A gateway that restarts often cannot end its connections: it no longer takes new ones."""
        with contextlib.suppress(DeviceSilent, UnexpectedAnswer):
            heard, _ = await talk.until({}, self.patience.restart)
            return heard == CLOSED
        return not await answers(self.address, self.port, self.patience.connect)


def _answer(question: str, by_text: list[tuple[str, str]], in_order: list[str]) -> str:
    """The answer to a question about the restart; each is given once. Empty: there is none."""
    asked = question[-300:]
    for number, (pattern, answer) in enumerate(by_text):
        if re.search(pattern, asked, re.IGNORECASE):
            del by_text[number]
            if answer in in_order:
                in_order.remove(answer)
            return answer
    return in_order.pop(0) if in_order else ""
