"""Lists cost the same number of SQL statements however long they are."""

import pytest
from sqlalchemy import delete, insert

from nethvoice.store import tables as t
from tests.support import Service


def _extensions(service: Service, count: int) -> None:
    """So many people, each with a main extension and two devices."""
    with service.database.write() as connection:
        for table in (t.users, t.devices, t.sip, t.userman_users, t.rest_devices_phones):
            connection.execute(delete(table))
        mains = [str(20_000 + number) for number in range(count)]
        connection.execute(
            insert(t.userman_users),
            [
                {"id": n, "auth": "1", "username": f"user{n}", "default_extension": main}
                for n, main in enumerate(mains, 1)
            ],
        )
        numbers = [
            (owner, prefix + main)
            for owner, main in enumerate(mains, 1)
            for prefix in ("", "91", "92")
        ]
        connection.execute(
            insert(t.users), [{"extension": n, "name": f"Name {n}"} for _, n in numbers]
        )
        connection.execute(
            insert(t.devices),
            [{"id": n, "tech": "pjsip", "dial": f"PJSIP/{n}", "user": n} for _, n in numbers],
        )
        connection.execute(
            insert(t.sip), [{"id": n, "keyword": "sipdriver", "data": "x"} for _, n in numbers]
        )
        connection.execute(
            insert(t.rest_devices_phones),
            [{"user_id": owner, "extension": n, "type": "physical"} for owner, n in numbers],
        )


@pytest.mark.parametrize(
    ("path", "each"),
    [("/physicalextensions", 3), ("/mainextensions", 1), ("/users", 1), ("/users/false", 1)],
)
def test_three_thousand_extensions(service: Service, path: str, each: int) -> None:
    counts = []
    for people in (1, 1000):
        _extensions(service, people)
        service.get(path)
        with service.statements() as seen:
            assert len(service.get(path)) == people * each
        counts.append(sum(s.startswith("SELECT") for s in seen))
    assert counts[0] == counts[1] <= 4
