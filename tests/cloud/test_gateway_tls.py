"""Real TLS between a gateway's client and a served hub: who is let in, who is not, and what each is told."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cloud import serving
from cloud.app import create_app
from cloud.config import HubConfig, Tls
from cloud.identity.authority import Authority, BadRequest
from edge import enrolment, hubtls
from edge.config import HubAccess
from protocols.secret import Secret
from tests.cloud.conftest import LIMITS, TestHub
from tests.cloud.gateway import Gateway, problem
from tests.protocols.opcua.certificates import certificate, pem_key

NOW = datetime.now(UTC)


class Served(TestHub):
    """A hub that is served by uvicorn over TLS. trusted: its certificate, as a gateway names it with `ca`."""

    url: str
    trusted: Path

    def access(self, **more: Path) -> HubAccess:
        return HubAccess(ca=self.trusted, **more)

    @asynccontextmanager
    async def meet(self, data: Path, access: HubAccess | None = None) -> AsyncIterator[httpx.AsyncClient]:
        tls = hubtls.Tls(self.url, access or self.access(), data)
        assert tls.cause == ""
        async with httpx.AsyncClient(base_url=self.url, verify=tls.context, timeout=10) as client:
            yield client


@asynccontextmanager
async def served(folder: Path, database_url: str, **asks: object) -> AsyncIterator[Served]:
    folder.mkdir(exist_ok=True)
    (folder / "hub.pem").write_bytes(certificate("hub", ca=True).public_bytes(Encoding.PEM))
    (folder / "hub.key").write_bytes(pem_key("hub"))
    tls = Tls(folder / "hub.pem", folder / "hub.key", **asks)  # type: ignore[arg-type]
    app = create_app(HubConfig(folder / "data", tls=tls, limits=LIMITS), database_url)
    options = serving.options(tls, serving.context(tls, app.state.hub.authority))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1, **options))
    server.capture_signals = nullcontext  # type: ignore[method-assign]  # signals stay pytest's
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        hub = Served(app.state.hub, None, database_url)  # type: ignore[arg-type]
        hub.url, hub.trusted = f"https://127.0.0.1:{listening.getsockname()[1]}", folder / "hub.pem"
        try:
            yield hub
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[Served]:
    (tmp_path / "operator.pem").write_bytes(certificate("operator", ca=True).public_bytes(Encoding.PEM))
    async with served(tmp_path / "hub", database_url, issue=True, client_authorities=(tmp_path / "operator.pem",)) as running:
        yield running


async def enrolled(hub: Served, data: Path, name: str = "rig1") -> Gateway:
    """As `qenergyz edge enrol` does it: over TLS without a certificate, then one is issued."""
    voucher = await hub.voucher(name)
    async with hub.meet(data) as client:
        done = await enrolment.enrol(client, hub.url, name, voucher, data)
        signer = enrolment.load_or_make_key(data)
        assert await hubtls.certify(client, hub.url, f"urn:qz:gw:{name}", data, signer) is not None
    return Gateway(None, name, signer, enrolment=asdict(done))  # type: ignore[arg-type]


def own_certificate(folder: Path, name: str, *, issuer: str = "operator", days: tuple[float, float] = (-1, 30)) -> dict[str, Path]:
    """An operator's, for a gateway."""
    made = certificate(name, issuer=issuer, uri=f"urn:qz:gw:{name}", days=days)
    (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(pem_key(name))
    return {"client_cert": folder / f"{name}.pem", "client_key": folder / f"{name}.key"}


async def test_gateway_with_an_issued_certificate_ingests(hub: Served, tmp_path: Path) -> None:
    data = tmp_path / "rig1"
    gateway = await enrolled(hub, data)
    assert (data / "hub-client.pem").stat().st_mode & 0o777 == 0o600
    async with hub.meet(data) as gateway.client:
        assert (await gateway.put_table()).status_code == 201
        await gateway.send(gateway.seal())
    assert hub.stored()[0] == 1


async def test_gateway_without_a_certificate_is_told_what_is_missing(hub: Served, tmp_path: Path) -> None:
    gateway = await enrolled(hub, tmp_path / "rig1")
    async with hub.meet(tmp_path / "nobody") as gateway.client:
        reply = await gateway.post(gateway.seal())
        assert problem(reply) == "certificate-needed"
        assert "client_cert" in reply.json()["detail"]
        assert (await gateway.client.get("/health")).status_code == 200  # people and programs have tokens
    assert hub.stored()[0] == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"issuer": "stranger"}, "does not know the authority"), ({"days": (-30, -1)}, "it has ended")],
    ids=["of another authority", "that has ended"],
)
async def test_certificate_is_refused_with_its_plain_cause(hub: Served, tmp_path: Path, changes: dict[str, object], words: str) -> None:
    gateway = await enrolled(hub, tmp_path / "rig1")
    access = hub.access(**own_certificate(tmp_path, "rig1", **changes))  # type: ignore[arg-type]
    async with hub.meet(tmp_path / "rig1", access) as gateway.client:
        with pytest.raises(httpx.TransportError) as caught:
            await gateway.post(gateway.seal())
    assert words in await hubtls.Tls(hub.url, access, tmp_path).explain(caught.value)
    assert hub.stored()[0] == 0


