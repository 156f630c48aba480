from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from cloud.reports import remit, remit_checks, xmlfile
from cloud.reports.codes import References
from cloud.reports.columns import Coded
from cloud.reports.errors import NotCarried, ReportError
from cloud.reports.identifiers import Kind
from cloud.reports.layers import Layer, Outcome

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "reports" / "remit").glob("*.xml"))
FIRST = SAMPLES[0].read_text()
LEI, WRONG_LEI, ZONE, ACER = "213800KUD8LAJWSQ9D15", "213800KUD8LXJWSQ9D15", "10YFR-RTE------C", "T1241247G.EU"
KNOWN = References({Kind.LEI: {LEI}, Kind.EIC: {ZONE}, Kind.ACER: {ACER, "Z1234567Y.EU"}}, markets={"XMIC"})
RIGHT = FIRST.replace("a1b2c3d4e5f6g7h8i9l0", LEI).replace("10YEU-EUROPOW--8", ZONE).replace("Z1234567Y.EU", ACER)


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_sample_says_the_same_after_reading_and_writing(file: Path) -> None:
    table = remit.read(file.read_bytes())
    assert xmlfile.canonical(xmlfile.read(file.read_bytes())) == xmlfile.canonical(remit.build(table))
    assert remit.read(remit.write(table)) == table


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_written_sample_passes_schema_and_cross_fields(file: Path) -> None:
    found = remit_checks.check(remit.write(remit.read(file.read_bytes())))
    assert [found.of(layer).outcome for layer in (Layer.SCHEMA, Layer.CROSS_FIELD)] == [Outcome.PASS, Outcome.PASS]


def test_placeholder_codes_of_the_manual_fail_by_checksum_only() -> None:
    found = remit_checks.check(FIRST.encode())
    assert {fault.check for fault in found.faults} == {"ID-EIC-CHECK", "ID-LEI-FORMAT"}


def test_wrong_check_digit_is_reported_although_the_schema_accepts_it() -> None:
    found = remit_checks.check(RIGHT.replace(LEI, WRONG_LEI, 1).encode(), KNOWN)
    assert found.of(Layer.SCHEMA).outcome is Outcome.PASS
    (fault,) = found.of(Layer.CHECKSUM).faults
    assert (fault.check, fault.place, fault.line) == ("ID-LEI-CHECK", "/REMITTable1/OrderList/OrderReport[1]/idOfMarketParticipant/lei", 35)


def test_a_right_file_with_known_codes_passes_all_four_layers() -> None:
    assert remit_checks.check(RIGHT.encode(), KNOWN).outcome is Outcome.PASS


def test_without_reference_data_a_right_file_is_indeterminate() -> None:
    found = remit_checks.check(RIGHT.encode())
    assert (found.outcome, found.of(Layer.REFERENCE_DATA).outcome) == (Outcome.INDETERMINATE, Outcome.INDETERMINATE)
    assert "LEI" in found.of(Layer.REFERENCE_DATA).reason
    only_codes = References(KNOWN.codes)
    assert "MIC" in remit_checks.check(RIGHT.encode(), only_codes).of(Layer.REFERENCE_DATA).reason


def test_unknown_participant_and_market_fail_by_reference_data() -> None:
    other = References({**KNOWN.codes, Kind.LEI: set()}, markets={"XOTH"})
    assert {fault.check for fault in remit_checks.check(RIGHT.encode(), other).faults} == {"ID-LEI-KNOWN", "REMIT-R-MIC"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<buySellIndicator>B<", "<buySellIndicator>X<"),
        (f"<lei>{LEI}", f"<lei>{LEI[:-1]}"),
        ("<priceCurrency>EUR<", "<priceCurrency>JPY<"),
        ("<unit>MW<", "<unit>BBL<"),
        ("<price>41<", "<price>40.123456<"),
        ("<actionType>N</actionType>", ""),
        ("<RecordSeqNumber>2<", "<RecordSeqNumber>1<"),
    ],
)
def test_schema_refuses_and_names_the_element(old: str, new: str) -> None:
    (fault, *_) = remit_checks.check(RIGHT.replace(old, new, 1).encode()).of(Layer.SCHEMA).faults
    assert fault.check == "REMIT-S-XSD"
    assert fault.place.startswith("/REMITTable1/OrderList/OrderReport")
    assert fault.line >= 32


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("<notionalAmount>606.75<", "<notionalAmount>606.76<", "REMIT-X-NOTIONAL"),
        ("<notionalCurrency>EUR<", "<notionalCurrency>GBP<", "REMIT-X-CURRENCY"),
        ("<deliveryEndDate>2014-08-01<", "<deliveryEndDate>2014-07-31<", "REMIT-X-DELIVERY"),
        ("<contractName>Electricity", "<contractName>Electricity", ""),
        ("<contractId>10YEU_EL_20140731T12:00<", "<contractId>OTHER<", "REMIT-X-CONTRACT"),
    ],
)
def test_cross_field_check_names_what_does_not_fit(old: str, new: str, check: str) -> None:
    found = remit_checks.check(RIGHT.replace(old, new, 1).encode(), KNOWN)
    assert {fault.check for fault in found.of(Layer.CROSS_FIELD).faults} == ({check} if check else set())
    assert found.of(Layer.SCHEMA).outcome is Outcome.PASS


