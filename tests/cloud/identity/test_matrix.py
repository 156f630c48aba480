"""Role by operation: every operation of the description is asked by everybody, and lets in exactly whom the permission table says."""

import re
from typing import Any, Final

import pytest

from cloud.identity.roles import ROLES, SCOPES, Role, allows
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import Browser, slug, team

# Everything that may be asked by somebody who is not signed in and has no token: each proves its sender by other means, or is a way in.
OPEN: Final = {
    ("POST", "/v1/enrolments"),
    ("POST", "/v1/keys"),
    ("POST", "/v1/batches"),
    ("PUT", "/v1/tag-tables/{digest}"),
    ("POST", "/v1/certificates"),
    ("POST", "/v1/configuration-reports"),
    ("POST", "/v1/session"),
    ("POST", "/v1/session/second"),
    ("POST", "/v1/session/passkey/options"),
    ("POST", "/v1/session/passkey"),
    ("GET", "/v1/oidc/{tenant}/login"),
    ("GET", "/v1/oidc/{tenant}/callback"),
    ("POST", "/v1/access-tokens"),
    ("POST", "/v1/invitations"),
    ("GET", "/health"),
    ("GET", "/metrics"),
}
ANYBODY: Final = ("signed-in", "person")  # about nobody but whoever asks
# The table as the people concerned would say it; what each line does not name is refused to everybody else.
SAID: Final[dict[tuple[str, str], set[str]]] = {
    ("POST", "/v1/deals"): {"trader"},
    ("GET", "/v1/deals"): {"trader", "risk_manager", "compliance_officer", "auditor"},
    ("PUT", "/v1/risk/settings"): {"risk_manager"},
    ("PUT", "/v1/quotes"): {"risk_manager"},
    ("POST", "/v1/alarms/{asset}/{alarm}/acknowledge"): {"field_engineer", "operator"},
    ("POST", "/v1/vouchers"): {"field_engineer", "admin"},
    ("POST", "/v1/gateways/{gateway}/revocation"): {"field_engineer", "admin"},
    ("PUT", "/v1/assets"): {"admin"},
    ("GET", "/v1/people"): {"auditor", "admin"},
    ("POST", "/v1/people"): {"admin"},
    ("PATCH", "/v1/people/{person_id}"): {"admin"},
    ("POST", "/v1/people/{person_id}/reset"): {"admin"},
    ("GET", "/v1/journal"): {"compliance_officer", "auditor", "admin"},
    ("POST", "/v1/approvals/{approval_id}/decision"): {"risk_manager", "compliance_officer", "admin"},
    ("GET", "/v1/tags"): {role.value for role in Role},
    ("POST", "/v1/orders/events"): {"trader"},
    ("POST", "/v1/deals/fpml"): {"trader"},
    ("GET", "/v1/controls"): {"compliance_officer", "auditor", "admin"},
    ("GET", "/v1/filings"): {"operator", "risk_manager", "compliance_officer", "esg_analyst", "auditor"},
    ("POST", "/v1/filings/{filing_id}/answers"): {"compliance_officer"},
    ("GET", "/v1/conduct/alerts"): {"compliance_officer", "auditor"},
    ("GET", "/v1/orders/events"): {"compliance_officer", "auditor"},
}


def operations(hub: TestHub) -> dict[tuple[str, str], dict[str, Any]]:
    paths = hub.client._transport.app.openapi()["paths"]  # type: ignore[attr-defined]
    return {(method.upper(), path): found for path, methods in paths.items() for method, found in methods.items()}


def address(path: str) -> str:
    """Of nothing there is."""
    return re.sub(r"\{\w+\}", "999999", path)


async def test_every_operation_asks_for_a_scope_or_is_named_as_open(hub: TestHub) -> None:
    found = operations(hub)
    assert {name for name, operation in found.items() if operation.get("x-public")} == OPEN
    scopes = {operation["x-scope"] for name, operation in found.items() if name not in OPEN}
    assert scopes <= {*SCOPES, *ANYBODY}


async def test_who_is_not_signed_in_is_refused_by_everything_that_is_not_open(hub: TestHub) -> None:
    replies = {name: await hub.client.request(name[0], address(name[1])) for name in operations(hub) if name not in OPEN}
    assert len(replies) > 50
    assert {name: slug(reply) for name, reply in replies.items() if (reply.status_code, slug(reply)) != (401, "unauthorized")} == {}


async def admitted(hub: TestHub, browser: Browser) -> dict[tuple[str, str], str]:
    """What everything that asks for a scope answers to this person: the slug of the refusal, '' when it let them in."""
    answers = {}
    for name, operation in operations(hub).items():
        if name not in OPEN and operation["x-scope"] not in ANYBODY:
            reply = await browser.ask(name[0], address(name[1]))
            assert reply.status_code < 500
            answers[name] = slug(reply) if reply.status_code in (401, 403) else ""
    return answers


@pytest.mark.parametrize("role", Role)
async def test_a_role_reaches_what_the_table_says_and_nothing_else(hub: TestHub, role: Role) -> None:
    hub.hub.closing.set()  # so that a stream ends
    answers = await admitted(hub, await team(hub, "somebody", role))
    found = operations(hub)
    expected = {name: "" if allows(ROLES[role], found[name]["x-scope"]) else "forbidden" for name in answers}
    assert answers == expected
    assert {name: role.value in who for name, who in SAID.items()} == {name: answers[name] == "" for name in SAID}


async def test_a_token_reaches_what_its_scope_says_and_nothing_else(hub: TestHub) -> None:
    hub.hub.closing.set()
    found = {name: one["x-scope"] for name, one in operations(hub).items() if name not in OPEN and one["x-scope"] not in ANYBODY}
    for scope in SCOPES:
        bearer = await hub.token(scopes=(scope,))
        replies = {name: await hub.client.request(name[0], address(name[1]), headers=bearer) for name in found}
        reached = {name for name, reply in replies.items() if reply.status_code != 403}
        assert reached == {name for name, asked in found.items() if allows((scope,), asked)}
