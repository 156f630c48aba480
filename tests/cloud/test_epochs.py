"""Two agents with one key: batches of two epochs at the same time are noticed, told once, and neither doubles what the other sent."""

import pytest

from cloud.telemetry import epochs
from cloud.telemetry.epochs import SILENT_US, Held, judge
from tests.cloud.conftest import TestHub

NOW = 1_700_000_000_000_000


def test_epoch_that_follows_a_silent_one_is_taken() -> None:
    found = judge(Held(1, NOW, 0), 2, NOW + SILENT_US, seen_before=False)
    assert found == epochs.Judgement(Held(2, NOW + SILENT_US, 0))


def test_epoch_beside_one_that_sends_has_to_wait() -> None:
    found = judge(Held(1, NOW, 0), 2, NOW + 1_000_000, seen_before=False)
    assert found == epochs.Judgement(Held(1, NOW, NOW + 1_000_000), wait_us=SILENT_US - 1_000_000)


def test_first_epoch_that_sends_on_proves_that_there_are_two() -> None:
    turned_away = judge(Held(1, NOW, 0), 2, NOW + 1_000_000, seen_before=False).held
    found = judge(turned_away, 1, NOW + 2_000_000, seen_before=True)
    assert found == epochs.Judgement(Held(1, NOW + 2_000_000, 0), two_agents=True)


def test_epoch_that_comes_back_after_another_proves_that_there_are_two() -> None:
    assert judge(Held(2, NOW, 0), 1, NOW + 2 * SILENT_US, seen_before=True).two_agents


@pytest.mark.parametrize("at_us", [NOW - 10_000_000, NOW + 10_000_000], ids=["hub's clock set back", "long ago"])
def test_wrong_clock_of_the_hub_locks_nobody_out(at_us: int) -> None:
    assert judge(Held(1, NOW, 0), 2, at_us, seen_before=False).wait_us == 0


async def test_second_agent_is_turned_away_stored_nowhere_and_told_once(hub: TestHub) -> None:
    gateway = await hub.gateway()
    await gateway.send(gateway.seal(epoch=1))
    twin = gateway.seal(epoch=2)
    for _ in range(2):
        reply = await gateway.post(twin)
        assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == (409, "two-agents")
        assert 1 <= int(reply.headers["retry-after"]) <= 6
    await gateway.send(gateway.seal(epoch=1))
    await gateway.send(gateway.seal(epoch=1))
    assert hub.rows("SELECT DISTINCT epoch FROM batch") == [(1,)]
    assert hub.rows("SELECT slug FROM finding") == [("two-agents",)]


async def test_gateway_that_lost_its_buffer_goes_on_in_a_new_epoch(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "SILENT_US", 0)
    gateway = await hub.gateway()
    await gateway.send(gateway.seal(epoch=1))
    await gateway.send(gateway.seal(epoch=2))
    await gateway.send(gateway.seal(epoch=2))
    assert hub.rows("SELECT epoch FROM batch ORDER BY epoch") == [(1,), (2,), (2,)]
    assert hub.rows("SELECT slug FROM finding") == []