@pytest.mark.parametrize(("notional", "right"), [("606.744", False), ("606.745", True), ("606.755", True), ("606.756", False)])
def test_notional_may_be_off_by_half_a_cent(notional: str, right: bool) -> None:
    found = remit_checks.check(RIGHT.replace("<notionalAmount>606.75<", f"<notionalAmount>{notional}<", 1).encode())
    assert (found.of(Layer.CROSS_FIELD).outcome is Outcome.PASS) == right


@pytest.mark.parametrize(("total", "right"), [("7429", False), ("7430", True), ("7440", True), ("7450", True), ("7451", False)])
def test_baseload_quantity_may_be_off_by_the_hour_of_a_change_of_clocks(total: str, right: bool) -> None:
    sample = next(file for file in SAMPLES if "0304" in file.name).read_text()
    price = Decimal(41) * Decimal(total)
    changed = sample.replace("<value>7440</value>", f"<value>{total}</value>").replace("305040", f"{price}")
    assert (remit_checks.check(changed.encode()).of(Layer.CROSS_FIELD).outcome is Outcome.PASS) == right


def test_a_transaction_is_new_once() -> None:
    table = remit.read(RIGHT.encode())
    doubled = replace(table, trades=(table.trades[0], replace(table.trades[0], sequence=2)))
    assert [fault.check for fault in remit_checks.check(remit.write(doubled)).of(Layer.CROSS_FIELD).faults] == ["REMIT-X-UTI"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<price>40.45<", "<price>forty<", "TradeReport[1]/priceDetails/price, line"),
        ("<RecordSeqNumber>1<", "<RecordSeqNumber>one<", "RecordSeqNumber, line 33"),
        ("<actionType>N</actionType>", "", "action missing"),
        ("<actionType>N<", "<actionType>N</actionType><actionType>N<", "stands twice"),
        ("http://www.acer.europa.eu/REMIT/REMITTable1_V2.xsd", "urn:other", "expected REMITTable1"),
    ],
)
def test_reading_refuses_and_names_the_element(old: str, new: str, said: str) -> None:
    with pytest.raises(ReportError) as error:
        remit.read(RIGHT.replace(old, new, 1).encode())
    assert said in str(error.value)


def test_an_element_we_have_no_room_for_is_refused_rather_than_lost() -> None:
    with pytest.raises(NotCarried, match=r"TradeReport\[1\]/voiceBrokered, line"):
        remit.read(
            RIGHT.replace(
                "<priceDetails>\n        <price>40.45", "<voiceBrokered>Y</voiceBrokered><priceDetails>\n        <price>40.45", 1
            ).encode()
        )


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>',
        "<a>",
        "",
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
    ],
    ids=["entity", "foreign type", "not closed", "empty", "file"],
)
def test_dangerous_or_broken_xml_is_refused(text: str) -> None:
    with pytest.raises(ReportError):
        xmlfile.read(text.encode())


def test_many_trades_are_written_and_pass_all_four_layers() -> None:
    table = remit.read(RIGHT.encode())
    first = replace(table.trades[0], participant=Coded("lei", LEI))
    many = replace(table, orders=(), trades=tuple(replace(first, sequence=n, uti=f"T{n:08}") for n in range(1, 1_001)))
    assert remit_checks.check(remit.write(many), KNOWN).outcome is Outcome.PASS


def test_a_fault_in_a_long_file_names_its_record() -> None:
    table = remit.read(RIGHT.encode())
    first = replace(table.trades[0], participant=Coded("lei", LEI))
    trades = [replace(first, sequence=n, uti=f"T{n:08}") for n in range(1, 301)]
    trades[249] = replace(trades[249], participant=Coded("lei", WRONG_LEI))
    (fault,) = remit_checks.check(remit.write(replace(table, orders=(), trades=tuple(trades))), KNOWN).of(Layer.CHECKSUM).faults
    assert fault.place == "/REMITTable1/TradeList/TradeReport[250]/idOfMarketParticipant/lei"
