"""A schema-driven fuzzer over the whole API: no request makes the hub fail, and every answer is one that the description has.

Requests are made from the description, right ones and wrong ones. Each goes by a token that may do everything, by nobody, and by a person;
the roles take turns. FUZZ_EXAMPLES: how many requests are made of each operation. The stream is left out, because it does not end.
"""

import os
import re
from typing import Any, Final

import httpx
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode

from cloud.errors import TYPE_PREFIX
from cloud.identity.roles import SCOPES, Role
from tests.cloud.conftest import RunHub, TestHub
from tests.cloud.identity.people import Browser, add_person
from tests.cloud.reaction.desk import Desk

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "6"))
LEFT_OUT: Final = ("GET /v1/stream",)
THERE: Final[dict[str, Any]] = {"asset": "A", "alarm": "health", "gateway": "rig1", "gateway_id": 1, "tag_id": 1, "person_id": 2}
OWN_ANSWER: Final = ("GET /health",)  # 503 with its own document


@schemathesis.serializer("application/cose", "application/cbor-seq", "application/toml", "text/csv")
def _plain(_: Any, value: Any) -> bytes:
    """Bytes as they are, anything else as text: nothing a reader of these would expect."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def made(operation: Any, examples: int) -> list[requests.PreparedRequest]:
    """Requests for an operation: of what is there, of anything, and wrong ones on purpose; the same ones each time."""
    found: list[requests.PreparedRequest] = []
    there = {name: THERE[name] for name in re.findall(r"{(\w+)}", operation.path) if name in THERE}
    for mode, place in ((GenerationMode.POSITIVE, there), (GenerationMode.POSITIVE, {}), (GenerationMode.NEGATIVE, {})):
        if place is there and not there:
            continue

        @hypothesis.settings(
            max_examples=max(1, examples // 2),
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(operation.as_strategy(generation_mode=mode, **({"path_parameters": place} if place else {})))
        def take(case: Any) -> None:
            found.append(requests.Request(**case.as_transport_kwargs(base_url="http://hub")).prepare())

        try:
            take()
        except (hypothesis.errors.Unsatisfiable, schemathesis.errors.InvalidSchema):
            continue  # nothing about the operation can be wrong
    return found


def fault(name: str, described: dict[str, Any], reply: httpx.Response) -> str | None:
    """What is wrong with an answer."""
    said = described["responses"].get(str(reply.status_code))
    if reply.status_code >= 500 or said is None:
        return f"{name}: {reply.status_code} {reply.text[:300]}"
    kind = reply.headers.get("content-type", "").partition(";")[0]
    if reply.status_code >= 400 and name not in OWN_ANSWER:
        slug = str(reply.json().get("type", "")).removeprefix(TYPE_PREFIX) if kind == "application/problem+json" else kind
        return None if slug in said["x-slugs"] else f"{name}: {reply.status_code} {slug} is not said"
    return None


class Askers:
    """A token for everything, nobody, and people of all roles."""

    def __init__(self, hub: TestHub, token: dict[str, str]) -> None:
        self._hub, self._token = hub, token
        self._people = {role: Browser(hub.client) for role in Role}

    async def headers(self, number: int) -> list[dict[str, str]]:
        person = self._people[list(Role)[number % len(Role)]]
        return [self._token, {}, {"cookie": f"qz_session={person.cookie}", "x-csrf": person.csrf}]

    async def sign_in(self) -> None:
        """Those who were signed out by a request."""
        for role, browser in self._people.items():
            if not browser.cookie or (await browser.ask("GET", "/v1/session")).status_code == 401:
                await browser.sign_in(role.value.replace("_", "-"))


async def fuzzed(hub: TestHub, examples: int) -> tuple[list[str], int]:
    """(faults, how many requests were answered)."""
    desk = await Desk(hub).open()
    await desk.send(5)
    for role in Role:
        await add_person(hub, role.value.replace("_", "-"), role)
    askers = Askers(hub, await hub.token(scopes=tuple(SCOPES)))
    document = hub.client._transport.app.openapi()  # type: ignore[attr-defined]
    faults, answered = set[str](), 0
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()
        name = f"{operation.method.upper()} {operation.path}"
        if name in LEFT_OUT:
            continue
        described = document["paths"][operation.path][operation.method]
        await askers.sign_in()
        for number, request in enumerate(made(operation, examples)):
            for who in await askers.headers(number):
                headers = {key: value for key, value in request.headers.items() if key.lower() not in ("authorization", "cookie", "x-csrf")}
                body = request.body.encode() if isinstance(request.body, str) else request.body
                hub.client.cookies.clear()
                reply = await hub.client.request(request.method or "", request.url or "", headers={**headers, **who}, content=body)
                answered += 1
                if found := fault(name, described, reply):
                    faults.add(found)
    return sorted(faults), answered


async def test_no_request_makes_the_hub_fail_and_every_answer_is_described(run_hub: RunHub) -> None:
    async with run_hub(sign_ins_per_minute=1e9, sign_ins_burst=1e9) as hub:
        faults, answered = await fuzzed(hub, EXAMPLES)
    assert faults == []
    assert answered > 50 * EXAMPLES


@pytest.mark.slow
async def test_nor_do_ten_times_as_many_requests(run_hub: RunHub) -> None:
    async with run_hub(sign_ins_per_minute=1e9, sign_ins_burst=1e9) as hub:
        assert (await fuzzed(hub, 10 * EXAMPLES))[0] == []


async def test_a_saved_view_with_a_nul_is_refused(hub: TestHub) -> None:
    """Found by the fuzzer: the database cannot hold it."""
    await add_person(hub, "ann", Role.OPERATOR)
    browser = Browser(hub.client)
    await browser.sign_in("ann")
    assert (await browser.ask("PUT", "/v1/me/preferences", json={"views": {"fleet": "a\0b"}})).status_code == 422
