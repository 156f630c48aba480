"""REMIT Table 1 in four layers.

For saying what is wrong with a file before it is sent. Not for whether a trade must be reported at all. The cross-field checks hold
beyond the schema: notional = price x total quantity (ACER's manual computes its examples so), baseload quantity = capacity x hours.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Final

from cloud.reports import remit, xmlfile
from cloud.reports.codes import NOTHING_KNOWN, Placed, References, beyond, code_faults, known_faults
from cloud.reports.identifiers import Kind
from cloud.reports.layers import CannotRun, Fault, Layer, Validation, validate
from cloud.reports.xmlfile import Node

SCHEMES: Final = {"lei": Kind.LEI, "eic": Kind.EIC, "ace": Kind.ACER, "bic": Kind.BIC, "deliveryPointOrZone": Kind.EIC}
CENT: Final = Decimal("0.005")  # tolerance of the notional


def check(data: bytes, references: References = NOTHING_KNOWN) -> Validation:
    """All four layers. Raises ReportError only for what is no XML."""
    root = xmlfile.read(data)
    return check_root(root, references)


def check_root(root: Node, references: References = NOTHING_KNOWN) -> Validation:
    return validate(
        {
            Layer.SCHEMA: lambda: xmlfile.schema_faults(root, remit.SCHEMA, "REMIT-S-XSD"),
            Layer.CHECKSUM: lambda: code_faults(codes(root)),
            Layer.CROSS_FIELD: lambda: tuple(cross_field(root)),
            Layer.REFERENCE_DATA: lambda: _referred(root, references),
        }
    )


def codes(root: Node) -> Iterator[Placed]:
    for node in xmlfile.leaves(root):
        kind = SCHEMES.get(xmlfile.name(node))
        if kind is not None:
            yield Placed(kind, xmlfile.text(node), node)


def _referred(root: Node, references: References) -> tuple[Fault, ...]:
    found = known_faults(codes(root), references)
    if references.markets is None:
        if found:
            return found
        raise CannotRun(f"no reference data for markets (MIC){beyond(references)}")
    strange = [node for node in xmlfile.leaves(root) if xmlfile.name(node) == "mic" and xmlfile.text(node) not in references.markets]
    return found + tuple(_fault("REMIT-R-MIC", node, "is no market in force", Layer.REFERENCE_DATA) for node in strange)


def cross_field(root: Node) -> Iterator[Fault]:
    contracts = {xmlfile.said_or(node, "contractId"): node for node in root.iterfind(f"{{{remit.NAMESPACE}}}contractList/*")}
    for node in contracts.values():
        yield from _delivery(node)
    for group in ("OrderList", "TradeList"):
        records = list(root.iterfind(f"{{{remit.NAMESPACE}}}{group}/*"))
        yield from _transactions(records)
        for record in records:
            yield from _notional(record)
            yield from _contract(record, contracts)


def _delivery(contract: Node) -> Iterator[Fault]:
    first, last = (xmlfile.said_or(contract, f"delivery{end}Date") for end in ("Start", "End"))
    if first and last and last < first:
        yield _fault("REMIT-X-DELIVERY", contract, f"delivery ends {last}, before it starts {first}")


def _transactions(records: list[Node]) -> Iterator[Fault]:
    """A transaction is new once for each participant and side."""
    seen: set[tuple[str, ...]] = set()
    for record in records:
        uti = xmlfile.said_or(record, "uniqueTransactionIdentifier", "uniqueTransactionIdentifier")
        participant = xmlfile.child(record, "idOfMarketParticipant")
        who = "" if participant is None or not len(participant) else xmlfile.text(participant[0])
        key = uti, who, xmlfile.said_or(record, "buySellIndicator")
        if uti and xmlfile.said_or(record, "actionType") == "N":
            if key in seen:
                yield _fault("REMIT-X-UTI", record, f"transaction {uti} is reported new twice by {who}")
            seen.add(key)


def _numbers(record: Node, *paths: tuple[str, str]) -> list[Decimal] | None:
    """None when one is absent or, as the schema layer says, no number."""
    found = []
    for path in paths:
        node = xmlfile.child(record, *path)
        if node is None:
            return None
        try:
            found.append(xmlfile.decimal(node))
        except ValueError:
            return None
    return found


def _notional(record: Node) -> Iterator[Fault]:
    numbers = _numbers(
        record, ("priceDetails", "price"), ("totalNotionalContractQuantity", "value"), ("notionalAmountDetails", "notionalAmount")
    )
    if numbers is None:
        return
    price, total, notional = numbers
    currencies = (
        xmlfile.said_or(record, "priceDetails", "priceCurrency"),
        xmlfile.said_or(record, "notionalAmountDetails", "notionalCurrency"),
    )
    place = xmlfile.required(record, "notionalAmountDetails", "notionalAmount")
    if currencies[0] != currencies[1]:
        yield _fault("REMIT-X-CURRENCY", place, f"price in {currencies[0]}, notional in {currencies[1]}: the product cannot be compared")
    elif abs(price * total - notional) > CENT:
        yield _fault("REMIT-X-NOTIONAL", place, f"expected price {price} x quantity {total} = {price * total:f}, found {notional}")


def _contract(record: Node, contracts: dict[str, Node]) -> Iterator[Fault]:
    node = xmlfile.child(record, "contractInfo", "contractId")
    if node is None:
        return
    if xmlfile.text(node) not in contracts:
        yield _fault("REMIT-X-CONTRACT", node, f"contract {xmlfile.text(node)!r} is not in the contract list")
        return
    yield from _baseload(record, contracts[xmlfile.text(node)])


def _baseload(record: Node, contract: Node) -> Iterator[Fault]:
    """Capacity x 24 h x days, give or take the hour of a change of clocks."""
    numbers = _numbers(record, ("quantity", "value"), ("totalNotionalContractQuantity", "value"))
    units = xmlfile.said_or(record, "quantity", "unit"), xmlfile.said_or(record, "totalNotionalContractQuantity", "unit")
    days = delivery_days(contract)
    if numbers is None or units != ("MW", "MWh") or xmlfile.said_or(contract, "loadType") != "BL" or days is None:
        return
    capacity, total = numbers
    if abs(capacity * 24 * days - total) > capacity:
        place = xmlfile.required(record, "totalNotionalContractQuantity", "value")
        yield _fault("REMIT-X-QUANTITY", place, f"expected {capacity} MW x {24 * days} h = {capacity * 24 * days:f} MWh, found {total}")


def delivery_days(contract: Node) -> int | None:
    """Of one whole-day profile for every day; None for any other profile."""
    profile = xmlfile.children(contract, "deliveryProfile")
    shape = [(xmlfile.name(node), xmlfile.text(node)[:5]) for node in profile[0]] if len(profile) == 1 else []
    if shape not in ([("loadDeliveryStartTime", "00:00"), ("loadDeliveryEndTime", end)] for end in ("24:00", "00:00")):
        return None
    try:
        first, last = (date.fromisoformat(xmlfile.said_or(contract, f"delivery{end}Date")) for end in ("Start", "End"))
    except ValueError:
        return None
    return (last - first).days + 1


def _fault(check: str, node: Node, message: str, layer: Layer = Layer.CROSS_FIELD) -> Fault:
    return Fault(layer, check, xmlfile.path(node), xmlfile.line(node), message)
