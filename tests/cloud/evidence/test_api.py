"""cloud/evidence/api.py: rows listed the newest first, one row in words, nothing of other tenants."""

import dataclasses
import math

import numpy as np
import pytest

from cloud.evidence import store
from tests.cloud.conftest import TestHub
from tests.cloud.evidence.chains import Story, health
from tests.cloud.gateway import problem


@pytest.fixture
async def story(hub: TestHub) -> Story:
    return await Story(hub).tell()


async def test_rows_are_listed_the_newest_first_and_page_by_page(story: Story) -> None:
    token = await story.hub.token()

    async def listed(**params: object) -> list[dict[str, object]]:
        reply = await story.hub.client.get("/v1/evidence", params=params, headers=token)  # type: ignore[arg-type]
        assert reply.status_code == 200, reply.text
        found: list[dict[str, object]] = reply.json()
        return found

    everything = await listed()
    assert [row["id"] for row in everything] == [one.hex() for one in (story.risk, story.health["rig2"], story.health["rig1"])]
    first = await listed(limit=2)
    rest = await listed(limit=2, before=first[-1]["number"])
    assert [row["id"] for row in first + rest] == [row["id"] for row in everything]
    assert [row["subject"] for row in await listed(kind="health")] == ["rig2", "rig1"]
    assert [row["kind"] for row in await listed(subject="book main")] == ["risk"]
    assert await listed(kind="nothing") == []


async def test_a_row_is_told_with_its_inputs_by_name_and_hash_and_its_place_in_the_log(story: Story) -> None:
    await story.hub.hub.log.receipts(1, [story.risk], wait_s=10)
    token = await story.hub.token()
    document = (await story.hub.client.get(f"/v1/evidence/{story.risk.hex()}", headers=token)).json()
    assert (document["kind"], document["subject"], document["as_of_us"], document["seed"]) == ("risk", "book main", 20, 42)
    assert document["inputs"]["rows"] == {f"health {name}": digest.hex() for name, digest in story.health.items()}
    assert document["output"] == {"joint": 12.5}
    assert isinstance(document["position"], int)
    below = (await story.hub.client.get(f"/v1/evidence/{story.health['rig1'].hex()}", headers=token)).json()
    assert [batch["name"] for batch in below["inputs"]["batches"]] == ["rig1 live/1/1", "rig1 live/1/2"]
    assert all(len(batch["entry"]) == 64 for batch in below["inputs"]["batches"])
    assert (below["inputs"]["window"], below["inputs"]["tags"]) == (None, None)


async def test_arrays_are_lists_bytes_are_hex_and_infinity_is_no_null(story: Story) -> None:
    output = {"grid": np.arange(4.0).reshape(2, 2), "raw": b"\x01\xff", "life": math.inf, "lives": np.array([-math.inf, 1.0]), "none": None}
    async with story.hub.hub.db.tenant(1) as connection:
        row = dataclasses.replace(health("rig1", [], at=5), output=output, seed=(1 << 64) - 1)
        digest = await store.append(connection, 1, row, {}, 6)
    document = (await story.hub.client.get(f"/v1/evidence/{digest.hex()}", headers=await story.hub.token())).json()
    assert document["output"] == {"grid": [[0, 1], [2, 3]], "raw": "01ff", "life": "inf", "lives": ["-inf", 1], "none": None}
    assert document["seed"] == (1 << 64) - 1


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/v1/evidence/" + "0" * 64, "not-found"),
        ("/v1/evidence/xyz", "invalid-request"),
        ("/v1/evidence/" + "A" * 64, "invalid-request"),
        ("/v1/evidence/xyz/bundle", "invalid-request"),
        ("/v1/evidence?limit=0", "invalid-request"),
        ("/v1/evidence?limit=501", "invalid-request"),
        ("/v1/evidence?before=x", "invalid-request"),
        ("/v1/evidence?kind=%00", "invalid-request"),
    ],
)
async def test_a_wrong_question_gets_a_problem_document(hub: TestHub, path: str, slug: str) -> None:
    assert problem(await hub.client.get(path, headers=await hub.token())) == slug


async def test_nobody_reads_without_a_token_or_of_another_tenant(story: Story) -> None:
    await story.hub.tenant("other")
    other = await story.hub.token("other")
    for path in ("", f"/{story.risk.hex()}", f"/{story.risk.hex()}/bundle"):
        assert problem(await story.hub.client.get("/v1/evidence" + path)) == "unauthorized"
        reply = await story.hub.client.get("/v1/evidence" + path, headers=other)
        assert reply.json() == [] if path == "" else problem(reply) == "not-found"
