"""Secured sessions with a real server: policies, first contact, pins, renewed certificates, users."""

import asyncio
import re
import struct
import tomllib
from dataclasses import replace

import pytest
import pytest_asyncio
from asyncua import ua
from cryptography.hazmat.primitives.serialization import Encoding

from edge.poller import Poller
from protocols import quality, tasks
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap, Tag, TagType
from protocols.driver import DeviceMisbehaves, DeviceUnreachable, DriverError, DriverSetup
from protocols.opcua import identity
from protocols.opcua.address import STANDARD
from protocols.opcua.driver import OpcUaDriver
from protocols.opcua.endpoints import Peer, choose
from protocols.opcua.plan import MODES, POLICIES, Options, Settings
from protocols.opcua.session import Limits, connect, session
from protocols.opcua.trust import fingerprint
from simulators.opcua_nodesets import POLICIES as SERVED
from simulators.opcua_nodesets import NodesetServer, Secured
from tests.protocols.opcua.certificates import certificate, key, pem_key, trust_folder

SECURE = tuple((policy, mode) for policy in POLICIES for mode in MODES)
module = pytest.mark.asyncio(loop_scope="module")
LEAF = certificate("server", issuer="root")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server():
    server = NodesetServer((), Secured(tuple(SERVED), key("server"), LEAF))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return tmp_path_factory.mktemp("identity")


async def reached(address, settings):
    """Whether a session opens: number of namespaces."""
    async with session(Peer("plc", address, settings), SystemClock()) as opened:
        return len(opened.namespaces)


@module
@pytest.mark.parametrize(("policy", "mode"), SECURE)
async def test_every_policy_and_mode_carries_values(server, own, policy, mode):
    tags = (Tag(name="state", at=f"nsu={STANDARD};i=2259", type=TagType.INT32),)
    settings = Settings(security=policy, mode=mode, fingerprint=fingerprint(LEAF), identity=own)
    device = Device("plc", DeviceMap("m", "x", (), "opcua", Options(STANDARD), tags), server.address, settings)
    driver = OpcUaDriver(device, SystemClock())
    await driver.open()
    frame = await driver.read()
    assert frame.blocks[0].values.tolist() == [0]
    assert frame.blocks[0].quality is None
    await driver.close()


@module
async def test_first_contact_ends_with_lines_to_paste_and_those_lines_connect(server, own):
    with pytest.raises(DriverSetup) as caught:
        await reached(server.address, Settings(identity=own))
    lines = "\n".join(re.findall(r"^(?:security|mode|fingerprint) +=.*$", str(caught.value), re.MULTILINE))
    pasted = tomllib.loads(lines)
    assert pasted == {"security": "Aes256_Sha256_RsaPss", "mode": "SignAndEncrypt", "fingerprint": fingerprint(LEAF)}
    assert await reached(server.address, Settings(identity=own, **pasted)) >= 2


@module
async def test_no_security_must_be_written_where_the_server_offers_better(server, own):
    assert await reached(server.address, Settings(security="none", identity=own)) >= 2


@module
async def test_another_certificate_than_the_pinned_one_is_refused(server, own):
    settings = Settings(security="Basic256Sha256", fingerprint=fingerprint(certificate("stranger")), identity=own)
    with pytest.raises(DriverSetup, match="pinned"):
        await reached(server.address, settings)


@module
async def test_a_renewed_certificate_of_a_trusted_issuer_connects_and_an_unknown_one_does_not(server, own, tmp_path):
    trust = trust_folder(tmp_path, issuers=[certificate("root", ca=True)])
    settings = Settings(security="Basic256Sha256", trust=trust, identity=own)
    assert await reached(server.address, settings) >= 2
    await server.restart(secured=Secured(tuple(SERVED), key("renewed"), certificate("renewed", issuer="root")))
    assert await reached(server.address, settings) >= 2
    await server.restart(secured=Secured(tuple(SERVED), key("unknown"), certificate("unknown")))
    with pytest.raises(DriverSetup, match="is unknown"):
        await reached(server.address, settings)
    await server.restart(secured=Secured(tuple(SERVED), key("server"), LEAF))


