"""Swap data reports as FIXML TrdCaptRpt: the creation data of 17 CFR 45 and the public message of 17 CFR 43.

For writing and reading one report per file. There is no schema and no published sample in the project, so the attribute names, taken from
descriptions of repositories' templates, are unconfirmed, and the schema layer checks the shape and then says INDETERMINATE. The golden file
in the tests is our own. The public message names no party and no transaction, and its quantity is capped where a cap is given.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from cloud.reports import xmlfile
from cloud.reports.codes import NOTHING_KNOWN, Placed, References, check_shape
from cloud.reports.errors import ReportError
from cloud.reports.filings import CODES, Action
from cloud.reports.identifiers import Kind
from cloud.reports.layers import Fault, Layer, Validation
from cloud.reports.xmlfile import Node, add

NAMESPACE: Final = "http://www.fixprotocol.org/FIXML-5-0-SP2"
LEI_SOURCE: Final = "N"
BUY, SELL = "1", "2"
REPORTER: Final = "1"  # role of the reporting party at the head of the report (unconfirmed)
_ACTIONS: Final[Mapping[str, Action]] = {code: action for action, code in CODES["FIXML"].items()}


@dataclass(frozen=True, slots=True)
class SwapReport:
    """traded_at: ISO 8601 with offset. uti, buyer, seller, reporter: None in the public message."""

    id: str
    action: Action
    trade_day: date
    traded_at: str
    quantity: Decimal
    price: Decimal
    symbol: str
    upi: str
    uti: str | None = None
    buyer: str | None = None
    seller: str | None = None
    reporter: str | None = None


def public(report: SwapReport, cap: Decimal | None) -> SwapReport:
    """What 17 CFR 43 makes public. cap: the most that may be shown; None where no cap applies."""
    shown = report.quantity if cap is None else min(report.quantity, cap)
    return SwapReport(report.id, report.action, report.trade_day, report.traded_at, shown, report.price, report.symbol, report.upi)


def write(report: SwapReport) -> bytes:
    root = xmlfile.root("FIXML", NAMESPACE)
    body = add(root, "TrdCaptRpt")
    told = {
        "RptID": report.id, "TransTyp": CODES["FIXML"][report.action], "TrdDt": report.trade_day.isoformat(), "TxnTm": report.traded_at,
        "LastQty": xmlfile.plain(report.quantity), "LastPx": xmlfile.plain(report.price),
    }  # fmt: skip
    _set(body, told)
    if report.reporter is not None:
        _set(add(body, "Pty"), {"ID": report.reporter, "Src": LEI_SOURCE, "R": REPORTER})
    _set(add(body, "Instrmt"), {"Sym": report.symbol, "SecTyp": "SWAP", "Prod": report.upi})
    if report.uti is not None:
        _set(add(body, "RegTrdID"), {"ID": report.uti, "Src": report.uti[:20], "Typ": "0"})
    for side, lei in ((BUY, report.buyer), (SELL, report.seller)):
        if lei is not None:
            half = add(body, "RptSide")
            _set(half, {"Side": side})
            _set(add(half, "Pty"), {"ID": lei, "Src": LEI_SOURCE, "R": REPORTER})
    return xmlfile.write(root)


def _set(node: Node, members: Mapping[str, str]) -> None:
    for key, value in members.items():
        node.set(key, value)


def read(data: bytes) -> SwapReport:
    return of(xmlfile.read(data))


def of(root: Node) -> SwapReport:
    """Raises ReportError naming element and line: missing, unknown and doubled members are not passed over."""
    if root.tag != f"{{{NAMESPACE}}}FIXML":
        raise ReportError(xmlfile.place(root), f"expected FIXML of {NAMESPACE}, found {root.tag}")
    body = xmlfile.required(root, "TrdCaptRpt")
    _only(body, {"RptID", "TransTyp", "TrdDt", "TxnTm", "LastQty", "LastPx"}, {"Pty", "Instrmt", "RegTrdID", "RptSide"})
    instrument, identity, reporter = (xmlfile.child(body, tag) for tag in ("Instrmt", "RegTrdID", "Pty"))
    if instrument is None:
        raise ReportError(xmlfile.place(body), "Instrmt is missing")
    _only(instrument, {"Sym", "SecTyp", "Prod"}, set())
    sides = {_said(half, "Side"): _said(xmlfile.required(half, "Pty"), "ID") for half in xmlfile.children(body, "RptSide")}
    if len(sides) != len(xmlfile.children(body, "RptSide")) or sides.keys() - {BUY, SELL}:
        raise ReportError(xmlfile.place(body), f"expected at most one buying and one selling side, found {', '.join(sides)}")
    code = _said(body, "TransTyp")
    if code not in _ACTIONS:
        raise ReportError(xmlfile.place(body), f"TransTyp: expected one of {', '.join(_ACTIONS)}, found {code!r}")
    return SwapReport(
        _said(body, "RptID"), _ACTIONS[code], _day(body), _said(body, "TxnTm"), _number(body, "LastQty"), _number(body, "LastPx"),
        _said(instrument, "Sym"), _said(instrument, "Prod"), None if identity is None else _said(identity, "ID"), sides.get(BUY),
        sides.get(SELL), None if reporter is None else _said(reporter, "ID"),
    )  # fmt: skip


def _only(node: Node, attributes: set[str], elements: set[str]) -> None:
    strange = [key for key in node.keys() if key not in attributes]  # noqa: SIM118 - lxml elements iterate over children
    strange += [xmlfile.name(child) for child in node if xmlfile.name(child) not in elements]
    if strange:
        raise ReportError(xmlfile.place(node), f"our values have no room for {', '.join(strange)}")


def _said(node: Node, attribute: str) -> str:
    value = node.get(attribute)
    if not value:
        raise ReportError(xmlfile.place(node), f"the attribute {attribute} is missing")
    return str(value)


def _day(node: Node) -> date:
    try:
        return date.fromisoformat(_said(node, "TrdDt"))
    except ValueError as error:
        raise ReportError(xmlfile.place(node), f"TrdDt: {error}") from error


def _number(node: Node, attribute: str) -> Decimal:
    try:
        number = Decimal(_said(node, attribute))
    except ArithmeticError as error:
        raise ReportError(xmlfile.place(node), f"{attribute}: expected a number, found {_said(node, attribute)[:40]!r}") from error
    if not number.is_finite():
        raise ReportError(xmlfile.place(node), f"{attribute}: expected a finite number")
    return number


def check(data: bytes, references: References = NOTHING_KNOWN) -> Validation:
    root = xmlfile.read(data)
    return check_shape(lambda: of(root), "FIXML", lambda: _codes(root), lambda: cross_field(root), references)


def _codes(root: Node) -> Iterator[Placed]:
    for node in root.iter():
        for element, attribute, kind in (("Pty", "ID", Kind.LEI), ("RegTrdID", "ID", Kind.UTI), ("Instrmt", "Prod", Kind.UPI)):
            if xmlfile.name(node) == element and node.get(attribute):
                yield Placed(kind, str(node.get(attribute)), node)


def cross_field(root: Node) -> Iterator[Fault]:
    try:
        report = of(root)
    except ReportError:  # the schema layer says so
        return
    node = xmlfile.required(root, "TrdCaptRpt")
    if report.quantity <= 0:
        yield _fault("FIXML-X-QUANTITY", node, f"expected a quantity above zero, found {report.quantity}")
    if report.buyer is not None and report.buyer == report.seller:
        yield _fault("FIXML-X-PARTIES", node, f"buyer and seller are both {report.buyer}")
    if (report.uti is None) != (report.buyer is None) or (report.buyer is None) != (report.seller is None):
        yield _fault("FIXML-X-PARTIES", node, "transaction and both parties are told together or, in public, not at all")
    try:
        traded = datetime.fromisoformat(report.traded_at)
    except ValueError as error:
        yield _fault("FIXML-X-TIME", node, str(error))
        return
    if traded.tzinfo is None or abs((traded.date() - report.trade_day).days) > 1:
        yield _fault("FIXML-X-TIME", node, f"{report.traded_at} has no zone or is not on the trade day {report.trade_day}")


def _fault(check_id: str, node: Node, message: str) -> Fault:
    return Fault(Layer.CROSS_FIELD, check_id, xmlfile.path(node), xmlfile.line(node), message)
