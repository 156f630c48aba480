"""A hub in memory that speaks the production protocol through httpx: verifies, logs, answers with real receipts, and misbehaves when told to."""

from collections.abc import Callable

import httpx

from edge.enrolment import Enrolment
from protocols.batch import cbor, merkle, receipt, statement
from protocols.batch.checkpoint import Checkpoint, verifier_key
from protocols.batch.errors import BatchError
from protocols.signing import Ed25519Signer, Ed25519Verifier

ORIGIN = "hub.test/tenant"


class HubSimulator:
    """`answer` is the handler of an httpx.MockTransport. stored: statements by (stream, epoch, seq), as a hub keeps them."""

    def __init__(self, gateway: Ed25519Verifier) -> None:
        self.signer = Ed25519Signer.generate()
        self.log_key = verifier_key(ORIGIN, self.signer.public)
        self.enrolment = Enrolment("tenant", "urn:qz:gw:rig1", ORIGIN, self.log_key)
        self.tree = merkle.Tree()
        self.places: dict[bytes, int] = {}
        self.stored: dict[tuple[str, int, int], bytes] = {}
        self.tables: set[str] = set()
        self.bodies: list[bytes] = []
        self.before: list[
            Callable[[], httpx.Response | None]
        ] = []  # next replies that are not the usual one; None = store, then lose the reply
        self.told: dict[str, str] = {}  # beside the last body: what the gateway says of itself
        self.receipt_signer = self.signer
        self.integrates = True
        self.longest_body = 1 << 30  # a longer one does not come through in time
        self._gateway = gateway

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            table = statement.parse_tag_table(request.content)
            table.verify(self._gateway)
            self.tables.add(table.digest.hex())
            return httpx.Response(201)
        if len(request.content) > self.longest_body:
            raise httpx.ReadTimeout("no reply in time", request=request)
        unusual = self.before.pop(0) if self.before else None
        reply = unusual() if unusual else None
        if reply is not None:
            return reply
        self.bodies.append(request.content)
        self.told = dict(request.url.params)
        done = self._take(request.content, int(request.url.params["size"]))
        if unusual:
            raise httpx.ReadError("connection reset", request=request)
        return done

    def _take(self, body: bytes, old_size: int) -> httpx.Response:
        items: list[bytes] = []
        at = 0
        while at < len(body):
            index = len(items)
            try:
                end = cbor.decode_first(body, at)[1]
                item, at = body[at:end], end
                parsed = statement.parse(item)
                parsed.verify(self._gateway)
            except BatchError as error:
                return problem(error.slug, 400, index)
            items.append(item)
            if parsed.open().table_digest.hex() not in self.tables:
                return problem("unknown-tag-table", 424, index)
            key = (parsed.header.stream, parsed.header.epoch, parsed.header.seq)
            if self.stored.setdefault(key, item) != item:
                return problem("equivocation", 409, index)
            if self.integrates and parsed.entry not in self.places:
                self.places[parsed.entry] = self.tree.append(merkle.leaf_hash(parsed.entry))
        return self.reply(items, old_size)

    def reply(self, items: list[bytes], old_size: int) -> httpx.Response:
        size = self.tree.size
        root = self.tree.root()
        signed = receipt.sign_root(size, root, ORIGIN, 1_700_000_000, self.receipt_signer)
        receipts = []
        for item in items:
            place = self.places.get(statement.entry_hash(item))
            path = None if place is None else merkle.inclusion_proof(place, size, self.tree.node)
            receipts.append(None if path is None or place is None else receipt.issue(signed, place, path))
        proof = merkle.consistency_proof(old_size, size, self.tree.node) if 0 < old_size <= size else []
        text = Checkpoint(ORIGIN, size, root).sign(self.signer)
        return httpx.Response(200, content=cbor.encode({0: 1, 1: text, 2: proof, 3: receipts}))

    def fork(self) -> None:
        """Another history of the same length: every entry replaced."""
        tree = merkle.Tree()
        for number in range(self.tree.size):
            tree.append(merkle.leaf_hash(number.to_bytes(32, "big")))
        self.tree = tree

    def rewind(self, size: int) -> None:
        """As after a restore from an older backup."""
        kept = {entry: place for entry, place in self.places.items() if place < size}
        self.stored = {key: data for key, data in self.stored.items() if statement.entry_hash(data) in kept}
        self.tree, self.places = merkle.Tree(), {}
        for entry, _ in sorted(kept.items(), key=lambda item: item[1]):
            self.places[entry] = self.tree.append(merkle.leaf_hash(entry))


def problem(slug: str, status: int, index: int | None = None, **headers: str) -> httpx.Response:
    body = {"type": f"urn:qenergyz:problem:{slug}", "title": slug, "status": status, "detail": f"simulated {slug}"}
    return httpx.Response(status, json=body if index is None else {**body, "index": index}, headers=headers)
