"""The texts of gateways: as they are served to devices, and as they would be rendered now."""

import base64
import difflib
from collections.abc import Mapping
from datetime import datetime

from nethvoice.pbx.gateway_rows import (
    Gateway,
    gateway_config,
    require_gateway,
    require_id,
)
from nethvoice.problems import bad_request
from nethvoice.store.device_files import remove_file, write_file
from nethvoice.store.unit import Unit
from nethvoice.system import System
from provisioning.gateway_files import file_names, gateway_files, generation_time, render_gateway
from provisioning.mac_vendors import normalise_mac


def now() -> datetime:
    """The local time, which goes into the files."""
    return datetime.now().astimezone()


def names_of(gateway: Gateway) -> tuple[str, ...]:
    """The names of the gateway's files, its configuration first."""
    return file_names(gateway.manufacturer, gateway.mac)


def put_files(
    system: System, unit: Unit, gateway: Gateway, *, stale: tuple[str, ...] = (), always: bool
) -> dict[str, bytes]:
    """Have the gateway's files written, and the `stale` ones removed; returns what is written.

    Unless `always`, files that differ from those that are served in nothing but their date are left
    alone. Raises Problem 422 for values that the device's language cannot hold.
    """
    files = gateway_files(gateway_config(system, gateway), now())
    if always or _is_outdated(system, gateway, files):
        unit.files += [write_file(name, content) for name, content in files.items()]
    unit.files += [remove_file(name) for name in stale if name not in files]
    return files


def remove_files(unit: Unit, gateway: Gateway) -> None:
    """Have the gateway's files removed."""
    unit.files += [remove_file(name) for name in names_of(gateway)]


def _is_outdated(system: System, gateway: Gateway, files: Mapping[str, bytes]) -> bool:
    served = {name: system.device_files.read(name) for name in files}
    return served != _as_of_then(system, gateway, served)


def _as_of_then(
    system: System, gateway: Gateway, served: Mapping[str, bytes | None]
) -> dict[str, bytes]:
    """The files as they would be rendered with the date of those that are served."""
    texts = (content.decode("ascii", "replace") for content in served.values() if content)
    times = (generation_time(text) for text in texts)
    when = next((time for time in times if time is not None), None)
    return gateway_files(gateway_config(system, gateway), when or now())


# --- reading --------------------------------------------------------------------------------------


def configuration(system: System, gateway_id: int) -> str:
    """The configuration as it would be written now. Raises Problem 404 and 422."""
    with system.read() as connection:
        gateway = require_gateway(connection, gateway_id)
    return render_gateway(gateway_config(system, gateway), now())


def difference(system: System, gateway_id: int) -> str:
    """What would change in the files that are served if they were written now, as a unified diff;
    empty when nothing but the date would. Raises Problem 404 and 422."""
    with system.read() as connection:
        gateway = require_gateway(connection, gateway_id)
    served = {name: system.device_files.read(name) for name in names_of(gateway)}
    lines: list[str] = []
    for name, content in _as_of_then(system, gateway, served).items():
        before = served[name]
        lines += difflib.unified_diff(
            [] if before is None else before.decode("ascii", "replace").splitlines(),
            content.decode("ascii").splitlines(),
            "/dev/null" if before is None else f"served/{name}",
            f"rendered/{name}",
            lineterm="",
        )
    return "".join(line + "\n" for line in lines)


def download(system: System, name: str, mac: str | None = None) -> str:
    """The configuration in base64. Raises Problem 404 (unknown), 409 (several of that name), 400
    (malformed MAC address) and 422."""
    normal = None
    if mac is not None:
        normal = normalise_mac(mac)
        if normal is None:
            raise bad_request(f"{mac} is no MAC address")
    with system.read() as connection:
        gateway = require_gateway(connection, require_id(connection, name, normal))
    text = render_gateway(gateway_config(system, gateway), now())
    return base64.b64encode(text.encode("ascii")).decode("ascii")
