"""Values that clients write in more than one way."""

from nethvoice.problems import bad_request, unprocessable


def number_text(value: str | int | None) -> str:
    """A number given as text or integer, as text; missing and null are empty."""
    return "" if value is None else str(value).strip()


def either_number(first: str | int | None, second: str | int | None, name: str) -> str:
    """A number under its own key, or under the one that clients mix it up with.

    Raises Problem 400 when both are missing.
    """
    number = number_text(first) or number_text(second)
    if not number:
        raise bad_request(f"{name} is required")
    return number


def yes_or_no(value: str | bool | None) -> bool:
    """A switch as `yes`/`no` or boolean; missing means yes. Raises Problem 422 for other words."""
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if value is None or isinstance(value, bool):
        return value is not False
    if value.lower() not in words:
        raise unprocessable("state is neither yes nor no")
    return words[value.lower()]
