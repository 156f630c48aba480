"""A write is done once, in time, within its limits, by whom the site allows; every attempt is a signed event."""

import asyncio
import os
import stat
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from edge.buffer import EVENT, Buffer
from edge.commands import ARM_US, Answer, Command, Gate, Kept, Outcome
from edge.config import BufferConfig, Policies
from edge.control import NAME, ControlSocket, ask
from edge.intake import Intake
from protocols import quality
from protocols.batch import statement
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap, Tag, TagTable, TagType, WriteRule
from protocols.driver import DeviceUnreachable, WriteRefused
from protocols.event import Event
from protocols.signing import Ed25519Signer
from tests.fakes import FakeClock

TAGS = (
    Tag("pressure", "a", TagType.INT16, unit="bar"),
    Tag("speed", "b", TagType.UINT16, unit="rpm", scale=Decimal("0.5"), write=WriteRule(0, 3000)),
    Tag("open", "c", TagType.BOOL, write=WriteRule(0, 1, arm=False)),
    Tag("forbidden", "d", TagType.UINT16, write=WriteRule(0, 10)),
    Tag("set", "e", TagType.FLOAT32, write=WriteRule(-5, 5, arm=False)),
)
DEVICE = Device("pump", DeviceMap("m", "x", (), "modbus", None, TAGS), "a:1", writable=frozenset({"speed", "open", "set"}))
Sent = tuple[str, int, float, float | None]


