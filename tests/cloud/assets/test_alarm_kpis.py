"""Figures of a log of alarms that was computed by hand."""

import pytest

from cloud.assets import alarm_kpis, alarm_rules
from cloud.assets.alarm_kpis import DAY_US, FloodSpan
from cloud.assets.alarm_rules import Name, Observed, Priority, Standing, Transition
from cloud.assets.alarms import Event

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
START = 20_000 * DAY_US
END = START + DAY_US


class Journal:
    def __init__(self) -> None:
        self.rows: list[Transition] = []
        self._present: dict[Name, Standing] = {}

    def add(self, asset: str, event: Event, at_us: int, priority: Priority = Priority.LOW) -> None:
        name = Name(asset, "health")
        seen = Observed(name, 1.0, True, priority, "", b"")
        self.rows.append(alarm_rules.step(self._present.get(name, Standing()), name, event, at_us, "hub", seen=seen))
        self._present[name] = self.rows[-1].after

    def burst(self, count: int, begins_us: int, every_s: int = 30) -> None:
        for at in range(count):
            self.add(f"n{at:02d}", Event.RAISE, begins_us + at * every_s * SECOND_US)

    def kpis(self) -> alarm_kpis.Kpis:
        before = [one for one in self.rows if one.at_us < START]
        return alarm_kpis.kpis(before, [one for one in self.rows if START <= one.at_us < END], START, END)


@pytest.fixture
def journal() -> Journal:
    """A standing alarm from before, twelve alarms every 30 s from 1 h on, one that chatters at 5 h, an urgent one that is seen to at 9 h."""
    made = Journal()
    made.add("standing", Event.RAISE, START - HOUR_US)
    made.add("standing", Event.ACKNOWLEDGE, START - HOUR_US + 1)
    made.burst(12, START + HOUR_US)
    for at_s, event in ((0, Event.RAISE), (20, Event.CLEAR), (40, Event.RAISE)):
        made.add("loose", event, START + 5 * HOUR_US + at_s * SECOND_US)
    made.add("urgent", Event.RAISE, START + 9 * HOUR_US, Priority.HIGH)
    made.add("urgent", Event.ACKNOWLEDGE, START + 9 * HOUR_US + 60 * SECOND_US)
    made.add("urgent", Event.CLEAR, START + 9 * HOUR_US + 70 * SECOND_US)
    return made


def test_rates_count_what_was_heard_within_the_period(journal: Journal) -> None:
    found = journal.kpis()
    assert (found.annunciations, found.per_day, found.per_10_min) == (15, 15.0, pytest.approx(15 / 144))
    assert found.most_per_10_min == 12
    assert found.by_priority == ((Priority.LOW, 14), (Priority.MEDIUM, 0), (Priority.HIGH, 1))


def test_a_flood_lasts_from_the_eleventh_until_fewer_than_five_are_left(journal: Journal) -> None:
    found = journal.kpis()
    begins = START + HOUR_US + 300 * SECOND_US  # the eleventh; the eighth leaves the ten minutes at 210 + 600 s
    ends = START + HOUR_US + 810 * SECOND_US
    assert found.floods == (FloodSpan(begins, ends, Name("n00", "health")),)
    assert found.share_in_flood == pytest.approx(510 / 86_400)


def test_chattering_standing_and_frequent_alarms_are_named(journal: Journal) -> None:
    found = journal.kpis()
    assert found.chattering == ((Name("loose", "health"), 3),)
    assert found.stale == ((Name("standing", "health"), START - HOUR_US),)
    assert found.top[0] == (Name("loose", "health"), 2)
    assert [count for _, count in found.top[1:]] == [1] * 9


def test_a_period_without_alarms_has_figures_too() -> None:
    found = Journal().kpis()
    assert (found.annunciations, found.most_per_10_min, found.share_in_flood, found.top) == (0, 0, 0.0, ())


def test_a_flood_that_began_before_the_period_counts_from_its_beginning() -> None:
    journal = Journal()
    journal.burst(12, START - 400 * SECOND_US)
    found = journal.kpis()
    assert found.floods == (FloodSpan(START - 100 * SECOND_US, START + 410 * SECOND_US, Name("n00", "health")),)
    assert found.share_in_flood == pytest.approx(410 / 86_400)


def test_a_flood_that_lasts_has_no_end_yet() -> None:
    journal = Journal()
    journal.burst(12, END - 331 * SECOND_US)
    (flood,) = journal.kpis().floods
    assert (flood.end_us, flood.from_us) == (None, END - 31 * SECOND_US)
    assert journal.kpis().share_in_flood == pytest.approx(31 / 86_400)


def test_ten_in_ten_minutes_are_no_flood() -> None:
    journal = Journal()
    journal.burst(30, START, every_s=60)
    assert journal.kpis().floods == ()
    assert journal.kpis().most_per_10_min == 10
