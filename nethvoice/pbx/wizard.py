"""How far the set-up wizard is, and the kind of user directory that was chosen in it."""

import re

from sqlalchemy import delete, insert, select

from nethvoice import bodies
from nethvoice.problems import bad_request, unprocessable
from nethvoice.store import tables as t
from nethvoice.store.hooks import run_hook
from nethvoice.store.rows import change_rows, text_row
from nethvoice.store.state import get_state, set_state
from nethvoice.store.tasks import TaskEngine
from nethvoice.system import SETTINGS, System

MODE = "mode"
MODES = ("legacy", "uc")
_TRUE = ("1", "true", "on", "yes")
_FALSE = ("0", "false", "off", "no", "")


def get_mode(system: System) -> bodies.Mode:
    """`legacy` (a directory on this system), `uc`, or `unknown` until one is chosen."""
    with system.read() as connection:
        stored = get_state(connection, MODE)
    return {"result": "legacy" if stored == "legacy" else "uc" if stored else "unknown"}


def set_mode(system: System, mode: str | None) -> str:
    """Store the mode. For `legacy` the result is the id of a task that is done already, since
    there is nothing to install; for `uc` it is `success`. Raises Problem 422."""
    if mode not in MODES:
        raise unprocessable("Invalid mode", result="Invalid mode")
    with system.change(SETTINGS) as unit:
        set_state(unit.conn, MODE, mode)
        return TaskEngine.insert_finished(unit.conn, "mode") if mode == "legacy" else "success"


def get_wizard(system: System) -> list[dict[str, str | None]]:
    """No row before the first save, then one with `step` and `status` as texts."""
    with system.read() as connection:
        rows = connection.execute(select(t.rest_wizard).order_by(t.rest_wizard.c.step).limit(1))
        return [text_row(row._mapping) for row in rows]


def set_wizard(system: System, step: str | int | None, status: str | bool | int | None) -> None:
    """Store the step (0-99) and whether the wizard is still active.

    A missing step keeps the stored one, or is 1. When the wizard ends, the operator's hook runs
    with the step; if it fails nothing is stored (Problem 500). Raises Problem 400.
    """
    active = _active(status)
    number = _step(step)
    before = get_wizard(system)
    if not active and before and before[0]["status"] == "true":
        last = number if number is not None else before[0]["step"]
        settings = system.settings
        run_hook(
            "HOOK_WIZARD_DONE", settings.hook_wizard_done, str(last), timeout=settings.hook_timeout
        )
    table = t.rest_wizard
    with system.change(SETTINGS) as unit:
        rows = unit.conn.execute(select(table.c.step).order_by(table.c.step)).all()
        kept = rows[0].step if rows else 1
        if len(rows) > 1:
            unit.conn.execute(delete(table).where(table.c.step != kept))
        if not rows:
            # The column counts up by itself, so a 0 cannot be inserted, but be changed to.
            unit.conn.execute(insert(table).values(step=1, status="true"))
        values = {"step": kept if number is None else number, "status": str(active).lower()}
        change_rows(unit.conn, table, table.c.step == kept, values)


def _active(status: str | bool | int | None) -> bool:
    if status is None:
        raise bad_request("status is required")
    text = str(status).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise bad_request("status must be true or false")
    return text in _TRUE


def _step(step: str | int | None) -> int | None:
    if step is None:
        return None
    text = str(step).strip()
    if not re.fullmatch(r"[0-9]{1,2}", text):
        raise bad_request("step must be a number from 0 to 99")
    return int(text)
