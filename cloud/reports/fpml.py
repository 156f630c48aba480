"""FpML 5.13 commodity confirmations read into deals.

For taking over what a counterparty or a confirmation platform sends. Not for writing FpML, nor for its lifecycle events. What a deal of ours
cannot say (hours of delivery, shaped volumes, averages with barriers, baskets, weather, emissions, swaptions) is refused by element, never
dropped. Conventions: the payer of a physical leg delivers; who pays fixed buys at that price and, in a financial swap, sells at the index.
The index is named with all that says which price is meant: instrument, price, nearby contract, days.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from cloud.reports import xmlfile
from cloud.reports.errors import NotCarried, ReportError
from cloud.reports.xmlfile import Node, child, children, name, place, required, said, said_or, text
from cloud.trading.deals import Deal, Exercise, FixedPrice, IndexPrice, Kind, Leg, OptionTerms, Price, Quantity, Right, Side

NAMESPACE: Final = "http://www.fpml.org/FpML-5/confirmation"
LEI_SCHEME: Final = "http://www.fpml.org/coding-scheme/external/iso17442"
_PARTIES: Final = {"payerPartyReference", "receiverPartyReference"}
# What is read, and what says nothing that a deal must hold: when it is paid and how a market disruption is handled.
_TERMS: Final = {"relativePaymentDates", "paymentDates", "masterAgreementPaymentDates", "commodityClassification"}
_SWAP: Final = {
    "primaryAssetClass",
    "productType",
    "productId",
    "effectiveDate",
    "terminationDate",
    "settlementCurrency",
    "marketDisruption",
}
_FIXED: Final = _PARTIES | _TERMS | {"fixedPrice", "notionalQuantity", "totalNotionalQuantity", "quantityReference",
    "calculationPeriodsReference", "calculationPeriodsScheduleReference"}  # fmt: skip
_FLOATING: Final = _PARTIES | _TERMS | {"commodity", "notionalQuantity", "totalNotionalQuantity", "quantityReference", "calculation",
    "calculationPeriodsReference", "calculationPeriodsScheduleReference", "calculationPeriodsSchedule"}  # fmt: skip
_PHYSICAL: Final = _PARTIES | _TERMS | {"deliveryPeriods", "gas", "oil", "deliveryConditions", "deliveryQuantity"}
_OPTION: Final = {"primaryAssetClass", "productType", "assetClass", "buyerPartyReference", "sellerPartyReference", "optionType", "commodity",
    "effectiveDate", "terminationDate", "calculationPeriodsSchedule", "pricingDates", "notionalQuantity", "totalNotionalQuantity", "exercise",
    "strikePricePerUnit", "premium", "marketDisruption", "settlementCurrency"}  # fmt: skip
PHYSICAL_LEGS: Final = ("gasPhysicalLeg", "oilPhysicalLeg")


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose side we are on, and where the deal is kept."""

    lei: str
    book: str
    known_us: int


def read(data: bytes, desk: Desk) -> Deal:
    """Raises ReportError naming element and line; NotCarried where a deal has no room for what is said."""
    root = xmlfile.read(data)
    if not str(root.tag).startswith(f"{{{NAMESPACE}}}"):
        raise ReportError(place(root), f"expected a document of {NAMESPACE}, found {root.tag}")
    trades = children(root, "trade")
    if len(trades) != 1:
        raise ReportError(place(root), f"expected one trade, found {len(trades)}")
    ours, theirs = _parties(root, desk.lei)
    products = [node for node in trades[0] if name(node) not in ("tradeHeader", "documentation")]
    if not products:
        raise ReportError(place(trades[0]), "holds no product")
    if len(products) > 1:
        raise NotCarried(place(products[1]), "a deal of ours has no room for this beside the product")
    if name(products[0]) == "commoditySwap":
        kind, legs = _swap(products[0], ours)
        return Deal(_trade_id(trades[0], ours), 1, desk.known_us, desk.book, theirs, kind, legs)
    if name(products[0]) == "commodityOption":
        leg, terms = _option(products[0], ours)
        return Deal(_trade_id(trades[0], ours), 1, desk.known_us, desk.book, theirs, Kind.OPTION, (leg,), option=terms)
    raise NotCarried(place(products[0]), "a deal of ours is no such product")


