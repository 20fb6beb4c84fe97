"""The catalogue of providers: shipped file, an operator's file over it, and the tables."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from sqlalchemy import func, insert, select, update

from nethvoice import first_start
from nethvoice.pbx import provider_catalogue, voip_trunks
from nethvoice.pbx.provider_catalogue import CATALOGUE
from nethvoice.pbx.providers import find_provider, list_providers
from nethvoice.pbx.voip_trunks import NewTrunk
from nethvoice.settings import Settings, SettingsError
from nethvoice.store import tables as t
from nethvoice.system import System

OWN = """
providers:
  - provider: acme
    description: Acme Telecom
    options:
      sip_server: sip.acme.example
      from_domain: acme.example
      context: from-pstn
      codecs: opus,alaw
      expiration: null
    account:
      client_uri: sip:$USERNAME@acme.example
    headers: {disable_topos_header: 1}
  - provider: VIVAVOX
    description: VivaVox by us
    options: {sip_server: sip2.vivavox.it, context: from-pstn, codecs: alaw}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(data_dir=tmp_path / "data", secret="s", admin_password="p")
    first_start.initialise(found)
    return found


@pytest.fixture
def system(settings: Settings) -> Iterator[System]:
    found = System(settings)
    yield found
    found.stop()


def state(system: System) -> dict[str, Any]:
    tables = (
        t.rest_pjsip_providers,
        t.rest_pjsip_trunks_defaults,
        t.rest_pjsip_trunks_specialopts,
        t.rest_pjsip_trunks_custom_flags,
        t.providers,
    )
    with system.read() as connection:
        return {
            table.name: sorted(tuple(row) for row in connection.execute(select(table)))
            for table in tables
        }


def test_init_fills_empty_tables_and_does_it_once(system: System) -> None:
    found = state(system)
    assert [row[0] for row in found["rest_pjsip_providers"]] == [*range(1, 33)]
    assert len(found["rest_pjsip_trunks_specialopts"]) == 10
    assert len(found["rest_pjsip_trunks_custom_flags"]) == 64
    # 52 common keywords and four of its own, but for what five providers go without.
    assert len(found["rest_pjsip_trunks_defaults"]) == 32 * 56 - 1 - 5 - 5 - 1
    with system.change() as unit:
        unit.conn.execute(update(t.rest_pjsip_providers).values(description="edited"))
    first_start.initialise(system.settings)
    with system.read() as connection:
        edited = t.rest_pjsip_providers.c.description == "edited"
        count = connection.scalar(
            select(func.count()).select_from(t.rest_pjsip_providers).where(edited)
        )
    assert count == 32


def test_an_emptied_table_is_filled_again(system: System) -> None:
    before = state(system)
    with system.change() as unit:
        unit.conn.execute(t.rest_pjsip_providers.delete())
        unit.conn.execute(t.rest_pjsip_trunks_defaults.delete())
    first_start.initialise(system.settings)
    assert state(system) == before


def test_an_operators_file_adds_and_replaces(system: System) -> None:
    before = state(system)
    overlay = system.settings.data_dir / "providers.yaml"
    overlay.write_text(OWN)
    first_start.initialise(system.settings)
    with system.read() as connection:
        acme = find_provider(connection, "acme")
        ours = find_provider(connection, "vivavox")
    assert acme is not None
    assert ours is not None
    assert (acme.id, acme.account) == (33, {"client_uri": "sip:$USERNAME@acme.example"})
    assert acme.flags == {"disable_topos_header": 1, "disable_srtp_header": 1}
    assert acme.options["registration"] == "send"
    assert "expiration" not in acme.options
    assert (ours.id, ours.options["sip_server"]) == (15, "sip2.vivavox.it")
    trunk_id = voip_trunks.create_trunk(system, NewTrunk("acme", "u", "p", "0541"))
    with system.read() as connection:
        rows = dict(
            connection.execute(
                select(t.pjsip.c.keyword, t.pjsip.c.data).where(t.pjsip.c.id == str(trunk_id))
            ).all()
        )
    assert (rows["codecs"], rows["client_uri"]) == ("opus,alaw", "sip:u@acme.example")
    listed = {row["provider"]: row for row in orjson.loads(list_providers(system))}
    assert listed["acme"]["registration"] == "USERNAME:PASSWORD@sip.acme.example/NUMERO"
    assert listed["VIVAVOX"]["description"] == "VivaVox by us"

    overlay.unlink()
    first_start.initialise(system.settings)
    assert state(system) == before


def test_rows_that_came_from_no_file_stay(system: System) -> None:
    with system.change() as unit:
        unit.conn.execute(
            insert(t.rest_pjsip_providers).values(id=90, provider="mine", description="Mine")
        )
        unit.conn.execute(
            insert(t.rest_pjsip_trunks_defaults).values(
                provider_id=90, keyword="sip_server", data="mine.example"
            )
        )
    (system.settings.data_dir / "providers.yaml").write_text(OWN)
    first_start.initialise(system.settings)
    with system.read() as connection:
        mine = find_provider(connection, "mine")
        acme = find_provider(connection, "acme")
    assert mine is not None
    assert mine.options == {"sip_server": "mine.example"}
    assert acme is not None
    assert acme.id == 91


