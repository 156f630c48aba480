"""Codes of parties, products, places and transactions: LEI, UTI, UPI, ISIN, EIC, ACER code, BIC.

For saying whether a code is well formed and by which layer it fails: its pattern (reported as format), its check characters, or what
it refers to. Not for looking codes up: whether an LEI exists and is not lapsed is reference data of the caller (`known`).
Sources: ISO 17442 with ISO 7064 MOD 97-10 (LEI), ISO 23897 (UTI), ISO 4914 with ISO 7064 MOD 31,30 (UPI), ISO 6166 (ISIN), the
ENTSO-E EIC reference manual (EIC), the REMIT schema (ACER code), ISO 9362 (BIC; it has no check character).
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloud.compliance.identifiers import ACER_PATTERN, EIC_PATTERN, LEI_PATTERN, eic_fits, lei_fits
from cloud.reports.layers import Layer

ALPHANUMERIC: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
UPI_CHARACTERS: Final = "0123456789BCDFGHJKLMNPQRSTVWXZ"  # no vowels, no Y: ISO 7064 MOD 31,30

# ISO 3166-1 alpha-2, and the prefixes of ISO 6166 that are no country: EU, XA to XF, XK, XS, QS, QT.
_COUNTRY_CODES: Final = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH
    CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ
    GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS
    LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG
    PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK
    TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    EU XA XB XC XD XE XF XK XS QS QT"""
COUNTRIES: Final = frozenset(_COUNTRY_CODES.split())


class Kind(StrEnum):
    LEI = "LEI"
    UTI = "UTI"
    UPI = "UPI"
    ISIN = "ISIN"
    EIC = "EIC"
    ACER = "ACER"
    BIC = "BIC"


@dataclass(frozen=True, slots=True)
class Judged:
    """failed: the first layer that refuses the code, None when none does. check: the stable id of the check that refused it."""

    kind: Kind
    text: str
    failed: Layer | None = None
    check: str = ""
    detail: str = ""

    @property
    def accepted(self) -> bool:
        return self.failed is None


PATTERNS: Final[Mapping[Kind, re.Pattern[str]]] = {
    Kind.LEI: LEI_PATTERN,
    Kind.UTI: re.compile(r"[A-Z0-9]{18}[0-9]{2}[A-Z0-9]{0,32}"),
    Kind.UPI: re.compile(f"QZ[{UPI_CHARACTERS}]{{10}}"),
    Kind.ISIN: re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]"),
    Kind.EIC: EIC_PATTERN,
    Kind.ACER: ACER_PATTERN,
    Kind.BIC: re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?"),
}


def judge(kind: Kind, text: str, known: Collection[str] | None = None) -> Judged:
    """Format, then check characters, then country and, where the caller knows the codes in force, whether this is one of them."""
    if not PATTERNS[kind].fullmatch(text):
        return Judged(kind, text, Layer.SCHEMA, f"ID-{kind}-FORMAT", f"expected {PATTERNS[kind].pattern}, found {text[:60]!r}")
    if kind in CHECKED and not CHECKED[kind](text):
        return Judged(kind, text, Layer.CHECKSUM, f"ID-{kind}-CHECK", f"the check characters of {text!r} do not fit the rest")
    if kind in _COUNTRY and text[_COUNTRY[kind]] not in COUNTRIES:
        return Judged(kind, text, Layer.REFERENCE_DATA, f"ID-{kind}-COUNTRY", f"{text[_COUNTRY[kind]]!r} is no country code")
    if known is not None and text not in known:
        return Judged(kind, text, Layer.REFERENCE_DATA, f"ID-{kind}-KNOWN", f"{text!r} is not among the codes in force")
    return Judged(kind, text)


def uti_fits(text: str) -> bool:
    """The first 20 characters are the LEI of who generated it."""
    return lei_fits(text[:20])


def isin_fits(text: str) -> bool:
    """The double-add-double check digit over letters written as two digits."""
    digits = "".join(str(ALPHANUMERIC.index(letter)) for letter in text)
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled // 10 + doubled % 10
    return total % 10 == 0


def upi_check_character(first_11: str) -> str:
    """ISO 7064 hybrid system MOD 31,30."""
    product = 30
    for letter in first_11:
        product = ((product + UPI_CHARACTERS.index(letter)) % 30 or 30) * 2 % 31
    return UPI_CHARACTERS[(31 - product) % 30]


def upi_fits(text: str) -> bool:
    return upi_check_character(text[:11]) == text[11]


CHECKED: Final[Mapping[Kind, Callable[[str], bool]]] = {
    Kind.LEI: lei_fits,
    Kind.UTI: uti_fits,
    Kind.UPI: upi_fits,
    Kind.ISIN: isin_fits,
    Kind.EIC: eic_fits,
}
_COUNTRY: Final[Mapping[Kind, slice]] = {Kind.ISIN: slice(0, 2), Kind.BIC: slice(4, 6)}
