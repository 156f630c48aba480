"""What the headers of reports say. Needs no native library."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.iec61850.blocks import Header, Verdict, Watch, instances


def watch(buffered=True, integrity_s=0.0):
    return Watch(buffered, 7, integrity_s, 100.0)


@given(st.booleans(), st.integers(0, 0xFFFF), st.lists(st.integers(0, 3), max_size=50))
@settings(max_examples=50)
def test_missing_reports_are_counted_over_the_wrap_of_their_numbers(buffered, number, gaps):
    modulus = 0x1_0000 if buffered else 0x100
    watched = watch(buffered)
    assert watched.see(Header(number % modulus), 0) == []
    for gap in gaps:
        number += 1 + gap
        assert watched.see(Header(number % modulus), 0) == ([Verdict.GAP] if gap else [])
    assert watched.missing == sum(gaps)


def test_segments_of_one_report_share_its_number():
    watched = watch()
    assert [watched.see(Header(number, segmented=True), 0) for number in (4, 4, 5)] == [[], [], []]


def test_a_device_that_sends_no_numbers_misses_none():
    assert watch().see(Header(), 0) == []


def test_an_overflow_is_told_once_until_it_is_over():
    watched = watch()
    told = [watched.see(Header(number, overflow=overflow), 0) for number, overflow in enumerate([True, True, False, True])]
    assert told == [[Verdict.OVERFLOW], [], [], [Verdict.OVERFLOW]]


def test_an_overflow_that_we_caused_is_not_told():
    watched = watch()
    watched.begin_afresh()
    assert watched.see(Header(0, overflow=True), 0) == []


def test_another_configuration_revision_is_noticed():
    assert watch().see(Header(0, conf_rev=7), 0) == []
    assert watch().see(Header(0, conf_rev=8), 0) == [Verdict.CHANGED]


@pytest.mark.parametrize(("now_s", "silent"), [(129.9, False), (130.1, True)])
def test_silence_is_three_integrity_periods(now_s, silent):
    assert watch(integrity_s=10.0).silent(now_s) is silent
    assert watch().silent(now_s) is False


def test_a_report_ends_the_silence():
    watched = watch(integrity_s=10.0)
    watched.see(Header(), 125.0)
    assert not watched.silent(150.0)


def test_instances_follow_the_number_of_the_block():
    assert list(instances("LD/LLN0.BR.brcb01"))[:3] == ["LD/LLN0.BR.brcb01", "LD/LLN0.BR.brcb02", "LD/LLN0.BR.brcb03"]
    assert list(instances("LD/LLN0.BR.brcbA98"))[1:] == ["LD/LLN0.BR.brcbA99"]
    assert list(instances("LD/LLN0.RP.events")) == ["LD/LLN0.RP.events"]
