"""What any AstDB must do; run on the embedded table and on real Asterisks."""

from collections.abc import Callable

from nethvoice.store.astdb import AstDB, AstdbChanges

Scenario = Callable[[AstDB], None]


def reads_what_was_put(astdb: AstDB) -> None:
    changes = AstdbChanges()
    values = {
        "200/cidname": "Ada  Rossi: è ; \\ / % _",
        "200/recording/in/external": "dontcare",
        "200/outboundcid": "",
        "200/note": "status will follow",
        "200/long": "x" * 1000,
        "200/edge": "è" * 127 + "y",
        "2000/cidname": "Bob",
        "Key with blanks;@0": "1",
    }
    for key, value in values.items():
        changes.put("AMPUSER", key, value)
    changes.put("AMPUSER", "200/padded", "  a b ")
    astdb.apply(changes.operations)
    values["200/padded"] = "a b"
    assert astdb.tree("AMPUSER") == values
    for key, value in values.items():
        assert astdb.get("AMPUSER", key) == value
    assert astdb.get("AMPUSER", "200") is None
    assert astdb.get("AMPUSER", "200/CIDNAME") is None


def a_tree_is_one_family(astdb: AstDB) -> None:
    changes = AstdbChanges()
    for family in ("Z_D", "ZED", "zed", "ZEDX", "Z%", "Z.D"):
        changes.put(family, "a", family)
    astdb.apply(changes.operations)
    for family in ("Z_D", "ZED", "zed", "ZEDX", "Z%", "Z.D"):
        assert astdb.tree(family) == {"a": family}
    assert astdb.tree("ZE") == {}
    assert astdb.tree("Z") == {}
    assert astdb.get("Z_D", "_") is None


def deletes_keys(astdb: AstDB) -> None:
    changes = AstdbChanges()
    changes.put("CW", "200", "ENABLED")
    changes.put("CW", "201", "ENABLED")
    changes.delete("CW", "200")
    changes.delete("CW", "999")
    changes.delete("MISSING", "1")
    astdb.apply(changes.operations)
    astdb.apply(changes.operations)
    assert astdb.tree("CW") == {"201": "ENABLED"}


def deletes_one_branch(astdb: AstDB) -> None:
    changes = AstdbChanges()
    kept = ["200/cidname", "200", "2", "201/x", "120/x", "x/20/y", "020/a", "20-1/a", "20.1/a"]
    for key in [*kept, "20", "20/cidname", "20/vmx/busy/0/dest", "20/20/a"]:
        changes.put("AMPUSER", key, key)
    changes.put("DEVICE", "20/dial", "PJSIP/20")
    changes.delete_tree("AMPUSER", "20")
    changes.delete_tree("AMPUSER", "777")
    astdb.apply(changes.operations)
    assert astdb.tree("AMPUSER") == {key: key for key in kept}
    assert astdb.tree("DEVICE") == {"20/dial": "PJSIP/20"}


def deletes_a_branch_within(astdb: AstDB) -> None:
    changes = AstdbChanges()
    for key in ("20/vmx/busy/0", "20/vmx/busy/0/dest", "20/vmx/busy/00", "20/vmx/busy/state"):
        changes.put("AMPUSER", key, "x")
    changes.delete_tree("AMPUSER", "20/vmx/busy/0")
    astdb.apply(changes.operations)
    assert sorted(astdb.tree("AMPUSER")) == ["20/vmx/busy/00", "20/vmx/busy/state"]


def keeps_lists_of_members(astdb: AstDB) -> None:
    def applied(*operations: tuple[str, str]) -> str | None:
        changes = AstdbChanges()
        for name, member in operations:
            getattr(changes, f"{name}_member")("AMPUSER", "200/device", member)
        astdb.apply(changes.operations)
        astdb.apply(changes.operations[-1:])
        return astdb.get("AMPUSER", "200/device")

    assert applied(("append", "200")) == "200"
    assert applied(("append", "91200"), ("append", "92200")) == "200&91200&92200"
    assert applied(("append", "1200"), ("remove", "200")) == "91200&92200&1200"
    assert applied(("remove", "91200"), ("remove", "200")) == "92200&1200"
    assert applied(("remove", "92200"), ("remove", "1200")) is None
    assert applied(("remove", "92200")) is None
    assert applied(("append", "9")) == "9"


def keeps_long_lists_of_members(astdb: AstDB) -> None:
    members = [f"9{n}200" for n in range(100, 160)]
    changes = AstdbChanges()
    for member in members:
        changes.append_member("AMPUSER", "200/device", member)
    astdb.apply(changes.operations)
    assert astdb.get("AMPUSER", "200/device") == "&".join(members)
    assert len("&".join(members)) > 255


def copies_what_is_there(astdb: AstDB) -> None:
    changes = AstdbChanges()
    changes.put("AMPUSER", "200/accountcode", "a1")
    changes.copy("AMPUSER", "200/accountcode", "91200/accountcode")
    changes.copy("AMPUSER", "200/missing", "91200/other")
    changes.put_if_exists("AMPUSER", "200/accountcode", "200/found", "yes")
    changes.put_if_exists("AMPUSER", "200/missing", "200/lost", "yes")
    astdb.apply(changes.operations)
    assert astdb.tree("AMPUSER") == {
        "200/accountcode": "a1",
        "91200/accountcode": "a1",
        "200/found": "yes",
    }


def keeps_the_order(astdb: AstDB) -> None:
    changes = AstdbChanges()
    changes.put("AMPUSER", "200/a", "1")
    changes.put("AMPUSER", "200/a", "2")
    changes.copy("AMPUSER", "200/a", "200/b")
    changes.delete_tree("AMPUSER", "200")
    changes.put("AMPUSER", "200/c", "3")
    changes.copy("AMPUSER", "200/a", "200/d")
    for number in range(300):
        changes.put("AMPUSER", "200/n", str(number))
    astdb.apply(changes.operations)
    assert astdb.tree("AMPUSER") == {"200/c": "3", "200/n": "299"}


SCENARIOS: list[Scenario] = [
    reads_what_was_put,
    a_tree_is_one_family,
    deletes_keys,
    deletes_one_branch,
    deletes_a_branch_within,
    keeps_lists_of_members,
    keeps_long_lists_of_members,
    copies_what_is_there,
    keeps_the_order,
]
FAMILIES = ["AMPUSER", "DEVICE", "CW", "MISSING", "Z_D", "ZED", "zed", "ZEDX", "Z%", "Z.D"]
"""Every family that a scenario writes to."""
