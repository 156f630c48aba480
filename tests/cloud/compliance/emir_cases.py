"""EMIR: rows of cases."""

from datetime import date
from decimal import Decimal

from cloud.compliance.facts import Derivative, MonthEndPositions, Party, Portfolio
from tests.cloud.compliance.rule_cases import FAIL, NA, PASS, STATED, UNKNOWN, rows

LEI, OTHER = "213800KUD8LAJWSQ9D15", "54930084UKLVMY22DS16"
SWAPPED = "54930084UKLVMY22DS61"
FRIDAY, MONDAY, TUESDAY = date(2026, 11, 13), date(2026, 11, 16), date(2026, 11, 17)
NOW = date(2026, 11, 22)
BN = Decimal(10**9)

DEAL = Derivative(
    checked_on=NOW, is_derivative=True, otc=True, cleared=False, party=Party.NFC_PLUS, executed_on=FRIDAY, reported_on=MONDAY,
    confirmed_on=MONDAY, valued_on=date(2026, 11, 20), action="NEWT", leis=(LEI, OTHER), uti=LEI + "QEN1", utis_used=frozenset(),
    upi="QZABCDEFGHIJ", intragroup=True, exemption_claimed=True, exemption_notified=True, consolidated=True,
    ended_on=None, keep_until=None,
)  # fmt: skip
ENDED = Derivative(checked_on=NOW, is_derivative=True, ended_on=date(2024, 2, 29), keep_until=date(2029, 2, 28))
NO = {"is_derivative": False}
BOOK = Portfolio(
    checked_on=MONDAY, party=Party.FC, contracts=500, reconciled_on=FRIDAY, compression_analysed_on=date(2026, 5, 16),
    disputed_eur=Decimal(15_000_001), disputed_since=date(2026, 10, 23), dispute_reported=True,
)  # fmt: skip
MONTHS = MonthEndPositions(party=Party.NFC_MINUS, total_eur=(3 * BN,) * 12, uncleared_eur=(4 * BN,) * 12, notified=False)
REFORM = frozenset({"emir-3"})

