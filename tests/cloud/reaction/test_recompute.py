"""A bundle of a risk figure, computed again offline; and what is said when something in it is not what it was."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloud import recompute
from cloud.evidence import again
from cloud.evidence import store as evidence_store
from protocols.batch import evidence, pedigree
from tests.cloud.conftest import TestHub
from tests.cloud.reaction.desk import Desk

Told = Callable[[], str]


async def _story(hub: TestHub) -> tuple[Desk, bytes]:
    desk = await Desk(hub).open()
    await desk.send(12)
    first = await desk.settled()
    for _ in range(2):
        await desk.send(4, offset=6.0)
    found = await desk.result("risk", lambda found: found["id"] != first["id"])
    return desk, await desk.bundle(found["id"])


async def test_every_row_of_a_bundle_is_computed_again_to_the_bit(hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk, data = await _story(hub)
    file = tmp_path / "evidence.qzb"
    file.write_bytes(data)
    assert recompute.main([str(file)]) == 0
    assert "EQUAL" in capsys.readouterr().out
    assert recompute.main([str(file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["equal"] is True
    assert report["recomputed"]["risk"] == 1
    assert report["recomputed"]["health"] >= 2
    detail = await desk.result("detail")
    file.write_bytes(await desk.bundle(detail["id"]))
    assert recompute.main([str(file)]) == 0


async def test_a_batch_of_another_well_is_told_by_the_name_of_the_input(
    hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, data = await _story(hub)
    found = pedigree.read(data)
    ours = next(at for at, batch in enumerate(found.batches) if b"urn:qz:gw:rig1" in batch.statement)
    theirs = next(batch for batch in found.batches if b"urn:qz:gw:rig2" in batch.statement)
    changed = replace(found, batches=(*found.batches[:ours], theirs, *found.batches[ours + 1 :]))
    file = tmp_path / "evidence.qzb"
    file.write_bytes(pedigree.write(changed))
    assert recompute.main([str(file)]) == 1
    out = capsys.readouterr().out
    assert "input batch rig1 live/1/" in out
    assert "rig2 live/1/" in out
    assert "NOT RECOMPUTED" in out


async def test_an_output_that_does_not_follow_from_its_inputs_is_found(
    hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hub that lies: the row is signed, logged and refers to true inputs, and its figure is made up."""
    desk, _ = await _story(hub)
    truth = await desk.result("risk")
    async with hub.hub.db.tenant(1) as connection:
        stored = await evidence_store.get(connection, 1, bytes.fromhex(truth["id"]))
        assert stored is not None
        row = stored.row
        lie = replace(row, output={**row.output, "var": row.output["var"] * 0.9})
        digest = await evidence_store.append(connection, 1, lie, {}, 1)
    hub.hub.log.wake(1)
    file = tmp_path / "evidence.qzb"
    file.write_bytes(await desk.bundle(digest.hex()))
    assert recompute.main([str(file)]) == 1
    out = capsys.readouterr().out
    assert "DIFFERENT: 1 of" in out
    assert "risk main" in out
    assert "var: the row says" in out


def test_differences_name_the_place_and_how_far_off() -> None:
    import numpy as np

    row = evidence.Row(
        "risk", "main", 1, evidence.Inputs(), {}, 0, {"qenergyz": "test"}, {"a": {"b": [1.0, 2.0]}, "c": np.array([1.0, 2.0])}
    )
    stored = evidence.decode(evidence.encode(row))
    assert list(again.differences(stored, {"a": {"b": [1.0, 2.0]}, "c": np.array([1.0, 2.0])})) == []
    found = list(again.differences(stored, {"a": {"b": [1.0, 2.5]}, "c": np.array([1.0, 2.2])}))
    assert found == [
        "a.b[1]: the row says 2.0, computed 2.5 (at most 2.5e-01 off)",
        "c: the row says 2 numbers, computed 2 numbers (at most 1.0e-01 off)",
    ]
    assert list(again.differences(stored, {"c": np.array([1.0, 2.0])})) == ["a: not computed"]


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x"
    assert recompute.main([str(file)]) == 2
    file.write_bytes(b"nothing")
    assert recompute.main([str(file)]) == 2
    assert "expected an evidence bundle" in capsys.readouterr().err