class Memory:
    """A journal that forgets with the process."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.events: list[Event] = []

    async def find(self, key: str) -> Kept | None:
        return self.kept.get(key)

    async def begin(self, key: str, digest: str, event: Event) -> None:
        await self.end(key, digest, Answer(Outcome.BEGUN), event)

    async def end(self, key: str, digest: str, answer: Answer, event: Event) -> None:
        if key:
            self.kept[key] = Kept(digest, answer)
        self.events.append(event)


class Desk:
    """A gate with a device that does what it is told, or what `trouble` does."""

    def __init__(self) -> None:
        self.clock, self.journal, self.sent = FakeClock(), Memory(), list[Sent]()
        self.trouble: Callable[[], None] = lambda: None
        self.gate = Gate([DEVICE], self.journal, self.clock, self.send)

    async def send(self, device: str, index: int, raw: float, expected: float | None) -> None:
        self.trouble()
        self.sent.append((device, index, raw, expected))

    def command(self, tag: str = "pump.open", value: float = 1.0, key: str = "k", life_s: float = 10.0, **more: object) -> Command:
        return Command(tag, value, key, self.clock.now_us() + int(life_s * 1e6), "anna", **more)  # type: ignore[arg-type]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_allowed_write_is_done_once_however_often_it_is_asked(desk: Desk) -> None:
    first, again = desk.command(), desk.command()
    assert await desk.gate.write(first) == Answer(Outcome.DONE)
    assert await desk.gate.write(again) == Answer(Outcome.DONE)
    assert desk.sent == [("pump", 2, True, None)]
    assert [event.detail["outcome"] for event in desk.journal.events] == ["begun", "done"]
    assert desk.journal.events[1].detail["who"] == "anna"
    other = await desk.gate.write(desk.command(value=0.0))
    assert (other.outcome, "used for another write" in other.cause) == (Outcome.REFUSED, True)


@pytest.mark.parametrize(
    ("tag", "value", "cause"),
    [
        ("pump.pressure", 1.0, "not writable"),
        ("pump.forbidden", 1.0, 'writable = ["forbidden"]'),
        ("pump.nothing", 1.0, "no tag"),
        ("other.open", 1.0, "no tag"),
        ("pump.set", 5.5, "expected -5 to 5"),
        ("pump.set", float("nan"), "expected -5 to 5"),
        ("pump.speed", 100.3, "steps of 0.5 rpm"),
        ("pump.open", 0.5, "steps of 1"),
    ],
)
async def test_write_against_the_rules_is_refused_and_recorded(desk: Desk, tag: str, value: float, cause: str) -> None:
    answer = await desk.gate.write(desk.command(tag, value))
    assert answer.outcome is Outcome.REFUSED
    assert cause in answer.cause
    assert not desk.sent
    assert desk.journal.events[-1].detail["outcome"] == "refused"
    assert not desk.journal.kept


async def test_late_write_is_never_done(desk: Desk) -> None:
    late = desk.command(life_s=5.0)
    desk.clock.advance(5_000_000)
    answer = await desk.gate.write(late)
    assert (answer.outcome, desk.sent) == (Outcome.REFUSED, [])
    assert "expired" in answer.cause
    far = await desk.gate.write(desk.command(life_s=301.0))
    assert (far.outcome, desk.sent) == (Outcome.REFUSED, [])


async def test_write_that_waits_behind_another_beyond_its_time_is_not_done(desk: Desk) -> None:
    desk.trouble = lambda: desk.clock.advance(30_000_000)
    first, second = desk.command(key="1", life_s=60.0), desk.command(key="2", life_s=20.0)
    answers = await asyncio.gather(desk.gate.write(first), desk.gate.write(second))
    assert [answer.outcome for answer in answers] == [Outcome.DONE, Outcome.REFUSED]
    assert len(desk.sent) == 1


async def test_armed_write_needs_its_code_for_its_value_in_time_and_once(desk: Desk) -> None:
    refused = await desk.gate.write(desk.command("pump.speed", 100.0))
    assert "not armed" in refused.cause
    code = desk.gate.arm("pump.speed", 100.0)
    other = await desk.gate.write(desk.command("pump.speed", 200.0, arm=code))
    assert "armed for pump.speed = 100" in other.cause
    assert (await desk.gate.write(desk.command("pump.speed", 100.0, arm=code))).outcome is Outcome.REFUSED  # spent
    code = desk.gate.arm("pump.speed", 100.0)
    desk.clock.advance(ARM_US)
    assert (await desk.gate.write(desk.command("pump.speed", 100.0, arm=code))).outcome is Outcome.REFUSED
    code = desk.gate.arm("pump.speed", 100.0)
    assert (await desk.gate.write(desk.command("pump.speed", 100.0, arm=code, expected=50.0))).outcome is Outcome.DONE
    assert desk.sent == [("pump", 1, 200, 100)]
    with pytest.raises(WriteRefused, match="expected 0 to 3000 rpm"):
        desk.gate.arm("pump.speed", 4000.0)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (WriteRefused("it shows 3, not 2"), Outcome.REFUSED),
        (DeviceUnreachable("link lost", quality.BAD_NO_COMMUNICATION), Outcome.UNKNOWN),
    ],
)
async def test_what_the_device_did_is_remembered_and_never_repeated(desk: Desk, error: Exception, outcome: Outcome) -> None:
    def fail() -> None:
        raise error

    desk.trouble = fail
    answer = await desk.gate.write(desk.command())
    assert answer.outcome is outcome
    assert str(error) in answer.cause
    desk.trouble = lambda: None
    assert await desk.gate.write(desk.command()) == answer
    assert not desk.sent


CONFIG = BufferConfig(max_bytes=50_000_000, policies=Policies(), commit_every_us=1000, seal_every_us=50_000)
TABLE = TagTable.build("urn:qz:gw:rig1", [DEVICE])
SIGNER = Ed25519Signer.generate()


async def test_write_begun_before_a_kill_is_unknown_after_it_and_signed(tmp_path: Path) -> None:
    clock, sent, reached = SystemClock(), list[float](), asyncio.Event()

    async def never_ends(device: str, index: int, raw: float, expected: float | None) -> None:
        sent.append(raw)
        reached.set()
        await asyncio.Event().wait()

    intake = Intake(tmp_path / "buffer.db", CONFIG, "urn:qz:gw:rig1", TABLE, SIGNER, clock)
    await intake.open()
    command = Command("pump.open", 1.0, "k", clock.now_us() + 60_000_000, "anna")
    writing = asyncio.create_task(Gate([DEVICE], intake, clock, never_ends).write(command))
    await reached.wait()
    await intake.call(intake.buffer.abandon)  # as a kill leaves it
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    again = Intake(tmp_path / "buffer.db", CONFIG, "urn:qz:gw:rig1", TABLE, SIGNER, clock)
    await again.open()
    answer = await Gate([DEVICE], again, clock, never_ends).write(command)
    assert (answer.outcome, len(sent)) == (Outcome.UNKNOWN, 1)
    buffer: Buffer = again.buffer
    await again.call(buffer.seal_events, "urn:qz:gw:rig1", SIGNER, clock.now_us())
    (batch,) = await again.call(buffer.waiting, EVENT, max_batches=9, max_bytes=1_000_000)
    (event,) = [Event.parse(members) for members in statement.parse(batch.statement).open().events]
    assert (event.kind, event.device, event.source, event.detail["outcome"]) == ("write", "pump", "open", "begun")
    await again.close()


async def test_control_socket_is_the_owners_alone_and_says_who_asked(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)  # longer than a socket's address
    folder.mkdir()
    desk = Desk()
    control = ControlSocket(folder, desk.gate, desk.clock)
    await control.start()
    try:
        assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
        answer = await asyncio.to_thread(ask, folder, {"do": "arm", "tag": "pump.speed", "value": 100}, 5.0)
        request = {"do": "write", "tag": "pump.speed", "value": 100, "key": "k", "life_s": 5, "arm": answer["arm"], "expected": None}
        assert await asyncio.to_thread(ask, folder, request, 5.0) == {"ok": True, "outcome": "done", "cause": ""}
        assert desk.sent == [("pump", 1, 200, None)]
        assert desk.journal.events[-1].detail["who"] in ("root", os.environ.get("USER", ""), f"uid {os.getuid()}")
        for bad in (
            {"do": "arm", "tag": "pump.pressure", "value": 1},
            {"do": "dance"},
            {"do": "arm", "tag": "pump.speed", "value": True},
            7,
        ):
            assert (await asyncio.to_thread(ask, folder, bad, 5.0))["ok"] is False  # type: ignore[arg-type]
    finally:
        await control.stop()
    with pytest.raises(OSError, match=r"No such file|refused"):
        ask(folder, {"do": "dance"}, 1.0)


async def test_folder_without_room_for_a_socket_costs_only_the_commands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).mkdir()
    control = ControlSocket(tmp_path, Desk().gate, FakeClock())
    await control.start()
    assert "no_control_socket" in caplog.text
    (tmp_path / NAME).rmdir()
    await control.stop()
