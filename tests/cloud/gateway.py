"""A gateway for tests: a key, a tag table, and batches of its own making, right or wrong."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import numpy as np

from protocols.batch import cbor, checkpoint, receipt, statement
from protocols.batch.columns import Gap, Group
from protocols.batch.statement import Header, Payload
from protocols.devicemap import TagTable
from protocols.enrolment import enrolment_proof
from protocols.signing import Ed25519Signer

SEQUENCE = {"content-type": "application/cbor-seq"}


def tag_table(gateway: str, tags: int, types: tuple[str, ...] = ("int32",), scale: str = "0.01") -> TagTable:
    rows = [
        {
            "id": at,
            "device": "plc1",
            "tag": f"t{at}",
            "at": f"holding:{at}",
            "type": types[at % len(types)],
            "unit": "bar",
            "scale": scale,
            "offset": "0",
            "asset": "pump1",
            "protocol": "modbus",
            "range": [0, 100],
        }
        for at in range(tags)
    ]
    return TagTable.parse(json.dumps({"gateway": gateway, "tags": rows}, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


@dataclass
class Reply:
    """A 200 of POST /v1/batches."""

    checkpoint: str
    proof: list[bytes]
    receipts: list[bytes | None]

    @classmethod
    def read(cls, content: bytes) -> "Reply":
        match cbor.decode_strict(content):
            case {0: 1, 1: str(text), 2: list(proof), 3: list(receipts)}:
                return cls(text, proof, receipts)
        raise AssertionError("not a reply")

    @property
    def size(self) -> int:
        return int(self.checkpoint.split("\n")[1])


@dataclass
class Gateway:
    """`seal` continues the chain; `post` sends. tags int32 with scale 0.01."""

    client: httpx.AsyncClient
    name: str
    signer: Ed25519Signer = field(default_factory=Ed25519Signer.generate)
    tags: int = 4
    enrolment: dict[str, Any] = field(default_factory=dict)
    heads: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = tag_table(self.name, self.tags)

    @property
    def urn(self) -> str:
        return f"urn:qz:gw:{self.name}"

    async def enrol(self, voucher: str) -> httpx.Response:
        public = self.signer.public
        reply = await self.client.post(
            "/v1/enrolments",
            json={
                "voucher": voucher,
                "gateway": self.name,
                "algorithm": self.signer.algorithm,
                "public_key": public.hex(),
                "proof": self.signer.sign(enrolment_proof(voucher, self.name, public)).hex(),
            },
        )
        if reply.status_code == 201:
            self.enrolment = reply.json()
        return reply

    async def put_table(self, table: TagTable | None = None) -> httpx.Response:
        table = table or self.table
        signed = statement.sign_tag_table(table.text, self.urn, self.signer)
        return await self.client.put(f"/v1/tag-tables/{table.digest.hex()}", content=signed)

    def payload(self, start_us: int = 1_000_000, rows: int = 3, first: int = 0, gaps: tuple[Gap, ...] = ()) -> Payload:
        times = start_us + 1_000_000 * np.arange(rows, dtype=np.int64)
        values = (first + np.arange(rows * self.tags, dtype=np.int32)).reshape(rows, self.tags)
        group = Group(np.arange(self.tags, dtype=np.uint32), times, values.astype(np.int32))
        return Payload(self.table.digest, (group,), gaps)

    def seal(self, payload: Payload | None = None, *, stream: str = "live", epoch: int = 1, **changes: Any) -> bytes:
        seq, prev = self.heads.get((stream, epoch), (0, statement.START))
        header = replace(Header(self.urn, stream, epoch, seq + 1, prev), **changes)
        data = statement.seal(header, payload or self.payload(1_000_000 * (1 + 10 * seq), first=seq), self.signer)
        self.heads[stream, epoch] = (header.seq, statement.entry_hash(data))
        return data

    async def post(self, *statements: bytes, size: int = 0, backlog: int = 0, **told: int) -> httpx.Response:
        params = {"size": size, "backlog": backlog, **told}
        return await self.client.post("/v1/batches", params=params, content=b"".join(statements), headers=SEQUENCE)

    async def send(self, *statements: bytes, size: int = 0) -> Reply:
        response = await self.post(*statements, size=size)
        assert response.status_code == 200, response.text
        reply = Reply.read(response.content)
        self.check(reply, statements)
        return reply

    def check(self, reply: Reply, statements: tuple[bytes, ...]) -> None:
        """Every receipt verifies against the checkpoint of the same reply."""
        seen = checkpoint.verify(reply.checkpoint, self.enrolment["log_key"])
        key = checkpoint.LogKey.parse(self.enrolment["log_key"]).verifier()
        for issued, data in zip(reply.receipts, statements, strict=True):
            assert issued is not None
            found = receipt.verify(issued, data, key, self.enrolment["origin"])
            assert (found.size, found.root) == (seen.size, seen.root)


def problem(response: httpx.Response) -> str:
    """The slug of a problem document, checked for form."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document = response.json()
    assert document["status"] == response.status_code
    assert document["title"]
    assert document["detail"]
    return str(document["type"]).removeprefix("urn:qenergyz:problem:")
