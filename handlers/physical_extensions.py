"""Devices of main extensions."""

from nethvoice import bodies
from nethvoice.answers import RawJson
from nethvoice.pbx import devices, extension_list
from nethvoice.pbx.extension_list import PHYSICAL
from nethvoice.pbx.values import number_text
from nethvoice.system import System


def list_physical_extensions(*, system: System) -> RawJson:
    """Every PJSIP extension, main extensions included."""
    return RawJson(extension_list.list_extensions(system, PHYSICAL))


def get_physical_extension(*, device: str, system: System) -> RawJson:
    """One of them."""
    return RawJson(extension_list.get_extension(system, device, PHYSICAL))


def create_physical_extension(
    *, body: bodies.PhysicalExtensionLink, system: System
) -> bodies.LinkedExtension:
    """Link a phone or a custom device to a main extension, or add a phone to the inventory."""
    main = number_text(body.get("mainextension"))
    model = body.get("model")
    phone = devices.phone(
        mac=body.get("mac"),
        model=model["name"] if isinstance(model, dict) else model,
        line=number_text(body.get("line")),
        web_user=body.get("web_user"),
        web_password=body.get("web_password"),
    )
    try:
        extension = devices.create_physical_extension(
            system,
            "" if main == "0" else main,
            phone,
            extension=number_text(body.get("extension")) or None,
            clear_temporary=body.get("clear_temporary") is not None,
        )
    except devices.NoNumberLeft as problem:
        # The one document whose status is a text: the wizard compares it.
        problem.members |= {"status": problem.detail, "code": problem.status}
        raise
    return {"extension": extension}


def set_phones_admin_password(*, body: bodies.PhonesAdminPassword, system: System) -> None:
    """Set the web password of all phones."""
    devices.set_phones_admin_password(system, body["password"])


def change_phone_model(*, device: str, body: bodies.PhoneModelChange, system: System) -> None:
    """Set or clear the model of a phone."""
    devices.change_model(system, device, body.get("model") or None)


def delete_physical_extension(*, device: str, system: System) -> None:
    """Remove a device by its number, or a phone by its MAC address."""
    devices.delete_path_device(system, device)
