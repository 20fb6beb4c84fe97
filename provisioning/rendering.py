"""Jinja templates of device configurations, with a quoting rule for each format.

What a template prints is safe unless it says otherwise: a value printed as it is must be a plain
word (in XML it is escaped); everything else goes through the filter `quoted`, which knows the
quoting rule of the format, or refuses the value because the format cannot hold it. A value can
therefore never end its line, its string or its element and begin a statement of its own.

Rendering is pure: the same template and variables give the same text. There is no clock and no
chance in it, because a file that differs at each request makes devices restart.
"""

import functools
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import jinja2
from markupsafe import Markup

from nethvoice.problems import Problem


class Unrenderable(Problem):
    """422: a value that the device's configuration cannot hold. `what` names it, never shows it."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(422, "Refused", f"{what} {reason}")
        self.what = what


class Format(StrEnum):
    """How the file of a device is written."""

    PATTON = "patton"
    VEGA = "vega"
    DGW = "dgw"
    XML = "xml"


_PLAIN = re.compile(r"[A-Za-z0-9_.:/+*#@-]+")
_PRINTABLE = re.compile(r"[ -~]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u2028\u2029]")

_FORBIDDEN = {
    # `$(...)` is replaced, `?` asks for help, and no escape is documented (SmartNode CLI).
    Format.PATTON: '"\\$?',
    # A value ends at the next quote, and no escape is documented (Vega `set`).
    Format.VEGA: '"\\',
    Format.DGW: '"',
}

_VEGA_EMPTY = "NULL"


def render(format_: Format, template: str, **variables: Any) -> str:
    """The text of a template, in ASCII, with line ends as the template has them.

    `template` is a path below `templates/`. Raises Unrenderable for a value that the format cannot
    hold, and jinja2.UndefinedError for a template that prints what there is not.
    """
    text = _environment(format_).get_template(template).render(variables)
    if format_ is Format.XML:
        return text.encode("ascii", "xmlcharrefreplace").decode("ascii")
    return text


def unprintable(text: str) -> bool:
    """Whether a text has characters that no configuration may have: controls, broken Unicode."""
    return _CONTROL.search(text) is not None


def quote(format_: Format, value: object, what: str = "A value") -> Markup:
    """The value as a string of that format, in its quotes, safe to print.

    `what` names the value in the Unrenderable that is raised when the format cannot hold it.
    """
    if isinstance(value, Markup) and format_ is not Format.XML:
        # What a macro printed; joined to other text it has been escaped for HTML already.
        raise TypeError("a template quotes what is printed already")
    text = str(value)
    if format_ is Format.XML:
        if unprintable(text):
            raise Unrenderable(what, "has control characters")
        return Markup.escape(text)
    if not _PRINTABLE.fullmatch(text):
        raise Unrenderable(what, "has characters that are not printable ASCII")
    forbidden = _FORBIDDEN[format_]
    if any(character in text for character in forbidden):
        raise Unrenderable(what, f"may not have any of {' '.join(forbidden)} on this device")
    if format_ is Format.VEGA and text == _VEGA_EMPTY:
        raise Unrenderable(what, f"may not be {_VEGA_EMPTY}, which this device reads as empty")
    return Markup(_QUOTING[format_](text))  # noqa: S704 - quoted for its format, not for HTML


def _patton(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and "#" not in text else f'"{text}"'


def _vega(text: str) -> str:
    return f'"{text or _VEGA_EMPTY}"'


def _dgw(text: str) -> str:
    return '"' + text.replace("\\", "\\\\") + '"'


_QUOTING: dict[Format, Callable[[str], str]] = {
    Format.PATTON: _patton,
    Format.VEGA: _vega,
    Format.DGW: _dgw,
}


def _plain(value: object) -> Markup:
    """What `{{ value }}` without a filter prints in a format of words and lines."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | jinja2.Undefined):
        raise TypeError(f"a template prints a {type(value).__name__}")
    text = str(value)
    if not _PLAIN.fullmatch(text):
        raise Unrenderable("A value", "is not a plain word and the template does not quote it")
    return Markup(text)  # noqa: S704 - a plain word means itself in every format


def _element(value: object) -> object:
    """What `{{ value }}` prints in XML; escaping comes after."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | jinja2.Undefined):
        raise TypeError(f"a template prints a {type(value).__name__}")
    return quote(Format.XML, value)


@functools.cache
def _environment(format_: Format) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("provisioning", "templates"),
        undefined=jinja2.StrictUndefined,
        # On for every format: what `finalize` and `quoted` return is Markup and stays as it is.
        autoescape=True,
        finalize=_element if format_ is Format.XML else _plain,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = functools.partial(quote, format_)
    return environment
