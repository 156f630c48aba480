import dataclasses
import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from protocols.batch import bundle, checkpoint, merkle, receipt, statement, verify
from protocols.batch.bundle import Bundle, Window
from protocols.batch.columns import Gap, GapReason, Group
from protocols.batch.proofs import Certificate, ProvenBatch
from protocols.batch.statement import Header, Payload
from protocols.devicemap import TagTable
from protocols.signing import Ed25519Signer

LOG = Ed25519Signer.from_seed(hashlib.sha256(b"a log of the tests").digest())
GATEWAY = Ed25519Signer.from_seed(hashlib.sha256(b"a gateway of the tests").digest())
URN, ORIGIN = "urn:qz:gw:rig7", "hub.example/tenant-1"
KEY = checkpoint.verifier_key(ORIGIN, LOG.public)


def row(number: int, tag: str, kind: str, scale: str) -> dict[str, object]:
    text = {"device": "well1", "tag": tag, "at": str(number), "unit": "bar", "asset": "", "protocol": "modbus", "offset": "0"}
    return {**text, "id": number, "type": kind, "scale": scale, "range": None}


TABLE = TagTable.parse(
    json.dumps(
        {"gateway": "rig7", "tags": [row(0, "pressure", "uint16", "0.01"), row(1, "level", "float32", "1")]},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
)


def payload(number: int, gaps: tuple[Gap, ...] = ()) -> Payload:
    times = np.arange(3, dtype=np.int64) * 1_000_000 + number * 3_000_000
    counts = np.array([[6000 + number], [6001], [6082]], np.int32)
    quality = np.array([[0], [0x8000_0000], [0]], np.uint32) if number == 2 else None
    groups = (Group(np.array([0], np.uint32), times, counts, quality), Group(np.array([1], np.uint32), times, np.ones((3, 1), np.float32)))
    return Payload(TABLE.digest, groups, gaps)


def chain(count: int, gaps_of_last: tuple[Gap, ...] = ()) -> list[bytes]:
    signed: list[bytes] = []
    for number in range(count):
        prev = statement.entry_hash(signed[-1]) if signed else statement.START
        gaps = gaps_of_last if number == count - 1 else ()
        signed.append(statement.seal(Header(URN, "live", 1, number + 1, prev), payload(number, gaps), GATEWAY))
    return signed


def build(statements: Sequence[bytes], kept: Sequence[int], window: Window, receipts_at: int | None = None) -> Bundle:
    """Batches 0.. of a log of their own; receipts of a tree of `receipts_at` (default: of the checkpoint)."""
    tree = merkle.Tree()
    for data in statements:
        tree.append(merkle.leaf_hash(statement.entry_hash(data)))
    size = receipts_at or tree.size
    signed = receipt.sign_root(size, tree.root(size), ORIGIN, 1_717_200_100, LOG)
    batches = tuple(
        ProvenBatch(statements[i], receipt.issue(signed, i, merkle.inclusion_proof(i, size, tree.node)), TABLE.digest) for i in kept
    )
    samples = bundle.recompute([statement.parse(b.statement).open() for b in batches], {TABLE.digest: TABLE}, window)
    consistency = {} if size == tree.size else {size: tuple(merkle.consistency_proof(size, tree.size, tree.node))}
    head = checkpoint.Checkpoint(ORIGIN, tree.size, tree.root()).sign(LOG)
    certificates = (Certificate(URN, GATEWAY.algorithm, GATEWAY.public, 1),)
    return Bundle(KEY, head, certificates, batches, (TABLE.text,), window, samples, consistency)


WINDOW = Window(URN, "well1.pressure", 1_000_000, 9_000_000)
GOOD = build(chain(4), (0, 1, 2), WINDOW)


def test_a_good_bundle_is_proven_in_all_steps() -> None:
    report = bundle.verify(bundle.write(GOOD), KEY)
    assert [step.name for step in report.steps if not step.ok] == []
    assert [step.name for step in report.steps] == [
        "container",
        "digest",
        "checkpoint signature",
        "key",
        "statement signature",
        "receipt inclusion",
        "receipt signature",
        "tag table",
        "chain",
        "samples",
    ]


def test_samples_are_those_of_the_window_in_engineering_units_with_their_quality() -> None:
    samples = GOOD.samples
    assert samples.times_us.tolist() == [number * 1_000_000 for number in range(1, 9)]
    assert samples.values.tolist()[:3] == [60.01, 60.82, 60.01]
    assert samples.quality.tolist() == [0, 0, 0, 0, 0, 0, 0x8000_0000, 0]


def test_receipts_of_an_older_tree_need_its_consistency_proof() -> None:
    older = build(chain(6), (0, 1), WINDOW, receipts_at=3)
    assert bundle.verify(bundle.write(older), KEY).ok
    without = dataclasses.replace(older, consistency={})
    assert bundle.verify(bundle.write(without), KEY).failed == "receipt inclusion"


def test_every_flipped_byte_is_found_and_the_step_named() -> None:
    data = bundle.write(GOOD)
    assert len(data) < 6000
    for position in range(len(data)):
        report = bundle.verify(data[:position] + bytes((data[position] ^ 0x01,)) + data[position + 1 :], KEY)
        assert report.failed in ("container", "digest")


def test_a_truncated_or_lengthened_file_is_found() -> None:
    data = bundle.write(GOOD)
    for damaged in (data[:-1], data + b"\x00", data[:100], b"", b"\xa0"):
        assert not bundle.verify(damaged, KEY).ok


def replaced(**changes: object) -> Bundle:
    return dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]


