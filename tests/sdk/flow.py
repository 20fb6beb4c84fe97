"""From the first person to a gateway with the Python SDK, as an integrator would write it.

Run by tests/integration/test_sdk_python.py with the interpreter that has the SDK, and checked by
`mypy --strict`. A new area is one more function in STEPS.
"""

import asyncio
import pickle
import sys

from nethvoice_sdk import AsyncClient, Client, Conflict, NotFound, Refused, WrongCredentials
from nethvoice_sdk.models import (
    GatewayToSave,
    IsdnPortToSave,
    MainExtensionAssignment,
    MainExtensionReference,
    NewInboundRoute,
    NewPassword,
    NewTrunk,
    NewUser,
    OutboundRoutesByLocale,
    PhysicalExtensionLink,
    VoicemailSwitch,
    WantedOutboundRoute,
)
from nethvoice_sdk.models.wanted_outbound_route_trunks_type_0_item import (
    WantedOutboundRouteTrunksType0Item as RouteTrunk,
)


def people(api: Client) -> None:
    assert api.check_login().success
    assert api.count_users() == 0
    api.create_user(NewUser(username="ada", fullname="Ada Rossi"))
    api.set_user_password("ada", NewPassword(password="Pa9!xyzw"))
    assert api.get_user_password("ada").result == "Pa9!xyzw"
    assert api.set_main_extension(MainExtensionAssignment(username="ada", extension=200)) is None
    phone = PhysicalExtensionLink(mainextension="200", mac="00-15-65-AA-BB-CC", model="yealink-T46")
    assert api.create_physical_extension(phone).extension == "200"
    app = api.create_mobile_app_extension(MainExtensionReference(mainextension="200"))
    assert api.get_mobile_app_extension("200") == app.extension
    api.set_voicemail(VoicemailSwitch(extension="200", state="yes"))
    ada = api.get_user("ada")
    assert (ada.default_extension, ada.displayname) == ("200", "Ada Rossi")
    assert [device.mac for device in ada.devices] == ["00:15:65:AA:BB:CC", None]
    assert [user.username for user in api.list_users()] == ["ada"]
    api.set_extension_srtp("200", "true")
    assert api.get_extension_srtp("200") is True


def failures(api: Client) -> None:
    try:
        api.get_user("nobody")
        raise AssertionError("nobody is there")
    except NotFound as error:
        assert (error.status, error.title) == (404, "Not found")
        assert error.detail
        assert error.request_id
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    try:
        api.set_main_extension(MainExtensionAssignment(username="ada", extension="abc"))
        raise AssertionError("that is no number")
    except Refused as error:
        assert error.members["message"] == error.detail
    try:
        with Client(api.base_url, "admin", "wrong") as stranger:
            stranger.list_users()
        raise AssertionError("the password is wrong")
    except WrongCredentials as error:
        assert error.members["error"]


def device_numbers(api: Client) -> None:
    """The one problem whose `status` is a text is still known by its code."""
    device = PhysicalExtensionLink(mainextension="200", mac=None)
    try:
        for _ in range(9):
            api.create_physical_extension(device)
        raise AssertionError("there are only seven device numbers")
    except Conflict as error:
        assert error.status == 409


def trunks(api: Client) -> None:
    assert "vivavox" in [provider.provider for provider in api.list_providers()]
    made = api.create_trunk(
        NewTrunk(
            provider="vivavox",
            name="Sdk",
            username="0721000111",
            password="s3cret",
            phone="0721000111",
            codecs=["alaw", "ulaw"],
            force_codec=True,
        )
    )
    found = {trunk.trunkid: trunk.name for trunk in api.list_trunks()}
    assert found[made.trunkid] == "Sdk"


def routes(api: Client) -> None:
    trunk = next(trunk for trunk in api.list_trunks() if trunk.name == "Sdk")
    api.create_inbound_route(
        NewInboundRoute(extension="0721000111", destination="from-did-direct,200,1")
    )
    inbound = api.list_inbound_routes().routes
    assert [(route.extension, route.destination) for route in inbound] == [
        ("0721000111", "from-did-direct,200,1")
    ]
    italian = OutboundRoutesByLocale()
    italian["it"] = [
        WantedOutboundRoute(name="national_it", trunks=[RouteTrunk(trunkid=trunk.trunkid)])
    ]
    api.save_outbound_routes(italian)
    outbound = api.list_outbound_routes()
    assert [route.name for route in outbound] == ["national_it"]
    assert [one.trunkid for one in outbound[0].trunks] == [trunk.trunkid]


def gateways(api: Client) -> None:
    before = api.count_trunks()
    wanted = GatewayToSave(
        name="Sdk gateway",
        mac="00:A0:BA:0B:1C:DA",
        model="17",
        ipv4_new="192.168.1.250",
        gateway="192.168.1.254",
        netmask_green="255.255.255.0",
        ipv4_green="192.168.1.1",
        trunks_isdn=[IsdnPortToSave(type_="pp"), IsdnPortToSave(type_="pmp")],
    )
    saved = api.save_gateway(wanted)
    assert saved.status
    assert api.count_trunks() == before + 2
    assert api.download_gateway_configuration_by_mac("Sdk gateway", "00:A0:BA:0B:1C:DA")
    assert api.delete_gateway(saved.id).status
    assert api.count_trunks() == before


def applied(api: Client) -> None:
    assert api.apply_task is not None
    task = api.wait_until_applied(timeout=60)
    assert task is not None
    assert task.progress == 100


async def concurrently(api: AsyncClient) -> None:
    """The same operations, several at a time, with a secret that is asked for once."""
    names = [f"person{number}" for number in range(8)]
    users = [NewUser(username=name, fullname=name.title()) for name in names]
    await asyncio.gather(*(api.create_user(user) for user in users))
    assert {user.username for user in await api.list_users()} >= set(names)
    try:
        await api.get_user("nobody")
        raise AssertionError("nobody is there")
    except NotFound as error:
        assert error.status == 404
    await api.set_main_extension(MainExtensionAssignment(username="person0", extension="300"))
    task = await api.wait_until_applied(timeout=60)
    assert task is not None


STEPS = (people, failures, device_numbers, trunks, routes, gateways, applied)


def main(base_url: str, user: str, password: str) -> None:
    with Client(base_url, user, password) as api:
        for step in STEPS:
            step(api)
            print(step.__name__)

    async def again() -> None:
        async with AsyncClient(base_url, user, password) as api:
            await concurrently(api)

    asyncio.run(again())
    print(concurrently.__name__)


if __name__ == "__main__":
    main(*sys.argv[1:])
