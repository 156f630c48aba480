"""protocols/batch/pedigree.py: what a computed result came from is proven, and what differs is named."""

import dataclasses
import hashlib
import importlib.util
import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from protocols.batch import checkpoint, evidence, pedigree, verify
from protocols.batch.errors import MalformedBatch, TooLarge
from protocols.batch.pedigree import Pedigree, ProvenRow, Report
from protocols.batch.proofs import Certificate
from protocols.signing import Ed25519Signer
from tests.protocols.batch import pedigrees
from tests.protocols.batch.pedigrees import BATCHES, DEALS, GOOD, HEALTH, KEY, MODEL, NAMED, RISK, WORLD, Log

STEPS = [
    "container",
    "digest",
    "checkpoint signature",
    "keys",
    "statement signatures",
    "receipts of batches",
    "receipts of rows",
    "references",
    "tag tables",
]
OTHER = Ed25519Signer.generate()


def detail(report: Report, step: str) -> str:
    return next(one.detail for one in report.steps if one.name == step)


def replaced(**changes: object) -> Pedigree:
    return dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]


def with_batch(at: int, data: bytes) -> Pedigree:
    """Another batch in the place of one, with its own valid receipt."""
    return replaced(batches=(*GOOD.batches[:at], WORLD.batch(data), *GOOD.batches[at + 1 :]))


def verified(forged: Pedigree) -> Report:
    return pedigree.verify(pedigree.write(forged), KEY)


def test_a_good_pedigree_is_proven_in_all_steps() -> None:
    report = verified(GOOD)
    assert [step.name for step in report.steps] == STEPS
    assert [step for step in report.steps if not step.ok] == []
    assert report.target == RISK
    assert pedigree.read(pedigree.write(GOOD)) == GOOD


def test_a_batch_of_another_gateway_signed_and_logged_as_well_is_told_by_the_name_of_the_input() -> None:
    forged = with_batch(0, BATCHES["rig2"][2])
    report = verified(forged)
    assert report.failed == "references"
    assert detail(report, "references").startswith("input batch rig1 live/1/1 of health rig1: expected entry ")
    assert "found a batch of rig2 live/1/3 (" in detail(report, "references")


def test_another_batch_of_the_same_gateway_is_told_by_its_number() -> None:
    report = verified(with_batch(1, BATCHES["rig1"][2]))
    assert report.failed == "references"
    assert "input batch rig1 live/1/2 of health rig1: expected" in detail(report, "references")
    assert "found a batch of rig1 live/1/3" in detail(report, "references")


def test_a_batch_put_in_the_place_of_another_with_the_receipt_of_that_one_is_told_as_well() -> None:
    """Whoever exchanges the bytes alone fails at the receipt first; the report still names the input."""
    forged = replaced(batches=(dataclasses.replace(GOOD.batches[0], statement=BATCHES["rig2"][2]), *GOOD.batches[1:]))
    report = verified(forged)
    assert report.failed == "receipts of batches"
    assert "input batch rig1 live/1/1 of health rig1" in detail(report, "references")


def test_a_batch_twice_in_the_place_of_another_is_found() -> None:
    report = verified(with_batch(0, NAMED[1]))
    assert report.failed == "references"
    assert "found a batch of rig1 live/1/2" in detail(report, "references")


def flipped(data: bytes, position: int) -> bytes:
    position %= len(data)
    return data[:position] + bytes((data[position] ^ 1,)) + data[position + 1 :]


def changed_row(row: int, **changes: object) -> Pedigree:
    """The row with other members and its old receipt."""
    document = evidence.encode(dataclasses.replace(evidence.decode(GOOD.rows[row].document), **changes))  # type: ignore[arg-type]
    return replaced(rows=(*GOOD.rows[:row], ProvenRow(document, GOOD.rows[row].receipt), *GOOD.rows[row + 1 :]))


