"""Reading and editing Asterisk's voicemail.conf line by line.

Every function takes and returns the text of the file. An edit changes the lines it is about; all
others stay as they are, byte for byte, whatever their comments, spacing and line ends. Comments
follow Asterisk's own reader: `;` to the end of the line, `\\;` a literal semicolon, `;-- --;` a
block that may span lines and nest.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nethvoice.store.files import replace_file

EMPTY = "\n[general]\n\n[default]\n\n"
"""What a missing file starts from, laid out as FreePBX lays it out."""

DEFAULT_OPTIONS = {"attach": "no", "saycid": "no", "envelope": "no", "delete": "no"}
"""Options of a new mailbox, in FreePBX's order."""

_GENERAL = "general"
_ALIASES = "pbxaliases"
_NOT_MAILBOXES = frozenset({_GENERAL, "zonemessages", _ALIASES, "device"})
_BOX_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.*#-]*")
_OPTION = re.compile(r"[^\s,|=;\x00-\x1f]+")
_SECTION = re.compile(r"\[([^\]]*)\]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_BLANKS = "".join(map(chr, range(33)))
"""What Asterisk strips: unlike str.strip() it knows no blanks beyond ASCII."""


@dataclass(frozen=True)
class Mailbox:
    """One mailbox line; what the line leaves out is `""` or no option."""

    mailbox: str
    pwd: str = ""
    name: str = ""
    email: str = ""
    pager: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VoicemailConf:
    """What the file says: the `[general]` settings, mailboxes by context and name, and aliases."""

    general: Mapping[str, str]
    contexts: Mapping[str, Mapping[str, Mailbox]]
    aliases: Mapping[str, str]


# --- reading --------------------------------------------------------------------------------------


def read(path: Path) -> str:
    """The text of the file; bytes that are not UTF-8 survive reading and writing. Raises OSError,
    FileNotFoundError among them."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def parse(text: str) -> VoicemailConf:
    """Read the file. Of a setting or mailbox given twice the last one counts; included files are
    not followed."""
    lines = _read(text)
    aliases_section = _aliases_section(lines)
    general: dict[str, str] = {}
    contexts: dict[str, dict[str, Mailbox]] = {}
    aliases: dict[str, str] = {}
    no_mailboxes = {*_NOT_MAILBOXES, aliases_section}
    for line in lines:
        if line.header and line.section not in no_mailboxes:
            contexts.setdefault(line.section, {})
        if line.key is None:
            continue
        if line.section == _GENERAL:
            general[line.key] = line.value
        elif line.section == aliases_section:
            aliases[line.key] = line.value
        elif line.section in contexts:
            contexts[line.section][line.key] = _mailbox(line.key, line.value)
    return VoicemailConf(general, contexts, aliases)


def _mailbox(mailbox: str, value: str) -> Mailbox:
    pwd, name, email, pager, option_list, *_ = [*value.split(",", 4), "", "", "", ""]
    options = {}
    for option in option_list.split("|"):
        key, _, setting = option.partition("=")
        if key := key.strip(_BLANKS):
            options[key] = setting.strip(_BLANKS)
    return Mailbox(mailbox, pwd, name, email, pager, options)


# --- editing --------------------------------------------------------------------------------------


def set_mailbox(
    text: str,
    extension: str,
    pin: str,
    name: str,
    email: str,
    *,
    options: Mapping[str, str] = DEFAULT_OPTIONS,
) -> str:
    """The text with the mailbox in context `default`; one that is there already stays as it is.

    Commas and control characters are taken out of `name`; commas in `email` become `|`. Raises
    ValueError for an extension, PIN or option that cannot stand in a mailbox line.
    """
    _require(_BOX_NAME.fullmatch(extension), "mailbox", extension)
    _require(not pin or _OPTION.fullmatch(pin), "PIN of mailbox", extension)
    for option, setting in options.items():
        good = _OPTION.fullmatch(option) and (not setting or _OPTION.fullmatch(setting))
        _require(good, "option of mailbox", extension)
    lines = _read(text)
    if any(line.section == "default" and line.key == extension for line in lines):
        return text
    fields = [
        pin,
        _one_line(name.replace(",", "")),
        _one_line(email.replace(",", "|")),
        "",
        "|".join(f"{option}={setting}" for option, setting in options.items()),
    ]
    return _add(lines, "default", _assignment(extension, ",".join(fields)))


def remove_mailbox(text: str, extension: str) -> str:
    """The text without the mailbox, in whichever context it stands, and without its alias."""
    lines = _read(text)
    aliases_section = _aliases_section(lines)

    def about_it(line: "_Line") -> bool:
        if line.section == aliases_section:
            return line.key == f"{extension}@device"
        return line.key == extension and line.section not in {"", *_NOT_MAILBOXES}

    return "".join(line.without_assignment() if about_it(line) else line.raw for line in lines)


def set_alias(text: str, extension: str, context: str = "default") -> str:
    """The text with the alias `E@device=E@context`, by which Asterisk 16.2 and later find the
    mailbox of a device, and with the `aliasescontext` that makes the section one of aliases."""
    _require(_BOX_NAME.fullmatch(extension), "mailbox", extension)
    lines = _read(text)
    if not any(line.section == _GENERAL and line.key == "aliasescontext" for line in lines):
        lines = _read(set_general(text, "aliasescontext", _ALIASES))
    return _set(lines, _aliases_section(lines), f"{extension}@device", f"{extension}@{context}")


def set_general(text: str, key: str, value: str | None) -> str:
    """The text with `key` in `[general]` set to `value`, or removed when that is None.

    Line feeds and tabs of `value` are stored as `\\n` and `\\t`, as Asterisk's mail texts have
    them. Of several lines with this key one remains.
    """
    _require(re.fullmatch(r"[0-9A-Za-z_-]+", key), "setting", key)
    if value is not None:
        value = value.replace("\r\n", "\n").replace("\n", r"\n").replace("\t", r"\t")
        value = _one_line(value)
    return _set(_read(text), _GENERAL, key, value)


def _set(lines: list["_Line"], section: str, key: str, value: str | None) -> str:
    found = [line for line in lines if line.section == section and line.key == key]
    if not found:
        text = "".join(line.raw for line in lines)
        return text if value is None else _add(lines, section, _assignment(key, value))
    # Asterisk takes the first of several, FreePBX the last: one is left, at the first place.
    keep = found[0] if value is not None else None
    for line in found:
        if line is keep and value is not None:
            line.raw = line.with_assignment(key, value)
        else:
            line.raw = line.without_assignment()
    return "".join(line.raw for line in lines)


def _add(lines: list["_Line"], section: str, assignment: str) -> str:
    """Put a new line behind the last one in use of the section, which is made if missing."""
    texts = [line.raw for line in lines]
    newline = next(("\r\n" if t.endswith("\r\n") else "\n" for t in texts if "\n" in t), "\n")
    new = assignment + newline
    end = _end_of(lines, section)
    if end is None:
        if lines and lines[-1].depth_after:
            raise ValueError("voicemail.conf ends inside a comment block")
        blank = newline if texts and texts[-1].strip(_BLANKS) else ""
        new = f"{blank}[{section}]{newline}{new}{newline}"
        end = len(texts)
    if end and not texts[end - 1].endswith("\n"):
        texts[end - 1] += newline
    texts.insert(end, new)
    return "".join(texts)


def _end_of(lines: list["_Line"], section: str) -> int | None:
    """Where a line can be added to the section, outside any comment block; None without it."""
    inside = [index for index, line in enumerate(lines) if line.section == section]
    if not inside:
        return None
    start = inside[0]
    stop = next((i for i in range(start + 1, len(lines)) if lines[i].header), len(lines))
    used = [index for index in range(start, stop) if lines[index].active]
    # A comment block opened on the last line in use may have to end first, or start later.
    for index in itertools.chain(range(used[-1], stop), range(used[-1] - 1, start - 1, -1)):
        if not lines[index].depth_after:
            return index + 1
    raise ValueError(f"section {section} of voicemail.conf has no line outside a comment block")


def _assignment(key: str, value: str) -> str:
    # `=>` is an operator of its own, so a value cannot follow the sign with `>`.
    gap = " " if value.startswith(">") else ""
    return f"{key}={gap}{_escape(value)}"


def _escape(value: str) -> str:
    return value.replace(";", "\\;")


def _apart(left: str, right: str) -> str:
    """Both joined; a backslash must not escape the semicolon of a comment behind it."""
    gap = " " if left.endswith("\\") and right.startswith(";") else ""
    return left + gap + right


def _one_line(value: str) -> str:
    return _CONTROLS.sub(" ", value).strip(_BLANKS)


def _require(good: object, what: str, value: str) -> None:
    if not good:
        raise ValueError(f"{what} {value!r} cannot be written to voicemail.conf")


# --- lines ----------------------------------------------------------------------------------------


@dataclass
class _Line:
    """One physical line, `raw` with its line end.

    `spans` are the parts of `raw` outside comments, `active` their text with escapes resolved.
    `section` is the one the line belongs to; `header` says that it opens it. `key` and `value` are
    those of an assignment. `depth_after` counts the comment blocks still open behind the line.
    """

    raw: str
    spans: list[tuple[int, int]]
    active: str
    depth_before: int
    depth_after: int
    section: str = ""
    header: bool = False
    key: str | None = None
    value: str = ""

    def without_assignment(self) -> str:
        """Nothing, or what the line holds of a comment block that other lines belong to."""
        if not self.depth_before and not self.depth_after:
            return ""
        return self._replaced("")

    def with_assignment(self, key: str, value: str) -> str:
        """The line with another value; the same text when it has that value already."""
        if self.value == value:
            return self.raw
        if len(self.spans) == 1:
            start, end = self.spans[0]
            found = re.match(
                r"([^=]*=>?[ \t]*)(.*?)([\x00-\x20]*)\Z", self.raw[start:end], re.DOTALL
            )
            if found and not value.startswith(">"):
                head, _, tail = found.groups()
                new = _apart(head + _escape(value), tail + self.raw[end:])
                return self.raw[:start] + new
        return self._replaced(_assignment(key, value))

    def _replaced(self, text: str) -> str:
        """Comments and line end of the line, with `text` where its first active part was."""
        body = self.raw.rstrip("\r\n")
        new, at = "", 0
        for start, end in self.spans:
            new = _apart(new, body[at:start]) + text
            at, text = end, " "
        return _apart(new, self.raw[at:])


def _read(text: str) -> list[_Line]:
    lines = []
    depth, section = 0, ""
    for raw in _physical_lines(text):
        line = _scan(raw, depth)
        depth = line.depth_after
        active = line.active
        if opened := _SECTION.match(active):
            name = opened[1].strip(_BLANKS)
            # Asterisk compares these names without regard to case.
            section = name.lower() if name.lower() in {*_NOT_MAILBOXES, "default"} else name
            line.header = True
        elif active and not active.startswith("#"):
            key, sign, value = active.partition("=")
            key = key.strip(_BLANKS)
            if sign and key and not key.endswith("+"):
                line.key = key
                line.value = value.removeprefix(">").strip(_BLANKS)
        line.section = section
        lines.append(line)
    return lines


def _physical_lines(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _scan(raw: str, depth: int) -> _Line:
    """Split a line into comment and active text, as Asterisk's configuration reader does."""
    body = raw.rstrip("\r\n")
    line = _Line(raw, [], "", depth, depth)
    pieces: list[str] = []
    start = position = 1 if body.startswith("\ufeff") else 0

    def close(end: int) -> None:
        if not depth and end > start:
            line.spans.append((start, end))
            pieces.append(body[start:end].replace("\\;", ";"))

    while (at := body.find(";", position)) >= 0:
        if at > position and body[at - 1] == "\\":
            position = at + 1
        elif body.startswith(";--", at) and not body.startswith(";---", at):
            close(at)
            depth += 1
            position = start = at + 3
        elif depth and body[position:at].endswith("--"):
            depth -= 1
            position = start = at + 1
        elif depth:
            position = at + 1
        else:
            close(at)
            break
    else:
        close(len(body))
    line.active = "".join(pieces).strip(_BLANKS)
    line.depth_after = depth
    return line


def _aliases_section(lines: list[_Line]) -> str:
    for line in lines:
        if line.section == _GENERAL and line.key == "aliasescontext" and line.value:
            return line.value
    return _ALIASES


# --- writing --------------------------------------------------------------------------------------


def write_atomically(path: Path, text: str) -> None:
    """Replace the file in one step, so that a reader or a crash finds the old or the new one.

    Mode and owner stay those of the file; a new file belongs to the owner of the folder and is
    readable by its group only, since it holds PINs. Raises OSError, the old file being in place.
    """
    path = path.resolve()
    try:
        state = path.stat()
        mode, owner, group = state.st_mode & 0o7777, state.st_uid, state.st_gid
    except FileNotFoundError:
        folder = path.parent.stat()
        mode, owner, group = 0o640, folder.st_uid, folder.st_gid
    content = text.encode("utf-8", "surrogateescape")
    replace_file(path, content, mode=mode, owner=(owner, group))
