"""A small world for pedigrees: two rigs with three batches each, health of both, risk from both, and a log of their own."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from protocols.batch import checkpoint, evidence, merkle, receipt, statement
from protocols.batch.columns import Group
from protocols.batch.evidence import BatchRef, Inputs, Row
from protocols.batch.pedigree import Pedigree, ProvenRow
from protocols.batch.proofs import Certificate, ProvenBatch
from protocols.batch.statement import Header, Payload
from protocols.devicemap import TagTable
from protocols.signing import Ed25519Signer

ORIGIN = "hub.example/tenant-1"
LOG = Ed25519Signer.from_seed(hashlib.sha256(b"a log of the tests").digest())
KEY = checkpoint.verifier_key(ORIGIN, LOG.public)
RIGS = {name: Ed25519Signer.from_seed(hashlib.sha256(name.encode()).digest()) for name in ("rig1", "rig2")}
CERTIFICATES = tuple(Certificate(f"urn:qz:gw:{name}", signer.algorithm, signer.public, 1) for name, signer in RIGS.items())
MODEL, DEALS = b"[site]\n", b"[]"


def table(rig: str) -> TagTable:
    fixed = {"at": "0", "unit": "bar", "asset": "", "protocol": "modbus", "offset": "0", "range": None, "device": "well"}
    rows = [
        {**fixed, "id": 0, "tag": "pressure", "type": "int32", "scale": "0.01"},
        {**fixed, "id": 1, "tag": "level", "type": "float32", "scale": "1"},
    ]
    return TagTable.parse(json.dumps({"gateway": rig, "tags": rows}, sort_keys=True, separators=(",", ":")))


TABLES = {rig: table(rig) for rig in RIGS}


def batch(rig: str, number: int, prev: bytes, stream: str = "live") -> bytes:
    """Three samples of pressure (of level: in batch 2 alone), one second apart."""
    times = np.arange(3, dtype=np.int64) * 1_000_000 + number * 3_000_000
    counts = np.array([[100 * number], [100 * number + 1], [100 * number + 2]], np.int32)
    groups = [Group(np.array([0], np.uint32), times, counts)]
    if number == 2:
        groups.append(Group(np.array([1], np.uint32), times, np.full((3, 1), 0.5, np.float32)))
    header = Header(f"urn:qz:gw:{rig}", stream, 1, number, prev)
    return statement.seal(header, Payload(TABLES[rig].digest, tuple(groups)), RIGS[rig])


def chain(rig: str, count: int = 3) -> list[bytes]:
    signed: list[bytes] = []
    for number in range(1, count + 1):
        signed.append(batch(rig, number, statement.entry_hash(signed[-1]) if signed else statement.START))
    return signed


BATCHES = {rig: chain(rig) for rig in RIGS}


def ref(data: bytes) -> BatchRef:
    header = statement.parse(data).header
    return BatchRef(header.gateway, header.stream, header.epoch, header.seq, statement.entry_hash(data))


def health(rig: str, batches: Sequence[bytes], **narrowed: object) -> Row:
    inputs = Inputs(contents={"model": evidence.digest(MODEL)}, batches=tuple(map(ref, batches)), **narrowed)  # type: ignore[arg-type]
    return Row("health", rig, 9, inputs, {}, 0, {"qenergyz": "test"}, {"index": 0.5})


HEALTH = {rig: health(rig, BATCHES[rig][:2]) for rig in RIGS}


def risk(rows: dict[str, Row]) -> Row:
    named = {name: evidence.digest(evidence.encode(row)) for name, row in rows.items()}
    return Row("risk", "book main", 1_700_000_000_000_000, Inputs(named, {"deals": evidence.digest(DEALS)}), {}, 42, {}, {"joint": 12.5})


RISK = risk({f"health {rig}": row for rig, row in HEALTH.items()})


class Log:
    """Everything of this world stands in it."""

    def __init__(self, more: Sequence[bytes] = ()) -> None:
        self.tree, self.at = merkle.Tree(), dict[bytes, int]()
        rows = [evidence.digest(evidence.encode(row)) for row in (*HEALTH.values(), RISK)]
        for entry in (*(statement.entry_hash(data) for rig in RIGS for data in BATCHES[rig]), *rows, *more):
            self.at[entry] = self.tree.size
            self.tree.append(merkle.leaf_hash(entry))
        self.signed = receipt.sign_root(self.tree.size, self.tree.root(), ORIGIN, 1_717_200_100, LOG)
        self.checkpoint = checkpoint.Checkpoint(ORIGIN, self.tree.size, self.tree.root()).sign(LOG)

    def receipt(self, entry: bytes) -> bytes:
        return receipt.issue(self.signed, self.at[entry], merkle.inclusion_proof(self.at[entry], self.tree.size, self.tree.node))

    def batch(self, data: bytes) -> ProvenBatch:
        parsed = statement.parse(data)
        return ProvenBatch(data, self.receipt(parsed.entry), parsed.open().table_digest)

    def row(self, row: Row) -> ProvenRow:
        document = evidence.encode(row)
        return ProvenRow(document, self.receipt(evidence.digest(document)))

    def pedigree(self, target: Row, rows: Sequence[Row], contents: Sequence[bytes], batches: Sequence[bytes]) -> Pedigree:
        return Pedigree(
            log_key=KEY,
            checkpoint=self.checkpoint,
            certificates=CERTIFICATES,
            batches=tuple(map(self.batch, batches)),
            tables=tuple(one.text for one in TABLES.values()),
            target=evidence.digest(evidence.encode(target)),
            rows=tuple(map(self.row, rows)),
            contents=tuple(contents),
        )


WORLD = Log()
NAMED = [data for rig in RIGS for data in BATCHES[rig][:2]]
GOOD = WORLD.pedigree(RISK, [*HEALTH.values(), RISK], [MODEL, DEALS], NAMED)
