"""TLS towards the hub: whom the agent trusts, and the certificate that it shows.

The certificate is the operator's own (`[hub] client_cert`, `client_key`), or one that the hub issues to the gateway's enrolled key: its key is made
here (P-256), the request is signed by it and by the gateway's key, and both stand in `hub-client.pem` (mode 0600). It lives for some weeks and is renewed in time (`edge.upkeep`). Not for the keys that sign batches: those prove what was measured, TLS only who calls.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.config import HubAccess
from edge.enrolment import CERTIFICATE, EnrolmentError
from protocols import signed
from protocols.enrolment import CERTIFICATE_REQUEST
from protocols.secret import Secret, read_secret
from protocols.signing import Signer

ASIDE_S: Final = 3.0
SOON: Final = timedelta(days=21)
# What OpenSSL calls the hub's alerts, and what they mean to a person here.
ALERTS: Final = {
    "CERTIFICATE_EXPIRED": "the hub refuses this gateway's certificate because it has ended; look at this clock, renew it with `qenergyz edge rotate`",
    "UNKNOWN_CA": "the hub does not know the authority of this gateway's certificate; ask its operator which one it trusts",
    "CERTIFICATE_UNKNOWN": "the hub does not accept this gateway's certificate; ask its operator",
    "BAD_CERTIFICATE": "the hub does not accept this gateway's certificate; ask its operator",
    "CERTIFICATE_REQUIRED": "the hub asks for a certificate; name [hub] client_cert and client_key, or enrol again to be issued one",
    "CERTIFICATE_REVOKED": "the hub says that this gateway's certificate is revoked; ask its operator",
}


class Tls:
    """`context` for the client. `load` makes its next connections use what the files hold then; cause: why they cannot be used, else "".

    With a cause nobody is trusted and nothing is shown: the agent collects, and the hub is not reached until the files are in order.
    """

    def __init__(self, hub: str, access: HubAccess, data: Path) -> None:
        self._hub, self._access, self._data = hub, access, data
        everybodys = hub.startswith("https:") and access.ca is None
        self.context = httpx.create_ssl_context() if everybodys else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.cause = ""
        self.load()

    def load(self) -> None:
        try:
            if self._hub.startswith("https:"):
                trust(self.context, self._access)
                show(self.context, self._access, self._data)
            self.cause = ""
        except (OSError, ValueError) as error:
            self.cause = f"TLS to the hub: {error}"

    async def explain(self, error: Exception) -> str:
        """In words. Not every server says why it hangs up on a certificate: then the certificate and a session without one tell."""
        said = plain(error)
        if not isinstance(error, httpx.TransportError) or not self._hub.startswith("https:") or said in ALERTS.values():
            return said
        try:
            shown = await asyncio.to_thread(current, self._access, self._data)
            return (await self._against(shown) if shown else "") or said
        except (OSError, ValueError, httpx.HTTPError):
            return said

    async def _against(self, shown: x509.Certificate) -> str:
        """What speaks against the certificate, "" when it is not the certificate. Raises httpx.HTTPError when nobody is let in."""
        if shown.not_valid_after_utc < datetime.now(UTC):
            return f"{ALERTS['CERTIFICATE_EXPIRED']}: it ended {shown.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        if shown.not_valid_before_utc > datetime.now(UTC):
            return f"this gateway's certificate begins {shown.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: look at this clock"
        async with httpx.AsyncClient(verify=authorities(self._access), timeout=ASIDE_S) as client:
            await client.get(f"{self._hub}/health")  # without a certificate a session stands
        return f"{ALERTS['UNKNOWN_CA']}; it was issued by {shown.issuer.rfc4514_string()}"


def authorities(access: HubAccess) -> ssl.SSLContext:
    """Those that the hub's certificate is held against. Raises OSError, ValueError."""
    if access.ca is None:
        return httpx.create_ssl_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust(context, access)
    return context


def trust(context: ssl.SSLContext, access: HubAccess) -> None:
    if access.ca is None:
        return
    try:
        context.load_verify_locations(cadata=read_secret(access.ca))
    except (ssl.SSLError, ValueError):
        raise ValueError(f"{access.ca}: expected certificates of authorities (PEM)") from None


def show(context: ssl.SSLContext, access: HubAccess, data: Path) -> None:
    """Present the operator's certificate, or the issued one where there is one. Raises OSError, ValueError."""
    certificate: Path | Secret = access.client_cert or data / CERTIFICATE
    key: Path | Secret = access.client_key or data / CERTIFICATE
    if access.client_cert is None and not (data / CERTIFICATE).exists():
        return
    with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
        try:
            context.load_cert_chain(certificate_file, key_file, password=_no_password)
        except ssl.SSLError:
            raise ValueError(f"{certificate} and {key}: expected a certificate and its key (PEM, without a passphrase)") from None


def _no_password() -> str:
    return ""  # rather than OpenSSL asking at a terminal


@contextlib.contextmanager
def _as_file(reference: Path | Secret) -> Iterator[str]:
    """OpenSSL reads files only; what stands elsewhere is shown to it in memory."""
    text = read_secret(reference)
    if isinstance(reference, Path):
        yield str(reference)
        return
    number = os.memfd_create("secret", os.MFD_CLOEXEC)
    try:
        os.write(number, text.encode() + b"\n")
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


def current(access: HubAccess, data: Path) -> x509.Certificate | None:
    """The certificate that is shown, None where there is none. Raises ValueError for what is none, OSError."""
    if access.client_cert is None and not (data / CERTIFICATE).exists():
        return None
    return x509.load_pem_x509_certificate(read_secret(access.client_cert or data / CERTIFICATE).encode())


def names_of(found: x509.Certificate) -> tuple[str, ...]:
    """Its URIs, and the name of its subject where it has none, as the hub reads them."""
    try:
        uris = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.UniformResourceIdentifier
        )
    except x509.ExtensionNotFound:
        uris = []
    common = [str(one.value) for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return tuple(uris or common)


def renewal_due(found: x509.Certificate, now: datetime) -> bool:
    """From two thirds of its life on, of a long one in its last three weeks."""
    return now > found.not_valid_after_utc - min(SOON, (found.not_valid_after_utc - found.not_valid_before_utc) / 3)


async def certify(client: httpx.AsyncClient, hub: str, gateway: str, data: Path, signer: Signer) -> datetime | None:
    """Have the hub issue a certificate; returns its end, None when this hub issues none. Raises EnrolmentError, httpx.HTTPError, OSError."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway[-64:])])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(private, hashes.SHA256())
    content = signed.seal(CERTIFICATE_REQUEST, gateway, gateway, request.public_bytes(serialization.Encoding.DER), signer)
    reply = await client.post(f"{hub}/v1/certificates", content=content, headers={"content-type": "application/cose"})
    if reply.status_code == 404:
        return None
    if reply.status_code != 201:
        raise EnrolmentError(f"the hub issued no certificate: {reply.status_code} {reply.text[:300]}")
    try:
        issued = x509.load_pem_x509_certificate(reply.content)
    except ValueError as error:
        raise EnrolmentError("the hub's answer to the request for a certificate is none") from error
    if issued.public_key() != private.public_key():
        raise EnrolmentError("the hub issued a certificate for another key")
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(data / CERTIFICATE, reply.content + pem)
    return issued.not_valid_after_utc


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def plain(error: Exception) -> str:
    """What a failed connection to the hub means, in words; the library's own where there are no better."""
    cause: BaseException | None = error
    while cause is not None:  # what OpenSSL said stands below what httpx makes of it
        for alert, said in ALERTS.items():
            if f"ALERT_{alert}]" in str(cause):
                return said
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
