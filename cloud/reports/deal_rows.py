"""Reports written from booked deals: what was booked, what people stated beside it, and who reports. The same source gives the same bytes.

For REMIT Table 1, EMIR, CFTC Parts 43 and 45 and the FERC quarterly report. Not for validation (`checks`) and not for keeping (`filed`).
Rules: a source holds everything the file says, so that the file can be written again from it offline; a gap in it is listed by deal and
field, and no file is written; what a format of ours has no room for (several legs with prices, options, index prices where one price is
asked for) is such a gap.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from cloud import document
from cloud.compliance.identifiers import ACER_PATTERN
from cloud.reports import emir, ferc, fixml, remit
from cloud.reports.columns import Coded
from cloud.reports.due import Event
from cloud.reports.filings import CODES, Action
from cloud.reports.told import Gap, Incomplete, Told
from cloud.trading import documents
from cloud.trading.deals import Deal, FixedPrice, Leg, Side
from cloud.trading.deals import Kind as DealKind

BILATERAL: Final = "XBIL"
_LOADS: Final = ("BL", "PL", "OP", "BH", "SH", "GD", "OT")
_CONTRACT_TYPES: Final = {DealKind.SPOT: "SP", DealKind.FORWARD: "FW", DealKind.FUTURE: "FU", DealKind.SWAP: "SW"}
_WHOLE_DAY: Final = (("loadDeliveryStartTime", "00:00:00"), ("loadDeliveryEndTime", "24:00:00"))
_PLACES: Final = Decimal("0.00001")  # REMIT: at most five digits after the point
_CENT: Final = Decimal("0.01")
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Reporter:
    """lei, acer_code: empty where there is none."""

    name: str
    lei: str
    acer_code: str


@dataclass(frozen=True, slots=True)
class Stated:
    """A deal as it was booked, and the fields that people state beside it."""

    deal: Deal
    told: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """Everything a report says."""

    kind: str
    action: Action
    reporter: Reporter
    deals: tuple[Stated, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """event: the day its term counts from; None where no term is stated."""

    data: bytes
    rows: int
    event: Event | None


@dataclass(frozen=True, slots=True)
class _Line:
    """One deal on its way into a record."""

    deal: Deal
    leg: Leg
    price: Decimal
    currency: str
    told: Told

    @property
    def total(self) -> Decimal:
        return self.leg.volume.value * self.price

    @property
    def buys(self) -> bool:
        return self.leg.side is Side.BUY


def encode(source: Source) -> bytes:
    """The canonical document."""
    reporter = source.reporter
    return document.encode(
        {
            "kind": source.kind,
            "action": source.action.value,
            "reporter": {"name": reporter.name, "lei": reporter.lei, "acer_code": reporter.acer_code},
            "deals": [{"deal": documents.deal_json(one.deal), "told": dict(one.told)} for one in source.deals],
        }
    )


def decode(data: bytes) -> Source:
    """Of what `encode` wrote."""
    held: Any = document.parse(data)
    deals = tuple(Stated(documents.read_deal(document.Fields(one["deal"], "deal")), one["told"]) for one in held["deals"])
    return Source(held["kind"], Action(held["action"]), Reporter(**held["reporter"]), deals)


def build(source: Source) -> Built:
    """Raises Incomplete with every gap."""
    gaps: list[Gap] = []
    lines = [line for one in source.deals if (line := _line(one, gaps)) is not None]
    if not source.deals:
        gaps.append(Gap("", "deals", "expected at least one deal"))
    for field, what in _REPORTERS[source.kind].items():
        if not getattr(source.reporter, field):
            gaps.append(Gap("", f"participant.{field}", f"missing in the compliance profile, expected {what}"))
    built = _WRITERS[source.kind](source, lines, gaps)
    for line in lines:
        line.told.done()
    if gaps or built is None:
        raise Incomplete(gaps)
    return built


def _line(one: Stated, gaps: list[Gap]) -> _Line | None:
    """The one leg with a price; an index leg beside it is the other half of a swap."""
    told = Told(one.deal.id, one.told, gaps)
    if one.deal.option is not None:
        told.lack("option", "options have no place in our reports yet: report this deal by other means")
        return None
    fixed = [leg for leg in one.deal.legs if isinstance(leg.price, FixedPrice)]
    if len(fixed) != 1:
        told.lack("legs", f"expected one leg at a fixed price, found {len(fixed)} of {len(one.deal.legs)}")
        return None
    leg = fixed[0]
    price = leg.price.price  # type: ignore[union-attr]  # by the choice above
    if price.unit != leg.volume.unit:
        told.lack("price", f"expected a price per {leg.volume.unit} as the volume is, found one per {price.unit}")
    return _Line(one.deal, leg, price.value, price.currency, told)


def _remit(source: Source, lines: list[_Line], gaps: list[Gap]) -> Built | None:
    contracts: dict[str, remit.Contract] = {}
    trades = []
    events = []
    own = Coded("ace", source.reporter.acer_code)
    for number, line in enumerate(lines, 1):
        contract, standard = _contract(line)
        if contracts.setdefault(contract.id, contract) != contract:
            line.told.lack("contract_id", f"{contract.id} is stated otherwise by another deal of this report")
        agreed = line.told.moment("executed", line.deal.known_us)
        events.append(Event(f"remit-table1-{standard}", agreed.date()))
        trades.append(_trade(number, line, own, contract, agreed, CODES["REMIT"][source.action]))
    if gaps:
        return None
    return Built(remit.write(remit.Table1(own, tuple(contracts.values()), (), tuple(trades))), len(trades), _first(events))


def _contract(line: _Line) -> tuple[remit.Contract, str]:
    """With the term that applies to it: standard contracts are those of an organised market, unless somebody says otherwise."""
    told, leg = line.told, line.leg
    market = told.text("market", "the market's MIC, or XBIL outside of a market")
    kinds = ("standard", "non-standard")
    standard = told.one_of("contract", kinds, "standard" if market not in ("", BILATERAL) else None)
    load = told.one_of("load", _LOADS)
    profile = _WHOLE_DAY if load in ("BL", "GD") else _profile(told)
    return remit.Contract(
        told.text("contract_id", "a name of the contract", line.deal.id),
        told.text("contract_name", "the name of the contract", "BILCONTRACT" if market == BILATERAL else None),
        told.one_of("contract_type", tuple(_CONTRACT_TYPES.values()), _CONTRACT_TYPES[line.deal.kind]),
        (told.one_of("commodity", ("EL", "NG")),),
        "P" if leg.physical else "C",
        Coded("bil" if market == BILATERAL else "mic", market),
        (told.text("delivery_point", "the EIC of the delivery point or zone"),),
        leg.first.isoformat(),
        leg.last.isoformat(),
        (profile,),
        load=load,
    ), standard  # fmt: skip


def _profile(told: Told) -> tuple[tuple[str, str], ...]:
    return (
        ("loadDeliveryStartTime", told.text("delivery_from", "the hour of the day from which is delivered, such as 08:00:00")),
        ("loadDeliveryEndTime", told.text("delivery_to", "the hour of the day to which is delivered, such as 20:00:00")),
    )


def _trade(number: int, line: _Line, own: Coded, contract: remit.Contract, agreed: datetime, action: str) -> remit.Trade:
    told, leg = line.told, line.leg
    other = told.text("counterparty", "the ACER code or LEI of the counterparty")
    capacity = _capacity(line, contract)
    return remit.Trade(
        number, own, "P", "B" if line.buys else "S", contract.id, contract.market, agreed.isoformat().replace("+00:00", "Z"),
        told.text("uti", "the unique transaction identifier"), action,
        trader=told.maybe("trader"),
        other=Coded("ace" if ACER_PATTERN.fullmatch(other) else "lei", other),
        price=line.price, price_currency=line.currency,
        notional=line.total.quantize(_PLACES).normalize(), notional_currency=line.currency,
        quantity=capacity, quantity_unit=told.text("capacity_unit", "the unit of the capacity, such as MW", _rate(leg)),
        total_quantity=leg.volume.value, total_unit=leg.volume.unit,
    )  # fmt: skip


def _rate(leg: Leg) -> str | None:
    return leg.volume.unit.removesuffix("h") if leg.volume.unit in ("KWh", "MWh", "GWh") else None


def _capacity(line: _Line, contract: remit.Contract) -> Decimal:
    """Of a base load the volume over its hours; of anything else what people state."""
    leg = line.leg
    even: Decimal | None = None
    if contract.load == "BL" and _rate(leg) is not None:
        zone = ZoneInfo(leg.zone)
        start, end = (datetime(day.year, day.month, day.day, tzinfo=zone) for day in (leg.first, leg.last + timedelta(days=1)))
        rate = leg.volume.value / ((end.astimezone(UTC) - start.astimezone(UTC)) // _HOUR)
        even = rate.quantize(_PLACES).normalize() if rate == rate.quantize(_PLACES) else None
    return line.told.number("capacity", "the capacity as a number", even)


def _emir(source: Source, lines: list[_Line], gaps: list[Gap]) -> Built | None:
    reports, events = [], []
    action = emir.Action(CODES["EMIR"][source.action])
    for line in lines:
        told, leg = line.told, line.leg
        agreed = told.moment("executed", line.deal.known_us)
        events.append(Event("emir-trade", agreed.date()))
        derivative = emir.Derivative(
            source.reporter.lei, told.text("counterparty", "the LEI of the counterparty"),
            told.text("submitter", "the LEI of who submits", source.reporter.lei), told.text("uti", "the unique transaction identifier"),
            told.day("event_day", "the day of the event", agreed.date()).isoformat(), told.text("upi", "the unique product identifier"),
            agreed.isoformat().replace("+00:00", "Z"), leg.first.isoformat(), leg.last.isoformat(), "BYER" if line.buys else "SLLR",
            line.total, line.currency, leg.volume.value, leg.volume.unit.upper(), line.price, f"{line.currency}/{leg.volume.unit}",
            "PHYS" if leg.physical else "CASH", told.text("base_product", "the base product", "NRGY"), told.maybe("sub_product"),
            told.maybe("further_product"), told.maybe("delivery_point"),
        )  # fmt: skip
        reports.append(emir.Report(action, derivative))
    return None if gaps else Built(emir.write(reports), len(reports), _first(events))


def _cftc(source: Source, lines: list[_Line], gaps: list[Gap]) -> Built | None:
    if len(source.deals) > 1:
        gaps.append(Gap("", "deals", f"expected one deal per file, found {len(source.deals)}"))
    for line in lines[:1]:
        told = line.told
        agreed = told.moment("executed", line.deal.known_us)
        both = source.reporter.lei, told.text("counterparty", "the LEI of the counterparty")
        buyer, seller = both if line.buys else both[::-1]
        report = fixml.SwapReport(
            f"{line.deal.id}/{line.deal.version}", source.action, agreed.date(), agreed.isoformat(), line.leg.volume.value, line.price,
            told.text("symbol", "the symbol of the product", line.leg.product), told.text("upi", "the unique product identifier"),
            told.text("uti", "the unique transaction identifier"), buyer, seller, source.reporter.lei,
        )  # fmt: skip
        venue = told.one_of("venue", ("facility", "off-facility"))
        if source.kind == "CFTC-43":
            cap = told.number("cap", "the most that may be shown", line.leg.volume.value)
            report = fixml.public(report, cap)
        term = "cftc-part45-execution-facility" if venue == "facility" else "cftc-part45-off-facility-other"
        event = Event(term, agreed.date()) if source.kind == "CFTC-45" else None
        return None if gaps else Built(fixml.write(report), 1, event)
    return None


def _ferc(source: Source, lines: list[_Line], gaps: list[Gap]) -> Built | None:
    rows, quarters = [], set()
    for line in lines:
        told, leg = line.told, line.leg
        if line.buys:
            told.lack("side", "expected a sale: the quarterly report is of what the seller sold")
        charge = line.total.quantize(_CENT)
        rows.append(ferc.Transaction(
            line.deal.id, source.reporter.name, source.reporter.lei, told.text("buyer", "the buyer's name", line.deal.counterparty),
            told.text("contract_id", "the service agreement", line.deal.id), told.text("product", "the product's name", leg.product),
            told.text("class", "the class, such as F"), told.text("term", "the term, such as ST"), told.text("increment", "the increment, such as M"),
            told.moment("executed", line.deal.known_us).date(), leg.first, leg.last, told.text("receipt", "the balancing authority of receipt"),
            told.text("delivery", "the balancing authority of delivery"), leg.volume.value, leg.volume.unit, line.price, charge,
        ))  # fmt: skip
        quarters.add(_quarter_end(leg.last))
        if line.currency != "USD":
            told.lack("price", f"expected a price in USD, found {line.currency}")
    if len(quarters) > 1:
        gaps.append(Gap("", "deals", f"expected deliveries of one quarter, found quarters to {', '.join(map(str, sorted(quarters)))}"))
    return None if gaps else Built(ferc.write_rows(rows), len(rows), Event("ferc-eqr", quarters.pop()))


def _quarter_end(day: date) -> date:
    month = (day.month + 2) // 3 * 3
    return date(day.year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


def _first(events: Iterable[Event]) -> Event:
    """The one that is due first: a standard contract before others, then the earlier day."""
    return min(events, key=lambda one: (not one.term.endswith("-standard") or one.term.endswith("non-standard"), one.day))


_Writer = Callable[[Source, list[_Line], list[Gap]], Built | None]
_WRITERS: Final[Mapping[str, _Writer]] = {"REMIT-1": _remit, "EMIR": _emir, "CFTC-43": _cftc, "CFTC-45": _cftc, "FERC-EQR": _ferc}
KINDS: Final = tuple(_WRITERS)
_LEI: Final = "an LEI"
_REPORTERS: Final[Mapping[str, Mapping[str, str]]] = {
    "REMIT-1": {"acer_code": "an ACER code"},
    "EMIR": {"lei": _LEI},
    "CFTC-43": {"lei": _LEI},
    "CFTC-45": {"lei": _LEI},
    "FERC-EQR": {"lei": _LEI, "name": "a name"},
}
