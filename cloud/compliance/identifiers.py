"""Form and check digits of identifiers that several rules ask for.

Not a look-up: whether an identifier was issued, or has lapsed, is not seen here.
"""

import re
from typing import Final

LEI_PATTERN: Final = re.compile(r"[A-Z0-9]{18}[0-9]{2}")
EIC_PATTERN: Final = re.compile(r"[0-9]{2}[XYZTWVA][A-Z0-9-]{12}[A-Z0-9]")
ACER_PATTERN: Final = re.compile(r"[A-Za-z0-9_]{9}\.[A-Z]{2}")
EIC_CHARACTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"


def lei_is_valid(lei: str) -> bool:
    """ISO 17442: eighteen letters and digits, two check digits that fit them."""
    return LEI_PATTERN.fullmatch(lei) is not None and lei_fits(lei)


def lei_fits(text: str) -> bool:
    """ISO 7064 MOD 97-10 over capitals and digits: letters count 10 to 35, the remainder is 1."""
    return int("".join(str(int(letter, 36)) for letter in text)) % 97 == 1


def lei_check_digits(first_18: str) -> str:
    number = int("".join(str(int(letter, 36)) for letter in first_18) + "00")
    return f"{98 - number % 97:02}"


def eic_check_character(first_15: str) -> str:
    """ENTSO-E EIC manual: weights 16 down to 2, modulo 37. A result of '-' is no valid code: such a code is not issued."""
    total = sum((16 - place) * EIC_CHARACTERS.index(letter) for place, letter in enumerate(first_15))
    return EIC_CHARACTERS[36 - (total - 1) % 37]


def eic_fits(text: str) -> bool:
    """The check character of a code that has the pattern."""
    return text[-1] != "-" and eic_check_character(text[:15]) == text[-1]
