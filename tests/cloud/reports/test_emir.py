from dataclasses import replace
from decimal import Decimal

import pytest

from cloud.reports import emir
from cloud.reports.codes import References
from cloud.reports.emir import Action, Derivative, Report
from cloud.reports.errors import NotCarried, ReportError
from cloud.reports.identifiers import Kind
from cloud.reports.layers import Layer, Outcome

LEI, OTHER = "213800KUD8LAJWSQ9D15", "54930084UKLVMY22DS16"
SWAP = Derivative(
    LEI, OTHER, LEI, LEI + "QEN1", "2026-11-23", "QZ17F5PN51JM", "2026-11-23T10:00:00Z", "2026-12-01", "2026-12-31", "BYER",
    Decimal("3127500"), "EUR", Decimal("74400"), "MWH", Decimal("42.03"), "EUR/MWh", "CASH", "NRGY", "NGAS", "TTFG",
)  # fmt: skip
NEW = Report(Action.NEWT, SWAP)
KNOWN = References({Kind.LEI: {LEI, OTHER}, Kind.UPI: {"QZ17F5PN51JM"}})


@pytest.mark.parametrize("action", Action)
def test_report_is_read_again_under_the_wrapper_of_its_action(action: Action) -> None:
    data = emir.write([Report(action, SWAP)])
    assert emir.read(data) == (Report(action, SWAP),)
    assert f"<{emir.WRAPPERS[action]}>".encode() in data


def test_without_a_schema_a_right_report_is_indeterminate_and_not_passed() -> None:
    found = emir.check(emir.write([NEW]), KNOWN)
    assert (found.outcome, found.of(Layer.SCHEMA).outcome) == (Outcome.INDETERMINATE, Outcome.INDETERMINATE)
    assert {found.of(layer).outcome for layer in (Layer.CHECKSUM, Layer.CROSS_FIELD, Layer.REFERENCE_DATA)} == {Outcome.PASS}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"other": "213800KUD8LXJWSQ9D15"}, "ID-LEI-CHECK"),
        ({"uti": "213800KUD8LXJWSQ9D15QEN1"}, "ID-UTI-CHECK"),
        ({"uti": LEI + "qen"}, "ID-UTI-FORMAT"),
        ({"upi": "QZ17F5PN51JN"}, "ID-UPI-CHECK"),
        ({"delivery_point": "22XWATTPLUS----X"}, "ID-EIC-CHECK"),
        ({"other": LEI}, "EMIR-X-PARTIES"),
        ({"price": None}, "EMIR-X-NEEDED"),
        ({"expires": "2026-11-30"}, "EMIR-X-TERM"),
        ({"executed": "2026-11-23T10:00:00"}, "EMIR-X-TIME"),
        ({"event_day": "2026-02-30"}, "EMIR-X-TIME"),
    ],
)
def test_fault_is_named_by_its_check(change: dict[str, object], check: str) -> None:
    found = emir.check(emir.write([Report(Action.NEWT, replace(SWAP, **change))]))  # type: ignore[arg-type]
    assert check in {fault.check for fault in found.faults}


@pytest.mark.parametrize(("expires", "right"), [("2026-11-30", False), ("2026-12-01", True), ("2026-12-02", True)])
def test_a_derivative_may_expire_on_the_day_it_is_effective(expires: str, right: bool) -> None:
    found = emir.check(emir.write([Report(Action.NEWT, replace(SWAP, expires=expires))]))
    assert (found.of(Layer.CROSS_FIELD).outcome is Outcome.PASS) == right


def test_a_valuation_needs_an_amount_and_a_trade_is_new_once() -> None:
    found = emir.check(emir.write([NEW, NEW, Report(Action.VALU, SWAP)]))
    assert [fault.check for fault in found.of(Layer.CROSS_FIELD).faults] == ["EMIR-X-UTI", "EMIR-X-NEEDED"]


def test_the_count_of_the_header_must_fit() -> None:
    data = emir.write([NEW]).replace(b"<NbRcrds>1<", b"<NbRcrds>2<")
    assert [fault.check for fault in emir.check(data).of(Layer.CROSS_FIELD).faults] == ["EMIR-X-COUNT"]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("<New>", "<Old>", ReportError),
        ("<NbRcrds>1</NbRcrds>", "", ReportError),
        ("<RptgCtrPty>213800KUD8LAJWSQ9D15</RptgCtrPty>", "", ReportError),
        ("<Pric>42.03<", "<Pric>1e<", ReportError),
        ("<EvtDt>", "<Strange>1</Strange><EvtDt>", NotCarried),
        ("auth.030.001.03", "auth.030.001.99", ReportError),
    ],
)
def test_another_shape_is_refused_by_element_and_by_the_schema_layer(old: str, new: str, kind: type[ReportError]) -> None:
    data = emir.write([NEW]).decode().replace(old, new).replace("</New>", "</Old>" if new == "<Old>" else "</New>").encode()
    with pytest.raises(kind, match="line"):
        emir.read(data)
    assert emir.check(data).of(Layer.SCHEMA).faults[0].check == "EMIR-S-SHAPE"
