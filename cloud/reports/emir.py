"""EMIR Refit reports in the shape of auth.030.001.03: one derivative per report, the action is the element around it.

For writing and reading what a trade repository takes, as far as this shape goes. There is no schema and no published sample in the project:
namespace, root, header and the wrapper of the action follow public descriptions; the names of the fields below the wrapper are ours where
those are silent. So the schema layer checks the shape and then says INDETERMINATE, never PASS.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from cloud.reports import columns, xmlfile
from cloud.reports.codes import NOTHING_KNOWN, Placed, References, check_shape
from cloud.reports.columns import Column, How, column
from cloud.reports.errors import ReportError
from cloud.reports.identifiers import Kind
from cloud.reports.layers import Fault, Layer, Validation
from cloud.reports.xmlfile import Node

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:auth.030.001.03"


class Action(StrEnum):
    """ESMA's action types of the Refit (code list of 2023-06-21); what MARU and MARV report is another message."""

    NEWT = "NEWT"
    MODI = "MODI"
    CORR = "CORR"
    TERM = "TERM"
    EROR = "EROR"
    REVI = "REVI"
    VALU = "VALU"
    POSC = "POSC"


WRAPPERS: Final[Mapping[Action, str]] = {
    Action.NEWT: "New",
    Action.MODI: "Mod",
    Action.CORR: "Crrctn",
    Action.TERM: "Termntn",
    Action.EROR: "Err",
    Action.REVI: "Rvv",
    Action.VALU: "ValtnUpd",
    Action.POSC: "PosCmpnt",
}
_ACTIONS: Final = {wrapper: action for action, wrapper in WRAPPERS.items()}


@dataclass(frozen=True, slots=True)
class Derivative:
    """Times are the texts of the file, UTC with Z; days are ISO. uti stays the same through all actions of one trade."""

    reporter: str
    other: str
    submitter: str
    uti: str
    event_day: str
    upi: str | None = None
    executed: str | None = None
    effective: str | None = None
    expires: str | None = None
    side: str | None = None  # BYER or SLLR
    notional: Decimal | None = None
    currency: str | None = None
    quantity: Decimal | None = None
    unit: str | None = None
    price: Decimal | None = None
    price_unit: str | None = None
    delivery: str | None = None  # CASH PHYS OPTL
    product: str | None = None  # layer 1 of ESMA's classification, such as NRGY
    sub_product: str | None = None
    further_product: str | None = None
    delivery_point: str | None = None
    value: Decimal | None = None
    value_currency: str | None = None
    valued_at: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    action: Action
    derivative: Derivative


_TABLE: Final[tuple[Column, ...]] = (
    column("CtrPty/RptgCtrPty", "reporter"),
    column("CtrPty/OthrCtrPty", "other"),
    column("CtrPty/SubmitgAgt", "submitter"),
    column("CtrPty/DrctnOrSd", "side"),
    column("CmonTradData/UnqTxIdr", "uti"),
    column("CmonTradData/UnqPdctIdr", "upi"),
    column("CmonTradData/EvtDt", "event_day"),
    column("CmonTradData/ExctnTmStmp", "executed"),
    column("CmonTradData/FctvDt", "effective"),
    column("CmonTradData/XprtnDt", "expires"),
    column("CmonTradData/NtnlAmt", "notional", How.NUMBER),
    column("CmonTradData/NtnlCcy", "currency"),
    column("CmonTradData/Qty", "quantity", How.NUMBER),
    column("CmonTradData/QtyUnit", "unit"),
    column("CmonTradData/Pric", "price", How.NUMBER),
    column("CmonTradData/PricUnit", "price_unit"),
    column("CmonTradData/DlvryTp", "delivery"),
    column("Cmmdty/BasePdct", "product"),
    column("Cmmdty/SubPdct", "sub_product"),
    column("Cmmdty/AddtlSubPdct", "further_product"),
    column("Cmmdty/DlvryPt", "delivery_point"),
    column("Valtn/Amt", "value", How.NUMBER),
    column("Valtn/Ccy", "value_currency"),
    column("Valtn/TmStmp", "valued_at"),
)
_CODES: Final = {
    "RptgCtrPty": Kind.LEI,
    "OthrCtrPty": Kind.LEI,
    "SubmitgAgt": Kind.LEI,
    "UnqTxIdr": Kind.UTI,
    "UnqPdctIdr": Kind.UPI,
    "DlvryPt": Kind.EIC,
}
_NEEDED: Final[Mapping[Action, tuple[str, ...]]] = {
    Action.NEWT: ("upi", "executed", "effective", "side", "notional", "currency", "price", "delivery", "product"),
    Action.VALU: ("value", "value_currency", "valued_at"),
}


