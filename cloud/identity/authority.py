"""The hub's own small authority: certificates by which gateways open TLS sessions. Short-lived, for enrolled keys only.

It says that a caller is a gateway of a tenant, by its names in the certificate; what was measured is proved by batches and not by TLS. The key
stays in the hub's folder of keys. Nothing is revoked here: a gateway whose keys are revoked is refused whatever it shows.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocols.enrolment import TENANT_URN, URN

LIFE: Final = timedelta(days=30)
OWN_LIFE: Final = timedelta(days=3650)
SLACK: Final = timedelta(minutes=5)  # clocks of gateways


class BadRequest(Exception):
    """The request for a certificate is not what it should be; the message says how."""


class Authority:
    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key, self._certificate = key, certificate

    @property
    def pem(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    @classmethod
    def load_or_make(cls, folder: Path, hub: str) -> "Authority":
        """Raises ValueError for files that are no authority."""
        path = folder / "authority.pem"
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, _make(hub))
        pem = path.read_bytes()
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{path}: expected a certificate and its key on a curve")
        return cls(key, x509.load_pem_x509_certificate(pem))

    def issue(self, request: bytes, gateway: str, tenant_id: int, now: datetime, life: timedelta = LIFE) -> str:
        """PEM, for the key of the request (DER), which must be signed by it. Its names are those given here. Raises BadRequest."""
        try:
            asked = x509.load_der_x509_csr(request)
            proven = asked.is_signature_valid
            public = asked.public_key()
        except (ValueError, TypeError, InvalidSignature) as error:
            raise BadRequest(f"expected a PKCS#10 request: {error}") from error
        if not proven:
            raise BadRequest("the request is not signed by its own key")
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise BadRequest("expected a key on P-256")
        names = [x509.UniformResourceIdentifier(gateway), x509.UniformResourceIdentifier(f"{TENANT_URN}{tenant_id}")]
        return (
            x509.CertificateBuilder()
            .subject_name(_name(gateway.removeprefix(URN)))
            .issuer_name(self._certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SLACK)
            .not_valid_after(now + life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
            .decode()
        )


def _make(hub: str) -> bytes:
    key, now, name = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC), _name(f"{hub} gateways"[:64])
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(now + OWN_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM) + private


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
