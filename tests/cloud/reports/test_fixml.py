from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.reports import fixml
from cloud.reports.codes import References
from cloud.reports.errors import ReportError
from cloud.reports.filings import Action
from cloud.reports.fixml import SwapReport
from cloud.reports.identifiers import Kind
from cloud.reports.layers import Layer, Outcome

LEI, OTHER = "213800KUD8LAJWSQ9D15", "54930084UKLVMY22DS16"
SWAP = SwapReport(
    "R-1", Action.NEW, date(2026, 11, 23), "2026-11-23T10:00:00+00:00", Decimal(10000), Decimal("70.25"), "OIL-WTI", "QZ17F5PN51JM",
    LEI + "QEN1", LEI, OTHER, LEI,
)  # fmt: skip
KNOWN = References({Kind.LEI: {LEI, OTHER}, Kind.UPI: {"QZ17F5PN51JM"}})
GOLDEN = b"""<?xml version='1.0' encoding='UTF-8'?>
<FIXML xmlns="http://www.fixprotocol.org/FIXML-5-0-SP2">
  <TrdCaptRpt RptID="R-1" TransTyp="0" TrdDt="2026-11-23" TxnTm="2026-11-23T10:00:00+00:00" LastQty="10000" LastPx="70.25">
    <Instrmt Sym="OIL-WTI" SecTyp="SWAP" Prod="QZ17F5PN51JM"/>
  </TrdCaptRpt>
</FIXML>
"""


def test_public_message_is_our_golden_file_and_names_no_party() -> None:
    data = fixml.write(fixml.public(SWAP, None))
    assert data == GOLDEN
    assert LEI.encode() not in data


@pytest.mark.parametrize("action", Action)
def test_report_is_read_again(action: Action) -> None:
    report = replace(SWAP, action=action)
    assert fixml.read(fixml.write(report)) == report


def test_without_a_schema_a_right_report_is_indeterminate_and_not_passed() -> None:
    found = fixml.check(fixml.write(SWAP), KNOWN)
    assert found.outcome is Outcome.INDETERMINATE
    assert {found.of(layer).outcome for layer in (Layer.CHECKSUM, Layer.CROSS_FIELD, Layer.REFERENCE_DATA)} == {Outcome.PASS}


@given(st.decimals(min_value=1, max_value=10**9, places=2), st.decimals(min_value=1, max_value=10**9, places=2))
def test_public_quantity_never_exceeds_its_cap(quantity: Decimal, cap: Decimal) -> None:
    shown = fixml.public(replace(SWAP, quantity=quantity), cap).quantity
    assert shown == min(quantity, cap)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"seller": "213800KUD8LXJWSQ9D15"}, "ID-LEI-CHECK"),
        ({"uti": "213800KUD8LXJWSQ9D15QEN1"}, "ID-UTI-CHECK"),
        ({"upi": "QZ17F5PN51JN"}, "ID-UPI-CHECK"),
        ({"seller": LEI}, "FIXML-X-PARTIES"),
        ({"seller": None}, "FIXML-X-PARTIES"),
        ({"quantity": Decimal(0)}, "FIXML-X-QUANTITY"),
        ({"traded_at": "2026-11-23T10:00:00"}, "FIXML-X-TIME"),
        ({"traded_at": "2026-11-25T10:00:00+00:00"}, "FIXML-X-TIME"),
        ({"traded_at": "noon"}, "FIXML-X-TIME"),
    ],
)
def test_fault_is_named_by_its_check(change: dict[str, object], check: str) -> None:
    found = fixml.check(fixml.write(replace(SWAP, **change)))  # type: ignore[arg-type]
    assert {fault.check for fault in found.faults} == {check}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('TransTyp="0"', 'TransTyp="9"'),
        ('TrdDt="2026-11-23"', 'TrdDt="2026-11-31"'),
        ('LastPx="70.25"', 'LastPx="x"'),
        ('LastPx="70.25"', 'LastPx="NaN"'),
        ('RptID="R-1"', 'RptID=""'),
        ('RptID="R-1"', 'RptID="R-1" Strange="1"'),
        ("<Instrmt ", "<Strange/><Instrmt "),
        ('<RptSide Side="2">', '<RptSide Side="1">'),
        ("FIXML-5-0-SP2", "FIXML-4-4"),
    ],
)
def test_another_shape_is_refused_by_element(old: str, new: str) -> None:
    data = fixml.write(SWAP).decode().replace(old, new).encode()
    with pytest.raises(ReportError, match="line"):
        fixml.read(data)
    assert fixml.check(data).of(Layer.SCHEMA).faults[0].check == "FIXML-S-SHAPE"
