"""ISO 20022 messages of money: bank statements (camt.053) read, payments (pain.001) and remittance advice (remt.001) written and read.

For settling what was traded and matching what the bank booked. Not for reports of trades (`emir`). Amounts are Decimal with a currency;
a debit is negative. The schemas of camt.053.001.02 and pain.001.001.08 lie in the project; there is none of remt.001: its shape is ours,
after the names of the message, and its schema layer says INDETERMINATE.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cloud.reports import xmlfile
from cloud.reports.codes import NOTHING_KNOWN, Placed, References, code_faults, known_faults
from cloud.reports.errors import ReportError
from cloud.reports.identifiers import Kind
from cloud.reports.layers import CannotRun, Fault, Layer, Validation, validate
from cloud.reports.xmlfile import Node, add, child, children, said, said_or, text

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:"
SCHEMAS: Final[Mapping[str, str]] = {"camt.053.001.02": "camt.053.001.02.xsd", "pain.001.001.08": "pain.001.001.08.xsd"}
PAIN: Final = "pain.001.001.08"
REMT: Final = "remt.001.001.05"
CODES: Final = {"BIC": Kind.BIC, "BICFI": Kind.BIC, "AnyBIC": Kind.BIC, "LEI": Kind.LEI}


@dataclass(frozen=True, slots=True)
class Money:
    value: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Balance:
    code: str  # OPBD CLBD OPAV CLAV ...
    money: Money


@dataclass(frozen=True, slots=True)
class Entry:
    money: Money
    status: str
    reference: str
    end_to_end: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    id: str
    account: str
    balances: tuple[Balance, ...]
    entries: tuple[Entry, ...]

    def balance(self, code: str) -> Decimal:
        """Raises ReportError when the statement has none or several of this code."""
        found = [balance.money.value for balance in self.balances if balance.code == code]
        if len(found) != 1:
            raise ReportError(f"statement {self.id}", f"expected one balance {code}, found {len(found)}")
        return found[0]

    @property
    def booked_change(self) -> Decimal:
        return self.balance("CLBD") - self.balance("OPBD")

    @property
    def available_change(self) -> Decimal:
        return self.balance("CLAV") - self.balance("OPAV")


@dataclass(frozen=True, slots=True)
class Payment:
    """One credit transfer. accounts: as the banks name them; agents: BIC."""

    end_to_end: str
    money: Money
    creditor: str
    creditor_account: str
    creditor_agent: str
    remittance: str = ""


@dataclass(frozen=True, slots=True)
class Initiation:
    message_id: str
    created: str  # ISO 8601 with offset
    initiator: str
    debtor: str
    debtor_account: str
    debtor_agent: str
    on: str  # requested day
    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """What a payment pays for: documents and their amounts."""

    message_id: str
    created: str
    originator: str
    receiver: str
    end_to_end: str
    documents: tuple[tuple[str, Money], ...]


def message_of(root: Node) -> str:
    """camt.053.001.02 and the like, from the namespace."""
    space, _, name = str(root.tag).lstrip("{").rpartition("}")
    if name != "Document" or not space.startswith(NAMESPACE):
        raise ReportError(xmlfile.place(root), f"expected a Document of {NAMESPACE}..., found {root.tag}")
    return space.removeprefix(NAMESPACE)


def statements(data: bytes) -> tuple[Statement, ...]:
    root = xmlfile.read(data)
    if not message_of(root).startswith("camt.053."):
        raise ReportError(xmlfile.place(root), f"expected camt.053, found {message_of(root)}")
    return tuple(_statement(node) for node in children(xmlfile.required(root, "BkToCstmrStmt"), "Stmt"))


def _statement(node: Node) -> Statement:
    balances = tuple(Balance(said(one, "Tp", "CdOrPrtry", "Cd"), signed(one)) for one in children(node, "Bal"))
    identity = xmlfile.required(node, "Acct", "Id")
    account = said_or(identity, "IBAN") or said(identity, "Othr", "Id")
    return Statement(said(node, "Id"), account, balances, tuple(_entry(one) for one in children(node, "Ntry")))


def _entry(node: Node) -> Entry:
    ends = tuple(text(one) for one in xmlfile.leaves(node) if xmlfile.name(one) == "EndToEndId")
    return Entry(signed(node), said(node, "Sts"), said_or(node, "NtryRef"), ends)


def signed(node: Node) -> Money:
    """Amt with the sign of CdtDbtInd: a debit is negative."""
    amount, side = xmlfile.required(node, "Amt"), xmlfile.required(node, "CdtDbtInd")
    if text(side) not in ("CRDT", "DBIT"):
        raise ReportError(xmlfile.place(side), f"expected CRDT or DBIT, found {text(side)!r}")
    value = xmlfile.decimal(amount)
    if value < 0:
        raise ReportError(xmlfile.place(amount), f"expected no sign, CdtDbtInd says it; found {value}")
    return Money(-value if text(side) == "DBIT" else value, _currency(amount))


def _currency(amount: Node) -> str:
    if amount.get("Ccy") is None:
        raise ReportError(xmlfile.place(amount), "the attribute Ccy is missing")
    return str(amount.get("Ccy"))


def _money(amount: Node) -> Money:
    return Money(xmlfile.decimal(amount), _currency(amount))


def _amount(parent: Node, tag: str, money: Money) -> None:
    add(parent, tag, xmlfile.plain(money.value)).set("Ccy", money.currency)


def write_initiation(order: Initiation) -> bytes:
    """pain.001.001.08 with one group of transfers. Raises ReportError for no payment."""
    if not order.payments:
        raise ReportError(f"initiation {order.message_id}", "expected at least one payment")
    root = xmlfile.root("Document", NAMESPACE + PAIN)
    body = add(root, "CstmrCdtTrfInitn")
    header = add(body, "GrpHdr")
    add(header, "MsgId", order.message_id)
    add(header, "CreDtTm", order.created)
    add(header, "NbOfTxs", str(len(order.payments)))
    add(header, "CtrlSum", xmlfile.plain(sum((payment.money.value for payment in order.payments), Decimal(0))))
    add(add(header, "InitgPty"), "Nm", order.initiator)
    group = add(body, "PmtInf")
    add(group, "PmtInfId", order.message_id)
    add(group, "PmtMtd", "TRF")
    add(add(group, "ReqdExctnDt"), "Dt", order.on)
    add(add(group, "Dbtr"), "Nm", order.debtor)
    _account(group, "DbtrAcct", order.debtor_account)
    _agent(group, "DbtrAgt", order.debtor_agent)
    for payment in order.payments:
        _transfer(group, payment)
    return xmlfile.write(root)


def _transfer(group: Node, payment: Payment) -> None:
    transfer = add(group, "CdtTrfTxInf")
    add(add(transfer, "PmtId"), "EndToEndId", payment.end_to_end)
    _amount(add(transfer, "Amt"), "InstdAmt", payment.money)
    _agent(transfer, "CdtrAgt", payment.creditor_agent)
    add(add(transfer, "Cdtr"), "Nm", payment.creditor)
    _account(transfer, "CdtrAcct", payment.creditor_account)
    if payment.remittance:
        add(add(transfer, "RmtInf"), "Ustrd", payment.remittance)


def _account(parent: Node, tag: str, account: str) -> None:
    identity = add(add(parent, tag), "Id")
    add(add(identity, "Othr"), "Id", account)


def _agent(parent: Node, tag: str, bic: str) -> None:
    add(add(add(parent, tag), "FinInstnId"), "BICFI", bic)


def read_initiation(data: bytes) -> Initiation:
    """One group of transfers; several groups are refused by name. Addresses and purposes of foreign messages are not among our values."""
    root = xmlfile.read(data)
    if message_of(root) != PAIN:
        raise ReportError(xmlfile.place(root), f"expected {PAIN}, found {message_of(root)}")
    body = xmlfile.required(root, "CstmrCdtTrfInitn")
    groups = children(body, "PmtInf")
    if len(groups) != 1:
        raise ReportError(xmlfile.place(body), f"expected one PmtInf, found {len(groups)}")
    group = groups[0]
    header = xmlfile.required(body, "GrpHdr")
    payments = tuple(_payment(node) for node in children(group, "CdtTrfTxInf"))
    return Initiation(
        said(header, "MsgId"), said(header, "CreDtTm"), said(header, "InitgPty", "Nm"), said(group, "Dbtr", "Nm"),
        said(group, "DbtrAcct", "Id", "Othr", "Id"), said(group, "DbtrAgt", "FinInstnId", "BICFI"), said(group, "ReqdExctnDt", "Dt"), payments,
    )  # fmt: skip


def _payment(node: Node) -> Payment:
    return Payment(
        said(node, "PmtId", "EndToEndId"), _money(xmlfile.required(node, "Amt", "InstdAmt")), said(node, "Cdtr", "Nm"),
        said(node, "CdtrAcct", "Id", "Othr", "Id"), said(node, "CdtrAgt", "FinInstnId", "BICFI"), said_or(node, "RmtInf", "Ustrd"),
    )  # fmt: skip


def write_advice(advice: Advice) -> bytes:
    root = xmlfile.root("Document", NAMESPACE + REMT)
    body = add(root, "RmtAdvc")
    header = add(body, "GrpHdr")
    add(header, "MsgId", advice.message_id)
    add(header, "CreDtTm", advice.created)
    add(add(header, "InitgPty"), "Nm", advice.originator)
    remittance = add(body, "RmtInf")
    add(remittance, "RmtId", advice.end_to_end)
    for number, money in advice.documents:
        document = add(add(remittance, "Strd"), "RfrdDocInf")
        add(document, "Nb", number)
        _amount(add(remittance[-1], "RfrdDocAmt"), "DuePyblAmt", money)
    add(add(remittance, "Invcee"), "Nm", advice.receiver)
    return xmlfile.write(root)


def read_advice(data: bytes) -> Advice:
    root = xmlfile.read(data)
    if message_of(root) != REMT:
        raise ReportError(xmlfile.place(root), f"expected {REMT}, found {message_of(root)}")
    header, remittance = (xmlfile.required(root, "RmtAdvc", tag) for tag in ("GrpHdr", "RmtInf"))
    documents = tuple(
        (said(one, "RfrdDocInf", "Nb"), _money(xmlfile.required(one, "RfrdDocAmt", "DuePyblAmt"))) for one in children(remittance, "Strd")
    )
    return Advice(
        said(header, "MsgId"), said(header, "CreDtTm"), said(header, "InitgPty", "Nm"), said(remittance, "Invcee", "Nm"),
        said(remittance, "RmtId"), documents,
    )  # fmt: skip


def check(data: bytes, references: References = NOTHING_KNOWN) -> Validation:
    root = xmlfile.read(data)
    message = message_of(root)
    return validate(
        {
            Layer.SCHEMA: _schema(root, message),
            Layer.CHECKSUM: lambda: code_faults(codes(root)),
            Layer.CROSS_FIELD: lambda: tuple(cross_field(root, message)),
            Layer.REFERENCE_DATA: lambda: known_faults(codes(root), references),
        }
    )


def _schema(root: Node, message: str) -> Callable[[], tuple[Fault, ...]]:
    def run() -> tuple[Fault, ...]:
        if message not in SCHEMAS:
            raise CannotRun(f"there is no schema of {message} in the project")
        return xmlfile.schema_faults(root, SCHEMAS[message], "ISO-S-XSD")

    return run


def codes(root: Node) -> Iterator[Placed]:
    for node in xmlfile.leaves(root):
        kind = CODES.get(xmlfile.name(node))
        if kind is not None:
            yield Placed(kind, text(node), node)


def cross_field(root: Node, message: str) -> Iterator[Fault]:
    """Counts and sums a message says of itself."""
    if message.startswith("pain.001."):
        for body in children(root, "CstmrCdtTrfInitn"):
            amounts = [node for node in body.iter() if xmlfile.name(node) == "InstdAmt"]
            yield from _totals(child(body, "GrpHdr"), "NbOfTxs", "CtrlSum", amounts)
    elif message.startswith("camt.053."):
        for statement in (node for body in root for node in children(body, "Stmt")):
            yield from _summary(statement)


def _summary(statement: Node) -> Iterator[Fault]:
    entries = children(statement, "Ntry")
    for group, side in (("TtlCdtNtries", "CRDT"), ("TtlDbtNtries", "DBIT"), ("TtlNtries", "")):
        chosen = [child(entry, "Amt") for entry in entries if side in ("", said_or(entry, "CdtDbtInd"))]
        yield from _totals(child(statement, "TxsSummry", group), "NbOfNtries", "Sum", [node for node in chosen if node is not None])


def _totals(node: Node | None, count_tag: str, sum_tag: str, amounts: list[Node]) -> Iterator[Fault]:
    count, total = (None, None) if node is None else (child(node, count_tag), child(node, sum_tag))
    try:
        added = sum((xmlfile.decimal(amount) for amount in amounts), Decimal(0))
        if count is not None and text(count) != str(len(amounts)):
            yield _fault("ISO-X-COUNT", count, f"expected {len(amounts)}, found {text(count)}")
        if total is not None and xmlfile.decimal(total) != added:
            yield _fault("ISO-X-SUM", total, f"expected {added}, found {text(total)}")
    except ReportError as error:
        yield Fault(Layer.CROSS_FIELD, "ISO-X-NUMBER", error.place, 0, error.message)


def _fault(check_id: str, node: Node, message: str) -> Fault:
    return Fault(Layer.CROSS_FIELD, check_id, xmlfile.path(node), xmlfile.line(node), message)
