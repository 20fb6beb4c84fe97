"""What clients are told about a task: one of ours, or one that ptrack runs."""

import functools
from typing import Any, cast

from nethvoice import bodies
from nethvoice.problems import Problem
from nethvoice.store import ptrack
from nethvoice.store.tasks import APPLY, Task
from nethvoice.system import System

_DAY = 86400.0
_DUMPS_KEPT = 7
"""Days for which the outcome of a command under ptrack can be asked."""


def attach(system: System) -> None:
    """Have the dumps of commands that ended long ago deleted while the system runs."""
    folder = system.settings.ptrack_dir
    if folder is not None:
        purge = functools.partial(ptrack.purge, folder, older_than_days=_DUMPS_KEPT)
        system.every(_DAY, "deleting old dumps of ptrack", purge)


def get_task(system: System, task_id: str) -> bodies.Task:
    """The task while it runs or when it succeeded.

    Raises Problem 500 for one that failed (2xx would read as done) and 404 for an unknown one.
    """
    task = system.tasks.get(task_id)
    if task is None:
        return _ptrack_task(system, task_id)
    shown: bodies.Task = {"task": task.id, "action": task.action, "progress": task.progress}
    if task.kind == APPLY or task.phases:
        shown = task_details(task)
    if task.state == "failed":
        reason = task.output[-1] if task.output else "the task failed"
        raise _failed(dict(shown), reason)
    return shown


def task_details(task: Task) -> bodies.Task:
    """A task with its state, its steps and what it had to say."""
    return {
        "task": task.id,
        "action": task.action,
        "progress": task.progress,
        "state": task.state,
        "phases": cast("list[bodies.TaskPhase]", task.phases),
        "output": "\n".join(task.output),
    }


def _ptrack_task(system: System, task_id: str) -> bodies.Task:
    folder = system.settings.ptrack_dir
    try:
        found = ptrack.status(folder, task_id) if folder is not None else None
    except ptrack.PtrackUnreadable:
        unknown = {"task": task_id, "action": None, "progress": 0}
        raise _failed(unknown, "the state of the command cannot be read now") from None
    if found is None:
        raise Problem(
            404, "Not found", "there is no such task", task=task_id, action=None, progress=0
        )
    shown: bodies.Task = {"task": task_id, "action": found.action, "progress": found.progress}
    if found.finished and found.exit_code:
        raise _failed({**shown, "progress": 100}, f"the command ended with code {found.exit_code}")
    return shown


def _failed(members: dict[str, Any], reason: str) -> Problem:
    return Problem(500, "Task failed", reason, **members)