def with_batch(**changes: object) -> Bundle:
    first = dataclasses.replace(GOOD.batches[0], **changes)  # type: ignore[arg-type]
    return replaced(batches=(first, *GOOD.batches[1:]))


def flipped(data: bytes, position: int) -> bytes:
    position %= len(data)
    return data[:position] + bytes((data[position] ^ 1,)) + data[position + 1 :]


OTHER = Ed25519Signer.generate()
OTHER_TABLE = TABLE.text.replace('"0.01"', '"0.1"')
FIRST = GOOD.batches[0]
SECOND_SEQUENCE_GAP = (Gap(2, 2, GapReason.SEALED_DROPPED),)


@pytest.mark.parametrize(
    ("forged", "step"),
    [
        pytest.param(
            replaced(log_key=checkpoint.verifier_key(ORIGIN, OTHER.public)), "checkpoint signature", id="log key of somebody else"
        ),
        pytest.param(
            replaced(checkpoint=GOOD.checkpoint.replace("\n4\n", "\n5\n")), "checkpoint signature", id="checkpoint of another size"
        ),
        pytest.param(replaced(certificates=()), "key", id="no key"),
        pytest.param(replaced(certificates=(Certificate(URN, -19, OTHER.public, 1),)), "key", id="another key"),
        pytest.param(replaced(certificates=(Certificate("urn:qz:gw:x", -19, GATEWAY.public, 1),)), "key", id="key of another gateway"),
        pytest.param(replaced(certificates=(Certificate(URN, -48, GATEWAY.public, 1),)), "key", id="algorithm outside the set"),
        pytest.param(with_batch(statement=flipped(FIRST.statement, -1)), "statement signature", id="changed signature"),
        pytest.param(with_batch(receipt=GOOD.batches[1].receipt), "receipt inclusion", id="receipt of another batch"),
        pytest.param(with_batch(receipt=flipped(FIRST.receipt, -1)), "receipt signature", id="changed receipt signature"),
        pytest.param(with_batch(table_digest=b"x" * 32), "tag table", id="another digest"),
        pytest.param(replaced(tables=(OTHER_TABLE,)), "tag table", id="tag table with another scale"),
        pytest.param(replaced(tables=(TABLE.text, OTHER_TABLE)), "tag table", id="a tag table too many"),
        pytest.param(replaced(window=Window(URN, "well1.nothing", 0, 9)), "tag table", id="tag that does not exist"),
        pytest.param(replaced(batches=(GOOD.batches[0], GOOD.batches[2])), "chain", id="a batch left out"),
        pytest.param(replaced(batches=GOOD.batches[::-1]), "chain", id="batches out of order"),
        pytest.param(replaced(window=Window(URN, "well1.pressure", 0, 9_000_000)), "samples", id="a wider window"),
        pytest.param(replaced(window=Window(URN, "well1.level", 1_000_000, 9_000_000)), "samples", id="another tag"),
        pytest.param(
            replaced(samples=dataclasses.replace(GOOD.samples, values=GOOD.samples.values + 0.001)), "samples", id="embellished values"
        ),
        pytest.param(
            replaced(samples=dataclasses.replace(GOOD.samples, quality=np.zeros(8, np.uint32))), "samples", id="embellished quality"
        ),
    ],
)
def test_a_forged_bundle_with_a_good_digest_fails_at_its_step(forged: Bundle, step: str) -> None:
    assert bundle.verify(bundle.write(forged)).failed == step


def test_a_bundle_of_another_log_than_the_trusted_one_is_refused() -> None:
    assert bundle.verify(bundle.write(GOOD), checkpoint.verifier_key(ORIGIN, OTHER.public)).failed == "checkpoint signature"


@pytest.mark.parametrize("gap", [Gap(2, 2, GapReason.SEALED_DROPPED), Gap(3_000_000, 5_000_000, GapReason.DROPPED_BY_CAP)])
def test_a_hole_that_the_gateway_declared_is_told_and_passes(gap: Gap) -> None:
    declared = build(chain(3, (gap,)), (0, 2), WINDOW)
    report = bundle.verify(bundle.write(declared), KEY)
    assert report.ok
    assert report.gaps == (gap,)


def test_a_window_without_batches_is_proven_to_hold_no_claim() -> None:
    empty = build(chain(2), (), WINDOW)
    assert bundle.verify(bundle.write(empty), KEY).ok


def test_the_command_prints_each_step_and_ends_with_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.qzb", tmp_path / "bad.qzb"
    data = bundle.write(GOOD)
    good.write_bytes(data)
    bad.write_bytes(flipped(data, 700))
    assert verify.main([str(good), "--key", KEY]) == 0
    assert "PROVEN: well1.pressure" in capsys.readouterr().out
    assert verify.main([str(bad)]) == 1
    assert "NOT PROVEN: digest" in capsys.readouterr().out
    assert verify.main([str(good), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert verify.main([str(tmp_path / "none.qzb")]) == 2
    assert verify.main([str(good), "--key", "nonsense"]) == 2


def test_verifying_imports_neither_program_nor_web_nor_field_libraries(tmp_path: Path) -> None:
    import subprocess
    import sys

    file = tmp_path / "good.qzb"
    file.write_bytes(bundle.write(GOOD))
    code = (
        "import sys; from protocols.batch.verify import main; r = main([sys.argv[1]]);"
        "found = {m.partition('.')[0] for m in sys.modules} & {'edge', 'cloud', 'simulators', 'fastapi', 'httpx', 'psycopg', 'pymodbus', 'asyncua'};"
        "sys.exit(r or len(found))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False, capture_output=True).returncode == 0


def test_scales_are_applied_as_the_tag_table_says() -> None:
    assert TABLE.entries[0].scale == Decimal("0.01")
