"""An OPC UA server made of nodesets: the companion models of real equipment, with an object of every type and values that move.

For what the device maps' own face (`opcua.py`) does not have: foreign address spaces to browse, security policies and users, namespaces
that change their order between two starts, events, history. Not a conformant implementation of any companion specification: values are
plausible numbers, methods do nothing.
"""

import gzip
import logging
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncua.ua
from asyncua.common.instantiate_util import instantiate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from simulators.opcua import stop_server

ua: Any = asyncua.ua

NAMESPACE: Final = "urn:qenergyz:simulated"
APPLICATION_URI: Final = "urn:qenergyz:simulated:server"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOVING: Final = range(1, 12)  # Boolean to Double
_DEEPEST: Final = 12
POLICIES: Final = {
    ("None", "None"): ua.SecurityPolicyType.NoSecurity,
    ("Basic256Sha256", "Sign"): ua.SecurityPolicyType.Basic256Sha256_Sign,
    ("Basic256Sha256", "SignAndEncrypt"): ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ("Aes128_Sha256_RsaOaep", "Sign"): ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    ("Aes128_Sha256_RsaOaep", "SignAndEncrypt"): ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ("Aes256_Sha256_RsaPss", "Sign"): ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ("Aes256_Sha256_RsaPss", "SignAndEncrypt"): ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
}


@dataclass(frozen=True, slots=True)
class Secured:
    """How the server is reached. users: name -> password; user_certificates: DER of clients' user certificates; none of both = anybody."""

    policies: tuple[tuple[str, str], ...] = (("None", "None"),)
    key: rsa.RSAPrivateKey | None = None
    certificate: x509.Certificate | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    user_certificates: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Moving:
    """A variable that moves: its node, built-in type and the values between which it does."""

    node: Any
    kind: int
    low: float = 0.0
    high: float = 100.0


class _Users(UserManager):
    """asyncua's seam for users."""

    def __init__(self, secured: Secured) -> None:
        self._secured = secured

    def get_user(self, _: Any, username: str | None = None, password: Any = None, certificate: Any = None) -> User | None:
        secured, user = self._secured, User(role=UserRole.Admin)
        if not secured.users and not secured.user_certificates:
            return user
        if username is not None:
            given = password.decode() if isinstance(password, bytes) else password
            return user if username in secured.users and secured.users[username] == given else None
        der = certificate.public_bytes(Encoding.DER) if isinstance(certificate, x509.Certificate) else certificate
        return user if der in secured.user_certificates else None


