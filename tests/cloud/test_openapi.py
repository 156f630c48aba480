"""The description of the API against the API: who may ask, and that it says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from cloud import openapi_texts
from cloud.app import create_app
from cloud.config import HubConfig
from cloud.errors import PROBLEMS
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
    assert public <= set(PUBLIC) | {name for name in public if "/v1/session/" in name or "/v1/oidc" in name}
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


async def test_every_operation_is_described_with_examples_and_refusals(hub: TestHub) -> None:
    document = hub.client._transport.app.openapi()  # type: ignore[attr-defined]
    schemas = document["components"]["schemas"]
    faults = []
    for method, path, operation in described(hub):
        name = f"{method} {path}"
        faults += [f"{name}: no {word}" for word in ("summary", "description", "tags") if not operation.get(word)]
        for kind, media in operation.get("requestBody", {}).get("content", {}).items():
            schema = media["schema"]
            schema = schemas[schema["$ref"].split("/")[-1]] if "$ref" in schema else schema
            if not ("example" in media or "examples" in schema or any("example" in media for media in schema.get("anyOf", ()))):
                faults.append(f"{name}: no example of {kind}")
        if "x-scope" in operation:
            faults += [f"{name}: no {status}" for status in ("401", "403", "429", "500", "503") if status not in operation["responses"]]
            if {one for part in operation["security"] for one in part} - set(document["components"]["securitySchemes"]):
                faults.append(f"{name}: security that is not described")
        for status, answer in operation["responses"].items():
            if status >= "4" and (not answer["x-slugs"] or any(PROBLEMS[slug][0] != int(status) for slug in answer["x-slugs"])):
                faults.append(f"{name}: {status} names no slugs of its own")
    assert faults == []


def test_texts_are_of_operations_that_exist(tmp_path: Path) -> None:
    document = create_app(HubConfig(tmp_path), "postgresql:///nowhere").openapi()
    names = {f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found}
    told = {*openapi_texts.BODIES, *openapi_texts.RAW, *openapi_texts.ANSWERS, *openapi_texts.DESCRIPTIONS, *openapi_texts.ALSO}
    assert told - names == set()


async def test_the_examples_are_taken_by_the_hub(hub: TestHub) -> None:
    headers = await hub.token(scopes=tuple(SCOPES))
    for name in ("PUT /v1/calendars", "POST /v1/deals", "PUT /v1/quotes", "POST /v1/quotes", "PUT /v1/risk/settings", "PUT /v1/assets"):
        method, path = name.split()
        body = openapi_texts.BODIES[name]
        content = body if isinstance(body, str) else json.dumps(body)
        kind = "application/toml" if isinstance(body, str) else "application/json"
        reply = await hub.client.request(method, path, content=content, headers={**headers, "content-type": kind})
        assert reply.status_code in (200, 201), f"{name}: {reply.text}"
    market = {"product": "gas", "place": "TTF", "currency": "EUR", "unit": "MWh", "source": "desk"}
    reply = await hub.client.put("/v1/history", params=market, content=openapi_texts.BODIES["PUT /v1/history"], headers=headers)
    assert reply.status_code == 200, reply.text
