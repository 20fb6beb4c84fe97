"""Handlers of a small document that our layers and stock connexion both serve."""

from typing import Any


def list_things(*, limit: int, tag: str | None = None, exact: bool) -> dict[str, Any]:
    return {"limit": limit, "tag": tag, "exact": exact}


def add_thing(*, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    return body, 201


def get_thing(*, thing: int) -> dict[str, Any]:
    return {"thing": thing}


def count_things() -> int:
    return 3


def remove_thing(*, thing: int) -> None:
    return None


def set_note(*, body: dict[str, Any]) -> dict[str, Any]:
    return body


def sort_things(*, body: list[int]) -> list[int]:
    return sorted(body)


def get_name(*, name: str) -> str:
    return name


async def wait_for_thing() -> bool:
    return True
