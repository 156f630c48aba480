"""The ring grows old by running, never by a clock that was set."""

from pathlib import Path

import pytest

from edge.buffer import LIVE, Buffer
from edge.ringage import KEEP_US, MARK_US, RingAge
from tests.edge.test_buffer import GATEWAY, NOW, SIGNER, grid, open_buffer

YEAR_US = 365 * 86_400_000_000
LOOK_US = 5_000_000


def looked(age: RingAge, now_us: int, span_us: int, step_us: int = 60_000_000, newest: int = 1) -> int:
    for at_us in range(now_us, now_us + span_us, step_us):
        age.seen(at_us, newest)
    return now_us + span_us


def test_a_batch_is_old_after_a_week_of_running() -> None:
    age = RingAge()
    now = looked(age, NOW, KEEP_US - MARK_US, newest=7)
    assert age.old == 0
    looked(age, now, 2 * MARK_US, newest=9)
    assert age.old == 7


@pytest.mark.parametrize("jump_us", [YEAR_US, -YEAR_US, -NOW], ids=["a year ahead", "a year behind", "to 1970"])
def test_a_clock_that_is_set_makes_nothing_old(jump_us: int) -> None:
    age = RingAge()
    looked(age, looked(age, NOW, 10 * MARK_US) + jump_us, 10 * MARK_US, newest=5)
    assert age.old == 0


def test_age_goes_on_after_a_restart() -> None:
    age = RingAge()
    looked(age, NOW, KEEP_US // 2 + MARK_US, newest=3)
    again = RingAge(age.to_bytes() + b"torn")
    looked(again, NOW + YEAR_US, KEEP_US // 2 + 2 * MARK_US, newest=8)
    assert again.old == 3


def acknowledged(path: Path) -> Buffer:
    buffer = open_buffer(path)
    buffer.append([grid(NOW, 1)])
    buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    (batch,) = buffer.waiting(LIVE, max_batches=1, max_bytes=1 << 20)
    buffer.acknowledge([(batch.id, b"receipt")], "checkpoint")
    return buffer


def test_the_ring_stays_when_the_clock_is_a_year_ahead_and_goes_after_a_week(tmp_path: Path) -> None:
    buffer = acknowledged(tmp_path / "b.db")
    for now_us in (NOW, NOW + YEAR_US, NOW + YEAR_US + LOOK_US):
        assert buffer.evict(now_us) == 0
    gone = [buffer.evict(now_us) for now_us in range(NOW, NOW + KEEP_US + 2 * MARK_US, 60_000_000)]
    assert sum(gone) == 1
    assert buffer.backlog().acknowledged_batches == 0
