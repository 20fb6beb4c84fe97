"""The state of extensions as Asterisk's hints have it."""

from collections.abc import Mapping

from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.system import System

CONTEXT = "ext-local"
"""Context of FreePBX's hints."""

State = tuple[str, str]
"""Number and text, `("0", "Idle")`."""

UNKNOWN: State = ("-1", "Unknown")


def extension_states(system: System) -> Mapping[str, State] | None:
    """The state of each extension that has a hint; one that is missing is `UNKNOWN`.

    One action, however many there are. None when Asterisk cannot be asked.
    """
    if system.ami is None:
        return None
    try:
        rows = system.ami.list_action("ExtensionStateList", {})
    except AmiUnavailable:
        return None
    except AmiRefused as error:
        # Without any hint Asterisk refuses instead of answering an empty list.
        return {} if "hint" in error.message.lower() else None
    return {
        row["Exten"]: (row["Status"], row["StatusText"])
        for row in rows
        if row.get("Context") == CONTEXT and "Exten" in row
    }
