"""How the hub serves https, and asks gateways for certificates. Not for what a certificate allows: `cloud.identity.peer`."""

import ssl
from typing import Any

from cloud.config import Tls
from cloud.identity.authority import Authority
from cloud.identity.peer import serving


def context(tls: Tls, authority: Authority | None) -> ssl.SSLContext:
    """A caller without a certificate gets a session, and is told by the answer what it lacks; one with a wrong certificate gets none.

    Raises OSError, ValueError naming the file.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except ssl.SSLError:
        raise ValueError(f"{tls.certificate} and {tls.key}: expected a certificate and its key (PEM, without a passphrase)") from None
    for path in tls.client_authorities:
        try:
            made.load_verify_locations(path)
        except ssl.SSLError:
            raise ValueError(f"{path}: expected certificates of authorities (PEM)") from None
    if authority:
        made.load_verify_locations(cadata=authority.pem)
    if tls.asks:
        made.verify_mode = ssl.CERT_OPTIONAL
    return made


def _no_password() -> str:
    return ""  # rather than OpenSSL asking at a terminal


def options(tls: Tls, made: ssl.SSLContext) -> dict[str, Any]:
    """For uvicorn."""
    chosen: dict[str, Any] = {"ssl_context_factory": lambda *_: made}
    return chosen | ({"http": serving()} if tls.asks else {})


def own_context(certificate: str) -> ssl.SSLContext:
    """For the hub's own commands: they trust exactly the certificate that the hub runs with, by whatever address."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    made.load_verify_locations(certificate)
    return made