def write(reports: Iterable[Report]) -> bytes:
    root = xmlfile.root("Document", NAMESPACE)
    body = xmlfile.add(root, "DerivsTradRpt")
    header = xmlfile.add(body, "RptHdr")
    count = 0
    data = xmlfile.add(body, "TradData")
    for report in reports:
        columns.write(xmlfile.add(data, "Rpt"), WRAPPERS[report.action], report.derivative, _TABLE)
        count += 1
    xmlfile.add(header, "NbRcrds", str(count))
    return xmlfile.write(root)


def read(data: bytes) -> tuple[Report, ...]:
    return of(xmlfile.read(data))


def of(root: Node) -> tuple[Report, ...]:
    if root.tag != f"{{{NAMESPACE}}}Document":
        raise ReportError(xmlfile.place(root), f"expected a Document of {NAMESPACE}, found {root.tag}")
    xmlfile.said(root, "DerivsTradRpt", "RptHdr", "NbRcrds")
    return tuple(_report(node) for node in xmlfile.children(xmlfile.required(root, "DerivsTradRpt", "TradData"), "Rpt"))


def _report(node: Node) -> Report:
    if len(node) != 1 or xmlfile.name(node[0]) not in _ACTIONS:
        found = ", ".join(xmlfile.name(child) for child in node)
        raise ReportError(xmlfile.place(node), f"expected one of {', '.join(_ACTIONS)}, found {found or 'nothing'}")
    return Report(_ACTIONS[xmlfile.name(node[0])], columns.read(node[0], Derivative, _TABLE))


def check(data: bytes, references: References = NOTHING_KNOWN) -> Validation:
    root = xmlfile.read(data)
    return check_shape(lambda: of(root), "EMIR", lambda: _codes(root), lambda: cross_field(root), references)


def _codes(root: Node) -> Iterator[Placed]:
    for node in xmlfile.leaves(root):
        kind = _CODES.get(xmlfile.name(node))
        if kind is not None:
            yield Placed(kind, xmlfile.text(node), node)


def cross_field(root: Node) -> Iterator[Fault]:
    records = [node for node in root.iter() if xmlfile.name(node) == "Rpt"]
    said = xmlfile.child(root, "DerivsTradRpt", "RptHdr", "NbRcrds")
    if said is not None and xmlfile.text(said) != str(len(records)):
        yield _fault("EMIR-X-COUNT", said, f"expected {len(records)}, found {xmlfile.text(said)[:20]}")
    new: set[str] = set()
    for node in records:
        try:
            report = _report(node)
        except ReportError:  # the schema layer says so
            continue
        for check_id, message in _faults(report):
            yield _fault(check_id, node, message)
        if report.action is Action.NEWT:
            if report.derivative.uti in new:
                yield _fault("EMIR-X-UTI", node, f"UTI {report.derivative.uti} is reported new twice")
            new.add(report.derivative.uti)


def _faults(report: Report) -> Iterator[tuple[str, str]]:
    told = report.derivative
    if told.reporter == told.other:
        yield "EMIR-X-PARTIES", f"both counterparties are {told.reporter}"
    lacking = [name for name in _NEEDED.get(report.action, ()) if getattr(told, name) is None]
    if lacking:
        yield "EMIR-X-NEEDED", f"{report.action} needs {', '.join(lacking)}"
    try:
        effective, expires = (None if text is None else date.fromisoformat(text) for text in (told.effective, told.expires))
        executed = None if told.executed is None else datetime.fromisoformat(told.executed)
        date.fromisoformat(told.event_day)
    except ValueError as error:
        yield "EMIR-X-TIME", str(error)
        return
    if effective and expires and expires < effective:
        yield "EMIR-X-TERM", f"expires {expires}, before it is effective {effective}"
    if executed is not None and executed.tzinfo is None:
        yield "EMIR-X-TIME", f"the execution time {told.executed} has no time zone"


def _fault(check_id: str, node: Node, message: str) -> Fault:
    return Fault(Layer.CROSS_FIELD, check_id, xmlfile.path(node), xmlfile.line(node), message)
