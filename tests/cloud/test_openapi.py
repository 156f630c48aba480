"""The description of the API against the API: who may ask, and that it says so."""

from typing import Any

import pytest

from cloud.identity.roles import SCOPES, STEP_UP
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import problem

# Open, or proved by other means than a token: who adds one here says why.
PUBLIC = {
    "GET /health": "names no tenant's data",
    "GET /metrics": "names no tenant's data",
    "POST /v1/access-tokens": "the way in",
    "POST /v1/batches": "signed by the gateway's key",
    "POST /v1/certificates": "signed by the gateway's key",
    "POST /v1/configuration-reports": "signed by the gateway's key",
    "POST /v1/enrolments": "a voucher and a proof of possession",
    "POST /v1/invitations": "the secret of the invitation",
    "POST /v1/keys": "signed by the old key and the new one",
    "POST /v1/session": "the way in",
    "POST /v1/session/second": "the way in",
    "PUT /v1/tag-tables/{digest}": "the name is the digest of the text",
}
ANYBODY = ("signed-in", "person")
VALUES = {"{digest}": "0" * 64, "{level}": "0", "{tag_id}": "1", "{gateway_id}": "1", "{session_id}": "1"}


def described(hub: TestHub) -> list[tuple[str, str, dict[str, Any]]]:
    paths = hub.client._transport.app.openapi()["paths"]  # type: ignore[attr-defined]
    return [(method.upper(), path, operation) for path, found in paths.items() for method, operation in found.items()]


def filled(path: str) -> str:
    for name, value in VALUES.items():
        path = path.replace(name, value)
    return path.replace("{", "").replace("}", "")


async def test_every_operation_says_who_may_ask(hub: TestHub) -> None:
    said = {f"{method} {path}": operation.get("x-scope") for method, path, operation in described(hub)}
    assert set(said.values()) - set(SCOPES) <= {None, *ANYBODY}
    public = {name for name, scope in said.items() if scope is None}
    assert public == {f"{method} {path}" for method, path, operation in described(hub) if operation.get("x-public")}
    assert public <= set(PUBLIC) | {name for name in public if " /v1/oidc" in name or "/webauthn" in name}
    assert {operation["x-scope"] for *_, operation in described(hub) if operation.get("x-step-up")} <= STEP_UP


async def test_what_is_said_of_scopes_is_what_is_enforced(hub: TestHub) -> None:
    found = [(method, filled(path), operation["x-scope"]) for method, path, operation in described(hub) if "x-scope" in operation]
    strangers = [(method, path) for method, path, _ in found if (await hub.client.request(method, path)).status_code != 401]
    assert strangers == []
    wrong = []
    for scope in {scope for *_, scope in found} - set(ANYBODY):
        others = await hub.token(scopes=tuple(set(SCOPES) - {scope, "read"}))
        for method, path, asked in found:
            if asked == scope and problem(await hub.client.request(method, path, headers=others)) != "forbidden":
                wrong.append((method, path, scope))
    assert wrong == []


@pytest.mark.parametrize("path", ["/v1/deals", "/v1/risk/settings"])
async def test_an_operation_for_which_a_fresh_proof_is_needed_says_so(hub: TestHub, path: str) -> None:
    steps = {(method, found): operation.get("x-step-up", False) for method, found, operation in described(hub)}
    assert any(steps[method, found] for method, found in steps if found == path)
    assert not steps["GET", path]
