"""voicemail.conf is edited line by line: what an edit is not about stays byte for byte."""

import itertools
import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nethvoice.store import voicemail_conf
from nethvoice.store.voicemail_conf import (
    EMPTY,
    Mailbox,
    parse,
    remove_mailbox,
    set_alias,
    set_general,
    set_mailbox,
    write_atomically,
)

FILE = """\
; kept by hand
[general]
#include vm_general.inc
format = wav49|gsm|wav ; the usual
emailbody=Dear ${VM_NAME}:\\n\\nyou have mail\\; listen\t
aliasescontext=pbxaliases

[zonemessages]
eastern=America/New_York|'vm-received' Q 'digits/at' IMp

[default]
200=4711,John Doe,jdoe@example.org,,attach=no|saycid=no|envelope=no|delete=no
 201 => 1234,Jane\\; Roe,,jane@example.org|pager ; her box
;202=1111,Gone
;-- 203=2222,Gone too
204=3333,Gone as well --;205=4444,Alive
#include more_boxes.conf

[sales]
300=9999,Sales desk
201=1,Second

[pbxaliases]
200@device=200@default
201@device=201@default
"""


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines taken out and put in, when exactly one run of lines differs."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    head = common(old, new)
    tail = common(old[head:][::-1], new[head:][::-1])
    return old[head : len(old) - tail], new[head : len(new) - tail]


def common(first: list[str], second: list[str]) -> int:
    pairs = zip(first, second, strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def test_reads_boxes_settings_and_aliases() -> None:
    conf = parse(FILE)
    assert set(conf.contexts) == {"default", "sales"}
    assert conf.contexts["default"] == {
        "200": Mailbox(
            "200",
            "4711",
            "John Doe",
            "jdoe@example.org",
            "",
            {"attach": "no", "saycid": "no", "envelope": "no", "delete": "no"},
        ),
        "201": Mailbox("201", "1234", "Jane; Roe", "", "jane@example.org|pager", {}),
        "205": Mailbox("205", "4444", "Alive"),
    }
    assert conf.contexts["sales"]["300"] == Mailbox("300", "9999", "Sales desk")
    assert conf.general["format"] == "wav49|gsm|wav"
    assert conf.general["emailbody"] == r"Dear ${VM_NAME}:\n\nyou have mail; listen"
    assert conf.aliases == {"200@device": "200@default", "201@device": "201@default"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("200=", Mailbox("200")),
        ("200=12", Mailbox("200", "12")),
        ("200=12,A,,,attach=yes||tz=central24|alone", Mailbox("200", "12", "A", options={})),
        ("200 => -12,A,a@b;x", Mailbox("200", "-12", "A", "a@b")),
        ("200=1,A;-- no --; B", Mailbox("200", "1", "A B")),
        ("200=1,A\\\\;B", Mailbox("200", "1", "A\\;B")),
        ("\t200=1,A;--- not a block", Mailbox("200", "1", "A")),
    ],
)
def test_reads_a_mailbox_line(line: str, expected: Mailbox) -> None:
    box = parse(f"[default]\n{line}\n").contexts["default"]["200"]
    options = {"attach": "yes", "tz": "central24", "alone": ""} if "attach" in line else {}
    assert box == Mailbox(
        box.mailbox, expected.pwd, expected.name, expected.email, expected.pager, options
    )


def test_lines_that_are_not_boxes() -> None:
    text = (
        "200=0\n[default]\n200\n=1\n#exec /bin/true\n200 += x\n[broken\n;-- [sales] ;-- --;\n201=1"
    )
    assert parse(text).contexts == {"default": {}}


def test_new_mailbox_is_the_last_line_of_its_section() -> None:
    text = set_mailbox(FILE, "206", "8812", "Ada, Rossi; jr\n", "a@b.it,c@d.it")
    assert changed(FILE, text) == (
        [],
        ["206=8812,Ada Rossi\\; jr,a@b.it|c@d.it,,attach=no|saycid=no|envelope=no|delete=no\n"],
    )
    assert text.index("206=") > text.index("#include more")
    assert text.index("206=") < text.index("[sales]")
    box = parse(text).contexts["default"]["206"]
    assert (box.name, box.email) == ("Ada Rossi; jr", "a@b.it|c@d.it")


def test_existing_mailbox_is_kept() -> None:
    assert set_mailbox(FILE, "201", "0000", "Other", "o@example.org") == FILE


def test_mailbox_in_another_context_does_not_count() -> None:
    assert "300" in parse(set_mailbox(FILE, "300", "1", "X", "")).contexts["default"]


def test_remove_takes_every_context_and_the_alias() -> None:
    text = remove_mailbox(FILE, "201")
    gone = {line for line in FILE.splitlines() if line not in text.splitlines()}
    assert gone == {
        " 201 => 1234,Jane\\; Roe,,jane@example.org|pager ; her box",
        "201=1,Second",
        "201@device=201@default",
    }
    assert remove_mailbox(text, "201") == text


