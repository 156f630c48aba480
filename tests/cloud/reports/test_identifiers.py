import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.compliance import identifiers as lei
from cloud.compliance.identifiers import EIC_CHARACTERS, eic_check_character
from cloud.reports import identifiers
from cloud.reports.identifiers import ALPHANUMERIC, UPI_CHARACTERS, Kind, judge
from cloud.reports.layers import Layer

GOOD = {
    Kind.LEI: "213800KUD8LAJWSQ9D15",
    Kind.UTI: "213800KUD8LAJWSQ9D15QEN20261122000001",
    Kind.UPI: "QZ17F5PN51JM",  # in an FpML example of the EMIR Refit
    Kind.ISIN: "US0378331005",
    Kind.EIC: "10YFR-RTE------C",
    Kind.ACER: "T1241247G.EU",
    Kind.BIC: "GSCRUS30",
}


@pytest.mark.parametrize("kind", Kind)
def test_a_published_code_is_accepted(kind: Kind) -> None:
    assert judge(kind, GOOD[kind]).accepted


@pytest.mark.parametrize("kind", Kind)
def test_small_letters_and_spaces_fail_by_format(kind: Kind) -> None:
    for text in ("", GOOD[kind].lower().replace(".eu", ".uk"), " " + GOOD[kind], GOOD[kind] + "\n"):
        assert judge(kind, text).failed is Layer.SCHEMA


@pytest.mark.parametrize("kind", identifiers.CHECKED)
def test_one_wrong_character_fails_by_checksum(kind: Kind) -> None:
    text = GOOD[kind]
    place = 4
    other = "1" if text[place] != "1" else "2"
    answer = judge(kind, text[:place] + other + text[place + 1 :])
    assert (answer.failed, answer.check) == (Layer.CHECKSUM, f"ID-{kind}-CHECK")


def test_a_country_that_is_none_fails_by_reference_data() -> None:
    assert judge(Kind.ISIN, "ZZ0378331002").failed in (Layer.CHECKSUM, Layer.REFERENCE_DATA)
    assert judge(Kind.BIC, "GSCRZZ30").check == "ID-BIC-COUNTRY"


def test_a_right_code_that_is_not_in_force_fails_by_reference_data() -> None:
    assert judge(Kind.LEI, GOOD[Kind.LEI], known=()).check == "ID-LEI-KNOWN"
    assert judge(Kind.LEI, GOOD[Kind.LEI], known={GOOD[Kind.LEI]}).accepted


def test_an_eic_whose_check_character_would_be_a_hyphen_is_refused() -> None:
    assert eic_check_character("23X--130302DLGW") == "-"
    assert not judge(Kind.EIC, "23X--130302DLGW-").accepted


@given(st.text(ALPHANUMERIC, min_size=18, max_size=18), st.integers(0, 17), st.sampled_from(ALPHANUMERIC))
def test_lei_check_digits_fit_and_catch_every_single_error(first: str, place: int, letter: str) -> None:
    code = first + lei.lei_check_digits(first)
    assert judge(Kind.LEI, code).accepted
    changed = code[:place] + letter + code[place + 1 :]
    assert judge(Kind.LEI, changed).accepted == (changed == code or lei.lei_fits(changed))


@given(st.text(UPI_CHARACTERS, min_size=9, max_size=9), st.integers(2, 10), st.sampled_from(UPI_CHARACTERS))
def test_upi_check_character_catches_every_single_error(middle: str, place: int, letter: str) -> None:
    upi = "QZ" + middle + identifiers.upi_check_character("QZ" + middle)
    changed = upi[:place] + letter + upi[place + 1 :]
    assert judge(Kind.UPI, changed).accepted == (changed == upi)


@given(st.text(EIC_CHARACTERS, min_size=12, max_size=12), st.integers(3, 14), st.sampled_from(EIC_CHARACTERS))
def test_eic_check_character_catches_every_single_error(middle: str, place: int, letter: str) -> None:
    first = "10Y" + middle
    eic = first + eic_check_character(first)
    changed = eic[:place] + letter + eic[place + 1 :]
    assert judge(Kind.EIC, changed).accepted == (changed == eic and eic[-1] != "-")
