"""Mailboxes on disk: `voicemail.conf`, written only here, and the spool of recorded messages."""

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from nethvoice.store import voicemail_conf
from nethvoice.store.outbox import Operation
from nethvoice.store.voicemail_conf import Mailbox, VoicemailConf

CONTEXT = "default"


class MailboxFiles:
    """The outbox target `mailboxes`.

    Operations: `["on", extension, pin, name, email]` makes a mailbox unless there is one,
    `["off", extension]` removes its line and alias and keeps the messages,
    `["wipe", extension]` removes the messages too. `["set", key, value]` sets a value of
    `[general]`, `["unset", key, value]` removes it if that is its value.
    """

    joins_transaction = False

    def __init__(self, conf: Path, spool: Path) -> None:
        self._conf = conf
        self._spool = spool
        self._cache: tuple[tuple[int, int, int], VoicemailConf] | None = None
        self._guard = threading.Lock()

    def read(self) -> VoicemailConf:
        """The mailboxes of every context; parsed again only when the file has changed."""
        try:
            stat = self._conf.stat()
        except FileNotFoundError:
            return voicemail_conf.parse("")
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._guard:
            if self._cache is None or self._cache[0] != version:
                self._cache = (version, voicemail_conf.parse(voicemail_conf.read(self._conf)))
            return self._cache[1]

    def find(self, extension: str) -> tuple[str, Mailbox] | None:
        """The mailbox with its context, `default` before any other."""
        contexts = self.read().contexts
        for context in sorted(contexts, key=lambda name: name != CONTEXT):
            if extension in contexts[context]:
                return context, contexts[context][extension]
        return None

    def apply(self, operations: Sequence[Operation], connection: Connection | None = None) -> None:
        """Edit the file once for all operations; every line they do not concern stays as it is."""
        try:
            before = voicemail_conf.read(self._conf)
        except FileNotFoundError:
            before = ""
        text = before or voicemail_conf.EMPTY
        wiped = []
        for operation in operations:
            match operation:
                case ["on", extension, pin, full_name, email]:
                    text = voicemail_conf.set_mailbox(text, extension, pin, full_name, email)
                    text = voicemail_conf.set_alias(text, extension)
                case ["set", key, value]:
                    text = voicemail_conf.set_general(text, key, value)
                case ["unset", key, value]:
                    if voicemail_conf.parse(text).general.get(key) == value:
                        text = voicemail_conf.set_general(text, key, None)
                case ["off" | "wipe" as name, extension]:
                    text = voicemail_conf.remove_mailbox(text, extension)
                    if name == "wipe":
                        wiped.append(extension)
                case _:
                    raise ValueError(f"{operation[:1]} is no operation on mailboxes")
        if text != before:
            self._conf.parent.mkdir(parents=True, exist_ok=True)
            voicemail_conf.write_atomically(self._conf, text)
        for extension in wiped:
            self._wipe(extension)

    def _wipe(self, extension: str) -> None:
        if not (extension.isascii() and extension.isdigit()):
            raise ValueError("a mailbox is named by digits")
        if not self._spool.is_dir():
            return
        for context in self._spool.iterdir():
            box = context / extension
            if box.is_symlink():
                box.unlink()
            elif box.is_dir() and not context.is_symlink():
                shutil.rmtree(box)
