"""The fuzzer over the routes of ESG with an inventory and samples in place, which the one over the whole API does not have."""

from datetime import date

import schemathesis

from cloud.identity.roles import SCOPES
from tests.cloud.conftest import TestHub
from tests.cloud.esg.field import Field, yesterday
from tests.cloud.test_fuzz import fault, made

EXAMPLES = 8


async def test_no_request_makes_emissions_fail_and_every_answer_is_described(hub: TestHub) -> None:
    field = await Field(hub).open()
    await field.whole_day(yesterday(), parts=1)
    headers = await hub.token(scopes=tuple(SCOPES))
    document = hub.client._transport.app.openapi()  # type: ignore[attr-defined]
    faults, answered = set[str](), 0
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()
        if not operation.path.startswith("/v1/esg/"):
            continue
        name = f"{operation.method.upper()} {operation.path}"
        for request in made(operation, EXAMPLES):
            told = {key: value for key, value in request.headers.items() if key.lower() not in ("authorization", "cookie", "x-csrf")}
            body = request.body.encode() if isinstance(request.body, str) else request.body
            reply = await hub.client.request(request.method or "", request.url or "", headers={**told, **headers}, content=body)
            answered += 1
            if found := fault(name, document["paths"][operation.path][operation.method], reply):
                faults.add(found)
    assert faults == set()
    assert answered > 50


async def test_the_edges_of_time_are_refused_or_answered(hub: TestHub) -> None:
    field = await Field(hub).open()
    headers = field.token
    for first, last in (
        (date.min, date.min),
        (date.max, date.max),
        (date(2000, 1, 1), date(2000, 1, 1)),
        (date(2200, 1, 1), date(2200, 1, 1)),
    ):
        for path in ("emissions", "totals", "restatements", "score", "intensity", "leaks", "measures"):
            params = {"from": str(first), "to": str(last), "before": "1", "after": "2"}
            reply = await hub.client.get(f"/v1/esg/{path}", params=params, headers=headers)
            assert reply.status_code in (200, 404, 422), (path, first, reply.text)
