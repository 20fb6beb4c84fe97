"""A private OpenLDAP server, which also knows the classes of Active Directory."""

import os
import pwd
import shutil
import uuid
from pathlib import Path
from typing import Any, Self

from ldap3 import LEVEL, NONE, Connection, Server
from ldap3.utils.dn import escape_rdn

from tests.services.base import Daemon, answers, cannot, free_port
from tests.services.certificates import Authority

SUFFIX = "dc=example,dc=org"
BASE = f"ou=people,{SUFFIX}"
READER = f"cn=reader,{SUFFIX}"
LIMITED = f"cn=limited,{SUFFIX}"
PASSWORD = "a-reader's-password"
_ADMIN = f"cn=admin,{SUFFIX}"
_SCHEMAS = ("core", "cosine", "nis", "inetorgperson", "msuser")


class Slapd(Daemon):
    """`url` without and `tls_url` with encryption; the first can StartTLS.

    `READER` may read everything, `LIMITED` no more than 700 entries of a paged search.
    """

    def __init__(self) -> None:
        self._server = shutil.which("slapd", path=f"{os.environ['PATH']}:/usr/sbin")
        schemas = Path("/etc/ldap/schema")
        if self._server is None or not (schemas / "msuser.schema").exists():
            cannot("OpenLDAP is not installed (Debian package slapd)")
        super().__init__("slapd")
        self.port, self.tls_port = free_port(), free_port()
        self.url = f"ldap://127.0.0.1:{self.port}"
        self.tls_url = f"ldaps://127.0.0.1:{self.tls_port}"
        self.authority = Authority(self.folder, "authority")
        self.other_authority = Authority(self.folder, "another-authority")
        certificate, key = self.authority.sign("server", hosts=("127.0.0.1", "ldap.example.org"))
        (self.folder / "data").mkdir()
        includes = "\n".join(f"include {schemas}/{name}.schema" for name in _SCHEMAS)
        (self.folder / "slapd.conf").write_text(
            f"""{includes}
objectclass ( 1.2.840.113556.1.5.6 NAME 'securityPrincipal' SUP top AUXILIARY
 MAY ( sAMAccountName $ company $ department ) )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {self.folder}/pid
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
database mdb
suffix {SUFFIX}
rootdn {_ADMIN}
rootpw {PASSWORD}
directory {self.folder}/data
envflags nosync
maxsize 268435456
index objectClass,uid eq
limits dn.exact="{READER}" size=unlimited
limits dn.exact="{LIMITED}" size=500 size.prtotal=700
"""
        )
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("openldap")
            self._as_user = ["-u", str(user.pw_uid), "-g", str(user.pw_gid)]
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)

    def __enter__(self) -> Self:
        self.start()
        self._admin.add(SUFFIX, ["dcObject", "organization"], {"o": "Example"})
        for dn in (READER, LIMITED):
            self._admin.add(
                dn,
                ["organizationalRole", "simpleSecurityObject"],
                {"userPassword": PASSWORD},
            )
        self._admin.add(BASE, ["organizationalUnit"])
        return self

    def start(self) -> None:
        assert self._server is not None
        self.launch(
            [self._server, "-d", "0", "-f", f"{self.folder}/slapd.conf",
             "-h", f"{self.url} {self.tls_url}", *self._as_user]
        )  # fmt: skip
        self.wait_ready(lambda: answers(self.port) and answers(self.tls_port))
        self._admin = Connection(
            Server(self.url, get_info=NONE), _ADMIN, PASSWORD, auto_bind=True, raise_exceptions=True
        )

    def stop(self) -> None:
        self.thaw()
        self._admin.unbind()
        super().stop()

    # --- what stands in it ---

    def clear(self) -> None:
        """Nobody."""
        self._admin.search(BASE, "(objectClass=*)", LEVEL, attributes=["1.1"])
        for entry in [e["dn"] for e in self._admin.response]:
            self._admin.delete(entry)

    def person(self, uid: str, cn: str, sn: str = "Rossi", **attributes: Any) -> str:
        """An inetOrgPerson; returns the DN."""
        dn = f"cn={escape_rdn(cn)}+uid={escape_rdn(uid)},{BASE}"
        self._admin.add(dn, ["inetOrgPerson"], {"sn": sn, **attributes})
        return dn

    def ad_person(
        self, name: str, cn: str, *, guid: uuid.UUID, kind: str = "user", **attributes: Any
    ) -> str:
        """A user with the classes and attributes of Active Directory; returns the DN."""
        dn = f"cn={escape_rdn(cn)},{BASE}"
        self._admin.add(
            dn,
            [kind, "securityPrincipal"],
            {
                "sAMAccountName": name,
                "objectGUID": guid.bytes_le,
                "instanceType": "4",
                "nTSecurityDescriptor": b"\x01",
                "objectCategory": f"cn=person,cn=schema,cn=configuration,{SUFFIX}",
                "sn": cn.rpartition(" ")[2],
                **attributes,
            },
        )
        return dn

    def change(self, dn: str, **attributes: Any) -> None:
        self._admin.modify(dn, {k: [("MODIFY_REPLACE", v)] for k, v in attributes.items()})

    def rename(self, dn: str, cn: str, uid: str) -> str:
        rdn = f"cn={escape_rdn(cn)}+uid={escape_rdn(uid)}"
        self._admin.modify_dn(dn, rdn)
        return f"{rdn},{BASE}"

    def delete(self, dn: str) -> None:
        self._admin.delete(dn)

    def __exit__(self, *_: object) -> None:
        self.close()
