"""A file written from its source, by the kind of filing: for drafts, and to write a filing again offline from what its row names."""

from cloud.reports import deal_rows
from cloud.reports.deal_rows import Built


def written(kind: str, source: bytes) -> Built:
    """Raises Incomplete."""
    if kind not in deal_rows.KINDS:
        raise ValueError(f"nothing writes a file of the kind {kind}")
    return deal_rows.build(deal_rows.decode(source))
