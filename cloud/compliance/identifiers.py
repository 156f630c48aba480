"""Form and check digits of identifiers that several rules ask for.

Not a look-up: whether an identifier was issued, or has lapsed, is not seen here.
"""

import re


def lei_is_valid(lei: str) -> bool:
    """ISO 17442: eighteen letters and digits, two check digits, remainder 1 by ISO 7064 MOD 97-10."""
    return re.fullmatch(r"[A-Z0-9]{18}[0-9]{2}", lei) is not None and int("".join(str(int(c, 36)) for c in lei)) % 97 == 1
