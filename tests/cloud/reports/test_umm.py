from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.reports import umm
from cloud.reports.errors import ReportError
from cloud.reports.umm import Outage, Status, Umm, Unavailability


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 23, hour, minute, tzinfo=UTC)


def outage(start: int, stop: int, unavailable: int) -> Outage:
    return Outage(at(start), at(stop), Decimal(unavailable))


FIRST = Umm(
    "12345-28X-TradingAG-BR-C", 1, Status.ACTIVE, Unavailability.UNPLANNED, "Production unavailability", at(10), at(12), "MW",
    Decimal(100), Decimal(70), Decimal(30), "Failure", "Unit A", "22WEXAMPLE-----X", "10YFR-RTE------C", "Trading AG", "T1241247G.EU",
    at(9, 50), at(10, 5),
)  # fmt: skip
SECOND = replace(FIRST, event="12346-28X-TradingAG-BR-C", start=at(11), stop=at(13), unavailable=Decimal(40), published=None)


def test_overlapping_outages_say_their_own_loss_and_what_remains_in_total() -> None:
    alone = umm.with_capacity(replace(FIRST, available=Decimal(0)), ())
    both = umm.with_capacity(SECOND, (outage(10, 12, 30),))
    assert (alone.available, alone.unavailable) == (70, 30)
    assert (both.available, both.unavailable) == (30, 40)
    assert [(one.start.hour, one.stop.hour, one.available) for one in both.intervals] == [(11, 12, 30), (12, 13, 60)]


def test_id_is_the_event_and_three_digits() -> None:
    assert FIRST.id == "12345-28X-TradingAG-BR-C_001"
    assert umm.updated(FIRST, at(11), unavailable=Decimal(35)).id == "12345-28X-TradingAG-BR-C_002"


def test_a_dismissed_event_has_no_next_version() -> None:
    gone = umm.dismissed(FIRST, at(11), "sensor was wrong")
    assert (gone.status, gone.version, gone.published) == (Status.DISMISSED, 2, None)
    with pytest.raises(ReportError, match="dismissed"):
        umm.updated(gone, at(12))
    with pytest.raises(ReportError, match="says why"):
        umm.dismissed(FIRST, at(11), "")


@pytest.mark.parametrize("changes", [{"event": "other"}, {"version": 7}, {"asset_eic": "other"}])
def test_a_version_keeps_event_and_asset(changes: dict[str, object]) -> None:
    with pytest.raises(ReportError, match="keeps event"):
        umm.updated(FIRST, at(11), **changes)


def test_a_version_is_not_decided_before_the_one_it_follows() -> None:
    with pytest.raises(ReportError, match="decided before"):
        umm.updated(FIRST, at(9))
    with pytest.raises(ReportError, match="999 versions"):
        umm.updated(replace(FIRST, version=999), at(11))


def test_three_units_are_three_messages() -> None:
    units = [(f"E{n}", f"22W{n}", outage(10, 12, 10 * n), Decimal(100)) for n in (1, 2, 3)]
    found = umm.per_unit(FIRST, units)
    assert [(one.event, one.available, one.unavailable) for one in found] == [("E1", 90, 10), ("E2", 80, 20), ("E3", 70, 30)]


def test_planned_gas_is_a_message_per_level_and_unplanned_gas_is_not() -> None:
    levels = (outage(10, 11, 30), outage(11, 12, 20))
    found = umm.gas_levels(replace(FIRST, unavailability=Unavailability.PLANNED), levels)
    assert [(one.unavailable, one.available, one.decided) for one in found] == [(30, 70, at(9, 50)), (20, 80, at(9, 50))]
    with pytest.raises(ReportError, match="then updates"):
        umm.gas_levels(FIRST, levels)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stop": at(10)}, "stop"),
        ({"unavailable": Decimal(-1)}, "unavailable"),
        ({"unavailable": Decimal("NaN")}, "unavailable"),
        ({"available": Decimal(71)}, "exceed"),
        ({"version": 0}, "version"),
        ({"start": datetime(2026, 11, 23, 10)}, "time zone"),  # noqa: DTZ001
        ({"published": at(9)}, "before it was decided"),
        ({"intervals": (umm.Interval(at(10), at(11), Decimal(70), Decimal(30)),)}, "intervals"),
    ],
)
def test_a_message_that_cannot_be_meant_is_named_and_not_published(change: dict[str, object], said: str) -> None:
    wrong = replace(FIRST, **change)  # type: ignore[arg-type]
    assert said in "; ".join(umm.faults(wrong))
    with pytest.raises(ReportError):
        umm.write_feed("feed", at(14), (FIRST, wrong))


def test_a_draft_is_not_published() -> None:
    with pytest.raises(ReportError, match="draft"):
        umm.write_feed("feed", at(14), (replace(FIRST, published=None),))


def test_feed_is_read_again() -> None:
    both = replace(umm.with_capacity(SECOND, (outage(10, 12, 30),)), published=at(11, 5), remarks="again", fuel="gas")
    data = umm.write_feed("feed", at(14), (FIRST, both))
    assert umm.read_feed(data) == (FIRST, both)
    assert b"2026-11-23T10:05:00Z" in data


@pytest.mark.parametrize(
    ("old", "new"),
    [("_001</messageId", "_1</messageId"), ("T10:00:00Z</eventStart", "T10:00:00</eventStart"), (">Active<", ">Live<"), (">70<", ">x<")],
)
def test_a_broken_feed_is_refused_by_element(old: str, new: str) -> None:
    with pytest.raises(ReportError, match=r"/feed/entry/content/umm.*line"):
        umm.read_feed(umm.write_feed("feed", at(14), (FIRST,)).decode().replace(old, new).encode())


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.integers(0, 22), st.integers(1, 8), st.integers(0, 50)), max_size=5),
)
def test_intervals_cover_the_event_and_never_exceed_what_is_installed(own: int, others: list[tuple[int, int, int]]) -> None:
    known = [Outage(at(start), at(start) + timedelta(hours=hours), Decimal(taken)) for start, hours, taken in others]
    found = umm.intervals(Decimal(100), outage(8, 16, own), known)
    assert [one.start for one in found] == [at(8), *(one.stop for one in found[:-1])]
    assert found[-1].stop == at(16)
    assert all(0 <= one.available <= 100 - own for one in found)