class NodesetServer:
    """`start`, `step` as often as wanted, `stop`. What is `moving` is known after `start`."""

    def __init__(self, nodesets: Sequence[Path], secured: Secured | None = None, seed: int = 1) -> None:
        self._texts = [_text(path) for path in nodesets]
        self._secured = secured or Secured()
        self._random = random.Random(seed)  # noqa: S311  # values of a simulation
        self.address = "opc.tcp://127.0.0.1:0/nodesets"
        self.moving: list[Moving] = []
        self.server: Any = None

    async def start(self, namespaces: Sequence[str] = (), secured: Secured | None = None) -> None:
        """namespaces: URIs in the order in which they get their indexes; the rest comes as the files have it."""
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        self._secured = secured or self._secured
        server: Any = Server(user_manager=_Users(self._secured))
        self.server = server
        await server.init()
        server.set_endpoint(self.address)
        server.set_server_name("Qenergyz simulated nodesets")
        await server.set_application_uri(APPLICATION_URI)
        await self._secure(server)
        for uri in namespaces:
            await server.register_namespace(uri)
        own = await server.register_namespace(NAMESPACE)
        for text in self._texts:
            added = await server.import_xml(xmlstring=text, strict_mode=False)  # MDIS declares a method that belongs nowhere
            await self._instantiate(server, added, own)
        self.moving = await self._find_moving(server)
        await server.start()
        link = urlsplit(self.address)
        self.address = f"opc.tcp://{link.hostname}:{server.bserver.port}{link.path}"

    async def _secure(self, server: Any) -> None:
        server.set_security_policy([POLICIES[policy] for policy in self._secured.policies])
        if self._secured.key is not None and self._secured.certificate is not None:
            await server.load_certificate(self._secured.certificate.public_bytes(Encoding.DER), "der")
            await server.load_private_key(self._secured.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), None, "der")
        tokens = [ua.UserNameIdentityToken] if self._secured.users else []
        tokens += [ua.X509IdentityToken] if self._secured.user_certificates else []
        server.set_identity_tokens(tokens or [ua.AnonymousIdentityToken])

    @staticmethod
    async def _instantiate(server: Any, added: Sequence[Any], own: int) -> None:
        """An object of every concrete type that is no event."""
        for node_id in added:
            node = server.get_node(node_id)
            if (
                await node.read_node_class() != ua.NodeClass.ObjectType
                or (await node.read_attribute(ua.AttributeIds.IsAbstract)).Value.Value
            ):
                continue
            if await _is_event(node):
                continue
            name = (await node.read_browse_name()).Name
            await instantiate(server.nodes.objects, node, bname=ua.QualifiedName(f"{name.removesuffix('Type')}1", own), idx=own)

    async def _find_moving(self, server: Any) -> list[Moving]:
        found: dict[Any, Moving] = {}
        await self._walk(server.nodes.objects, found, 0)
        return list(found.values())

    async def _walk(self, node: Any, found: dict[Any, Moving], depth: int) -> None:
        for child in await node.get_children():
            if child.nodeid.NamespaceIndex == 0 or child.nodeid in found or depth > _DEEPEST:
                continue
            if await child.read_node_class() == ua.NodeClass.Variable:
                moving = await _moving(child)
                if moving is not None:
                    found[child.nodeid] = moving
            await self._walk(child, found, depth + 1)

    async def step(self, time_us: int) -> dict[Any, Any]:
        """Every moving variable gets its next value, stamped so; returns them by node."""
        values = {}
        moment = _EPOCH + timedelta(microseconds=time_us)
        for number, moving in enumerate(self.moving):
            value = self._value(moving, time_us / 1e6, number)
            values[moving.node] = value
            await self.write(moving.node, value, moving.kind, moment)
        return values

    def _value(self, moving: Moving, time_s: float, number: int) -> Any:
        swing = 0.5 + 0.4 * math.sin(time_s / 10 + number) + self._random.uniform(-0.02, 0.02)
        value = moving.low + swing * (moving.high - moving.low)
        if moving.kind == 1:
            return value > (moving.low + moving.high) / 2
        return value if moving.kind > 9 else round(value)

    async def write(self, node: Any, value: Any, kind: int, moment: datetime) -> None:
        variant = ua.Variant(value, ua.VariantType(kind))
        await self.server.write_attribute_value(node, ua.DataValue(variant, ua.StatusCode(0), moment, datetime.now(UTC)))

    async def historize(self, nodes: Sequence[Any], count: int = 100_000) -> None:
        for node in nodes:
            await self.server.historize_node_data_change(self.server.get_node(node), period=None, count=count)

    async def alarm(self, source: str, message: str, severity: int, *, active: bool, acked: bool = False) -> None:
        """An alarm of the server object; its condition is named after the source."""
        generator = await self.server.get_event_generator(ua.ObjectIds.AlarmConditionType, ua.ObjectIds.Server)
        event = generator.event
        event.SourceName, event.Severity, event.ConditionName = source, severity, f"{source}.limit"
        states = (("ActiveState/Id", active), ("AckedState/Id", acked), ("EnabledState/Id", True), ("Retain", active or not acked))
        for name, state in states:
            event.add_property(name, state, ua.VariantType.Boolean)
        await generator.trigger(message=message)

    async def restart(self, namespaces: Sequence[str] = (), secured: Secured | None = None) -> None:
        """The same server again, at the same address, as after a power cut."""
        await self.stop()
        await self.start(namespaces, secured)

    async def stop(self) -> None:
        if self.server is not None:
            await stop_server(self.server)


def _text(path: Path) -> str:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return data.decode("utf-8-sig")


async def _is_event(node: Any) -> bool:
    at = node
    for _ in range(_DEEPEST):
        if at.nodeid == ua.NodeId(ua.ObjectIds.BaseEventType):
            return True
        parents = await at.get_references(ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
        if not parents:
            return False
        at = type(node)(node.session, parents[0].NodeId)
    return False


async def _moving(node: Any) -> Moving | None:
    """None for what is no single number of a fixed type."""
    if (await node.read_value_rank()) not in (ua.ValueRank.Scalar, ua.ValueRank.ScalarOrOneDimension, ua.ValueRank.Any):
        return None
    try:
        kind = (await node.read_data_type_as_variant_type()).value
    except ua.UaError:
        return None
    if kind not in _MOVING:
        return None
    enumeration = kind == 6 and (await node.read_data_type()) != ua.NodeId(6, 0)
    moving = Moving(node.nodeid, kind, 0.0, 2.0 if enumeration else 100.0)
    for child in await node.get_properties():
        if (await child.read_browse_name()).Name == "EURange":
            found = await child.read_value()
            if found is not None and found.Low < found.High:
                return replace(moving, low=float(found.Low), high=float(found.High))
    return moving