CASES = [
    *rows("E-01", DEAL, (PASS, {}), (PASS, {"reported_on": FRIDAY}), (FAIL, {"reported_on": TUESDAY}), (NA, NO),
          (FAIL, {"reported_on": MONDAY, "executed_on": date(2026, 11, 12)}), (PASS, {"reported_on": TUESDAY, "holidays": frozenset({MONDAY})}),
          (FAIL, {"reported_on": None}), (NA, {"reported_on": None, "checked_on": MONDAY}), (FAIL, {"reported_on": None, "checked_on": TUESDAY}),
          (UNKNOWN, {"executed_on": None}), (UNKNOWN, {"is_derivative": None}), (UNKNOWN, {"executed_on": date(2014, 2, 11)})),
    *rows("E-01", DEAL, (NA, {}), as_of=date(2014, 2, 11)),
    *rows("E-02", DEAL, *((PASS, {"action": one}) for one in ("NEWT", "MODI", "CORR", "TERM", "EROR", "REVI", "VALU", "POSC")),
          (FAIL, {"action": "CANC"}), (FAIL, {"action": "ETRM"}), (FAIL, {"action": ""}), (UNKNOWN, {"action": None}), (NA, NO)),
    *rows("E-02", DEAL, (PASS, {}), as_of=date(2023, 6, 21)),
    *rows("E-02", DEAL, (NA, {}), as_of=date(2023, 6, 20)),
    *rows("E-03", DEAL, (PASS, {}), (FAIL, {"leis": (LEI, SWAPPED)}), (FAIL, {"leis": (LEI.lower(),)}), (FAIL, {"leis": (LEI[:-1],)}),
          (UNKNOWN, {"leis": ()}), (UNKNOWN, {"leis": None}), (NA, NO)),
    *rows("E-04", DEAL, (PASS, {}), (PASS, {"uti": LEI + "A" * 32}), (FAIL, {"uti": LEI + "A" * 33}), (FAIL, {"uti": SWAPPED + "QEN1"}),
          (FAIL, {"uti": LEI + "qen1"}), (FAIL, {"utis_used": frozenset({LEI + "QEN1"})}), (UNKNOWN, {"utis_used": None}),
          (UNKNOWN, {"uti": None}), (NA, NO)),
    *rows("E-05", DEAL, (UNKNOWN, {}), (NA, NO)),
    *rows("E-05", DEAL, (PASS, {}), (FAIL, {"upi": "QZABC"}), (FAIL, {"upi": "XXABCDEFGHIJ"}), (UNKNOWN, {"upi": None}), scenarios=STATED),
    *rows("E-06", MONTHS, (PASS, {}), (FAIL, {"total_eur": (*(3 * BN,) * 11, 3 * BN + 1)}), (PASS, {"total_eur": (*(3 * BN,) * 11, 3 * BN - 1)}),
          (PASS, {"total_eur": (5 * BN,) * 12, "notified": True}), (UNKNOWN, {"total_eur": (5 * BN,) * 12, "notified": None}),
          (UNKNOWN, {"total_eur": (BN,) * 11}), (UNKNOWN, {"total_eur": None}), (NA, {"party": Party.FC}), (UNKNOWN, {"party": None})),
    *rows("E-06", MONTHS, (PASS, {}), (PASS, {"total_eur": (9 * BN,) * 12}), (FAIL, {"uncleared_eur": (4 * BN + 1,) * 12}), scenarios=REFORM),
    *rows("E-06", MONTHS, (FAIL, {"total_eur": (3 * BN + 1,) * 12}), scenarios=REFORM, as_of=date(2026, 2, 24)),
    *rows("E-06", MONTHS, (PASS, {"total_eur": (3 * BN + 1,) * 12}), scenarios=REFORM, as_of=date(2026, 2, 25)),
    *rows("E-07", DEAL, (UNKNOWN, {}), (NA, {"cleared": True}), (NA, {"otc": False}), (NA, NO)),
    *rows("E-07", DEAL, (PASS, {}), (FAIL, {"confirmed_on": TUESDAY}), (FAIL, {"confirmed_on": None}), (UNKNOWN, {"party": None}),
          (PASS, {"confirmed_on": TUESDAY, "party": Party.NFC_MINUS}), (FAIL, {"confirmed_on": date(2026, 11, 18), "party": Party.NFC_MINUS}),
          (UNKNOWN, {"cleared": None}), scenarios=STATED),
    *rows("E-08", BOOK, (UNKNOWN, {}), (NA, {"contracts": 0})),
    *rows("E-08", BOOK, (PASS, {}), (FAIL, {"reconciled_on": date(2026, 11, 12)}), (PASS, {"contracts": 499, "reconciled_on": date(2026, 11, 9)}),
          (FAIL, {"contracts": 499, "reconciled_on": date(2026, 11, 8)}), (FAIL, {"contracts": 51, "reconciled_on": date(2026, 11, 8)}),
          (PASS, {"contracts": 50, "reconciled_on": date(2026, 8, 16)}), (FAIL, {"contracts": 50, "reconciled_on": date(2026, 8, 15)}),
          (PASS, {"contracts": 100, "party": Party.NFC_MINUS, "reconciled_on": date(2025, 11, 16)}),
          (FAIL, {"contracts": 101, "party": Party.NFC_MINUS, "reconciled_on": date(2025, 11, 16)}),
          (UNKNOWN, {"reconciled_on": None}), (UNKNOWN, {"contracts": None}), scenarios=STATED),
    *rows("E-09", BOOK, (UNKNOWN, {})),
    *rows("E-09", BOOK, (PASS, {}), (FAIL, {"compression_analysed_on": date(2026, 5, 15)}), (NA, {"contracts": 499}),
          (UNKNOWN, {"compression_analysed_on": None}), scenarios=STATED),
    *rows("E-10", BOOK, (UNKNOWN, {}), (NA, {"party": Party.NFC_PLUS})),
    *rows("E-10", BOOK, (PASS, {}), (FAIL, {"dispute_reported": False}), (NA, {"disputed_eur": Decimal(15_000_000)}),
          (NA, {"disputed_since": date(2026, 10, 26)}), (UNKNOWN, {"disputed_since": None}), (UNKNOWN, {"dispute_reported": None}),
          scenarios=STATED),
    *rows("E-11", DEAL, (PASS, {}), (FAIL, {"valued_on": FRIDAY}), (PASS, {"valued_on": date(2026, 11, 19)}), (FAIL, {"valued_on": date(2026, 11, 18)}),
          (NA, {"party": Party.NFC_MINUS}), (NA, {"ended_on": NOW}), (UNKNOWN, {"valued_on": None})),
    *rows("E-12", DEAL, (UNKNOWN, {}), (NA, {"intragroup": False})),
    *rows("E-12", DEAL, (PASS, {}), (FAIL, {"exemption_notified": False}), (FAIL, {"consolidated": False}), (UNKNOWN, {"consolidated": None}),
          (NA, {"exemption_claimed": False}), scenarios=STATED),
    *rows("E-13", ENDED, (PASS, {}), (PASS, {"keep_until": date(2029, 3, 1)}), (FAIL, {"keep_until": date(2029, 2, 27)}), (NA, NO),
          (UNKNOWN, {"ended_on": None}), (UNKNOWN, {"keep_until": None})),
]  # fmt: skip
