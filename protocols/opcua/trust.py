"""Whether a server's certificate is believed: a pinned fingerprint, or a folder of trusted certificates, issuers and revocations. No network.

With a fingerprint exactly that certificate is accepted and no other, whatever it says of itself: somebody compared it. With a folder a
certificate must be trusted itself or through a chain of issuers, be in its time, not revoked, carry the server's application URI and
the host name that we call (OPC 10000-4, 6.1.3). Nothing is accepted because there is nothing to compare with.

    trust/certificates/*.der|*.pem   servers (or issuers) trusted directly
    trust/issuers/*.der|*.pem        issuers whose certificates are trusted
    trust/crls/*.der|*.pem|*.crl     what these issuers have revoked; a list is used past its date, too
"""

import contextlib
import hashlib
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from protocols.clock import Clock

MIN_KEY_BITS: Final = 2048
LONGEST_CHAIN: Final = 8
T = TypeVar("T")


class Untrusted(Exception):
    """The certificate is not believed; the message says why."""


@dataclass(frozen=True, slots=True)
class TrustList:
    certificates: tuple[x509.Certificate, ...]
    issuers: tuple[x509.Certificate, ...]
    revocations: tuple[x509.CertificateRevocationList, ...]

    @classmethod
    def read(cls, folder: Path) -> "TrustList":
        """Raises Untrusted naming the file that cannot be read."""
        lists = [
            crl
            for path in _files(folder / "crls")
            for crl in [_parsed(path, x509.load_pem_x509_crl if _is_pem(path) else x509.load_der_x509_crl)]
        ]
        return cls(tuple(_certificates(folder / "certificates")), tuple(_certificates(folder / "issuers")), tuple(lists))


@dataclass(frozen=True, slots=True)
class Expected:
    """What a server's certificate is held against. fingerprint wins over trust. host: as its certificate is to carry it."""

    fingerprint: str
    trust: Path | None
    host: str
    application_uri: str


def split_chain(data: bytes) -> list[x509.Certificate]:
    """A server may send its issuers' certificates behind its own. Raises Untrusted."""
    chain: list[x509.Certificate] = []
    while data:
        length = _der_length(data)
        try:
            chain.append(x509.load_der_x509_certificate(data[:length]))
        except ValueError as error:
            raise Untrusted(f"the server's certificate cannot be read: {error}") from error
        data = data[length:]
    if not chain:
        raise Untrusted("the server sent no certificate")
    return chain


def _der_length(data: bytes) -> int:
    if len(data) < 2 or data[0] != 0x30:
        raise Untrusted("the server's certificate is not DER")
    if data[1] < 0x80:
        return 2 + data[1]
    octets = data[1] & 0x7F
    return 2 + octets + int.from_bytes(data[2 : 2 + octets])


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, hexadecimal."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def described(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else certificate.subject.rfc4514_string()
    return f'"{name}" valid to {certificate.not_valid_after_utc:%Y-%m-%d}'


def check(chain: Sequence[x509.Certificate], expected: Expected, clock: Clock) -> None:
    """Raises Untrusted unless the first certificate of the chain is to be believed."""
    leaf = chain[0]
    if expected.fingerprint:
        if fingerprint(leaf) != expected.fingerprint:
            raise Untrusted(
                f"the server's certificate {described(leaf)} has fingerprint {fingerprint(leaf)}, pinned is {expected.fingerprint}; "
                "if the server was given a new certificate, compare the new fingerprint there and put it into the gateway's file"
            )
        return
    if expected.trust is None:
        raise Untrusted("neither a fingerprint nor a trust folder is given")
    trust = TrustList.read(expected.trust)
    now = datetime.fromtimestamp(clock.now_us() / 1e6, UTC)
    path = _trusted_path(leaf, chain[1:], trust)
    if path is None:
        raise Untrusted(
            f"the server's certificate {described(leaf)} is unknown (fingerprint {fingerprint(leaf)}); if it is the right one, put it into "
            f"{expected.trust / 'certificates'}, or its issuer's into {expected.trust / 'issuers'}"
        )
    for certificate in path:
        _check_time(certificate, now)
    _check_revoked(path, trust)
    _check_leaf(leaf, expected)


