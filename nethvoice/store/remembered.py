"""Answers that are made again only when what they are made of has changed."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def remember_last(function: Callable[P, T]) -> Callable[P, T]:
    """Keep the last result of a function, and give it out again for equal arguments.

    For lists that clients ask for again and again: comparing what the database sent with what it
    sent before costs next to nothing. Nobody may change the result.
    """
    kept: tuple[object, object, T] | None = None

    def remembering(*args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal kept
        before = kept  # another thread may put another one there meanwhile
        if before is not None and before[0] == args and before[1] == kwargs:
            return before[2]
        result = function(*args, **kwargs)
        kept = (args, kwargs, result)
        return result

    return remembering