def test_tables_of_the_former_service_are_brought_up(system: System) -> None:
    """It had two providers of the same key, from which no trunk could be made, and older hosts."""
    with system.change() as unit:
        for table in (t.rest_state, t.rest_pjsip_providers, t.rest_pjsip_trunks_defaults):
            unit.conn.execute(table.delete())
        unit.conn.exec_driver_sql("DROP TABLE rest_pjsip_providers")
        unit.conn.exec_driver_sql(
            "CREATE TABLE rest_pjsip_providers (id INTEGER PRIMARY KEY,"
            " provider VARCHAR(100) COLLATE NOCASE, description VARCHAR(100))"
        )
        former = ((15, "vivavox", "VivaVox"), (17, "voiptel", "Mono"), (25, "voiptel", "Multi"))
        for number, key, description in former:
            unit.conn.execute(
                insert(t.rest_pjsip_providers).values(
                    id=number, provider=key, description=description
                )
            )
            for keyword, data in (("sip_server", "old.example"), ("gone", "x")):
                unit.conn.execute(
                    insert(t.rest_pjsip_trunks_defaults).values(
                        provider_id=number, keyword=keyword, data=data
                    )
                )
    first_start.initialise(system.settings)
    with system.read() as connection:
        keys = [*connection.scalars(select(t.rest_pjsip_providers.c.provider))]
        vivavox = find_provider(connection, "vivavox")
        voiptel = find_provider(connection, "voiptel")
    assert len(keys) == len(set(keys)) == 32
    assert vivavox is not None
    assert (vivavox.id, vivavox.options["sip_server"]) == (15, "sip.vivavox.it")
    assert "gone" not in vivavox.options
    assert voiptel is not None
    assert (voiptel.id, voiptel.options["sip_server"]) == (17, "voip.voiptelitalia.it")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[", "expected"),
        ("- acme", "a mapping with a list of providers"),
        ("providers: {}", "a mapping with a list of providers"),
        ("provider: []\nproviders: []", "the file has members that mean nothing here: provider"),
        ("providers: [acme]", "needs a key and a description"),
        ("providers: [{provider: a, description: A}]", "provider a has no sip_server"),
        (
            "providers: [{provider: a, description: A, options: {sip_server: s, x: yes}}]",
            "the value of x must be a text",
        ),
        (
            "providers: [{provider: a, description: A, options: {sip_server: 's\n\nt'}}]",
            "has control characters",
        ),
        ("providers: [{provider: a, description: A, optoins: {}}]", "nothing here: optoins"),
        (
            "providers: [{provider: a, description: A, options: {sip_server: s}, headers: {x: 1}}]",
            "headers are disable_topos_header and disable_srtp_header",
        ),
        (
            f"providers: [{{provider: {'a' * 101}, description: A, options: {{sip_server: s}}}}]",
            "longer than 100 characters",
        ),
    ],
)
def test_a_mistake_in_the_operators_file_is_named(
    settings: Settings, text: str, fault: str
) -> None:
    system = System(settings)
    try:
        before = state(system)
        (settings.data_dir / "providers.yaml").write_text(text)
        with pytest.raises(SettingsError, match=r"providers\.yaml: ") as caught:
            first_start.initialise(settings)
        assert fault in str(caught.value)
        assert state(system) == before
    finally:
        system.stop()


def test_the_shipped_file_can_be_an_operators_file(settings: Settings) -> None:
    shipped = Path(provider_catalogue.__file__).parent.parent / "data" / "providers.yaml"
    system = System(settings)
    try:
        before = state(system)
        shutil.copy(shipped, settings.data_dir)
        first_start.initialise(settings)
        assert state(system) == before
        assert CATALOGUE.parse(yaml.safe_load(shipped.read_text()), None)
    finally:
        system.stop()


@pytest.mark.parametrize(
    ("provider", "direct", "behind_proxy"),
    [
        ("vivavox", "", "sip:10.0.0.2:5061;lr"),
        ("enegan", "sip:proxysip.tlc.enegan.it;lr;hide", "sip:proxysip.tlc.enegan.it;lr;hide"),
    ],
)
def test_the_outbound_proxy_is_that_of_the_installation(
    settings: Settings, provider: str, direct: str, behind_proxy: str
) -> None:
    """A proxy that the provider names is kept; the placeholder never gets into FreePBX."""
    proxied = settings.model_copy(update={"proxy_ip": "10.0.0.2", "proxy_port": 5061})
    for used, expected in ((settings, direct), (proxied, behind_proxy)):
        system = System(used)
        try:
            order = NewTrunk(provider, "u", "p", "0541", name=f"t{used.on_proxy}")
            trunk_id = voip_trunks.create_trunk(system, order)
            with system.read() as connection:
                stored = connection.scalar(
                    select(t.pjsip.c.data).where(
                        t.pjsip.c.id == str(trunk_id), t.pjsip.c.keyword == "outbound_proxy"
                    )
                )
            assert stored == expected
        finally:
            system.stop()