def _trusted_path(leaf: x509.Certificate, sent: Sequence[x509.Certificate], trust: TrustList) -> tuple[x509.Certificate, ...] | None:
    """From the leaf to what is trusted. Certificates that the server sent may stand between, but never at the end."""
    anchors = (*trust.certificates, *trust.issuers)
    path = [leaf]
    if leaf in trust.certificates:
        return (leaf, *(issuer for issuer in trust.issuers if issuer != leaf and _issued(issuer, leaf)))
    while len(path) < LONGEST_CHAIN:
        anchor = next((issuer for issuer in anchors if _issued(issuer, path[-1])), None)
        if anchor is not None:
            return (*path, anchor)
        between = next((issuer for issuer in sent if issuer not in path and _issued(issuer, path[-1])), None)
        if between is None:
            return None
        path.append(between)
    return None


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Signed by it, and it is an authority that may sign certificates (RFC 5280, 4.2.1.3 and 4.2.1.9)."""
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        with contextlib.suppress(x509.ExtensionNotFound):
            if not issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign:
                return False
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_time(certificate: x509.Certificate, now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Untrusted(
            f"certificate {described(certificate)} from {certificate.not_valid_before_utc:%Y-%m-%d} is out of its time: the gateway's clock says {now:%Y-%m-%d}"
        )


def _check_revoked(path: Sequence[x509.Certificate], trust: TrustList) -> None:
    keys: dict[x509.Name, list[CertificateIssuerPublicKeyTypes]] = {}
    for certificate in (*path, *trust.issuers, *trust.certificates):
        keys.setdefault(certificate.subject, []).append(_issuer_key(certificate))
    for certificate in path:
        for crl in trust.revocations:
            if crl.issuer != certificate.issuer or not any(crl.is_signature_valid(key) for key in keys.get(crl.issuer, [])):
                continue
            if crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                raise Untrusted(f"certificate {described(certificate)} is revoked by its issuer")


def _issuer_key(certificate: x509.Certificate) -> CertificateIssuerPublicKeyTypes:
    return certificate.public_key()  # type: ignore[return-value]  # the other kinds cannot have signed anything


def _check_leaf(leaf: x509.Certificate, expected: Expected) -> None:
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise Untrusted(f"certificate {described(leaf)} has no RSA key of at least {MIN_KEY_BITS} bits")
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise Untrusted(f"certificate {described(leaf)} names neither its application nor its host") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if expected.application_uri not in uris:
        raise Untrusted(
            f'certificate {described(leaf)} is for the application {", ".join(uris) or "nobody"}, the server calls itself "{expected.application_uri}"'
        )
    hosts = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    addresses = names.get_values_for_type(x509.IPAddress)
    if expected.host.lower() not in hosts and _address(expected.host) not in addresses:
        found = ", ".join([*hosts, *map(str, addresses)]) or "nobody"
        raise Untrusted(
            f'certificate {described(leaf)} is for the host {found}, we call "{expected.host}"; if that is right, say certificate_host = "{(hosts or ["..."])[0]}"'
        )


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".der", ".pem", ".crt", ".cer", ".crl"))


def _is_pem(path: Path) -> bool:
    return path.read_bytes().lstrip().startswith(b"-----BEGIN")


def _certificates(folder: Path) -> list[x509.Certificate]:
    return [
        certificate
        for path in _files(folder)
        for certificate in (
            _parsed(path, x509.load_pem_x509_certificates) if _is_pem(path) else [_parsed(path, x509.load_der_x509_certificate)]
        )
    ]


def _parsed(path: Path, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(path.read_bytes())
    except (ValueError, OSError) as error:
        raise Untrusted(f"{path} cannot be read: {error}") from error
