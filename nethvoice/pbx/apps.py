"""Apps of a person: mobile app, WebRTC in the browser, NethLink on the desktop.

Each person has at most one of each; it is a device extension whose kind is in the device list.
"""

from sqlalchemy import Connection, select

from nethvoice.pbx import devices
from nethvoice.pbx.devices import APPS, AppKind
from nethvoice.pbx.people import person_by_extension
from nethvoice.problems import not_found
from nethvoice.store.tables import rest_devices_phones
from nethvoice.store.unit import Unit
from nethvoice.system import NUMBERS, System


def create_app(system: System, main: str, kind: AppKind) -> str:
    """Give a person the app and return its extension; one that exists is kept and returned.

    Raises Problem 422 for a number that is no main extension, 409 when no number is left.
    """
    with system.change(NUMBERS) as unit:
        return add_app(system, unit, main, kind)


def add_app(system: System, unit: Unit, main: str, kind: AppKind) -> str:
    """As `create_app`, inside a unit that holds the lock of numbers."""
    owner = devices.require_owner(unit, main)
    existing = _find(unit.conn, owner.id, APPS[kind][:1])
    if existing:
        return existing[0]
    extension = devices.allocate(system, unit, owner, main)
    devices.set_type_sip(system, unit, extension, kind)
    devices.link_software(unit, owner, extension, kind)
    unit.reload()
    return extension


def app_extension(system: System, main: str, kind: AppKind) -> str:
    """The app's extension. Raises Problem 404 when the person has none."""
    with system.read() as connection:
        owner = person_by_extension(connection, main)
        found = _find(connection, owner.id, APPS[kind][:1]) if owner else []
    if not found:
        raise not_found(f"extension {main} has no {kind} extension")
    return found[0]


def delete_app(system: System, main: str, kind: AppKind) -> None:
    """Take the app away from the person of a main extension. Raises Problem 404."""
    with system.change(NUMBERS) as unit:
        if not remove_app(system, unit, main, kind):
            raise not_found(f"extension {main} has no {kind} extension")


def remove_app(system: System, unit: Unit, main: str, kind: AppKind) -> bool:
    """As `delete_app`, inside a unit; False when there was none."""
    owner = person_by_extension(unit.conn, main)
    found = _find(unit.conn, owner.id, APPS[kind]) if owner else []
    for extension in found:
        devices.delete_device(system, unit, extension)
    return bool(found)


def delete_mobile_app(system: System, extension: str) -> None:
    """Remove a mobile app by its own extension. Raises Problem 404 for any other extension."""
    with system.change(NUMBERS) as unit:
        query = select(rest_devices_phones.c.id).where(
            rest_devices_phones.c.extension == extension, rest_devices_phones.c.type == "mobile"
        )
        if unit.conn.execute(query.limit(1)).first() is None:
            raise not_found(f"extension {extension} is no mobile app")
        devices.delete_device(system, unit, extension)


def _find(connection: Connection, user_id: int, types: tuple[str, ...]) -> list[str]:
    query = (
        select(rest_devices_phones.c.extension)
        .where(
            rest_devices_phones.c.user_id == user_id,
            rest_devices_phones.c.type.in_(types),
            rest_devices_phones.c.extension.is_not(None),
            rest_devices_phones.c.extension != "",
        )
        .order_by(rest_devices_phones.c.id)
    )
    return [str(extension) for extension in connection.scalars(query)]
