"""A file written from its source, by the kind of filing: for drafts, and to write a filing again offline from what its row names."""

from typing import Any

from cloud import document
from cloud.reports import deal_rows, stor
from cloud.reports.deal_rows import Built
from cloud.reports.filings import Action


def written(kind: str, source: bytes) -> Built:
    """Raises Incomplete."""
    if kind == stor.KIND:
        return stor.build(source)
    if kind not in deal_rows.KINDS:
        raise ValueError(f"nothing writes a file of the kind {kind}")
    return deal_rows.build(deal_rows.decode(source))


def action_of(source: bytes) -> Action:
    """Which every source says."""
    held: Any = document.parse(source)
    return Action(held["action"])