def _parties(root: Node, lei: str) -> tuple[str, str]:
    """Our id in the document and the counterparty's LEI."""
    found = {}
    for party in children(root, "party"):
        codes = [text(node) for node in children(party, "partyId") if node.get("partyIdScheme") == LEI_SCHEME]
        if len(codes) != 1:
            raise ReportError(place(party), f"expected one LEI, found {len(codes)}")
        found[codes[0]] = party.get("id") or ""
    if lei not in found or len(found) != 2:
        raise ReportError(place(root), f"expected {lei} and one counterparty, found {', '.join(sorted(found))}")
    return found[lei], next(code for code in found if code != lei)


def _trade_id(trade: Node, ours: str) -> str:
    for node in children(required(trade, "tradeHeader"), "partyTradeIdentifier"):
        if required(node, "partyReference").get("href") == ours:
            return said(node, "tradeId")
    raise ReportError(place(trade), f"{ours} gives the trade no id")


def _only(node: Node, known: set[str]) -> None:
    for one in node:
        if name(one) not in known:
            raise NotCarried(place(one), "a deal of ours has no room for this")


def _swap(swap: Node, ours: str) -> tuple[Kind, tuple[Leg, ...]]:
    _only(swap, _SWAP | {"fixedLeg", "floatingLeg", *PHYSICAL_LEGS})
    period = _day(swap, "effectiveDate"), _day(swap, "terminationDate")
    physical = [node for node in swap if name(node) in PHYSICAL_LEGS]
    fixed, floating = children(swap, "fixedLeg"), children(swap, "floatingLeg")
    for node in fixed:
        _only(node, _FIXED)
    for node in floating:
        _only(node, _FLOATING)
    if len(physical) == 1 and len(fixed) + len(floating) == 1:
        return Kind.FORWARD, (_physical(physical[0], (fixed + floating)[0], period, ours),)
    if not physical and len(fixed) == len(floating) == 1:
        return Kind.SWAP, _financial(fixed[0], floating[0], period, ours)
    raise NotCarried(place(swap), f"{len(physical)} physical, {len(fixed)} fixed and {len(floating)} floating legs are no deal of ours")


def _pays(leg: Node, ours: str) -> bool:
    payer, receiver = (required(leg, f"{role}PartyReference").get("href") for role in ("payer", "receiver"))
    if ours not in (payer, receiver) or payer == receiver:
        raise ReportError(place(leg), f"expected {ours} on one side, found {payer} and {receiver}")
    return bool(payer == ours)


def _physical(leg: Node, money: Node, period: tuple[date, date], ours: str) -> Leg:
    _only(leg, _PHYSICAL)
    if _pays(leg, ours) == _pays(money, ours):
        raise ReportError(place(money), "who delivers is who pays")
    periods = required(leg, "deliveryPeriods")
    _only(periods, {"periodsSchedule", "supplyStartTime", "supplyEndTime"})
    zone = said_or(periods, "supplyStartTime", "location", default="UTC")
    first, last = period
    if child(periods, "supplyEndTime") is not None:  # the gas day before the last morning is the last
        last -= timedelta(days=1)
    goods = required(leg, "gas" if name(leg) == "gasPhysicalLeg" else "oil")
    product = " ".join(text(one) for one in goods)
    volume = _volume(required(leg, "deliveryQuantity"), ("physicalQuantity", "totalPhysicalQuantity"), first, last)
    side = Side.SELL if _pays(leg, ours) else Side.BUY
    return Leg(side, product, _delivery_place(leg), volume, first, last, _price(money, volume.unit), zone=zone)


def _delivery_place(leg: Node) -> str:
    conditions = required(leg, "deliveryConditions")
    for way in (("deliveryPoint",), ("pipeline", "withdrawalPoint")):
        if child(conditions, *way) is not None:
            return said(conditions, *way)
    raise NotCarried(place(conditions), "the place of delivery is neither a point nor a pipeline's withdrawal point")


