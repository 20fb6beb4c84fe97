"""Templates of display names."""

import itertools

import pytest

from nethvoice.pbx.display_names import expand, mask


@pytest.mark.parametrize(
    ("template", "main", "name"),
    [
        ("Room ???", "201", "Room 201"),
        ("Room ????", "201", "Room 201"),
        ("Room ??", "201", "Room 01"),
        ("Room ?", "201", "Room 1"),
        ("Room ???", "1201", "Room 201"),
        ("Room ????", "1201", "Room 1201"),
        ("Room ?????", "12345", "Room 12345"),
        ("Room ????", "12345", "Room 12345"),
        ("??, ???????", "201", "01, 201201"),
        ("Room", "201", "Room"),
        ("???", "20", "20"),
        ("?", "7", "7"),
    ],
)
def test_expand(template: str, main: str, name: str) -> None:
    assert expand(template, main) == name


def test_a_masked_name_made_by_number_comes_back() -> None:
    """For every number of up to five digits out of a few, whatever its length."""
    for length in range(1, 6):
        for digits in itertools.product("027", repeat=length):
            main = "".join(digits)
            for form in ("Desk {}", "{} Desk", "Desk {} of Ann"):
                name = form.format(main)
                assert expand(mask(name, main), main) == name


def test_masks_are_the_same_for_names_made_by_number() -> None:
    names = {mask(f"Desk {number}", str(number)) for number in range(300, 400)}
    assert names == {"Desk ???"}