class Watched:
    """A device under the agent's own poller; `seen` waits for a sample of the node that exists, kept after a moment."""

    def __init__(self, address, settings):
        tags = (
            Tag(name="state", at=f"nsu={STANDARD};i=2259", type=TagType.INT32),
            Tag(name="ghost", at=f"nsu={STANDARD};s=nowhere", type=TagType.INT32),
        )
        self.device = Device("plc", DeviceMap("m", "x", (), "opcua", Options(STANDARD, publishing_us=50_000), tags), address, settings)
        self._news, self.frames = asyncio.Event(), []
        self.poller = Poller(self.device, self._open, self._deliver, SystemClock())

    async def _open(self):
        return OpcUaDriver(self.device, SystemClock())

    def _deliver(self, frame):
        self.frames.append(frame)
        self._news.set()

    async def until(self, wanted):
        async with asyncio.timeout(20):
            while not wanted():
                self._news.clear()
                await self._news.wait()


@module
async def test_the_agent_goes_on_by_itself_after_a_restart_with_a_renewed_certificate_and_not_with_an_unknown_one(server, own, tmp_path):
    trust = trust_folder(tmp_path, issuers=[certificate("root", ca=True)])
    watched = Watched(server.address, Settings(security="Basic256Sha256", trust=trust, identity=own))
    state = watched.poller.state
    polling = asyncio.create_task(watched.poller.run())
    try:
        await watched.until(lambda: state.up)
        await server.stop()
        await watched.until(lambda: not state.up)
        await server.start(secured=Secured(tuple(SERVED), key("renewed"), certificate("renewed", issuer="root")))
        await watched.until(lambda: state.up)
        await server.restart(secured=Secured(tuple(SERVED), key("unknown"), certificate("unknown")))
        await watched.until(lambda: not state.up)
        async with asyncio.timeout(20):
            while "is unknown" not in state.cause:
                await asyncio.sleep(0.05)
        await server.restart(secured=Secured(tuple(SERVED), key("server"), LEAF))
        await watched.until(lambda: state.up)
    finally:
        await tasks.end(polling)
    qualities = {(tag, code) for frame in watched.frames for block in frame.blocks for tag, code in pairs(block)}
    assert {code for tag, code in qualities if tag == 0} == {0, quality.BAD_NO_COMMUNICATION}
    assert {code for tag, code in qualities if tag == 1} == {quality.BAD_NODE_ID_UNKNOWN, quality.BAD_NO_COMMUNICATION}


def pairs(block):
    codes = block.quality.ravel().tolist() if block.quality is not None else [0] * block.samples
    return zip(block.tags.tolist(), codes, strict=True)


@module
async def test_users_are_known_by_password_or_certificate(server, own, tmp_path):
    user = certificate("operator")
    (tmp_path / "password").write_text("right\n")
    (tmp_path / "wrong").write_text("wrong")
    (tmp_path / "user.der").write_bytes(user.public_bytes(Encoding.DER))
    (tmp_path / "other.der").write_bytes(certificate("stranger").public_bytes(Encoding.DER))
    (tmp_path / "user.pem").write_bytes(pem_key("operator"))
    (tmp_path / "other.pem").write_bytes(pem_key("stranger"))
    secured = Secured(tuple(SERVED), key("server"), LEAF, {"operator": "right"}, (user.public_bytes(Encoding.DER),))
    await server.restart(secured=secured)
    plain = Settings(security="Aes128_Sha256_RsaOaep", mode="Sign", fingerprint=fingerprint(LEAF), identity=own)
    named = replace(plain, username="operator", password_file=tmp_path / "password")
    certified = replace(plain, user_certificate=tmp_path / "user.der", user_key=tmp_path / "user.pem")
    for settings in (named, replace(named, mode="SignAndEncrypt"), certified):
        assert await reached(server.address, settings) >= 2
    strangers = [
        replace(named, password_file=tmp_path / "wrong"),
        replace(plain, user_certificate=tmp_path / "other.der", user_key=tmp_path / "other.pem"),
        plain,
    ]
    for settings in strangers:
        with pytest.raises(DriverError) as caught:
            await reached(server.address, settings)
        assert "right" not in str(caught.value)
    with pytest.raises(DriverSetup, match="readable"):
        await reached(server.address, replace(named, security="none", fingerprint=""))
    with pytest.raises(DriverSetup, match="absent"):
        await reached(server.address, replace(named, password_file=tmp_path / "absent"))
    assert await reached(server.address, replace(named, security="none")) >= 2  # the password is encrypted for the pinned server
    await server.restart(secured=Secured(tuple(SERVED), key("server"), LEAF))


