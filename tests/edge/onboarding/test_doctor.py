"""Every check of the doctor passes on a sound gateway and has a fixture that fails, with a fix. Show 5 of the issue."""

import asyncio
import json
import os
import socket
import sqlite3
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge.bufferfile import SCHEMA_VERSION
from edge.cli import main
from edge.clockwatch import LOCAL, NTP, UNKNOWN
from edge.config import HubAccess
from edge.onboarding import checks, doctor, hubchecks, masking
from edge.onboarding.checks import Check, Outcome
from edge.onboarding.hubchecks import Hub
from edge.onboarding.output import Output
from protocols.batch.columns import ClockRecord
from tests.edge.onboarding.conftest import DEAD, device
from tests.protocols.opcua.certificates import certificate, pem_key

NOW_US = 1_790_000_000_000_000
NOW = datetime.now(UTC)


def record(source: int, error_us: int = 0) -> ClockRecord:
    return ClockRecord(source, 0, error_us, bytes(16), 0)


# -- each check by itself: what it says, and of what


def damaged_buffer(folder: Path) -> Check:
    path = folder / "buffer.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE batch (state TEXT); CREATE TABLE filler (x); PRAGMA user_version = 1;")
        connection.executemany("INSERT INTO filler VALUES (?)", [("x" * 900,)] * 50)
        connection.commit()
    content = bytearray(path.read_bytes())
    content[8192:20000] = os.urandom(20000 - 8192)
    path.write_bytes(content)
    return checks.buffer(path)[0]


def foreign_schema(folder: Path) -> Check:
    with closing(sqlite3.connect(folder / "buffer.db")) as connection:
        connection.executescript(f"CREATE TABLE batch (state TEXT); PRAGMA user_version = {SCHEMA_VERSION + 1};")
    return checks.buffer(folder / "buffer.db")[1]


def open_buffer_key(folder: Path) -> Check:
    (folder / "buffer.key").write_text(bytes(range(32)).hex())
    (folder / "buffer.key").chmod(0o644)
    return checks.buffer_key(folder / "buffer.key")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), ("short", "expected 32 bytes"), ("zz" * 32, "expected 32 bytes")],
    ids=["absent", "too short", "no hex"],
)
def test_buffer_key_of_another_form_fails(content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "buffer.key").write_text(content)
    found = checks.buffer_key(tmp_path / "buffer.key")
    assert found.outcome is Outcome.FAIL
    assert said in found.said
    assert "openssl rand -hex 32" in found.fix


def open_key(folder: Path) -> Check:
    (folder / "gateway.key").write_text("key")
    (folder / "gateway.key").chmod(0o640)
    return checks.key_permissions([folder / "gateway.key"])


def taken_port(_: Path) -> Check:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return checks.health_port(("127.0.0.1", taken.getsockname()[1]), False)


def no_folder(folder: Path) -> Check:
    (folder / "data").write_text("a file")
    return checks.folder(folder / "data")


def half_enrolled(folder: Path) -> Check:
    (folder / "enrolment.json").write_text('{"tenant": "t"}')
    return hubchecks.enrolled(folder, "https://hub.example", folder / "gateway.toml")


def wrong_configuration(folder: Path) -> Check:
    (folder / "gateway.toml").write_text('[gateway]\nnam = "x"\n')
    return found(folder / "gateway.toml")["configuration"]


def dead_device(folder: Path) -> Check:
    (folder / "gateway.toml").write_text('[gateway]\nname = "rig1"\n' + device("modbus", DEAD))
    return found(folder / "gateway.toml")["device"]


def found(path: Path) -> dict[str, Check]:
    async def collect() -> dict[str, Check]:
        return {check.name: check async for check in doctor.every_check(path, Output())}

    return asyncio.run(collect())


def hub_on(port: int) -> Hub:
    return Hub.of(f"http://127.0.0.1:{port}")


def no_hub(_: Path) -> Check:
    return asyncio.run(hubchecks.answer(hub_on(1), ssl.create_default_context()))[0]


def unknown_hub(_: Path) -> Check:
    return asyncio.run(hubchecks.name(Hub.of("https://hub.invalid:8400")))


def untrusted_hub(folder: Path) -> Check:
    async def look() -> Check:
        async with tls_hub(folder, certificate("hub", host="127.0.0.1")) as hub:
            return await hubchecks.certificate(hub, ssl.create_default_context(), NOW)

    return asyncio.run(look())