def _financial(fixed: Node, floating: Node, period: tuple[date, date], ours: str) -> tuple[Leg, ...]:
    if _pays(fixed, ours) == _pays(floating, ours):
        raise ReportError(place(floating), "one side pays both legs")
    volumes = [_volume(node, ("notionalQuantity", ""), *period) for node in (fixed, floating)]
    if volumes[0] != volumes[1]:
        raise NotCarried(place(floating), f"the legs have different volumes: {volumes[0]}, {volumes[1]}")
    unit, product = volumes[0].unit, said(floating, "commodity", "instrumentId")
    sides = (Side.BUY, Side.SELL) if _pays(fixed, ours) else (Side.SELL, Side.BUY)
    prices = _price(fixed, unit), _price(floating, unit)
    return tuple(Leg(side, product, product, volumes[0], *period, price, physical=False) for side, price in zip(sides, prices, strict=True))


def _volume(node: Node, tags: tuple[str, str], first: date, last: date) -> Quantity:
    """The total of the period; where the rate and the total are both said, they must agree."""
    rate, said_total = child(node, tags[0]), _total(node, tags[1])
    shaped = child(node, f"{tags[0]}Schedule")
    if shaped is not None or (rate is not None and child(rate, "settlementPeriodsReference") is not None):
        raise NotCarried(place(shaped if shaped is not None else rate), "a leg of ours has no hours and no shape")
    if rate is None:
        raise ReportError(place(node), f"{tags[0]} is missing")
    amount, frequency = xmlfile.decimal(required(rate, "quantity")), said(rate, "quantityFrequency")
    times = {"PerCalendarDay": (last - first).days + 1, "Term": 1, "PerCalculationPeriod": 1}.get(frequency)
    if times is None or (frequency == "PerCalculationPeriod" and said_total is None and not _one_period(node, first, last)):
        raise NotCarried(place(required(rate, "quantityFrequency")), f"the total of {frequency} cannot be told")
    total = amount * times
    if said_total is not None and said_total != total and frequency != "PerCalculationPeriod":
        raise ReportError(place(rate), f"{amount} {frequency} from {first} to {last} is {total}, but the total is said to be {said_total}")
    return Quantity(total if said_total is None else said_total, said(rate, "quantityUnit"))


def _one_period(node: Node, first: date, last: date) -> bool:
    """Whether the whole term is one calculation period: said so (T), or a calendar month."""
    holder = node.getparent() if name(node) == "deliveryQuantity" else node
    schedules = [one for one in holder.iter() if name(one) in ("periodsSchedule", "calculationPeriodsSchedule")]
    month = first.day == 1 and last == _month_end(first)
    found = {(said(one, "periodMultiplier"), said(one, "period")) for one in schedules}
    return found == {("1", "T")} or (month and found == {("1", "M")})


def _total(node: Node, tag: str) -> Decimal | None:
    for wanted, way in ((tag, (tag, "quantity")), ("totalNotionalQuantity", ("totalNotionalQuantity",))):
        if wanted and child(node, *way) is not None:
            return xmlfile.decimal(required(node, *way))
    return None


def _price(money: Node, unit: str) -> FixedPrice | IndexPrice:
    if name(money) == "fixedLeg":
        agreed = required(money, "fixedPrice")
        if said(agreed, "priceUnit") != unit:
            raise NotCarried(place(required(agreed, "priceUnit")), f"the price is per {said(agreed, 'priceUnit')}, the volume in {unit}")
        return FixedPrice(Price(xmlfile.decimal(required(agreed, "price")), said(agreed, "priceCurrency"), unit))
    calculation = required(money, "calculation")
    _only(calculation, {"pricingDates", "spread", "averagingMethod"})
    spread = child(calculation, "spread")
    currency = said(money.getparent(), "settlementCurrency")
    differential = Decimal(0) if spread is None else xmlfile.decimal(required(spread, "amount"))
    if spread is not None and said(spread, "currency") != currency:
        raise NotCarried(place(spread), f"the spread is in {said(spread, 'currency')}, settlement in {currency}")
    return IndexPrice(_index(required(money, "commodity"), calculation), Price(differential, currency, unit))


