"""The certificate of the LDAP phonebook: the operator's, or one that signs itself."""

import datetime
import socket
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from nethvoice.settings import Settings
from nethvoice.store.files import write_private

_DAYS = 3650


def files(settings: Settings) -> tuple[Path, Path | None]:
    """Certificate and key. Without a setting, a file of our own, made when it is missing.

    Phones do not verify it unless they are told to.
    """
    if settings.phonebook_ldap_certificate is not None:
        return settings.phonebook_ldap_certificate, settings.phonebook_ldap_key
    path = settings.phonebook_folder / "ldap.pem"
    if not path.exists():
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        _make(path)
    return path, None


def context(settings: Settings) -> ssl.SSLContext:
    """What TLS connections are accepted with. Raises OSError or ssl.SSLError."""
    certificate, key = files(settings)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate, key)
    return made


def _make(path: Path) -> None:
    name = socket.getfqdn()[:64]
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    write_private(path, text)
