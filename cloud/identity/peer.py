"""Who is at the other end of a TLS session, by the certificate that it showed, and whether that is the gateway it sends for.

The TLS layer has judged chain and dates before anything is asked here. `serving` wraps uvicorn's protocol so that requests carry their certificate;
`PeerNeeded` refuses gateways without one. Not for tokens of people and programs: these are in `cloud.identity.api`.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from cryptography import x509
from cryptography.x509.oid import NameOID
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from cloud.errors import Problem
from cloud.problems import answer
from protocols.enrolment import TENANT_URN, URN

SCOPE: Final = "qenergyz.certificate"  # member of the ASGI scope: DER
# An enrolment is proved by its voucher, a request for a certificate by the gateway's key: both must work without one.
GATEWAY_PATHS: Final = ("/v1/batches", "/v1/tag-tables/", "/v1/keys", "/v1/configuration-reports")


@dataclass(frozen=True, slots=True)
class Peer:
    """urns: of gateways; tenants: their URNs, none in an operator's own certificate; name: of its subject."""

    urns: frozenset[str]
    tenants: frozenset[str]
    name: str

    @classmethod
    def of(cls, der: bytes) -> Self:
        found = x509.load_der_x509_certificate(der)
        common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        try:
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        except x509.ExtensionNotFound:
            uris = []
        return cls(
            frozenset(uri for uri in uris if uri.startswith(URN)),
            frozenset(uri for uri in uris if uri.startswith(TENANT_URN)),
            str(common[0].value) if common else "",
        )

    def check(self, gateway: str, tenant_id: int) -> None:
        """Raises Problem unless the certificate is that gateway's: by its URN, or where it has none by the name of its subject."""
        named = gateway in self.urns if self.urns else self.name == gateway.removeprefix(URN)
        if not named or (self.tenants and f"{TENANT_URN}{tenant_id}" not in self.tenants):
            shown = ", ".join(sorted(self.urns)) or self.name or "nobody"
            raise Problem(
                "wrong-certificate", f"the certificate is that of {shown}, the key is that of {gateway}; use the two of one gateway"
            )


def peer_of(request: Request) -> Peer | None:
    """None where the hub asks for no certificates."""
    der = request.scope.get(SCOPE)
    return Peer.of(der) if der else None


class PeerNeeded:
    """ASGI: gateways without a certificate are told what is missing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(GATEWAY_PATHS) and not scope.get(SCOPE):
            detail = "no certificate was shown; enrol again to be issued one, or name [hub] client_cert and client_key"
            await answer(Problem("certificate-needed", detail))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def serving() -> type[Any]:
    """uvicorn's HTTP/1.1 with the certificate of the connection in every scope."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class PeerProtocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            session = transport.get_extra_info("ssl_object")
            der = session.getpeercert(binary_form=True) if session else None
            if der:
                self.app = _with(self.app, der)

    return PeerProtocol


def _with(app: Any, der: bytes) -> Any:
    async def call(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, SCOPE: der}, receive, send)

    return call
