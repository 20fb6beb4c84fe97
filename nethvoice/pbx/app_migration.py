"""Moving the mobile apps of all people to another app's SIP settings, and back."""

from sqlalchemy import select

from nethvoice.pbx.devices import MOBILE_APP_SIP
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows
from nethvoice.system import System


class NotOnProxy(Exception):
    """Behind a SIP proxy the apps' rows are those of the proxy and must not be moved."""


def migrate_apps(system: System, *, restore: bool = False) -> int:
    """Set the Acrobits app's values, with `restore` the older native app's, on existing rows.

    Returns how many `sip` rows changed; one reload follows when any did.
    """
    if system.settings.on_proxy:
        raise NotOnProxy
    values = MOBILE_APP_SIP["native" if restore else "acrobits"]
    changed = 0
    with system.change() as unit:
        devices = t.rest_devices_phones
        apps = select(devices.c.extension).where(
            devices.c.type == "mobile", devices.c.extension.is_not(None)
        )
        extensions = [str(extension) for extension in unit.conn.scalars(apps)]
        for keyword, data in values.items():
            where = t.sip.c.id.in_(extensions) & (t.sip.c.keyword == keyword)
            changed += change_rows(unit.conn, t.sip, where, {"data": data})
        if changed:
            unit.reload()
    return changed
