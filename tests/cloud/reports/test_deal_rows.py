"""cloud/reports/deal_rows.py: reports from booked deals; every gap listed, nothing written with one."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from cloud.reports import checks, deal_rows, emir, ferc, fixml, remit
from cloud.reports.deal_rows import Reporter, Source, Stated
from cloud.reports.filings import Action
from cloud.reports.layers import Layer, Outcome
from cloud.reports.told import Incomplete
from cloud.trading.deals import Deal, FixedPrice, IndexPrice, Kind, Leg, OptionTerms, Price, Quantity, Right, Side
from cloud.trading.deals import Exercise as Ex

LEI, OTHER, UPI, ZONE = "213800KUD8LAJWSQ9D15", "54930084UKLVMY22DS16", "QZ17F5PN51JM", "10YFR-RTE------C"
US = Reporter("Example Energy", LEI, "T1241247G.EU")
LEG = Leg(
    Side.SELL, "power", "FR", Quantity(Decimal(7440), "MWh"), date(2026, 12, 1), date(2026, 12, 31),
    FixedPrice(Price(Decimal("41.5"), "EUR", "MWh")), zone="Europe/Paris",
)  # fmt: skip
DEAL = Deal("D-1", 1, 1_795_422_600_000_000, "north", "Acme", Kind.FORWARD, (LEG,))  # 2026-11-23
REMIT = {
    "uti": LEI + "01",
    "counterparty": OTHER,
    "market": "XBIL",
    "contract": "standard",
    "load": "BL",
    "commodity": "EL",
    "delivery_point": ZONE,
}
EMIR = {"uti": LEI + "01", "counterparty": OTHER, "upi": UPI}
CFTC = {**EMIR, "venue": "facility"}
FERC = {"class": "F", "term": "ST", "increment": "M", "receipt": "PJM", "delivery": "PJM"}
DOLLARS = replace(LEG, price=FixedPrice(Price(Decimal("41.505"), "USD", "MWh")), volume=Quantity(Decimal("7440.5"), "MWh"))


def source(kind: str, told: Mapping[str, str], deal: Deal = DEAL, action: Action = Action.NEW) -> Source:
    return Source(kind, action, US, (Stated(deal, told),))


def gaps(one: Source) -> set[tuple[str, str]]:
    with pytest.raises(Incomplete) as caught:
        deal_rows.build(one)
    return {(gap.deal, gap.field) for gap in caught.value.gaps}


def test_a_base_load_sale_is_a_remit_record_that_passes_schema_checksum_and_cross_fields() -> None:
    built = deal_rows.build(source("REMIT-1", REMIT))
    found = checks.check("REMIT-1", built.data)
    assert {found.of(layer).outcome for layer in (Layer.SCHEMA, Layer.CHECKSUM, Layer.CROSS_FIELD)} == {Outcome.PASS}
    (trade,) = remit.read(built.data).trades
    assert (trade.side, trade.quantity, trade.quantity_unit, trade.notional, trade.action) == ("S", 10, "MW", Decimal("308760"), "N")
    assert built.event is not None
    assert (built.event.term, built.event.day) == ("remit-table1-standard", date(2026, 11, 23))


@pytest.mark.parametrize(
    ("kind", "told", "deal", "term"),
    [
        ("EMIR", EMIR, DEAL, "emir-trade"),
        ("CFTC-45", CFTC, DEAL, "cftc-part45-execution-facility"),
        ("CFTC-45", {**CFTC, "venue": "off-facility"}, DEAL, "cftc-part45-off-facility-other"),
        ("CFTC-43", CFTC, DEAL, None),
        ("FERC-EQR", FERC, replace(DEAL, legs=(DOLLARS,)), "ferc-eqr"),
    ],
)
def test_a_deal_is_written_for_each_authority_and_fails_no_layer(kind: str, told: dict[str, str], deal: Deal, term: str | None) -> None:
    built = deal_rows.build(source(kind, told, deal))
    assert checks.check(kind, built.data).faults == ()
    assert (built.event.term if built.event else None) == term


def test_the_same_source_gives_the_same_bytes_after_it_was_written_down() -> None:
    one = source("EMIR", EMIR)
    assert deal_rows.build(deal_rows.decode(deal_rows.encode(one))) == deal_rows.build(one)


def test_what_is_missing_is_listed_by_deal_and_field_all_at_once() -> None:
    nobody = replace(source("EMIR", {"upi": UPI}), reporter=Reporter("", "", ""))
    assert gaps(nobody) == {("", "participant.lei"), ("D-1", "counterparty"), ("D-1", "uti")}
    assert {("D-1", "delivery_point"), ("D-1", "load")} < gaps(source("REMIT-1", {"uti": "x"}))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"legs": (LEG, LEG)}, "legs"),
        ({"legs": (replace(LEG, price=IndexPrice("TTF", Price(Decimal(0), "EUR", "MWh"))),)}, "legs"),
        ({"legs": (replace(LEG, volume=Quantity(Decimal(1), "therm")),)}, "price"),
        (
            {"kind": Kind.OPTION, "option": OptionTerms(Right.CALL, Ex.EUROPEAN, LEG.price.price, LEG.first, LEG.price.price)},  # type: ignore[union-attr]
            "option",
        ),
    ],
    ids=["two prices", "index only", "units", "option"],
)
def test_a_deal_that_has_no_place_in_the_report_is_a_gap(changes: dict[str, object], field: str) -> None:
    assert ("D-1", field) in gaps(source("EMIR", EMIR, replace(DEAL, **changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "field"),
    [({"utti": "x"}, "utti"), ({"load": "XX"}, "load"), ({"executed": "noon"}, "executed"), ({"capacity": "ten"}, "capacity")],
)
def test_a_field_that_is_wrong_or_unknown_is_a_gap(told: dict[str, str], field: str) -> None:
    assert ("D-1", field) in gaps(source("REMIT-1", {**REMIT, **told}))


def test_an_uneven_base_load_asks_for_its_capacity() -> None:
    uneven = replace(DEAL, legs=(replace(LEG, volume=Quantity(Decimal(7441), "MWh")),))
    assert gaps(source("REMIT-1", REMIT, uneven)) == {("D-1", "capacity")}


def test_the_quarterly_report_is_of_sales_in_dollars_of_one_quarter() -> None:
    bought = replace(DEAL, legs=(replace(LEG, side=Side.BUY),))
    assert {("D-1", "side"), ("D-1", "price")} <= gaps(source("FERC-EQR", FERC, bought))
    built = deal_rows.build(source("FERC-EQR", FERC, replace(DEAL, legs=(DOLLARS,))))
    (row,) = ferc.read_rows(built.data)
    assert row.charge == Decimal("308817.95")  # 7,440.5 MWh at 41.505 is 308,817.9525
    assert built.event is not None
    assert built.event.day == date(2026, 12, 31)


@pytest.mark.parametrize(("action", "remit_code", "emir_code"), [(Action.AMENDMENT, "M", "CORR"), (Action.CANCELLATION, "E", "EROR")])
def test_each_authority_has_its_own_word_for_the_action(action: Action, remit_code: str, emir_code: str) -> None:
    assert remit.read(deal_rows.build(source("REMIT-1", REMIT, action=action)).data).trades[0].action == remit_code
    assert emir.read(deal_rows.build(source("EMIR", EMIR, action=action)).data)[0].action == emir_code
    assert fixml.read(deal_rows.build(source("CFTC-45", CFTC, action=action)).data).action is action
