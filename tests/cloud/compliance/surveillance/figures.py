"""The shipped figures, and short ways to write columns."""

from datetime import date

from cloud.compliance.surveillance import columns
from cloud.compliance.surveillance.definitions import definitions, shipped

FIGURES = definitions(shipped(), date(2026, 11, 22))
S = 1_000_000


def trades(*rows: tuple[float, int, int, float, float]) -> columns.Trades:
    """Rows of (second, buyer, seller, price, quantity) in instrument 0."""
    return columns.Trades(
        columns.ints(round(row[0] * S) for row in rows),
        columns.ints(0 for _ in rows),
        columns.ints(row[1] for row in rows),
        columns.ints(row[2] for row in rows),
        columns.floats(row[3] for row in rows),
        columns.floats(row[4] for row in rows),
    )
