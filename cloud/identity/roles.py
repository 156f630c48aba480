"""Who may do what: the scopes, the roles made of them, and what each asks of a person beyond being signed in. Data and pure lookups.

A scope is `verb:area`. `read` alone, which API tokens may have, means every area that is not about people (not `read:people`,
`read:journal`, `read:conduct`). No other scope implies another.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    FIELD_ENGINEER = "field_engineer"
    OPERATOR = "operator"
    TRADER = "trader"
    RISK_MANAGER = "risk_manager"
    COMPLIANCE_OFFICER = "compliance_officer"
    ESG_ANALYST = "esg_analyst"
    AUDITOR = "auditor"
    ADMIN = "admin"


# scope -> what it lets a person do, in the words of the permission table in the documentation
SCOPES: Final[Mapping[str, str]] = {
    "read": "everything below that begins with read, except people, journal and conduct",
    "read:field": "gateways, tags, samples, events, completeness, the live stream",
    "read:assets": "asset model, health, alarms and their figures",
    "read:market": "quotes, curves, history",
    "read:deals": "deals, positions, calendars",
    "read:risk": "results of forecast and risk, settings",
    "read:evidence": "evidence rows, bundles, the log",
    "read:compliance": "rules, findings, outages and their messages, filings",
    "read:conduct": "conduct alerts, their cases and reports, hand-ins of orders",
    "read:esg": "emissions, inventory, score",
    "read:people": "people, their roles and sessions, API tokens",
    "read:journal": "what was done in the hub, by whom",
    "write:gateways": "vouchers, revocation, configuration of gateways",
    "write:alarms": "acknowledge and shelve alarms",
    "write:assets": "hand in the asset model",
    "write:market": "hand in quotes and history",
    "write:deals": "book deals, calendars",
    "write:risk": "change risk settings",
    "write:outages": "confirm, correct and dismiss outages, ask for their publication",
    "write:compliance": "hand in the profile and facts, decide on alerts, draft filings",
    "write:esg": "hand in the inventory of sources and measures",
    "write:people": "invite, change, disable and reset people, end anybody's API tokens",
    "write:tenant": "settings of the tenant: jurisdiction, time zone, quotas, retention, holds",
    "approve": "agree to what somebody else asked for",
    "approve:filings": "agree to publish a message and to file a report that somebody else asked for",
}

_FIELD: Final = ("read:field", "read:assets", "read:evidence")
_DESK: Final = (*_FIELD, "read:market", "read:deals", "read:risk")

ROLES: Final[Mapping[Role, frozenset[str]]] = {
    Role.FIELD_ENGINEER: frozenset((*_FIELD, "write:gateways", "write:alarms")),
    Role.OPERATOR: frozenset((*_FIELD, "read:compliance", "write:alarms", "write:outages")),
    Role.TRADER: frozenset((*_DESK, "write:deals")),
    Role.RISK_MANAGER: frozenset((*_DESK, "read:compliance", "read:esg", "write:market", "write:risk", "approve")),
    Role.COMPLIANCE_OFFICER: frozenset(
        (
            *(*_DESK, "read:compliance", "read:conduct", "read:esg", "read:journal"),
            *("write:compliance", "write:outages", "approve", "approve:filings"),
        )
    ),
    Role.ESG_ANALYST: frozenset((*_FIELD, "read:compliance", "read:esg", "write:esg")),
    Role.AUDITOR: frozenset((*_DESK, "read:compliance", "read:conduct", "read:esg", "read:people", "read:journal")),
    Role.ADMIN: frozenset(
        (*_FIELD, "read:people", "read:journal", "write:gateways", "write:assets", "write:people", "write:tenant", "approve")
    ),
}

# A signed-in person has to have proved who they are within STEP_UP_S before they use one of these.
STEP_UP: Final = frozenset(("write:deals", "write:gateways", "write:people", "write:tenant", "write:risk", "write:compliance", "approve"))
STEP_UP_S: Final = 300.0

# action -> the scope of whoever agrees; nobody agrees to what they asked for themselves
FOUR_EYES: Final[Mapping[str, str]] = {
    "grant-admin": "approve",
    "erase-person": "approve",
    "shorten-retention": "approve",
    "file": "approve:filings",
    "file-stor": "approve:filings",
    "publish-umm": "approve:filings",
    "cover-trade": "approve:filings",
}

# action -> the scope of whoever is shown that it was asked for; an action that is not here is shown to everybody who decides
SHOWN: Final[Mapping[str, str]] = {"file-stor": "read:conduct"}

# kind of result or evidence -> scope of whoever may see it; a kind that is not here is the desk's
_COMPLIANCE, _ESG = "read:compliance", "read:esg"
KIND_SCOPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("health", "problem"), "read:assets"),
    **dict.fromkeys(("capacity", "outage", "umm", "finding", "filing"), _COMPLIANCE),
    **dict.fromkeys(("alert", "orders", "stor"), "read:conduct"),
    **dict.fromkeys(("emissions", "inventory", "score"), _ESG),
    "control": "read:journal",
}
OTHER_KINDS: Final = "read:risk"

_NOT_IN_READ: Final = frozenset(("read:people", "read:journal", "read:conduct"))


def allows(held: frozenset[str] | tuple[str, ...], asked: str) -> bool:
    return asked in held or (asked.startswith("read:") and asked not in _NOT_IN_READ and "read" in held)


def grantable(held: frozenset[str] | tuple[str, ...]) -> frozenset[str]:
    """What a token may hold that somebody with these scopes makes: nothing beyond them. `read` where they have all of it."""
    areas = {scope for scope in SCOPES if scope.startswith("read:") and scope not in _NOT_IN_READ}
    return frozenset(held) | ({"read"} if areas <= frozenset(held) else frozenset())
