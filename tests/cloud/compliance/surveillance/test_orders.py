"""cloud/compliance/surveillance/orders.py and finding.py: events as they are handed in, and one run over them."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cloud.compliance.surveillance import finding, orders
from cloud.compliance.surveillance.columns import SurveillanceError
from cloud.compliance.surveillance.finding import Asked, Found, Inside, Settlement
from tests.cloud.compliance.surveillance.feed import QUIET, SPOOF, START_US, WASH, S, hand_in
from tests.cloud.compliance.surveillance.figures import FIGURES


def read(document: Any) -> orders.Events:
    return orders.read(json.dumps(document).encode())


def run(rows: list[Any], asked: Asked | None = None, inside: tuple[Inside, ...] = (), **columns: Any) -> Found:
    return finding.run(orders.joined([read(hand_in(rows, **columns))]), FIGURES, asked or Asked(), inside)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": ""}, "source"),
        ({"sequence": 0}, "sequence"),
        ({"extra": 1}, "expected an object"),
        ({"columns": {"time_us": [1]}}, "missing order"),
        ({"action": ["placed", "dropped", "filled", "cancelled"]}, "action[1]"),
        ({"side": "both"}, "side[0]"),
        ({"owner": ""}, "owner[0]"),
        ({"owner": 7}, "owner[0]: expected str"),
        ({"volume": [1, 0, 1, 0]}, "volume[1]"),
        ({"price": [1, "2", 3, 4]}, "price[1]"),
        ({"price": [1.0]}, "one length"),
        ({"price": [1.0, 2.0, 1e16, 3.0]}, "price[2]"),
        ({"volume": [1, 1e-12, 1, 0]}, "volume[1]"),
        ({"time_us": [5, 4, 6, 7]}, "time_us[1]"),
        ({"order": ["big", "big", "x", "y"], "action": ["placed", "placed", "filled", "cancelled"]}, "placed twice"),
        ({"colour": "red"}, "unknown colour"),
    ],
)
def test_a_hand_in_that_cannot_be_meant_names_column_and_row(change: dict[str, Any], said: str) -> None:
    whole = {"source", "sequence", "extra", "columns"} & set(change)
    document = hand_in(SPOOF, **({} if whole else change))
    with pytest.raises(SurveillanceError) as caught:
        read({**document, **change} if whole else document)
    assert said in str(caught.value)


def test_no_bytes_make_the_reader_fail_otherwise() -> None:
    for data in (b"", b"[]", b"{", b'{"source":1}', b"\xff", json.dumps(hand_in(SPOOF)).replace("250", "1e999").encode()):
        with pytest.raises(SurveillanceError):
            orders.read(data)


def test_a_pulled_side_is_told_with_its_orders_events_and_measures() -> None:
    (alert,) = run([*SPOOF, *QUIET]).alerts
    assert (alert["pattern"], alert["owner"], alert["instrument"], alert["guard"]) == ("spoofing", "Example", "TTF", "")
    assert alert["orders"] == ["desk/big", "desk/small"]
    assert [one["sequence"] for one in alert["events"]] == [1, 2, 3, 4]
    assert alert["measures"] == {"ratio": 5.0}


def test_an_alert_whose_guard_spoke_is_told_with_the_reason() -> None:
    (alert,) = run(SPOOF, moved_ticks=[0.0, 0.0, 0.0, 2.0]).alerts
    assert alert["guard"] == "the price had moved 2 ticks or more against the cancelled orders"


def test_two_sides_of_one_owner_are_a_wash_trade_and_what_lacks_facts_is_told_as_not_run() -> None:
    found = run(WASH)
    assert [one["pattern"] for one in found.alerts] == ["wash trade"]
    assert set(found.not_run) == {"marking the close"}
    assert set(run(WASH, aggressive=True).not_run) == {"marking the close", "momentum ignition"}


@pytest.mark.parametrize(("planned", "guard"), [(False, ""), (True, finding.PLANNED)])
@pytest.mark.parametrize(("book", "second", "count"), [("north", 0, 1), ("south", 0, 0), ("north", 21, 0)])
def test_dealing_in_a_blocked_book_before_publication_is_told(planned: bool, guard: str, book: str, second: float, count: int) -> None:
    inside = Inside("E-1", (book,), START_US + round(second * S), START_US + 25 * S)
    told = run(QUIET, inside=(inside,), planned=planned).alerts
    assert [(one["outage"], one["guard"], one["orders"]) for one in told] == [("E-1", guard, ["desk/c"])] * count


def test_a_burst_and_its_turn_are_told_unless_news_gave_the_reason() -> None:
    burst = [(at / 10, f"o{at}", "filled", "buy", 30 + at / 100, 5) for at in range(10)]
    rows = [*burst, (20, "turn", "filled", "sell", 30.2, 50)]
    asked = Asked(deviations={"TTF": 0.02})
    (alert,) = run(rows, asked, aggressive=True).alerts
    (guarded,) = run(rows, replace(asked, news=(("TTF", START_US - S),)), aggressive=True).alerts
    assert (alert["pattern"], alert["guard"], guarded["guard"]) == ("momentum ignition", "", finding.NEWS)


def test_a_large_share_of_the_close_that_moves_it_is_told() -> None:
    settlement = Settlement("TTF", START_US + 15 * S, 10.0, 30.0, 30.3, {"Example": 100.0})
    bought = [WASH[0], WASH[2]]
    told = run(bought, Asked(settlements=(settlement,))).alerts
    assert [(one["pattern"], one["measures"]["share percent"]) for one in told] == [("marking the close", 50.0)]
    assert run(bought, Asked(settlements=(replace(settlement, exempt=("Example",)),))).alerts == ()


def test_an_order_whose_placing_is_not_known_is_left_out_and_counted() -> None:
    found = run(SPOOF[1:])
    assert (found.alerts, found.unplaced) == ((), 1)


def test_a_name_that_is_placed_again_is_another_order() -> None:
    first, second = read(hand_in(SPOOF)), read(hand_in([(60 + row[0], *row[1:]) for row in SPOOF], 5))
    found = finding.run(orders.joined([first, second]), FIGURES, Asked(), ())
    assert [[event["sequence"] for event in one["events"]] for one in found.alerts] == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_no_events_give_no_alerts() -> None:
    nothing = read(hand_in(SPOOF)).chosen(slice(0, 0))
    assert finding.run(nothing, FIGURES, Asked(), (Inside("E", ("north",), 1, None),)).alerts == ()


def test_sources_do_not_mix_their_orders_and_the_order_of_hand_ins_does_not_matter() -> None:
    first, second = read(hand_in(SPOOF[:2])), read(hand_in(SPOOF[2:], 1, "other"))
    assert finding.run(orders.joined([first, second]), FIGURES, Asked(), ()).alerts == ()
    parts = [read(hand_in(SPOOF)), read(hand_in(WASH, 1, "other"))]
    one, two = (finding.run(orders.joined(some), FIGURES, Asked(), ()) for some in (parts, parts[::-1]))
    assert one.alerts == two.alerts


def test_question_and_knowledge_come_back_from_their_document() -> None:
    asked = Asked((Settlement("TTF", 1, 2.0, 3.0, 4.0, {"a": 1.0}, ("b",)),), {"TTF": 0.5}, (("TTF", 7),), ("m",))
    inside = (Inside("E", ("north",), 1, None),)
    assert finding.decode(finding.encode(asked, inside)) == (asked, inside)


def test_fifty_thousand_events_are_read_joined_and_looked_at() -> None:
    rows = [row for at in range(12_500) for row in [(at + second / 10, f"{order}{at}", *rest) for second, order, *rest in SPOOF]]
    found = run(rows)
    assert len(found.alerts) == 12_500
    assert np.unique([one["grade"] for one in found.alerts]).tolist() == ["high"]