@pytest.mark.parametrize(
    ("forged", "step", "told"),
    [
        pytest.param(
            replaced(log_key=checkpoint.verifier_key("x", OTHER.public)), "checkpoint signature", "", id="log key of somebody else"
        ),
        pytest.param(
            replaced(checkpoint=GOOD.checkpoint.replace("\n9\n", "\n8\n")), "checkpoint signature", "", id="checkpoint of another size"
        ),
        pytest.param(replaced(certificates=GOOD.certificates[1:]), "keys", "", id="key missing"),
        pytest.param(
            replaced(certificates=(Certificate("urn:qz:gw:rig2", -19, pedigrees.RIGS["rig1"].public, 1), GOOD.certificates[1])),
            "keys",
            "",
            id="key of another gateway",
        ),
        pytest.param(
            replaced(batches=(dataclasses.replace(GOOD.batches[0], statement=flipped(NAMED[0], -1)), *GOOD.batches[1:])),
            "statement signatures",
            "input batch rig1 live/1/1 of health rig1",
            id="changed signature",
        ),
        pytest.param(
            replaced(batches=(dataclasses.replace(GOOD.batches[0], receipt=GOOD.batches[1].receipt), *GOOD.batches[1:])),
            "receipts of batches",
            "every row",
            id="receipt of another batch",
        ),
        pytest.param(
            replaced(rows=(dataclasses.replace(GOOD.rows[0], receipt=GOOD.rows[1].receipt), *GOOD.rows[1:])),
            "receipts of rows",
            "every row",
            id="receipt of another row",
        ),
        pytest.param(
            replaced(rows=(dataclasses.replace(GOOD.rows[0], receipt=GOOD.batches[0].receipt), *GOOD.rows[1:])),
            "receipts of rows",
            "every row",
            id="receipt of a batch for a row",
        ),
        pytest.param(
            changed_row(2, output={"joint": 1.0}), "receipts of rows", "the row to prove: expected", id="output of the proven row changed"
        ),
        pytest.param(
            changed_row(0, output={"index": 1.0}),
            "receipts of rows",
            'input row "health rig1" of risk book main: expected',
            id="output of an input row changed",
        ),
        pytest.param(changed_row(2, seed=43), "receipts of rows", "the row to prove: expected", id="seed changed"),
        pytest.param(
            replaced(contents=(b"other", DEALS)),
            "references",
            'input content "model" of health rig1: expected',
            id="content changed",
        ),
        pytest.param(replaced(contents=(DEALS,)), "references", 'content "model" of health rig1: expected', id="content missing"),
        pytest.param(replaced(contents=(*GOOD.contents, b"more")), "references", "a content of 4 bytes", id="a content too many"),
        pytest.param(replaced(contents=(MODEL, DEALS, DEALS)), "references", "no row names it", id="a content twice"),
        pytest.param(
            replaced(rows=GOOD.rows[1:]), "references", 'input row "health rig1" of risk book main: expected', id="an input row missing"
        ),
        pytest.param(replaced(rows=GOOD.rows[:2]), "references", "the row to prove: expected", id="the row to prove missing"),
        pytest.param(replaced(rows=(*GOOD.rows, GOOD.rows[0])), "references", "a row health rig1", id="a row twice"),
        pytest.param(replaced(target=evidence.digest(GOOD.rows[0].document)), "references", "no row names it", id="target below the top"),
        pytest.param(replaced(batches=GOOD.batches[1:]), "references", "it is not in the file", id="a batch missing"),
        pytest.param(
            replaced(batches=(*GOOD.batches, WORLD.batch(BATCHES["rig1"][2]))),
            "references",
            "a batch of rig1 live/1/3",
            id="a batch too many",
        ),
        pytest.param(replaced(tables=GOOD.tables[1:]), "tag tables", "", id="tag table missing"),
        pytest.param(replaced(tables=(*GOOD.tables, GOOD.tables[0].replace("0.01", "0.1"))), "tag tables", "", id="a tag table too many"),
        pytest.param(
            replaced(tables=(GOOD.tables[0].replace("0.01", "0.1"), GOOD.tables[1])), "tag tables", "", id="tag table with another scale"
        ),
    ],
)
def test_a_forged_file_with_a_good_digest_fails_at_its_step_and_names_what_differs(forged: Pedigree, step: str, told: str) -> None:
    report = verified(forged)
    assert report.failed == step
    assert told in detail(report, "references")


