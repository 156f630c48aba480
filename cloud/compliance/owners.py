"""Who answers for the findings of a rule: the desk or board whose duty it is, by the rule's id. Roles of a company, not people."""

from typing import Final

TRADING: Final = "trading compliance"
REPORTING: Final = "market reporting"
SUSTAINABILITY: Final = "ESG"
LOCAL: Final = "local content"
BOARD: Final = "Sharia board"
LEGAL: Final = "legal"
OWNERS: Final = (TRADING, REPORTING, SUSTAINABILITY, LOCAL, BOARD, LEGAL)

_OF_FAMILY: Final = {
    "E": REPORTING,
    "MF": TRADING,
    "A": TRADING,
    "R": TRADING,
    "ME": SUSTAINABILITY,
    "C": SUSTAINABILITY,
    "C-T": TRADING,
    "F": REPORTING,
    "S": LEGAL,
    "P": SUSTAINABILITY,
    "U": TRADING,
    "G": LOCAL,
    "SH": BOARD,
}
_OF_RULE: Final = {
    "E-06": TRADING,
    "E-12": LEGAL,
    "MF-06": REPORTING,
    "MF-07": REPORTING,
    "R-01": REPORTING,
    "R-06": REPORTING,
    "R-07": REPORTING,
    "R-08": REPORTING,
    "R-09": REPORTING,
    "R-12": REPORTING,
    "R-14": REPORTING,
    "C-T05": REPORTING,
    "C-T06": REPORTING,
    "C-T07": REPORTING,
    "C-T08": REPORTING,
    "C-T09": REPORTING,
    "C-T10": LEGAL,
    "C-T14": REPORTING,
    "F-02": TRADING,
    "F-06": TRADING,
    "F-09": TRADING,
    "U-01": REPORTING,
    "U-08": REPORTING,
    "U-11": SUSTAINABILITY,
    "U-12": SUSTAINABILITY,
    "U-13": SUSTAINABILITY,
    "G-11": SUSTAINABILITY,
    "G-12": SUSTAINABILITY,
    "G-13": SUSTAINABILITY,
    "G-14": SUSTAINABILITY,
    "G-15": LEGAL,
    "G-16": LEGAL,
}


def owner_of(rule: str) -> str:
    """Raises KeyError for a rule of a family that nobody owns."""
    family = "C-T" if rule.startswith("C-T") else rule.rpartition("-")[0]
    return _OF_RULE.get(rule) or _OF_FAMILY[family]
