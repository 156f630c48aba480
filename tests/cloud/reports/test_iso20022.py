from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.reports import iso20022, xmlfile
from cloud.reports.errors import ReportError
from cloud.reports.iso20022 import Advice, Initiation, Money, Payment
from cloud.reports.layers import Layer, Outcome

DATA = Path(__file__).parents[2] / "data" / "reports" / "iso20022"
CAMT = (DATA / "camt053_001_02.xml").read_bytes()
PAIN = (DATA / "pain001_001_08.xml").read_bytes()
PAYMENT = Payment("DEAL-1", Money(Decimal("10.05"), "EUR"), "Seller", "12345678", "BARCGB22", "invoice 7")
ORDER = Initiation("M-1", "2026-11-23T10:00:00+00:00", "Us", "Us", "50000970", "GSLDGB20", "2026-11-24", (PAYMENT,))


@pytest.mark.parametrize("data", [CAMT, PAIN], ids=["camt.053", "pain.001"])
def test_sample_says_the_same_after_writing_and_fits_its_schema(data: bytes) -> None:
    again = xmlfile.write(xmlfile.read(data))
    assert xmlfile.canonical(xmlfile.read(again)) == xmlfile.canonical(xmlfile.read(data))
    found = iso20022.check(again)
    assert [found.of(layer).outcome for layer in (Layer.SCHEMA, Layer.CHECKSUM)] == [Outcome.PASS, Outcome.PASS]


def test_the_statement_was_shortened_by_its_origin_and_its_totals_say_so() -> None:
    found = {fault.check for fault in iso20022.check(CAMT).of(Layer.CROSS_FIELD).faults}
    assert found == {"ISO-X-COUNT", "ISO-X-SUM"}


def test_balances_carry_the_sign_of_the_indicator() -> None:
    (statement,) = iso20022.statements(CAMT)
    assert {balance.code: balance.money.value for balance in statement.balances} == {
        "OPBD": Decimal("-843686.20"),
        "CLBD": Decimal("-846665.15"),
        "OPAV": Decimal("334432492.92"),
        "CLAV": Decimal("334432401.27"),
    }
    assert (statement.booked_change, statement.available_change) == (Decimal("-2978.95"), Decimal("-91.65"))
    assert sum(entry.money.value for entry in statement.entries) == Decimal("30.94")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<CdtDbtInd>DBIT<", "<CdtDbtInd>BOTH<", "expected CRDT or DBIT"),
        ('<Amt Ccy="USD">843686.20', "<Amt>843686.20", "Bal[1]/Amt, line 51: the attribute Ccy"),
        (">843686.20<", ">NaN<", "expected a finite number"),
        (">843686.20<", ">-1<", "expected no sign"),
        ("<Cd>CLBD</Cd>", "<Cd/>", "expected a text"),
    ],
)
def test_a_broken_statement_is_refused_by_element(old: str, new: str, said: str) -> None:
    with pytest.raises(ReportError) as error:
        iso20022.statements(CAMT.decode().replace(old, new, 1).encode())
    assert said in str(error.value)


def test_a_balance_that_is_not_there_is_no_zero() -> None:
    with pytest.raises(ReportError, match="expected one balance XXXX, found 0"):
        iso20022.statements(CAMT)[0].balance("XXXX")


def test_written_payment_fits_the_schema_and_is_read_again() -> None:
    data = iso20022.write_initiation(ORDER)
    assert iso20022.read_initiation(data) == ORDER
    assert iso20022.check(data).of(Layer.SCHEMA).faults == ()


def test_sample_payment_is_read() -> None:
    assert iso20022.read_initiation(PAIN).payments[0].money == Money(Decimal(10), "GBP")


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [("<NbOfTxs>1<", "<NbOfTxs>2<", "ISO-X-COUNT"), ("<CtrlSum>10.05<", "<CtrlSum>10.06<", "ISO-X-SUM")],
)
def test_totals_must_fit(old: str, new: str, check: str) -> None:
    data = iso20022.write_initiation(ORDER).decode().replace(old, new).encode()
    assert [fault.check for fault in iso20022.check(data).of(Layer.CROSS_FIELD).faults] == [check]


def test_a_bic_of_no_country_is_refused_by_reference_data_and_a_short_one_by_checksum() -> None:
    data = iso20022.write_initiation(ORDER).decode()
    assert iso20022.check(data.replace("BARCGB22", "BARCGB2").encode()).of(Layer.CHECKSUM).faults[0].check == "ID-BIC-FORMAT"


def test_an_initiation_without_payments_is_refused() -> None:
    with pytest.raises(ReportError, match="at least one payment"):
        iso20022.write_initiation(Initiation("M", "t", "a", "b", "c", "d", "e", ()))


def test_remittance_advice_is_read_again_and_has_no_schema_to_pass() -> None:
    advice = Advice("R-1", "2026-11-23T10:00:00Z", "Us", "Seller", "DEAL-1", (("INV-7", Money(Decimal("10.05"), "EUR")),))
    data = iso20022.write_advice(advice)
    assert iso20022.read_advice(data) == advice
    assert iso20022.check(data).of(Layer.SCHEMA).outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize("read", [iso20022.statements, iso20022.read_initiation, iso20022.read_advice])
def test_another_message_is_refused(read: object) -> None:
    with pytest.raises(ReportError, match="expected"):
        read(b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:head.001.001.02"/>')  # type: ignore[operator]


@given(st.lists(st.decimals(min_value="0.01", max_value="99999", places=2), min_size=1, max_size=5))
def test_control_sum_is_the_sum_of_what_is_paid(values: list[Decimal]) -> None:
    payments = tuple(Payment(f"E{n}", Money(value, "EUR"), "S", "1", "BARCGB22") for n, value in enumerate(values))
    data = iso20022.write_initiation(Initiation("M", "2026-11-23T10:00:00Z", "a", "b", "1", "GSLDGB20", "2026-11-24", payments))
    assert iso20022.check(data).of(Layer.CROSS_FIELD).outcome is Outcome.PASS
