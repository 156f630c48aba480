"""REMIT Table 1, version 2: orders and trades of standard contracts, as values and as XML.

For reading and writing the file that a reporting mechanism takes. Not for its validation (`remit_checks`), nor for Table 2. Oil and LNG
cannot be coded in this table: the schema knows EL and NG alone. Times stay the texts of the file: they carry their own offset.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cloud.reports import columns, xmlfile
from cloud.reports.columns import Coded, Column, Group, How, column
from cloud.reports.errors import NotCarried, ReportError

NAMESPACE: Final = "http://www.acer.europa.eu/REMIT/REMITTable1_V2.xsd"
SCHEMA: Final = "remit_table1_v2.xsd"
ROOT: Final = "REMITTable1"


@dataclass(frozen=True, slots=True)
class Contract:
    id: str
    name: str
    type: str  # AU CO FW FU OP OP_FW OP_FU OP_SW SP SW OT
    commodity: tuple[str, ...]  # EL, NG
    settlement: str  # P C O
    market: Coded
    delivery_points: tuple[str, ...]  # EIC
    first_delivery: str
    last_delivery: str
    profiles: tuple[Group, ...]
    trading_hours: tuple[Group, ...] = ()
    last_trading: str | None = None
    duration: str | None = None
    load: str | None = None  # BL PL OP BH SH GD OT


@dataclass(frozen=True, slots=True)
class Order:
    sequence: int
    participant: Coded
    trader: str
    capacity: str  # P A
    side: str  # B S C
    order_id: str
    order_type: str
    duration: str
    contract_id: str
    market: Coded
    time: str
    action: str  # N M E C
    status: tuple[str, ...] = ()
    beneficiary: Coded | None = None
    legs: tuple[Group, ...] = ()
    linked_orders: tuple[str, ...] = ()
    price: Decimal | None = None
    price_currency: str | None = None
    notional: Decimal | None = None
    notional_currency: str | None = None
    quantity: Decimal | None = None
    quantity_unit: str | None = None
    total_quantity: Decimal | None = None
    total_unit: str | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    sequence: int
    participant: Coded
    capacity: str
    side: str
    contract_id: str
    market: Coded
    time: str
    uti: str
    action: str
    trader: str | None = None
    other: Coded | None = None
    beneficiary: Coded | None = None
    aggressor: str | None = None  # A I S
    click_order_type: str | None = None
    execution_time: str | None = None
    linked_trades: tuple[str, ...] = ()
    linked_orders: tuple[str, ...] = ()
    price: Decimal | None = None
    price_currency: str | None = None
    notional: Decimal | None = None
    notional_currency: str | None = None
    quantity: Decimal | None = None
    quantity_unit: str | None = None
    total_quantity: Decimal | None = None
    total_unit: str | None = None
    termination: str | None = None
    intervals: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class Table1:
    reporter: Coded
    contracts: tuple[Contract, ...] = ()
    orders: tuple[Order, ...] = ()
    trades: tuple[Trade, ...] = ()


CONTRACT: Final[tuple[Column, ...]] = (
    column("contractId", "id"),
    column("contractName", "name"),
    column("contractType", "type"),
    column("energyCommodity", "commodity", How.TEXTS),
    column("settlementMethod", "settlement"),
    column("organisedMarketPlaceIdentifier", "market", How.CODED),
    column("contractTradingHours", "trading_hours", How.GROUPS),
    column("lastTradingDateTime", "last_trading"),
    column("deliveryPointOrZone", "delivery_points", How.TEXTS),
    column("deliveryStartDate", "first_delivery"),
    column("deliveryEndDate", "last_delivery"),
    column("duration", "duration"),
    column("loadType", "load"),
    column("deliveryProfile", "profiles", How.GROUPS),
)
_AMOUNTS: Final = (
    column("priceDetails/price", "price", How.NUMBER),
    column("priceDetails/priceCurrency", "price_currency"),
    column("notionalAmountDetails/notionalAmount", "notional", How.NUMBER),
    column("notionalAmountDetails/notionalCurrency", "notional_currency"),
    column("quantity/value", "quantity", How.NUMBER),
    column("quantity/unit", "quantity_unit"),
    column("totalNotionalContractQuantity/value", "total_quantity", How.NUMBER),
    column("totalNotionalContractQuantity/unit", "total_unit"),
)
ORDER: Final[tuple[Column, ...]] = (
    column("RecordSeqNumber", "sequence", How.WHOLE),
    column("idOfMarketParticipant", "participant", How.CODED),
    column("traderID/traderIdForOrganisedMarket", "trader"),
    column("beneficiaryIdentification", "beneficiary", How.CODED),
    column("tradingCapacity", "capacity"),
    column("buySellIndicator", "side"),
    column("orderId/uniqueOrderIdentifier", "order_id"),
    column("orderType", "order_type"),
    column("orderStatus", "status", How.TEXTS),
    column("orderDuration/duration", "duration"),
    column("contractInfo/contractId", "contract_id"),
    column("contractInfo/legContractId", "legs", How.GROUPS),
    column("organisedMarketPlaceIdentifier", "market", How.CODED),
    column("transactionTime", "time"),
    column("linkedOrderId", "linked_orders", How.TEXTS),
    *_AMOUNTS,
    column("actionType", "action"),
)
TRADE: Final[tuple[Column, ...]] = (
    column("RecordSeqNumber", "sequence", How.WHOLE),
    column("idOfMarketParticipant", "participant", How.CODED),
    column("traderID/traderIdForOrganisedMarket", "trader"),
    column("otherMarketParticipant", "other", How.CODED),
    column("beneficiaryIdentification", "beneficiary", How.CODED),
    column("tradingCapacity", "capacity"),
    column("buySellIndicator", "side"),
    column("aggressor", "aggressor"),
    column("clickAndTradeDetails/orderType", "click_order_type"),
    column("contractInfo/contractId", "contract_id"),
    column("organisedMarketPlaceIdentifier", "market", How.CODED),
    column("transactionTime", "time"),
    column("executionTime", "execution_time"),
    column("uniqueTransactionIdentifier/uniqueTransactionIdentifier", "uti"),
    column("linkedTransactionId", "linked_trades", How.TEXTS),
    column("linkedOrderId", "linked_orders", How.TEXTS),
    *_AMOUNTS,
    column("terminationDate", "termination"),
    column("priceIntervalQuantityDetails", "intervals", How.GROUPS),
    column("actionType", "action"),
)


def read(data: bytes) -> Table1:
    """Raises ReportError naming element and line; NotCarried for elements that are right but not among our values."""
    return of(xmlfile.read(data))


def of(root: xmlfile.Node) -> Table1:
    if root.tag != f"{{{NAMESPACE}}}{ROOT}":
        raise ReportError(xmlfile.place(root), f"expected {ROOT} in {NAMESPACE}, found {root.tag}")
    known = {"reportingEntityID", "contractList", "OrderList", "TradeList"}
    for child in root:
        if xmlfile.name(child) not in known:
            raise NotCarried(xmlfile.place(child), "our values have no room for this element")
    reporter = xmlfile.required(root, "reportingEntityID")
    if len(reporter) != 1:
        raise ReportError(xmlfile.place(reporter), f"expected one code, found {len(reporter)}")
    return Table1(
        Coded(xmlfile.name(reporter[0]), xmlfile.text(reporter[0])),
        tuple(columns.read(node, Contract, CONTRACT) for node in _records(root, "contractList")),
        tuple(columns.read(node, Order, ORDER) for node in _records(root, "OrderList")),
        tuple(columns.read(node, Trade, TRADE) for node in _records(root, "TradeList")),
    )


def _records(root: xmlfile.Node, group: str) -> list[xmlfile.Node]:
    found = xmlfile.child(root, group)
    return [] if found is None else list(found)


def build(table: Table1) -> xmlfile.Node:
    root = xmlfile.root(ROOT, NAMESPACE)
    xmlfile.add(xmlfile.add(root, "reportingEntityID"), table.reporter.scheme, table.reporter.code)
    for group, tag, records, layout in (
        ("contractList", "contract", table.contracts, CONTRACT),
        ("OrderList", "OrderReport", table.orders, ORDER),
        ("TradeList", "TradeReport", table.trades, TRADE),
    ):
        if records:
            opened = xmlfile.add(root, group)
            for record in records:
                columns.write(opened, tag, record, layout)
    return root


def write(table: Table1) -> bytes:
    return xmlfile.write(build(table))