@module
async def test_operation_limits_are_read_at_connect(server, own):
    node = server.server.get_node(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead)
    await node.write_value(ua.Variant(7, ua.VariantType.UInt32))
    opened = await connect(Peer("plc", server.address, Settings(security="none", identity=own)), SystemClock())
    assert opened.limits == replace(Limits(), read=7)
    await opened.close(1)
    await node.write_value(ua.Variant(0, ua.VariantType.UInt32))


def offer(policy, mode):
    end = ua.EndpointDescription(EndpointUrl="opc.tcp://x", SecurityPolicyUri=f"http://opcfoundation.org/UA/SecurityPolicy#{policy}")
    end.SecurityMode = ua.MessageSecurityMode[mode]
    end.ServerCertificate = LEAF.public_bytes(Encoding.DER)
    return end


def test_deprecated_policies_are_taken_only_when_named():
    offers = [offer("Basic256", "Sign"), offer("None", "None_")]
    with pytest.raises(DriverSetup, match="deprecated"):
        choose(offers, Peer("plc", "opc.tcp://x", Settings()))
    settings = Settings(security="Basic256", mode="Sign", fingerprint=fingerprint(LEAF))
    assert choose(offers, Peer("plc", "opc.tcp://x", settings)) is offers[0]


def test_a_policy_that_is_not_offered_is_told_with_those_that_are():
    with pytest.raises(DriverSetup, match=r"does not offer Basic256Sha256 with Sign, but None"):
        choose([offer("None", "None_")], Peer("plc", "opc.tcp://x", Settings(security="Basic256Sha256", mode="Sign", fingerprint="00")))


def test_a_server_without_security_is_used_and_said_so(caplog):
    only = offer("None", "None_")
    assert choose([only], Peer("plc", "opc.tcp://x", Settings())) is only
    assert "opcua_unsecured device=plc" in caplog.text


def test_a_server_that_lost_its_security_is_not_used_where_a_certificate_is_pinned():
    with pytest.raises(DriverSetup, match="in between"):
        choose([offer("None", "None_")], Peer("plc", "opc.tcp://x", Settings(fingerprint=fingerprint(LEAF))))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes(64),
        b"ACKF" + struct.pack("<I", 28) + bytes(8),
        b"ERRF\x10\x00\x00\x00\x00\x00\x7d\x80\xff\xff\xff\xff",
    ],
    ids=["nothing", "http", "zeros", "half", "error"],
)
async def test_a_peer_that_speaks_something_else_is_a_plain_error(answer):
    async def serve(reader, writer):
        await reader.read(100)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for security in ("", "none"):
        with pytest.raises((DeviceUnreachable, DeviceMisbehaves), match="127"):
            await connect(Peer("plc", address, Settings(timeout_us=300_000, security=security)), SystemClock())
    server.close()


async def test_devices_that_make_the_same_identity_at_the_same_moment_share_it(tmp_path):
    made = await asyncio.gather(*(asyncio.to_thread(identity.load_or_make, tmp_path / "own") for _ in range(4)))
    assert len({one.certificate for one in made}) == 1
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == sorted([identity.KEY, identity.CERTIFICATE])
