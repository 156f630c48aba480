"""Files of our own formats by our own schemas, and codes by what the profile names."""

from dataclasses import replace

import pytest

from cloud.compliance.profile import parse_profile
from cloud.reports import checks, profile_codes, umm
from cloud.reports.codes import References
from cloud.reports.identifiers import Kind
from cloud.reports.layers import Layer, Outcome
from tests.cloud.reports.test_remit import LEI, RIGHT
from tests.cloud.reports.test_umm import FIRST, at

EIC, ZONE = "22WEXAMPLE-1---P", "10YFR-RTE------C"
PARTICIPANT = '[participant]\nname = "Trading AG"\nlei = "213800KUD8LAJWSQ9D15"\nacer_code = "T1241247G.EU"\nparty = "NFC-"\n'
UNIT = f"""
[[unit]]
name = "Unit A"
eic = "{EIC}"
zone = "{ZONE}"
event_type = "Production unavailability"
commodity = "electricity"
unit = "MW"
installed = 100
books = ["power"]
market_time_unit = "15min"
"""
COUNTERPARTY = '[[counterparty]]\nname = "Acme"\nlei = "54930084UKLVMY22DS16"\n'
FEED = umm.write_feed("T1241247G.EU", at(10, 5), [replace(FIRST, asset_eic=EIC)])


def of(kind: str, *parts: str) -> References:
    return profile_codes.of_text(kind, "".join((PARTICIPANT, *parts)).encode())


def test_a_message_of_the_profile_passes_all_four_layers_and_says_by_what() -> None:
    found = checks.check("UMM", FEED, of("UMM", UNIT))
    assert found.outcome is Outcome.PASS, found
    assert found.of(Layer.REFERENCE_DATA).reason == "by codes of the profile"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("<eventStatus>Active<", "<eventStatus>Over<", "/feed/entry/content/umm/eventStatus"),
        ("2026-11-23T10:00:00Z</eventStart>", "2026-11-23T10:00:00</eventStart>", "/feed/entry/content/umm/eventStart"),
        ("<installedCapacity>100<", "<installedCapacity>-1<", "/feed/entry/content/umm/installedCapacity"),
        ("<unitOfMeasurement>MW</unitOfMeasurement>", "", "/feed/entry/content/umm/availableCapacity"),
    ],
)
def test_a_broken_message_fails_the_schema_with_element_and_line(old: str, new: str, place: str) -> None:
    assert old in FEED.decode()
    found = checks.check("UMM", FEED.decode().replace(old, new, 1).encode(), of("UMM", UNIT)).of(Layer.SCHEMA)
    assert found.outcome is Outcome.FAIL
    assert [(one.check, one.place) for one in found.faults[:1]] == [("UMM-S-XSD", place)]
    assert found.faults[0].line > 8


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [(EIC, "22WEXAMPLE-----X", "ID-EIC-KNOWN"), ("T1241247G.EU</acer", "Z1234567Y.EU</acer", "ID-ACER-KNOWN")],
)
def test_a_code_that_the_profile_does_not_name_fails_by_name(old: str, new: str, check: str) -> None:
    found = checks.check("UMM", FEED.decode().replace(old, new, 1).encode(), of("UMM", UNIT)).of(Layer.REFERENCE_DATA)
    (fault,) = found.faults
    assert fault.check == check
    assert fault.message == f"'{new.removesuffix('</acer')}' is not among the codes of the profile"


def test_a_kind_that_the_profile_does_not_name_is_not_judged() -> None:
    found = checks.check("UMM", FEED, of("UMM")).of(Layer.REFERENCE_DATA)
    assert (found.outcome, found.reason) == (Outcome.INDETERMINATE, "no reference data for EIC beyond the codes of the profile")
    assert checks.check("UMM", FEED, profile_codes.of_text("UMM", b"")).of(Layer.REFERENCE_DATA).reason.startswith("no reference data for")


def test_parties_fail_only_where_the_profile_names_counterparties() -> None:
    assert LEI in RIGHT
    open_list = checks.check("REMIT-1", RIGHT.encode(), of("REMIT-1")).of(Layer.REFERENCE_DATA)
    named = checks.check("REMIT-1", RIGHT.encode().replace(LEI.encode(), b"5493001KJTIIGC8Y1R12"), of("REMIT-1", COUNTERPARTY))
    assert open_list.outcome is Outcome.INDETERMINATE
    assert "ID-LEI-KNOWN" in {one.check for one in named.of(Layer.REFERENCE_DATA).faults}


def test_places_of_delivery_and_persons_of_a_stor_are_never_named_whole() -> None:
    assert Kind.EIC in of("REMIT-1", UNIT).partly
    assert Kind.LEI in of("STOR", COUNTERPARTY).partly
    assert of("UMM", UNIT, COUNTERPARTY).partly == frozenset()


def test_venues_of_the_profile_are_the_markets_in_force() -> None:
    product = '[[product]]\nname = "power"\nplace = "DE"\ncommodity = "electricity"\neu_delivery = true\nvenue = "XEER"\n'
    assert profile_codes.of_profile("REMIT-1", parse_profile(PARTICIPANT + product)).markets == {"XEER"}
    assert of("REMIT-1").markets is None
