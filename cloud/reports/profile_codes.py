"""The codes that a compliance profile names, as the reference data of a file: own LEI and ACER code, units and zones, counterparties, venues.

For judging a file by what its sender has stated; a code of another kind, or of one that the profile cannot name whole, was not looked up and
the layer says so. Not for registers of the world: whether an LEI has lapsed is not in a profile.
"""

from collections.abc import Mapping
from typing import Final

from cloud.compliance.profile import Profile, parse_profile
from cloud.reports.codes import NOTHING_KNOWN, References
from cloud.reports.identifiers import Kind

NAMED: Final = "codes of the profile"
# A profile names all units and zones that we publish outages of, but no other place of delivery; and those we deal with, but not everybody
# whose conduct may be suspicious.
PARTLY: Final[Mapping[str, frozenset[Kind]]] = {"UMM": frozenset(), "STOR": frozenset((Kind.LEI, Kind.EIC))}
_OF_DEALS: Final = frozenset((Kind.EIC,))


def of_text(kind: str, profile: bytes) -> References:
    """profile: its text, empty where there is none. kind: of the filing. Raises protocols.tomlfile.ConfigError."""
    return of_profile(kind, parse_profile(profile.decode())) if profile else NOTHING_KNOWN


def of_profile(kind: str, profile: Profile) -> References:
    parties, venues = profile.trading.counterparties, {one.venue for one in profile.trading.products if one.venue}
    codes = {
        Kind.LEI: {profile.participant.lei, *(one.lei for one in parties)},
        Kind.ACER: {profile.participant.acer_code},
        Kind.EIC: {code for unit in profile.units for code in (unit.eic, unit.zone)},
    }
    partly = PARTLY.get(kind, _OF_DEALS) | (frozenset() if parties else {Kind.LEI})
    known = {one: named for one, found in codes.items() if (named := frozenset(found - {""}))}
    return References(known, venues or None, NAMED, partly)
