"""The agent's own application key and certificate, made once and then kept: servers are told to trust exactly this certificate.

The application URI stands in the certificate and is read back from it, so that a renamed host changes nothing. Renewing it is an act of a
person: remove the two files, and tell every server.
"""

import contextlib
import os
import socket
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY: Final = "key.pem"
CERTIFICATE: Final = "certificate.der"
_YEARS: Final = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """certificate: DER, for the servers' trust lists."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    application_uri: str


def load_or_make(folder: Path) -> Identity:
    """Raises OSError where the folder cannot be used, ValueError where what is in it does not fit together."""
    key_path, certificate_path = folder / KEY, folder / CERTIFICATE
    if not certificate_path.exists():
        _make(key_path, certificate_path)
    key = load_pem_private_key(key_path.read_bytes(), password=None)
    certificate = x509.load_der_x509_certificate(certificate_path.read_bytes())
    if not isinstance(key, rsa.RSAPrivateKey) or certificate.public_key() != key.public_key():
        raise ValueError(f"{certificate_path} is not the certificate of {key_path}; remove both to have new ones made")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return Identity(key, certificate, names.get_values_for_type(x509.UniformResourceIdentifier)[0])


def _make(key_path: Path, certificate_path: Path) -> None:
    """The key may already be there: the certificate is written last."""
    key_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not key_path.exists():
        fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        _put(key_path, fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    key = load_pem_private_key(key_path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{key_path} is no RSA key; remove it to have a new one made")
    host = socket.gethostname()
    certificate = self_signed(key, f"urn:{host}:qenergyz:edge", host, "Qenergyz edge agent")
    _put(certificate_path, certificate.public_bytes(Encoding.DER), 0o644)


def _put(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all; where two devices make theirs at the same moment, the first one's stays."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    made = Path(name)
    made.chmod(mode)
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(made)
    made.unlink()


def self_signed(key: rsa.RSAPrivateKey, application_uri: str, host: str, name: str) -> x509.Certificate:
    """An application instance certificate as OPC 10000-6, 6.2.2 has it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a server's clock may be behind ours
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(application_uri), x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