def test_comment_block_around_a_removed_box_stays_closed() -> None:
    text = remove_mailbox(FILE, "205")
    assert changed(FILE, text) == (
        ["204=3333,Gone as well --;205=4444,Alive\n"],
        ["204=3333,Gone as well --;\n"],
    )
    assert parse(text).contexts["default"].keys() == {"200", "201"}


def test_new_file() -> None:
    text = set_alias(set_mailbox(EMPTY, "200", "4711", "Ada", "a@b.it"), "200")
    assert text == (
        "\n[general]\naliasescontext=pbxaliases\n\n"
        "[default]\n200=4711,Ada,a@b.it,,attach=no|saycid=no|envelope=no|delete=no\n\n"
        "[pbxaliases]\n200@device=200@default\n\n"
    )


def test_alias_section_is_the_configured_one() -> None:
    text = FILE.replace("aliasescontext=pbxaliases", "aliasescontext=mine")
    text = set_alias(text, "207")
    assert text.endswith("[mine]\n207@device=207@default\n\n")
    assert parse(text).aliases == {"207@device": "207@default"}
    assert remove_mailbox(text, "207").endswith("[mine]\n\n")


def test_crlf_file_gets_crlf_lines() -> None:
    before = FILE.replace("\n", "\r\n")
    _, put_in = changed(before, set_mailbox(before, "206", "1", "A", ""))
    assert len(put_in) == 1
    assert put_in[0].endswith("\r\n")
    _, put_in = changed(before, set_general(before, "format", "wav"))
    assert put_in == ["format = wav ; the usual\r\n"]


def test_last_line_without_end() -> None:
    assert set_mailbox("[default]\n200=1", "201", "2", "", "", options={}) == (
        "[default]\n200=1\n201=2,,,,\n"
    )


def test_section_opened_inside_a_block_comment() -> None:
    text = "[default] ;-- old\n200=1\n--;\n201=2\n;-- 202=3\n"
    assert parse(set_mailbox(text, "203", "4", "", "")).contexts["default"].keys() == {"201", "203"}
    with pytest.raises(ValueError, match="outside a comment block"):
        set_mailbox("[default] ;-- old\n200=1\n", "203", "4", "", "")
    with pytest.raises(ValueError, match="inside a comment block"):
        set_mailbox("[general] ;-- old\n200=1\n", "203", "4", "", "")


def test_general_settings() -> None:
    text = set_general(FILE, "mailcmd", "/usr/sbin/sendmail -t")
    assert changed(FILE, text) == ([], ["mailcmd=/usr/sbin/sendmail -t\n"])
    assert set_general(text, "mailcmd", "/usr/sbin/sendmail -t") == text
    assert set_general(text, "mailcmd", None) == FILE
    assert set_general(FILE, "mailcmd", None) == FILE


def test_general_texts_keep_their_line_feeds_as_escapes() -> None:
    text = set_general(FILE, "emailbody", "Dear;\n\tyou\r\nbye")
    assert "\nemailbody=Dear\\;\\n\\tyou\\nbye\t\n" in text
    assert set_general(EMPTY, "emailbody", ">x").splitlines()[2] == "emailbody= >x"


def test_setting_given_twice_is_left_once() -> None:
    text = "[general]\nmailcmd=/a\nformat=wav\nmailcmd=/b ; second\n"
    assert set_general(text, "mailcmd", "/c") == "[general]\nmailcmd=/c\nformat=wav\n"
    assert set_general(text, "mailcmd", "/a") == "[general]\nmailcmd=/a\nformat=wav\n"


