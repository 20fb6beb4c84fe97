"""Passwords of people, and of the FreePBX administrator, who is set in the same place."""

from nethvoice.pbx import administrators, directories
from nethvoice.pbx.people import find_person, is_reserved
from nethvoice.problems import unprocessable
from nethvoice.system import System

ADMINISTRATOR = "admin"


def set_password(system: System, username: str, password: str) -> None:
    """Set the password of a person, or (`admin`) of the FreePBX administrator.

    Raises Problem 422 with `result`: no password, unknown person, refused by the directory; 404
    when there is no such administrator.
    """
    name = username.lower()
    if name == ADMINISTRATOR:
        administrators.set_password(system, ADMINISTRATOR, password)
        return
    with system.read() as connection:
        person = find_person(connection, username)
    if person is None or is_reserved(system, person.username):
        text = f"{name} user doesn't exist"
        raise unprocessable(text, result=text)
    directories.set_password(system, person, password)