def test_a_row_that_gives_the_entry_of_one_batch_the_number_of_another_is_found() -> None:
    lying = dataclasses.replace(pedigrees.ref(BATCHES["rig2"][0]), gateway="urn:qz:gw:rig1", seq=2)
    row = dataclasses.replace(HEALTH["rig1"], inputs=dataclasses.replace(HEALTH["rig1"].inputs, batches=(lying,)))
    log = Log([evidence.digest(evidence.encode(row))])
    report = verified(log.pedigree(row, [row], [MODEL], [BATCHES["rig2"][0]]))
    assert report.failed == "references"
    assert "rig1 live/1/2 of health rig1: the batch with its entry is rig2 live/1/1" in detail(report, "references")


def test_every_flipped_byte_is_found() -> None:
    data = pedigree.write(WORLD.pedigree(HEALTH["rig1"], [HEALTH["rig1"]], [MODEL], BATCHES["rig1"][:2]))
    one_table = dataclasses.replace(pedigree.read(data), tables=GOOD.tables[:1], certificates=GOOD.certificates[:1])
    data = pedigree.write(one_table)
    assert pedigree.verify(data, KEY).ok
    assert len(data) < 5000
    for position in range(len(data)):
        report = pedigree.verify(flipped(data, position), KEY)
        assert report.failed in ("container", "digest")


def test_a_changed_byte_is_found_by_whoever_recomputes_the_digest_of_the_file_as_well() -> None:
    """All but the dates of enrolment, which are the hub's word alone."""
    body = pedigree.write(GOOD)[:-32]
    enrolled = {body.index(signer.public) + len(signer.public) for signer in pedigrees.RIGS.values()}
    for position in sorted(set(range(0, len(body), 7)) - enrolled):
        changed = flipped(body, position)
        assert not pedigree.verify(changed + hashlib.sha256(changed).digest(), KEY).ok


@pytest.mark.parametrize("damaged", [b"", b"\xa0", pedigree.write(GOOD)[:-1], pedigree.write(GOOD)[:200], pedigree.write(GOOD) + b"\0"])
def test_a_damaged_file_is_no_container(damaged: bytes) -> None:
    report = pedigree.verify(damaged, KEY)
    assert (report.failed, report.pedigree, report.target) == ("container", None, None)


def test_a_document_that_is_none_and_a_batch_that_is_none_are_no_container() -> None:
    for forged in (
        replaced(rows=(ProvenRow(b"\xa0", b""),)),
        replaced(batches=(dataclasses.replace(GOOD.batches[0], statement=b"\xa0"),)),
        replaced(target=b"short"),
    ):
        assert verified(forged).failed == "container"


def test_more_rows_and_batches_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pedigree.write(GOOD)
    monkeypatch.setattr(pedigree, "MAX_ROWS", 2)
    with pytest.raises(TooLarge):
        pedigree.read(data)
    monkeypatch.setattr(pedigree, "MAX_FILE", 100)
    with pytest.raises(TooLarge, match="100 are allowed"):
        pedigree.read(data)


def test_samples_come_row_by_row_in_order_of_dependency_and_in_engineering_units() -> None:
    opened = list(pedigree.samples_of(GOOD))
    assert [one.row.name for one in opened] == ["health rig1", "health rig2", "risk book main"]
    first = opened[0].samples
    assert sorted(first) == ["rig1/well.level", "rig1/well.pressure"]
    assert first["rig1/well.pressure"].values.tolist() == [1.0, 1.01, 1.02, 2.0, 2.01, 2.02]
    assert first["rig1/well.pressure"].times_us.tolist() == [at * 1_000_000 for at in (3, 4, 5, 6, 7, 8)]
    assert first["rig1/well.level"].values.tolist() == [0.5, 0.5, 0.5]
    assert dict(opened[2].samples) == {}


def test_samples_are_narrowed_to_the_tags_and_the_window_that_the_row_names() -> None:
    row = pedigrees.health("rig1", BATCHES["rig1"][:2], window=(4_000_000, 7_000_000), tags=("rig1/well.pressure",))
    log = Log([evidence.digest(evidence.encode(row))])
    (opened,) = pedigree.samples_of(log.pedigree(row, [row], [MODEL], BATCHES["rig1"][:2]))
    assert list(opened.samples) == ["rig1/well.pressure"]
    assert opened.samples["rig1/well.pressure"].values.tolist() == [1.01, 1.02, 2.0]


