import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.reports import fix
from cloud.reports.errors import ReportError
from cloud.reports.fix import Field, Message
from cloud.reports.layers import Layer, Outcome

NOW = "20261123-10:00:00"
HEAD = (Field(35, "D"), Field(34, "2"), Field(49, "TW"), Field(56, "ISLD"), Field(52, NOW))
ORDER = Message("FIX.4.4", (*HEAD, Field(11, "ID"), Field(55, "INTC"), Field(54, "1"), Field(60, NOW), Field(40, "1")))


def test_published_example_has_length_178_and_checksum_128() -> None:
    text = (
        "8=FIX.4.2|9=178|35=8|49=PHLX|56=PERS|52=20071123-05:30:00.000|11=ATOMNOCCC9990900|20=3|150=E|39=E|55=MSFT|167=CS|54=1|38=15|40=2|"
        "44=15|58=PHLX EQUITY TESTING|59=0|47=C|32=0|31=0|151=15|14=0|6=0|"
    )
    before = text.replace("|", "\x01").encode()
    assert (fix.body_length(before), fix.checksum(before)) == (178, "128")
    assert fix.read(before + b"10=128\x01").type == "8"


def test_wrong_checksum_is_reported_by_the_checksum_layer_alone() -> None:
    data = fix.write(ORDER)
    wrong = data[:-4] + b"%03d" % ((int(data[-4:-1]) + 1) % 256) + fix.SOH
    found = fix.check(wrong)
    assert [fault.check for fault in found.faults] == ["FIX-C-SUM"]
    assert found.of(Layer.SCHEMA).outcome is Outcome.PASS
    with pytest.raises(ReportError, match="tag 10: expected CheckSum"):
        fix.read(wrong)


def test_wrong_length_is_reported_by_the_checksum_layer() -> None:
    body = re.sub(rb"\x019=\d+", b"\x019=7", fix.write(ORDER))
    assert "FIX-C-LENGTH" in {fault.check for fault in fix.check(body).of(Layer.CHECKSUM).faults}


def test_a_whole_message_is_indeterminate_without_reference_data() -> None:
    assert fix.check(fix.write(ORDER)).outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize(
    ("data", "check"),
    [
        (b"", "FIX-S-FORM"),
        (b"8=FIX.4.4", "FIX-S-FORM"),
        (b"08=FIX.4.4\x01", "FIX-S-FORM"),
        (b"garbage\x01", "FIX-S-FORM"),
        (b"9=5\x018=FIX.4.4\x0135=0\x0110=000\x01", "FIX-S-ORDER"),
        (b"8=FIX.4.4\x019=5\x0135=0\x01", "FIX-S-ORDER"),
        (b"8=FIX.4.4\x019=5\x0135=0\x0135=0\x0110=000\x01", "FIX-S-REPEATED"),
        (b"8=FIX.4.4\x019=5\x0135=\x0110=000\x01", "FIX-S-EMPTY"),
        (b"8=FIX.4.4\x019=5\x0135=0\x0195=99\x0196=ab\x0110=000\x01", "FIX-S-FORM"),
    ],
)
def test_schema_layer_names_what_has_no_form(data: bytes, check: str) -> None:
    assert check in {fault.check for fault in fix.check(data).of(Layer.SCHEMA).faults}
    with pytest.raises(ReportError):
        fix.read(data)


def test_sequence_and_parties_are_compared() -> None:
    odd = Message("FIX.4.4", (Field(35, "0"), Field(34, "0"), Field(49, "A"), Field(56, "A")))
    assert {fault.check for fault in fix.check(fix.write(odd)).of(Layer.CROSS_FIELD).faults} == {"FIX-X-SEQUENCE", "FIX-X-PARTIES"}


def test_raw_data_may_hold_delimiters() -> None:
    message = Message("FIX.4.4", (Field(35, "B"), Field(95, "5"), Field(96, "a\x01b=c")))
    assert fix.read(fix.write(message)) == message


@pytest.mark.parametrize("value", ["a\x01b", "a\x0110=000", "€"])
def test_a_value_that_cannot_be_read_again_is_refused(value: str) -> None:
    with pytest.raises(ReportError):
        fix.write(Message("FIX.4.4", (Field(35, "B"), Field(58, value))))


@given(st.lists(st.tuples(st.sampled_from([11, 55, 58, 44, 38]), st.text(st.characters(min_codepoint=32, max_codepoint=255), min_size=1))))
def test_what_is_written_is_read_again(pairs: list[tuple[int, str]]) -> None:
    message = Message("FIX.4.4", (Field(35, "D"), *(Field(tag, value) for tag, value in pairs)))
    assert fix.read(fix.write(message)) == message


@given(st.binary(max_size=80))
def test_any_bytes_raise_nothing_but_our_error(data: bytes) -> None:
    assert fix.check(data).outcome is not Outcome.PASS
