"""What the register of facts and the compliance profile say of deals that a report asks for: what was handed in once is not asked for again.

Pure. Not for what rules do with facts. Rules: only fields that the kind of report has; a draft that states something else than the register
is a gap, because one of both is wrong; what the profile says of a counterparty or product holds where nobody states it of the deal.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cloud.compliance.trading_profile import Market, ProductCommodity, Trading
from cloud.reports.deal_rows import BILATERAL
from cloud.reports.told import Gap
from cloud.trading.deals import Deal

_DERIVATIVE: Final = ("Derivative", "Swap")
# kind of report -> its field -> the facts and the member that say it
_SAID: Final[Mapping[str, Mapping[str, tuple[tuple[str, ...], str]]]] = {
    "REMIT-1": {"uti": (_DERIVATIVE, "uti")},
    "EMIR": {"uti": (_DERIVATIVE, "uti"), "upi": (_DERIVATIVE, "upi")},
    "CFTC-43": {"uti": (_DERIVATIVE, "uti"), "upi": (_DERIVATIVE, "upi")},
    "CFTC-45": {"uti": (_DERIVATIVE, "uti"), "upi": (_DERIVATIVE, "upi")},
}
_WITH_LEI: Final = ("EMIR", "CFTC-43", "CFTC-45")
_WITH_PARTY: Final = ("REMIT-1", *_WITH_LEI)
_COMMODITIES: Final = {ProductCommodity.ELECTRICITY: "EL", ProductCommodity.GAS: "NG"}


def registered(report: str, documents: Mapping[str, Mapping[str, Any]], ours: str) -> dict[str, str]:
    """documents: of one deal, by kind of facts. ours: the LEI of who reports."""
    found: dict[str, str] = {}
    for field, (kinds, member) in _SAID.get(report, {}).items():
        texts = [documents[kind][member] for kind in kinds if isinstance(documents.get(kind, {}).get(member), str)]
        found |= {field: texts[0]} if texts else {}
    leis = next((held["leis"] for kind in _DERIVATIVE if "leis" in (held := documents.get(kind, {}))), None)
    if report in _WITH_LEI and isinstance(leis, list) and len(leis) == 2 and ours in leis:
        found["counterparty"] = str(next((one for one in leis if one != ours), ours))
    return found


def profiled(report: str, deal: Deal, trading: Trading) -> dict[str, str]:
    """The counterparty's LEI; for REMIT also commodity and market of the product, where all legs are of one."""
    lei = next((one.lei for one in trading.counterparties if one.name == deal.counterparty and one.lei), "")
    found = {"counterparty": lei} if lei and report in _WITH_PARTY else {}
    if report != "REMIT-1":
        return found
    legs = {(leg.product, leg.place) for leg in deal.legs}
    for product in trading.products:
        if legs == {(product.name, product.place)}:
            found |= {"commodity": _COMMODITIES[product.commodity]} if product.commodity in _COMMODITIES else {}
            market = product.venue or (BILATERAL if product.market is Market.BILATERAL else "")
            found |= {"market": market} if market else {}
    return found


def merged(deal: str, stated: Mapping[str, str], known: Mapping[str, str]) -> tuple[dict[str, str], list[Gap]]:
    """Both together, and where they contradict."""
    gaps = [
        Gap(deal, field, f"the register of facts says {text!r}, the draft {stated[field]!r}: correct the one that is wrong")
        for field, text in known.items()
        if field in stated and stated[field] != text
    ]
    return {**known, **stated}, gaps


def by_deal(rows: Iterable[tuple[str, str, Mapping[str, Any]]], prefix: str) -> dict[str, dict[str, Mapping[str, Any]]]:
    """(kind, subject, document) of the register, by deal and kind."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for kind, subject, document in rows:
        if subject.startswith(prefix):
            found.setdefault(subject.removeprefix(prefix), {})[kind] = document
    return found
