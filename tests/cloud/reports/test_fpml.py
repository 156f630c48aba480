from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from cloud.reports import fpml
from cloud.reports.errors import ReportError
from cloud.trading.deals import Cause, FixedPrice, IndexPrice, Kind, Price, Right, Side, faults_of

DATA = Path(__file__).parents[2] / "data" / "reports" / "fpml"
OURS, THEIRS = "549300KFSLY4U7N3LL12", "549300AJRHKBLY9GM262"
DESK = fpml.Desk(OURS, "GAS", 1)


def sample(number: str) -> str:
    (file,) = [*DATA.glob(f"com-ex{number}-*.xml"), *DATA.glob(f"msg-ex{number}-*.xml")]
    return file.read_text()


def refused(number: str, lei: str = OURS) -> str:
    with pytest.raises(ReportError) as error:
        fpml.read(sample(number).encode(), fpml.Desk(lei, "GAS", 1))
    return f"{type(error.value).__name__} {error.value}"


@pytest.mark.parametrize("number", ["1", "6", "10", "11", "12", "14", "15", "69"])
def test_a_sample_that_fits_becomes_a_deal_without_fault_but_its_calendar(number: str) -> None:
    deal = fpml.read(sample(number).encode(), DESK)
    assert {fault.cause for fault in faults_of(deal, {})} == {Cause.NO_CALENDAR}
    assert (deal.id, deal.book, deal.counterparty) == ("1234", "GAS", THEIRS)


def test_a_gas_day_ends_on_the_last_morning() -> None:
    (leg,) = fpml.read(sample("14").encode(), DESK).legs
    assert (leg.first, leg.last, leg.volume.value, leg.zone) == (date(2009, 6, 1), date(2009, 6, 30), 72000, "Europe/Amsterdam")
    assert leg.price == FixedPrice(Price(Decimal("1.2"), "EUR", "Therm"))


def test_who_pays_the_physical_leg_sells() -> None:
    (sold,) = fpml.read(sample("12").encode(), DESK).legs
    (bought,) = fpml.read(sample("12").encode(), fpml.Desk(THEIRS, "GAS", 1)).legs
    assert (sold.side, bought.side, sold.place) == (Side.SELL, Side.BUY, "ZBT")


def test_who_pays_fixed_buys_at_that_price_and_sells_at_the_index() -> None:
    deal = fpml.read(sample("1").encode(), DESK)
    fixed, floating = deal.legs
    assert (deal.kind, fixed.side, floating.side, fixed.physical) == (Kind.SWAP, Side.BUY, Side.SELL, False)
    assert isinstance(floating.price, IndexPrice)
    assert floating.price.index.startswith("NATURAL GAS-HENRY HUB-NYMEX / Settlement / FirstNearby")


def test_an_option_keeps_strike_premium_and_expiry() -> None:
    terms = fpml.read(sample("6").encode(), DESK).option
    assert terms is not None
    assert (terms.right, terms.strike.value, terms.premium.value, terms.expiry) == (
        Right.CALL,
        Decimal("2.7"),
        Decimal("0.20588"),
        date(2004, 7, 31),
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("4", "NotCarried /dataDocument/trade/commoditySwap/fixedLeg/notionalQuantity"),
        ("8", "NotCarried /dataDocument/trade/commodityOption/exercise, line 60"),
        ("16", "NotCarried /dataDocument/trade/commoditySwap/electricityPhysicalLeg, line 41"),
        ("18", "NotCarried /dataDocument/trade/commoditySwap/electricityPhysicalLeg"),
        ("20", "NotCarried /dataDocument/trade/commoditySwap/coalPhysicalLeg"),
        ("22", "NotCarried /dataDocument/trade/commoditySwaption"),
        ("27", "an option on the average"),
    ],
)
def test_what_a_deal_cannot_say_is_refused_by_element(number: str, said: str) -> None:
    assert said in refused(number)


@pytest.mark.parametrize(("number", "lei"), [("24", "5299000NIGT14YW8ZD26"), ("30", "5299000NIGT14YW8ZD26"), ("34", "549300B23HNTO1OHFU87"),
    ("39", "549300XQFX97CITUR430"), ("41", "549300XQFX97CITUR430"), ("43", "549300XQFX97CITUR430"), ("29", "5299000NIGT14YW8ZD26")])  # fmt: skip
def test_exotic_products_are_refused_by_element(number: str, lei: str) -> None:
    assert refused(number, lei).startswith("NotCarried /dataDocument/trade/")


def test_a_total_that_is_not_rate_times_days_is_refused() -> None:
    assert "is 1825000.0, but the total is said to be 182500.0" in refused("3")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (OURS, THEIRS[:-2] + "00", "and one counterparty"),
        ("<unadjustedDate>2009-03-01", "<unadjustedDate>2009-02-30", "unadjustedDate, line"),
        ("<priceUnit>GJ", "<priceUnit>MWh", "the price is per MWh, the volume in GJ"),
        ("<price>5.0", "<price>NaN", "fixedPrice/price, line"),
        ("http://www.fpml.org/FpML-5/confirmation", "urn:other", "expected a document"),
        ("<deliveryType>Firm", "<other/><deliveryType>Firm", ""),
        ("<masterAgreementPaymentDates>", "<strange/><masterAgreementPaymentDates>", "fixedLeg/strange, line"),
        ("NotApplicable", "MODFOLLOWING", "may be moved"),
        ('<receiverPartyReference href="partyB"/>', '<receiverPartyReference href="partyA"/>', "on one side"),
    ],
)
def test_a_broken_confirmation_is_refused_by_element(old: str, new: str, said: str) -> None:
    text = sample("12").replace(old, new, 1) if old != "http://www.fpml.org/FpML-5/confirmation" else sample("12").replace(old, new)
    if not said:
        assert fpml.read(text.encode(), DESK).id == "1234"
        return
    with pytest.raises(ReportError) as error:
        fpml.read(text.encode(), DESK)
    assert said in str(error.value)
