"""People of the user directory."""

from nethvoice import bodies
from nethvoice.answers import RawJson
from nethvoice.pbx import directories, passwords, people_list, reports
from nethvoice.system import System


def list_users(*, system: System) -> RawJson:
    """Everybody."""
    return RawJson(people_list.list_people(system))


def list_all_users(*, system: System) -> RawJson:
    """Everybody, under the older path."""
    return RawJson(people_list.list_people(system))


def list_users_and_sync(*, system: System) -> RawJson:
    """Everybody as they are now, while the directory is synchronised."""
    directories.start_sync_unasked(system)
    return RawJson(people_list.list_people(system))


def list_configured_users(*, system: System) -> RawJson:
    """Those who have a main extension."""
    return RawJson(people_list.list_people(system, configured_only=True))


def count_users(*, system: System) -> int:
    """How many there are."""
    return people_list.count_people(system)


def get_user_sync_state(*, system: System) -> bool:
    """Whether the directory is being synchronised."""
    return directories.is_syncing(system)


def start_user_sync(*, system: System) -> bodies.TaskReference:
    """Synchronise the directory."""
    return {"result": directories.start_sync(system)}


def create_user(*, body: bodies.NewUser, system: System) -> None:
    """Make a person, or change the full name."""
    directories.create_user(system, body.get("username") or "", body.get("fullname") or "")


def get_user(*, username: str, system: System) -> RawJson:
    """One person."""
    return RawJson(people_list.get_person(system, username))


def get_user_password(*, username: str, system: System) -> bodies.StoredPassword:
    """The password in clear."""
    return {"result": people_list.stored_password(system, username)}


def set_user_password(*, username: str, body: bodies.NewPassword, system: System) -> None:
    """Set a person's password, or the administrator's."""
    passwords.set_password(system, username, body.get("password") or "")


def list_final_report(*, system: System) -> list[dict[str, str | None]]:
    """What the people need to know."""
    return reports.final_report(system)
