"""The final report of the wizard: who has which number, password and mailbox PIN."""

from sqlalchemy import select

from nethvoice.pbx.people import NO_EXTENSION
from nethvoice.store.rows import text_row
from nethvoice.store.tables import rest_users, userman_users
from nethvoice.system import System


def final_report(system: System) -> list[dict[str, str | None]]:
    """One row for everybody with a main extension and a stored row, ordered by number as text."""
    query = (
        select(
            userman_users.c.username,
            userman_users.c.displayname,
            rest_users.c.password,
            userman_users.c.default_extension,
        )
        .join(rest_users, rest_users.c.user_id == userman_users.c.id)
        .where(userman_users.c.default_extension.not_in([NO_EXTENSION, ""]))
        .order_by(userman_users.c.default_extension)
    )
    with system.read() as connection:
        rows = [text_row(row._mapping) for row in connection.execute(query)]
    pins = {
        number: box.pwd
        for boxes in system.mailboxes.read().contexts.values()
        for number, box in boxes.items()
    }
    return [{**row, "voicemailpwd": pins.get(row["default_extension"] or "", "")} for row in rows]
