"""Long operations, followed by their id."""

from nethvoice import bodies
from nethvoice.pbx import task_state
from nethvoice.system import System


def get_task(*, task_id: str, system: System) -> bodies.Task:
    """How far a task is."""
    return task_state.get_task(system, task_id)