def _index(commodity: Node, calculation: Node) -> str:
    """Instrument, price, contract, and the days it is read on."""
    _only(commodity, {"instrumentId", "specifiedPrice", "deliveryDates"})
    days = required(calculation, "pricingDates")
    if child(days, "settlementPeriodsReference") is not None or child(days, "settlementPeriods") is not None:
        raise NotCarried(place(days), "a leg of ours has no hours")
    parts = [text(node) for node in (*commodity, *days) if len(node) == 0 and text(node)]
    method = child(calculation, "averagingMethod")
    return " / ".join(parts + ([] if method is None else [text(method)]))


def _option(option: Node, ours: str) -> tuple[Leg, OptionTerms]:
    _only(option, _OPTION)
    buyer, seller = (required(option, f"{role}PartyReference").get("href") for role in ("buyer", "seller"))
    if ours not in (buyer, seller) or buyer == seller:
        raise ReportError(place(option), f"expected {ours} on one side, found {buyer} and {seller}")
    exercise = required(option, "exercise")
    style = child(exercise, "europeanExercise")
    if style is None or len(style) != 1 or name(style[0]) != "expirationDate":
        raise NotCarried(place(exercise), "a deal of ours has one European or American expiry on a day")
    first = _day(option, "effectiveDate")
    last = _day(option, "terminationDate") if child(option, "terminationDate") is not None else _period_end(option, first)
    volume = _volume(option, ("notionalQuantity", ""), first, last)
    strike, premium = (_per_unit(node, volume.unit) for node in (required(option, "strikePricePerUnit"), _premium(option)))
    days = required(option, "pricingDates", "dayDistribution")
    if text(days) == "All":
        raise NotCarried(place(days), "an option on the average of its days is no option of ours")
    index = _index(required(option, "commodity"), option)
    product = said(option, "commodity", "instrumentId")
    side = Side.BUY if buyer == ours else Side.SELL
    underlying = IndexPrice(index, Price(Decimal(0), strike.currency, volume.unit))
    leg = Leg(side, product, product, volume, first, last, underlying, physical=False)
    right = said(option, "optionType")
    if right not in ("Call", "Put"):
        raise NotCarried(place(required(option, "optionType")), f"expected Call or Put, found {right}")
    return leg, OptionTerms(Right[right.upper()], Exercise.EUROPEAN, strike, _day(style, "expirationDate"), premium)


def _premium(option: Node) -> Node:
    found = children(option, "premium")
    if len(found) != 1 or child(found[0], "premiumPerUnit") is None:
        raise NotCarried(place(option), "a deal of ours has one premium per unit")
    return required(found[0], "premiumPerUnit")


def _per_unit(node: Node, unit: str) -> Price:
    return Price(xmlfile.decimal(required(node, "amount")), said(node, "currency"), unit)


def _period_end(option: Node, first: date) -> date:
    schedule = required(option, "calculationPeriodsSchedule")
    if (said(schedule, "periodMultiplier"), said(schedule, "period"), first.day) != ("1", "M", 1):
        raise NotCarried(place(schedule), "without a termination date the term is told only by one calendar month")
    return _month_end(first)


def _month_end(first: date) -> date:
    return first.replace(day=monthrange(first.year, first.month)[1])


def _day(node: Node, tag: str) -> date:
    """An unadjusted day. A convention that would move it is refused: we hold no business centres."""
    holder = required(node, tag, "adjustableDate")
    convention = said_or(holder, "dateAdjustments", "businessDayConvention", default="NotApplicable")
    if convention not in ("NotApplicable", "NONE"):
        raise NotCarried(place(holder), f"the day may be moved: {convention}")
    found = required(holder, "unadjustedDate")
    try:
        return date.fromisoformat(text(found).rstrip("Z"))
    except ValueError as error:
        raise ReportError(place(found), f"expected a day, found {text(found)[:40]!r}") from error