@pytest.mark.parametrize(
    ("extension", "pin", "options"),
    [
        ("", "1", {}),
        ("200\n201", "1", {}),
        ("20,0", "1", {}),
        ("[x]", "1", {}),
        ("#200", "1", {}),
        ("200", "1,2", {}),
        ("200", "1\n", {}),
        ("200", "1", {"attach": "yes|no"}),
        ("200", "1", {"": "x"}),
        ("200", "1", {"a=b": "x"}),
    ],
)
def test_refuses_what_would_break_the_line(
    extension: str, pin: str, options: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        set_mailbox(FILE, extension, pin, "Ada", "", options=options)


# --- properties -----------------------------------------------------------------------------------

numbers = st.integers(200, 206).map(str)
comments = st.sampled_from(
    ["", " ; note", ";", ";-- c --;", ";-- open", " --;", "--; x", ";---", "\\;"]
)
bodies = st.one_of(
    st.just(""),
    st.builds("{}={}".format, numbers, st.text("1,A =|>\\é\u2028\x85", max_size=8)),
    st.builds("{} => {},B".format, numbers, numbers),
    st.builds("{0}@device={0}@default".format, numbers),
    st.sampled_from(
        [
            "[default]",
            "[Default]",
            "[general]",
            "[pbxaliases]",
            "[sales](!)",
            "[device]",
            "mailcmd=/x",
            "mailcmd = /x y",
            "aliasescontext=pbxaliases",
            "#include x.conf",
            "junk",
        ]
    ),
)
ends = st.sampled_from(["\n", "\n", "\r\n"])
configs = st.builds(
    lambda lines, last: "".join(lines) + last,
    st.lists(st.builds("{}{}{}".format, bodies, comments, ends), max_size=14),
    st.sampled_from(["", "[default]", "201=1"]),
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def physical(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def is_subsequence(short: list[str], long: list[str]) -> bool:
    rest = iter(long)
    return all(line in rest for line in short)


@given(configs, numbers, names, names)
def test_adding_keeps_every_other_line(text: str, number: str, name: str, email: str) -> None:
    before = parse(text)
    try:
        after_text = set_mailbox(text, number, "4711", name, email)
    except ValueError as error:
        if "comment block" not in str(error):
            raise
        return
    if number in before.contexts.get("default", {}):
        assert after_text == text
        return
    old, new = physical(text), physical(after_text)
    # Only a last line without an end may get one, when the new line comes behind it.
    ended = [[*old[:-1], old[-1] + end] for end in ("\n", "\r\n")] if old else []
    assert any(is_subsequence(lines, new) for lines in [old, *ended])
    assert len(new) - len(old) in ({1} if "default" in before.contexts else {3, 4})
    after = parse(after_text)
    box = after.contexts["default"][number]
    blanks = "".join(map(chr, range(33)))
    clean = re.sub(r"[\x00-\x1f\x7f]+", " ", name.replace(",", "")).strip(blanks)
    assert (box.pwd, box.name) == ("4711", clean)
    assert box.options == voicemail_conf.DEFAULT_OPTIONS
    others = {n: b for n, b in after.contexts["default"].items() if n != number}
    assert others == before.contexts.get("default", {})
    assert (after.general, after.aliases) == (before.general, before.aliases)
    assert set_mailbox(after_text, number, "1", "x", "y") == after_text


@given(configs, numbers)
def test_removing_keeps_every_other_line(text: str, number: str) -> None:
    before, after_text = parse(text), remove_mailbox(text, number)
    after = parse(after_text)
    assert all(number not in boxes for boxes in after.contexts.values())
    assert f"{number}@device" not in after.aliases
    for context, boxes in before.contexts.items():
        assert after.contexts[context] == {n: b for n, b in boxes.items() if n != number}
    assert after.general == before.general
    others = [line for line in physical(text) if number not in line]
    assert is_subsequence(others, physical(after_text))
    assert remove_mailbox(after_text, number) == after_text


@given(configs, st.text("/a ;>\\\n", max_size=6))
def test_setting_keeps_every_other_line(text: str, value: str) -> None:
    before = parse(text)
    try:
        after_text = set_general(text, "mailcmd", value)
    except ValueError as error:
        if "comment block" not in str(error):
            raise
        return
    after = parse(after_text)
    assert after.general["mailcmd"] == value.replace("\n", "\\n").strip(" ")
    assert (after.contexts, after.aliases) == (before.contexts, before.aliases)
    others = [line for line in physical(text) if "mailcmd" not in line and line.endswith("\n")]
    assert is_subsequence(others, physical(after_text))
    assert set_general(after_text, "mailcmd", value) == after_text
    removed = parse(set_general(after_text, "mailcmd", None))
    assert {**removed.general, "mailcmd": "x"} == {**before.general, "mailcmd": "x"}


# --- the file -------------------------------------------------------------------------------------


def test_write_keeps_mode_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "voicemail.conf"
    content = b"[default]\r\n200=1,caf\xe9 \xc3\xa8\n"
    path.write_bytes(content)
    path.chmod(0o664)
    write_atomically(path, set_mailbox(voicemail_conf.read(path), "201", "2", "", "", options={}))
    assert path.read_bytes() == content + b"201=2,,,,\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    assert [entry.name for entry in tmp_path.iterdir()] == ["voicemail.conf"]


def test_new_file_is_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "voicemail.conf"
    write_atomically(path, EMPTY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text() == EMPTY


@pytest.mark.skipif(os.geteuid() != 0, reason="changing an owner needs root")
def test_write_keeps_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "voicemail.conf"
    path.write_text(EMPTY)
    os.chown(path, 4711, 4712)
    write_atomically(path, EMPTY + "; more\n")
    assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712)
    os.chown(tmp_path, 4713, 4714)
    write_atomically(tmp_path / "new.conf", EMPTY)
    assert (tmp_path / "new.conf").stat().st_uid == 4713


def test_write_goes_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    target, link = tmp_path / "target.conf", tmp_path / "etc" / "voicemail.conf"
    target.write_text(EMPTY)
    link.symlink_to(target)
    write_atomically(link, "[general]\n")
    assert link.is_symlink()
    assert target.read_text() == "[general]\n"


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "voicemail.conf"
    path.write_text(EMPTY)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "[general]\n")
    assert path.read_text() == EMPTY
    assert [entry.name for entry in tmp_path.iterdir()] == ["voicemail.conf"]