async def test_operators_own_certificate_of_the_gateway_ingests(hub: Served, tmp_path: Path) -> None:
    gateway = await enrolled(hub, tmp_path / "rig1")
    async with hub.meet(tmp_path / "rig1", hub.access(**own_certificate(tmp_path, "rig1"))) as gateway.client:
        assert (await gateway.put_table()).status_code == 201
        await gateway.send(gateway.seal())
    assert hub.stored()[0] == 1


async def test_certificate_of_another_gateway_is_refused_and_stores_nothing(hub: Served, tmp_path: Path) -> None:
    gateway = await enrolled(hub, tmp_path / "rig1")
    await enrolled(hub, tmp_path / "rig2", "rig2")
    async with hub.meet(tmp_path / "rig2") as gateway.client:
        assert problem(await gateway.put_table()) == "wrong-certificate"
        assert problem(await gateway.post(gateway.seal())) == "wrong-certificate"
    assert hub.stored()[0] == 0


async def test_ended_certificate_is_renewed_without_one(hub: Served, tmp_path: Path) -> None:
    """The request for a certificate is proved by the gateway's key."""
    data = tmp_path / "rig1"
    gateway = await enrolled(hub, data)
    before = hubtls.current(hub.access(), data)
    (data / "hub-client.pem").unlink()
    async with hub.meet(data) as client:
        await hubtls.certify(client, hub.url, gateway.urn, data, gateway.signer)
    after = hubtls.current(hub.access(), data)
    assert before is not None
    assert after is not None
    assert after.serial_number != before.serial_number


async def test_revoked_gateway_is_issued_no_certificate(hub: Served, tmp_path: Path) -> None:
    data = tmp_path / "rig1"
    gateway = await enrolled(hub, data)
    hub.rows("UPDATE gateway_key SET revoked_us = 1 RETURNING kid")
    async with hub.meet(data) as client:
        with pytest.raises(enrolment.EnrolmentError, match="revoked-key"):
            await hubtls.certify(client, hub.url, gateway.urn, data, gateway.signer)


async def test_hub_that_issues_none_says_so_and_asks_for_none(tmp_path: Path, database_url: str) -> None:
    async with served(tmp_path / "hub", database_url) as hub:
        gateway = Gateway(None, "rig1")  # type: ignore[arg-type]
        async with hub.meet(tmp_path / "rig1") as gateway.client:
            assert (await gateway.enrol(await hub.voucher("rig1"))).status_code == 201
            assert await hubtls.certify(gateway.client, hub.url, gateway.urn, tmp_path, gateway.signer) is None
            assert (await gateway.put_table()).status_code == 201


def request(key: ec.EllipticCurvePrivateKey) -> bytes:
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.DER)


def test_authority_names_the_gateway_whatever_the_request_asks_and_lives_shortly(tmp_path: Path) -> None:
    authority = Authority.load_or_make(tmp_path, "hub.test")
    issued = x509.load_pem_x509_certificate(
        authority.issue(request(ec.generate_private_key(ec.SECP256R1())), "urn:qz:gw:rig1", 7, NOW).encode()
    )
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.UniformResourceIdentifier)
    assert names == ["urn:qz:gw:rig1", "urn:qz:tenant:7"]
    assert issued.not_valid_after_utc - NOW <= timedelta(days=31)
    assert Authority.load_or_make(tmp_path, "hub.test").pem == authority.pem
    assert (tmp_path / "authority.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", ["tampered", "other curve", "rubbish"])
def test_authority_refuses_a_request_that_proves_nothing(tmp_path: Path, change: str) -> None:
    good = request(ec.generate_private_key(ec.SECP256R1()))
    bad = {
        "tampered": good[:-3] + bytes((good[-3] ^ 1,)) + good[-2:],
        "other curve": request(ec.generate_private_key(ec.SECP384R1())),
        "rubbish": b"request",
    }[change]
    with pytest.raises(BadRequest):
        Authority.load_or_make(tmp_path, "hub.test").issue(bad, "urn:qz:gw:rig1", 1, NOW)


def test_files_that_are_no_certificates_are_named_and_nobody_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    tls = hubtls.Tls("https://hub.example", HubAccess(ca=tmp_path / "ca.pem"), tmp_path)
    assert "ca.pem: expected certificates of authorities" in tls.cause
    assert tls.context.get_ca_certs() == []
    assert tls.context.verify_mode is ssl.CERT_REQUIRED


def test_client_key_from_the_environment_is_shown_to_openssl_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = pem_key("rig1").decode()
    monkeypatch.setenv("RIG1_KEY", key)
    files = own_certificate(tmp_path, "rig1")
    access = HubAccess(client_cert=files["client_cert"], client_key=Secret("env", "RIG1_KEY"))
    assert hubtls.Tls("https://hub.example", access, tmp_path).cause == ""
    monkeypatch.setenv("RIG1_KEY", "canary-4711")
    cause = hubtls.Tls("https://hub.example", access, tmp_path).cause
    assert "env:RIG1_KEY" in cause
    assert "canary" not in cause