def test_a_row_named_on_two_ways_comes_once_and_before_both() -> None:
    middle = dataclasses.replace(RISK, kind="outlook")
    top = pedigrees.risk({"a": middle, "b": HEALTH["rig1"], "z": HEALTH["rig2"]})
    rows = {evidence.digest(evidence.encode(row)): row for row in (top, middle, *HEALTH.values())}
    names = [rows[digest].name for digest in pedigree.in_order(evidence.digest(evidence.encode(top)), rows)]
    assert names == ["health rig1", "health rig2", "outlook book main", "risk book main"]


def test_a_long_chain_of_rows_is_walked_without_recursion() -> None:
    rows: dict[bytes, evidence.Row] = {}
    digest = b""
    for number in range(3000):
        inputs = evidence.Inputs(rows={"before": digest} if digest else {})
        row = evidence.Row("health", "rig1", number, inputs, {}, 0, {}, {})
        digest = evidence.digest(evidence.encode(row))
        rows[digest] = row
    assert [rows[one].as_of_us for one in pedigree.in_order(digest, rows)] == list(range(3000))


def test_the_command_knows_both_kinds_of_file_and_says_what_is_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.qzb", tmp_path / "bad.qzb"
    good.write_bytes(pedigree.write(GOOD))
    bad.write_bytes(pedigree.write(with_batch(0, BATCHES["rig2"][2])))
    assert verify.main([str(good), "--key", KEY]) == 0
    out = capsys.readouterr().out
    assert "PROVEN: risk of book main as of 2023-11-14T22:13:20" in out
    assert all(f"ok    {step}" in out for step in STEPS)
    assert verify.main([str(bad), "--key", KEY]) == 1
    out = capsys.readouterr().out
    assert "found a batch of rig2 live/1/3" in out
    assert "NOT PROVEN: references" in out
    assert verify.main([str(good), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["kind"], document["subject"], document["rows"]) == (True, "risk", "book main", 3)
    assert verify.main([str(bad), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == "references"


def test_a_column_of_a_tag_that_the_table_does_not_know_is_malformed() -> None:
    tables = {pedigrees.TABLES["rig1"].digest: pedigrees.TABLES["rig1"]}
    from protocols.batch import bundle
    from protocols.batch.columns import Group
    from protocols.batch.statement import Payload

    group = Group(np.array([7], np.uint32), np.zeros(1, np.int64), np.zeros((1, 1), np.int32))
    with pytest.raises(MalformedBatch, match="a tag 7"):
        bundle.columns([("rig1", Payload(pedigrees.TABLES["rig1"].digest, (group,)))], tables)


@pytest.fixture
def qenergyz() -> types.ModuleType:
    """The command as it stands here, not as it was installed."""
    spec = importlib.util.spec_from_file_location("qenergyz", Path(__file__).resolve().parents[3] / "qenergyz.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recomputing(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What the hub's recomputation was called with."""
    called: list[Sequence[str]] = []
    module = types.ModuleType("cloud.recompute")
    module.main = lambda argv: called.append(argv) or 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cloud.reaction", types.ModuleType("cloud.reaction"))
    monkeypatch.setitem(sys.modules, "cloud.recompute", module)
    return called


def test_recompute_hands_the_other_arguments_to_the_hub(qenergyz: types.ModuleType, recomputing: list[Sequence[str]]) -> None:
    assert qenergyz.main(["verify", "--recompute", "file.qzb", "--json"]) == 7
    assert recomputing == [["file.qzb", "--json"]]


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("fastapi", 'qenergyz verify --recompute needs the package fastapi: pip install "qenergyz[hub]"'),
        ("cloud.recompute", "this version has no cloud.recompute"),
    ],
)
def test_recompute_says_what_is_missing(
    qenergyz: types.ModuleType, missing: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(_: str) -> None:
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr(importlib, "import_module", absent)
    assert qenergyz.main(["verify", "file.qzb", "--recompute"]) == 2
    assert told in capsys.readouterr().err


def test_the_contract_alone_refuses_to_recompute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main([str(tmp_path / "file.qzb"), "--recompute"]) == 2
    assert 'only the command "qenergyz verify --recompute"' in capsys.readouterr().err
