"""Which versions of deals may be booked, decided on values."""

from dataclasses import replace

import pytest

from cloud.document import digest
from cloud.trading.capture import Head, Sent, judge
from cloud.trading.deals import Cause, Deal
from cloud.trading.documents import encode_deal
from tests.cloud.trading.agreements import CALENDARS, deal, leg

NOW = 10_000


def sent(one: Deal) -> Sent:
    return Sent(one, digest(encode_deal(one)))


@pytest.mark.parametrize(
    ("made", "heads", "message"),
    [
        (deal(version=2), {}, "expected version 1"),
        (deal(version=3), {"D1": Head(1, 1_000)}, "expected version 2"),
        (deal(version=2, known_us=999), {"D1": Head(1, 1_000)}, "before version 1 at 1000 us"),
        (deal(known_us=NOW + 1), {}, "later than now"),
    ],
    ids=["no first version", "a hole", "backwards in time", "the future"],
)
def test_a_version_that_does_not_continue_its_chain_is_a_conflict(made: Deal, heads: dict[str, Head], message: str) -> None:
    found = judge([sent(made)], heads, {}, CALENDARS, NOW)
    assert (found.new, found.same, found.faults) == ((), (), ())
    assert message in found.conflicts[0].detail
    assert found.conflicts[0].present == heads.get("D1", Head(0, 0)).version


def test_several_versions_of_a_deal_may_come_at_once() -> None:
    chain = [sent(deal(version=number, known_us=1_000 + number)) for number in (1, 2, 3)]
    assert judge([*chain, chain[1]], {}, {}, CALENDARS, NOW).new == tuple(chain)


def test_two_contents_of_one_version_at_once_are_a_conflict() -> None:
    found = judge([sent(deal()), sent(deal(book="south"))], {}, {}, CALENDARS, NOW)
    assert [conflict.detail for conflict in found.conflicts] == [
        "deal D1 version 1 is stored with another content; send version 2 to amend it"
    ]


def test_what_is_stored_is_the_same_even_when_its_calendar_is_gone() -> None:
    stored = sent(deal())
    found = judge([stored], {"D1": Head(4, 9_000)}, {("D1", 1): stored.digest}, {}, NOW)
    assert (found.same, found.conflicts, found.faults) == ((stored,), (), ())


def test_faults_are_named_of_new_versions_but_not_of_cancellations() -> None:
    wrong = deal(legs=(leg(product="coal"),))
    assert [fault.cause for fault in judge([sent(wrong)], {}, {}, CALENDARS, NOW).faults] == [Cause.NO_CALENDAR]
    assert judge([sent(replace(wrong, cancelled=True))], {}, {}, CALENDARS, NOW).faults == ()