def shown(folder: Path, name: str = "rig1", days: tuple[float, float] = (-1, 30), key: str = "") -> Check:
    """The operator's certificate of a gateway."""
    made = certificate(name, uri=f"urn:qz:gw:{name}", days=days)
    (folder / "client.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "client.key").write_bytes(pem_key(key or name))
    access = HubAccess(client_cert=folder / "client.pem", client_key=folder / "client.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return hubchecks.client_certificate(access, folder, "urn:qz:gw:rig1", context, NOW)


@pytest.mark.parametrize(
    ("check", "outcome", "words"),
    [
        (shown, "PASS", "until"),
        (lambda folder: shown(folder, days=(-30, 5)), "WARN", "ends soon"),
        (lambda folder: shown(folder, days=(-30, -1)), "FAIL", "ended"),
        (lambda folder: shown(folder, days=(1, 30)), "FAIL", "begins"),
        (lambda folder: shown(folder, name="rig2"), "FAIL", "urn:qz:gw:rig2"),
        (lambda folder: shown(folder, key="other"), "FAIL", "expected a certificate and its key"),
    ],
    ids=["good", "soon", "ended", "not yet", "of another gateway", "with another key"],
)
def test_client_certificate_is_judged(tmp_path: Path, check: Callable[[Path], Check], outcome: str, words: str) -> None:
    found = check(tmp_path)
    assert found.outcome == outcome
    assert words in found.said
    assert bool(found.fix) is (outcome != "PASS")


FAILING: dict[str, Callable[[Path], Check]] = {
    "python": lambda _: checks.python((3, 10, 2)),
    "system": lambda _: checks.system("Windows", "11", "AMD64"),
    "configuration": wrong_configuration,
    "open files": lambda _: checks.open_files(64, 20),
    "clock": lambda _: checks.clock(record(NTP), 0),
    "data folder": no_folder,
    "disk": lambda _: checks.disk(1_000_000, 0, 1_000_000_000),
    "buffer": damaged_buffer,
    "schema version": foreign_schema,
    "buffer key": open_buffer_key,
    "key permissions": open_key,
    "secret files": lambda folder: checks.secret_files({"well3: password_file": folder / "absent"}, {}),
    "port": taken_port,
    "libraries": lambda _: without_library("asyncua"),
    "serial lines": lambda _: checks.serial_lines(["/dev/ttyNONE7"]),
    "agent": lambda _: doctor.agent(True, {"state": "red", "causes": [{"state": "red", "cause": "buffer full"}]}),
    "enrolment": half_enrolled,
    "client certificate": lambda folder: shown(folder, days=(-30, -1)),
    "hub name": unknown_hub,
    "hub certificate": untrusted_hub,
    "hub": no_hub,
    "hub clock": lambda _: hubchecks.offset("Mon, 23 Nov 2026 10:00:00 GMT", datetime(2026, 11, 23, 11, 0, tzinfo=UTC).timestamp()),
    "device": dead_device,
}


def without_library(name: str) -> Check:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checks, "find_spec", lambda wanted: None if wanted == name else object())
        return checks.libraries({"opcua", "mqtt"}, hub=True)


@pytest.mark.parametrize("name", doctor.NAMES)
def test_every_check_has_a_failing_fixture_with_a_fix(name: str, tmp_path: Path) -> None:
    check = FAILING[name](tmp_path)
    assert check.name == name
    assert check.outcome is (Outcome.WARN if name == "open files" else Outcome.FAIL)
    assert check.said
    assert check.fix


def test_no_check_is_without_a_fixture() -> None:
    assert set(FAILING) == set(doctor.NAMES)
    assert len(doctor.NAMES) >= 12


@pytest.mark.parametrize(
    ("check", "outcome"),
    [
        (checks.clock(record(NTP), NOW_US), "PASS"),
        (checks.clock(record(LOCAL), NOW_US), "WARN"),
        (checks.clock(record(UNKNOWN), NOW_US), "WARN"),
        (checks.clock(record(NTP, 5_000_000), NOW_US), "WARN"),
        (checks.disk(10**12, 0, 10**9), "PASS"),
        (checks.disk(10**9, 0, 10**10), "WARN"),
        (checks.system("Linux", "6", "x86_64"), "PASS"),
        (checks.system("Linux", "6", "riscv64"), "WARN"),
        (checks.health_port(("0.0.0.0", 0), False), "PASS"),
        (checks.health_port(("127.0.0.1", 9400), True), "PASS"),
        (checks.libraries({"modbus"}, hub=False), "PASS"),
        (checks.serial_lines(["/dev/null"]), "PASS"),
        (doctor.agent(False, None), "PASS"),
        (doctor.agent(True, None), "FAIL"),
        (doctor.agent(True, {"state": "amber", "causes": [{"state": "amber", "cause": "x"}]}), "WARN"),
        (doctor.agent(True, {"state": "green", "causes": []}), "PASS"),
        (doctor.by_agent({"up": False, "cause": "cut", "name": "well1"}), "FAIL"),
        (doctor.by_agent({"up": True, "samples": 7, "name": "well1"}), "PASS"),
        (hubchecks.offset("", 0), "PASS"),
        (hubchecks.offset("Mon, 23 Nov 2026 10:00:00 GMT", datetime(2026, 11, 23, 10, 1, tzinfo=UTC).timestamp()), "WARN"),
        (hubchecks.offset("Mon, 23 Nov 2026 10:00:00 GMT", datetime(2026, 11, 23, 10, 0, tzinfo=UTC).timestamp()), "PASS"),
    ],
    ids=lambda one: one.said[:40] if isinstance(one, Check) else one,
)
def test_outcome_of_a_check(check: Check, outcome: str) -> None:
    assert check.outcome == outcome
    assert bool(check.fix) is (outcome != "PASS")


@pytest.mark.parametrize(("days", "outcome"), [(-1, "FAIL"), (5, "WARN"), (200, "PASS")], ids=["ended", "soon", "long"])
def test_certificate_is_judged_by_its_end(days: int, outcome: str) -> None:
    found = certificate("hub", days=(-300, days))
    assert hubchecks.expiry(found, NOW + timedelta(minutes=1)).outcome == outcome


@asynccontextmanager
async def tls_hub(folder: Path, made: x509.Certificate) -> AsyncIterator[Hub]:
    (folder / "hub.pem").write_bytes(made.public_bytes(Encoding.PEM) + pem_key("hub"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "hub.pem")

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        writer.write(f"HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0, ssl=context)
    async with server:
        yield Hub.of(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def test_hub_with_a_trusted_certificate_passes(tmp_path: Path) -> None:
    made = certificate("hub", host="127.0.0.1", days=(-1, 300), ca=True)
    trusting = ssl.create_default_context(cadata=made.public_bytes(Encoding.PEM).decode())
    async with tls_hub(tmp_path, made) as hub:
        assert (await hubchecks.certificate(hub, trusting, NOW)).outcome == "PASS"
        answered, clock = await hubchecks.answer(hub, trusting)
    assert (answered.outcome, clock.outcome) == ("PASS", "PASS")


async def test_ended_certificate_is_named_as_the_cause(tmp_path: Path) -> None:
    made = certificate("hub", host="127.0.0.1", days=(-30, -2), ca=True)
    trusting = ssl.create_default_context(cadata=made.public_bytes(Encoding.PEM).decode())
    async with tls_hub(tmp_path, made) as hub:
        check = await hubchecks.certificate(hub, trusting, NOW)
    assert check.outcome == "FAIL"
    assert "it ended" in check.said


async def test_hub_in_trouble_fails() -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        check, _ = await hubchecks.answer(hub_on(server.sockets[0].getsockname()[1]), ssl.create_default_context())
    assert (check.outcome, check.said) == ("FAIL", "answers with 503")


# -- as a command


def test_doctor_of_a_sound_gateway_ends_with_0(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(gateway), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    named = {check["check"] for check in document["checks"]}
    assert document["ok"] is True
    assert named >= set(doctor.NAMES) - {"client certificate", "hub name", "hub certificate", "hub", "hub clock"}
    assert sorted(check["about"] for check in document["checks"] if check["check"] == "device") == ["iec61850", "modbus", "mqtt", "opcua"]


def test_doctor_ends_with_1_when_something_fails_and_says_the_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('[gateway]\nname = "rig1"\nhub = "http://127.0.0.1:1"\n' + device("modbus", DEAD))
    assert main(["doctor", str(path)]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  hub " in shown
    assert "FAIL  device modbus" in shown
    assert shown.count("fix: ") >= 2
    assert not (tmp_path / "rig1-data").exists()


def test_doctor_answers_for_a_file_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.toml").write_text("[gateway")
    assert main(["doctor", str(tmp_path / "gateway.toml")]) == 1
    assert "FAIL  configuration" in capsys.readouterr().out


def test_secret_files_are_found_in_the_gateway_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[gateway]\nname = "rig1"\n' + device("mqtt", "mqtt://" + DEAD, 'username = "me"\npassword_file = "secret"\n')
    text += device("opcua", "opc.tcp://" + DEAD, 'username = "me"\npassword_file = "env:QENERGYZ_TEST_SECRET"\n')
    (tmp_path / "gateway.toml").write_text(text)
    named, elsewhere = checks.secret_paths(tmp_path / "gateway.toml")
    assert named == {"mqtt: password_file": tmp_path / "secret"}
    assert elsewhere == {"opcua: password_file": "env:QENERGYZ_TEST_SECRET"}
    assert checks.secret_files({}, elsewhere).outcome == "WARN"
    monkeypatch.setenv("QENERGYZ_TEST_SECRET", "canary-1")
    assert checks.secret_files({}, elsewhere).outcome == "PASS"
    assert "canary-1" in set(masking.of_gateway(tmp_path / "gateway.toml"))


def test_credentials_of_systemd_are_known_and_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert checks.secret_files({}, {"a: password_file": "credential:broker"}).outcome == "WARN"
    (tmp_path / "broker").write_text("canary-2")
    assert checks.secret_files({}, {"a: password_file": "credential:broker"}).outcome == "PASS"
    (tmp_path / "gateway.toml").write_text('[[device]]\npassword_file = "credential:broker"\n')
    assert set(masking.of_gateway(tmp_path / "gateway.toml")) == {"canary-2"}
