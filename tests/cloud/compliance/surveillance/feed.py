"""Order events for tests: rows in words, written as the columns of a hand-in."""

from typing import Any

START_US = 1_795_600_000_000_000
S = 1_000_000
Row = tuple[Any, ...]  # second, order, action, side, price, volume
NAMES = ("time_us", "order", "action", "side", "price", "volume")
# A large bid that is pulled as soon as the small offer is filled.
SPOOF: list[Row] = [
    (0, "big", "placed", "buy", 30.0, 250), (1, "small", "placed", "sell", 30.1, 50), (2, "small", "filled", "sell", 30.1, 50),
    (3, "big", "cancelled", "buy", 30.0, 0),
]  # fmt: skip
WASH: list[Row] = [
    (10, "a", "placed", "buy", 30.0, 5), (11, "b", "placed", "sell", 30.0, 5), (12, "a", "filled", "buy", 30.0, 5),
    (13, "b", "filled", "sell", 30.0, 5),
]  # fmt: skip
QUIET: list[Row] = [(20, "c", "placed", "buy", 29.0, 1), (30, "c", "cancelled", "buy", 29.0, 0)]


def hand_in(rows: list[Row], sequence: int = 1, source: str = "desk", **columns: Any) -> dict[str, Any]:
    """columns: further ones, or other values for all rows."""
    found: dict[str, Any] = {name: [row[at] for row in rows] for at, name in enumerate(NAMES)}
    found["time_us"] = [START_US + round(second * S) for second in found["time_us"]]
    same = {"instrument": "TTF", "account": "north", "owner": "Example"}
    more = {name: value if isinstance(value, list) else [value] * len(rows) for name, value in {**same, **columns}.items()}
    return {"source": source, "sequence": sequence, "columns": found | more}
