"""Pushing a gateway's configuration: its files are written, then the device is made to take them.

It is a task, whose steps can be watched while the caller waits for the outcome. The dialogues with
devices are in `provisioning.push`.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from nethvoice import bodies
from nethvoice.context import current_request
from nethvoice.pbx.gateway_request import refusals
from nethvoice.pbx.gateway_rows import (
    Gateway,
    gateway_config,
    model_of,
    require_gateway,
    require_id,
)
from nethvoice.pbx.gateway_texts import put_files
from nethvoice.pbx.task_state import task_details
from nethvoice.pbx.trunks import TRUNKS
from nethvoice.problems import Problem, bad_request, unavailable, unprocessable
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows
from nethvoice.store.tasks import Report
from nethvoice.system import NUMBERS, System
from provisioning.gateway_files import sets_admin_password
from provisioning.mac_vendors import normalise_mac
from provisioning.push import (
    Dialogue,
    Login,
    NoDialogue,
    Patience,
    PushFailed,
    Step,
    dialogue_for,
    logins_for,
    push,
)

PATIENCE = Patience()
WRITING = "writing"
"""The step before those of the dialogue: the files are rendered and written."""

_FILE_WAIT = 5.0
_POLL = 0.1
_SHOWN_TASKS = 50
_TITLES = {422: "Refused", 502: "The device refused", 504: "The device does not answer"}


@dataclass(frozen=True)
class _Plan:
    """A push that can be tried: `address` is where the device is now."""

    gateway_id: int
    dialogue: Dialogue
    address: str
    logins: list[Login]


def task_kind(gateway_id: int) -> str:
    """The kind of the tasks that push to a gateway."""
    return f"push {gateway_id}"


async def push_gateway(system: System, name: str, mac: str | None) -> None:
    """Write the gateway's files and make the device load them; returns when it has confirmed that.

    No thread of the request and no database connection is kept while the device is waited for. The
    task's id goes into the answer. Raises Problem 404 (unknown gateway), 409 (several of that name,
    or a push to it is running), 422 (no way to push to it), 502 (the device refused), 503 (the
    files could not be written) and 504 (the device did not answer).
    """
    plan = await asyncio.to_thread(_plan, system, name, mac)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    failures: list[Exception] = []

    def work(report: Report) -> None:
        try:
            _carry_out(system, plan, report)
        except Exception as failure:
            failures.append(failure)
            raise

    def ended() -> None:
        with contextlib.suppress(RuntimeError):  # the service has stopped meanwhile
            loop.call_soon_threadsafe(done.set)

    task = await asyncio.to_thread(
        system.tasks.start,
        task_kind(plan.gateway_id),
        work,
        busy=f"a push to {name} is running already",
        on_end=ended,
    )
    request = current_request.get()
    if request is not None:
        request.task = task
    await done.wait()
    for failure in failures:
        if isinstance(failure, Problem):
            failure.headers["X-Task"] = task
            failure.members["task"] = task
        raise failure


def list_tasks(system: System, gateway_id: int) -> list[bodies.GatewayTask]:
    """The pushes to a gateway of the last days, the newest first. Raises Problem 404."""
    with system.read() as connection:
        require_gateway(connection, gateway_id)
    history = system.tasks.history(task_kind(gateway_id), _SHOWN_TASKS)
    return [{**task_details(task), "created": _iso(created)} for task, created in history]


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _plan(system: System, name: str, mac: str | None) -> _Plan:
    normal = None
    if mac:
        normal = normalise_mac(mac)
        if normal is None:
            raise bad_request(f"{mac[:40]} is no MAC address")
    with system.read() as connection:
        gateway = require_gateway(connection, require_id(connection, name, normal))
    try:
        dialogue = dialogue_for(gateway.manufacturer, gateway.model)
    except NoDialogue as error:
        raise _problem(error) from error
    address = gateway.current or gateway.address
    try:
        IPv4Address(address)
    except AddressValueError:
        raise unprocessable(f"{address[:60]} is not the address of a device") from None
    return _Plan(gateway.id, dialogue, address, _logins(system, gateway, dialogue))


def _logins(system: System, gateway: Gateway, dialogue: Dialogue) -> list[Login]:
    """The configured logins, the one that an earlier push has set, and the factory's."""
    logins = logins_for(dialogue, system.settings.gateway_logins, gateway.mac or None)
    password = system.settings.gateway_admin_password
    if password is not None and sets_admin_password(
        model_of(system, gateway.manufacturer, gateway.model)
    ):
        logins.insert(-1, Login("admin", password.get_secret_value()))
    return list(dict.fromkeys(logins))


def _carry_out(system: System, plan: _Plan, report: Report) -> None:
    report.phase(WRITING, 0)
    with refusals(), system.change((NUMBERS, TRUNKS)) as unit:
        gateway = require_gateway(unit.conn, plan.gateway_id)
        tftp_server = gateway_config(system, gateway).pbx
        files = put_files(system, unit, gateway, always=True)
    file, content = next(iter(files.items()))
    _await_file(system, file, content)

    def on_step(step: Step) -> None:
        # The dialogue goes on when its progress cannot be told.
        with contextlib.suppress(Problem):
            report.phase(str(step), step.percent)

    try:
        push(
            plan.dialogue,
            plan.address,
            plan.logins,
            tftp_server,
            file,
            on_step=on_step,
            patience=PATIENCE,
        )
    except PushFailed as failure:
        raise _problem(failure) from failure
    except ValueError as error:
        raise unprocessable(f"{error}") from error
    with system.change() as unit:
        where = (t.gateway_config.c.id == gateway.id) & (
            t.gateway_config.c.ipv4_new == gateway.address
        )
        change_rows(unit.conn, t.gateway_config, where, {"ipv4": gateway.address})


def _await_file(system: System, name: str, content: bytes) -> None:
    """Another process may be the one that writes it."""
    deadline = time.monotonic() + _FILE_WAIT
    while system.device_files.read(name) != content:
        if time.monotonic() >= deadline:
            raise unavailable("the gateway's file could not be written; the device was left alone")
        time.sleep(_POLL)


def _problem(failure: PushFailed) -> Problem:
    return Problem(failure.status, _TITLES[failure.status], str(failure))
