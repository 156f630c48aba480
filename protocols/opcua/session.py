"""One session with an OPC UA server: channel with the security that the gateway's file asks for, identity, namespaces, limits.

Every connect begins by asking the server for its endpoints, so that a renewed certificate is seen and judged (`trust.py`) before anything
is sent to its owner. Which endpoint is used is decided in `endpoints.py`. Not for subscriptions: those are the driver's.
"""

import asyncio
import contextlib
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import asyncua.ua
from asyncua.client.client import Client
from asyncua.common.utils import ServiceError
from asyncua.crypto import security_policies, uacrypto
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from protocols import quality
from protocols.clock import Clock
from protocols.driver import DeviceMisbehaves, DeviceUnreachable
from protocols.opcua import identity, trust
from protocols.opcua.address import Address
from protocols.opcua.endpoints import Peer, choose, encrypts_password, policy_of
from protocols.opcua.plan import NONE, Settings
from protocols.secret import SecretMissing, read_secret

ua: Any = asyncua.ua  # built by star imports, which type checkers do not follow
log = logging.getLogger("qenergyz.edge")

_PROBE_S: Final = 10.0
_BAD_SIGNATURES: Final = (InvalidSignature, vars(uacrypto)["InvalidSignature"])  # the library's, and asyncua's of the same name
_CLASSES: Final[dict[str, Any]] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Basic256": security_policies.SecurityPolicyBasic256,
    "Basic128Rsa15": security_policies.SecurityPolicyBasic128Rsa15,
}
_USER_REFUSALS: Final = (ua.uaerrors.BadUserAccessDenied, ua.uaerrors.BadIdentityTokenRejected, ua.uaerrors.BadIdentityTokenInvalid)
_REFUSALS: Final = (
    *_USER_REFUSALS,
    ua.uaerrors.BadSecurityChecksFailed,
    ua.uaerrors.BadCertificateUntrusted,
    ua.uaerrors.BadCertificateUriInvalid,
    ua.uaerrors.BadCertificateInvalid,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """OperationLimits of the server (OPC 10000-5, 6.3.11), or ours where it names none. Requests follow one another, so none adds up."""

    read: int = 500
    write: int = 500
    browse: int = 100
    items: int = 500
    history: int = 50


_LIMIT_NODES: Final = {
    "read": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "write": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    "browse": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "items": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    "history": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
}


@dataclass(frozen=True, slots=True)
class Session:
    """namespaces: URIs by index, as they are in this session. ahead_us: how far the server's clock is ahead of ours, None = it tells none."""

    client: Any
    namespaces: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    ahead_us: int | None = None

    def node(self, address: Address, default: str) -> Any:
        """NodeId of an address in this session. Raises KeyError for a namespace that the server does not have."""
        uri = address.namespace or default
        if uri not in self.namespaces:
            raise KeyError(uri)
        return ua.NodeId(address.identifier, self.namespaces.index(uri))

    async def read(self, nodes: Sequence[Any], attribute: Any = ua.AttributeIds.Value) -> list[Any]:
        """DataValues, in requests that the server allows."""
        return await in_chunks(nodes, self.limits.read, lambda chunk: self.client.uaclient.read_attributes(list(chunk), attribute))

    async def close(self, timeout_s: float) -> None:
        self.client.connection_lost_callback = None
        with contextlib.suppress(Exception):
            async with asyncio.timeout(timeout_s):
                await self.client.disconnect()
        with contextlib.suppress(Exception):
            self.client.disconnect_socket()


async def in_chunks(things: Sequence[Any], size: int, ask: Callable[[Sequence[Any]], Awaitable[list[Any]]]) -> list[Any]:
    """Answers to requests of at most `size` things, one after the other; of fewer where the server refuses so many without having said so."""
    found: list[Any] = []
    while len(found) < len(things):
        try:
            found += await ask(things[len(found) : len(found) + size])
        except ua.uaerrors.BadTooManyOperations:
            if size == 1:
                raise
            size //= 2
    return found


@contextlib.contextmanager
def plain_errors(address: str) -> Any:
    """What asyncua raises, as DriverErrors."""
    try:
        yield
    except ua.UaStatusCodeError as error:
        raise DeviceUnreachable(f"{address}: {error}", quality.BAD_NO_COMMUNICATION) from error
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise DeviceUnreachable(f"{address}: {error or type(error).__name__}", quality.BAD_NO_COMMUNICATION) from error
    except (ua.UaError, *_BAD_SIGNATURES, ValueError, struct.error) as error:
        raise DeviceMisbehaves(f"{address}: {error or type(error).__name__}", quality.BAD_NO_COMMUNICATION) from error


async def connect(peer: Peer, clock: Clock) -> Session:
    """Raises DriverError."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it reports by exception as well, and we pass those on
    client = _client(peer)
    with plain_errors(peer.address):
        endpoint = None
        if peer.settings.security != NONE or peer.settings.username:
            endpoint = choose(await client.connect_and_get_server_endpoints(), peer)
            client = _client(peer)
            await _secure(client, endpoint, peer, clock)
        await _identify(client, endpoint, peer)
        try:
            await client.connect(auto_reconnect=False)
        except _REFUSALS as error:
            raise peer.setup(_refusal(error, peer.settings)) from error
        try:
            namespaces = tuple(await client.get_namespace_array())
            return Session(client, namespaces, *await _limits(client, clock))
        except BaseException:
            await Session(client, ()).close(peer.settings.timeout_us / 1e6)
            raise


@contextlib.asynccontextmanager
async def session(peer: Peer, clock: Clock) -> AsyncIterator[Session]:
    """A session for a while: for browsing and onboarding."""
    opened = await connect(peer, clock)
    try:
        with plain_errors(peer.address):
            yield opened
    finally:
        await opened.close(peer.settings.timeout_us / 1e6)


def _client(peer: Peer) -> Any:
    return Client(peer.address, timeout=peer.settings.timeout_us / 1e6, watchdog_intervall=_PROBE_S)


async def _secure(client: Any, endpoint: Any, peer: Peer, clock: Clock) -> None:
    settings = peer.settings
    if settings.fingerprint or settings.trust is not None:
        host = settings.certificate_host or urlsplit(peer.address).hostname or ""
        expected = trust.Expected(settings.fingerprint, settings.trust, host, str(endpoint.Server.ApplicationUri))
        try:
            chain = trust.split_chain(endpoint.ServerCertificate or b"")
            trust.check(chain, expected, clock)
        except trust.Untrusted as error:
            raise peer.setup(str(error)) from error
        client.certificate_validator = _same(chain[0])
    policy = _CLASSES.get(policy_of(endpoint))
    if policy is None:
        return
    if settings.identity is None:
        raise peer.setup('secured, but no folder for our own key is given; name one as "identity"')
    try:
        ours = await asyncio.to_thread(identity.load_or_make, settings.identity)  # a new key takes its time
    except (OSError, ValueError) as error:
        raise peer.setup(f'our own key in {settings.identity}: {error}; name a folder that can be written as "identity"') from error
    client.application_uri = ours.application_uri
    client.security_policy = policy(chain[0], ours.certificate, ours.key, endpoint.SecurityMode)
    client.uaclient.set_security(client.security_policy)


def _same(believed: x509.Certificate) -> Any:
    """The session must be with whom the endpoint was judged by: without a secure channel nothing else ties them together."""

    async def validator(certificate: x509.Certificate, _: Any) -> None:
        if certificate != believed:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    return validator


async def _identify(client: Any, endpoint: Any, peer: Peer) -> None:
    """User name or certificate. A password never leaves readable, and is encrypted only for a server that is believed."""
    settings = peer.settings
    if settings.username and settings.password_file is not None:
        if policy_of(endpoint) == "None":
            believed = settings.fingerprint or settings.trust is not None
            if not believed or not encrypts_password(endpoint):
                raise peer.setup("without security the password would be readable on its way; choose a policy, or leave out the user name")
        client.set_user(settings.username)
        try:
            client.set_password(read_secret(settings.password_file))
        except SecretMissing as error:
            raise peer.setup(f"password_file {error}") from error
    elif settings.user_certificate is not None and settings.user_key is not None:
        certificate, key = _read(settings.user_certificate, peer), _read(settings.user_key, peer)
        try:
            pem = certificate.lstrip().startswith(b"-----BEGIN")
            client.user_certificate = x509.load_pem_x509_certificate(certificate) if pem else x509.load_der_x509_certificate(certificate)
            load = load_pem_private_key if key.lstrip().startswith(b"-----BEGIN") else load_der_private_key
            client.user_private_key = load(key, None)
        except (ValueError, TypeError) as error:
            raise peer.setup(f"user_certificate or user_key: {error}") from error


def _read(path: Any, peer: Peer) -> bytes:
    try:
        content: bytes = path.read_bytes()
    except OSError as error:
        raise peer.setup(f"{path} cannot be read: {error.strerror}") from error
    return content


def _refusal(error: Any, settings: Settings) -> str:
    if isinstance(error, _USER_REFUSALS):
        who = f'user "{settings.username}"' if settings.username else "user certificate" if settings.user_certificate else "anonymous user"
        return f"the server refuses the {who}: {error}"
    folder = settings.identity or identity.CERTIFICATE
    return f"the server refuses our certificate: {error}; put {folder}/{identity.CERTIFICATE} into its list of trusted clients"


async def _limits(client: Any, clock: Clock) -> tuple[Limits, int | None]:
    """In one read, and how far the server's clock is ahead. A server that knows no limits answers with bad status or 0."""
    nodes = [ua.NodeId(number, 0) for number in (*_LIMIT_NODES.values(), ua.ObjectIds.Server_ServerStatus_CurrentTime)]
    try:
        found = await in_chunks(nodes, len(nodes), lambda chunk: client.uaclient.read_attributes(list(chunk), ua.AttributeIds.Value))
    except ua.UaStatusCodeError:
        return Limits(), None
    values = [value.Value.Value if value.Value is not None else None for value in found]
    ours = Limits()
    chosen = {}
    for name, limit in zip(_LIMIT_NODES, values[:-1], strict=True):
        if isinstance(limit, int) and limit > 0:
            chosen[name] = min(limit, getattr(ours, name))
    time = values[-1]
    ahead_us = round(time.timestamp() * 1e6) - clock.now_us() if isinstance(time, datetime) else None
    return Limits(**chosen), ahead_us
