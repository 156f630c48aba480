"""Trust rules for batches and tag tables: bytes in, verified objects out.

Order of the checks, each refusing before the next begins: size, strict CBOR, key known and valid, algorithm equals the enrolled one,
signature, gateway of the key, payload unpacks and decodes strictly, tag table known and fitting, chain. Nothing here looks up a key,
reads a table or stores anything: those are given. The reference time is fixed once per request. A refusal is a `Refusal`; everything
before the refused statement is good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloud.config import Limits
from cloud.errors import Problem
from cloud.identity.keyring import GatewayKey
from cloud.telemetry.tags import TagMap
from cloud.telemetry.vouching import Vouched
from protocols.batch import cbor, statement
from protocols.batch.errors import BatchError
from protocols.batch.statement import Payload, SignedTagTable, Statement
from protocols.devicemap import TagTable

STREAMS: Final = ("live", "backfill", "event")
_INT64: Final = 1 << 63

ChainKey = tuple[str, int, int]


class Refusal(Exception):
    """Why a statement is not accepted: slug and sentence, its place in the request, and what is known of it."""

    def __init__(self, slug: str, detail: str, index: int = 0, known: Statement | None = None) -> None:
        super().__init__(detail)
        self.slug, self.detail, self.index, self.known = slug, detail, index, known

    def problem(self) -> Problem:
        header = self.known.header if self.known else None
        return Problem(
            self.slug,
            self.detail,
            index=self.index,
            stream=header.stream if header else None,
            epoch=header.epoch if header else None,
            seq=header.seq if header else None,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A statement with a valid signature of a known key, and its decoded payload. entry: its hash."""

    index: int
    statement: Statement
    entry: bytes
    payload: Payload
    t_min_us: int | None
    t_max_us: int | None

    @property
    def key(self) -> ChainKey:
        header = self.statement.header
        return header.stream, header.epoch, header.seq


@dataclass(frozen=True, slots=True)
class Verified:
    """An opened statement whose tags are known. positions[i] belongs to payload.groups[i]."""

    opened: Opened
    table: TagMap
    positions: tuple[NDArray[np.intp], ...]


@dataclass(frozen=True, slots=True)
class Link:
    """What a stored batch says about its place in a chain."""

    entry: bytes
    prev: bytes


def split(body: bytes, limits: Limits) -> tuple[list[Statement], Refusal | None]:
    """The statements of a request body, up to the first that is not one."""
    found: list[Statement] = []
    at = 0
    while at < len(body):
        index = len(found)
        if index == limits.statements:
            return found, Refusal("too-large", f"more than {limits.statements} batches in one request", index)
        try:
            end = cbor.decode_first(body, at)[1]
            if end - at > limits.statement_bytes:
                return found, Refusal("too-large", f"a batch of {end - at} bytes, {limits.statement_bytes} are allowed", index)
            parsed = statement.parse(body[at:end])
        except BatchError as error:
            return found, Refusal(error.slug, str(error), index)
        if max(parsed.header.epoch, parsed.header.seq) >= _INT64 or parsed.header.stream not in STREAMS:
            return found, Refusal("malformed-batch", f"epoch and seq are below 2**63, the stream is one of {', '.join(STREAMS)}", index)
        found.append(parsed)
        at = end
    if not found:
        return found, Refusal("malformed-batch", "the request has no batch")
    return found, None


def open_all(
    statements: Sequence[Statement], keys: Mapping[bytes, GatewayKey | None], at_us: int, vouched: Vouched | None = None
) -> tuple[list[Opened], Refusal | None]:
    """Check key, algorithm and signature, and unpack, up to the first refusal. All statements of a request are of one gateway."""
    opened: list[Opened] = []
    for index, one in enumerate(statements):
        try:
            key = check_key(keys.get(one.key_id), at_us, one.entry, vouched)
            one.verify(key.verifier)
            first = keys[statements[0].key_id]  # another key than this one's while a rotation overlaps
            if one.header.gateway != key.urn or first is None or (first.tenant_id, first.gateway_id) != (key.tenant_id, key.gateway_id):
                raise Refusal("wrong-gateway", f"the key is that of {key.urn}; a request carries batches of one gateway")
            opened.append(_opened(index, one))
        except BatchError as error:
            return opened, Refusal(error.slug, str(error), index, one)
        except Refusal as error:
            return opened, Refusal(error.slug, error.detail, index, one)
    return opened, None


def check_key(key: GatewayKey | None, at_us: int, entry: bytes, vouched: Vouched | None = None) -> GatewayKey:
    """entry: hash of what the key has signed: a valid key of the same gateway may answer for it."""
    if key is None:
        raise Refusal("unknown-key", "no gateway is enrolled with this key; enrol it with a voucher")
    if not key.is_valid(at_us) and not (vouched and vouched.covers(entry, key)):
        raise Refusal("revoked-key", "the key is revoked or not yet valid; enrol a new one")
    return key


def _opened(index: int, one: Statement) -> Opened:
    payload = one.open()
    times = [group.times_us for group in payload.groups if group.times_us.size]
    low = min((int(part.min()) for part in times), default=None)
    high = max((int(part.max()) for part in times), default=None)
    return Opened(index, one, one.entry, payload, low, high)


def match_tables(opened: Sequence[Opened], tables: Mapping[bytes, TagMap | None]) -> tuple[list[Verified], Refusal | None]:
    """Find every tag of every group in the batch's tag table, up to the first refusal."""
    verified: list[Verified] = []
    for one in opened:
        table = tables.get(one.payload.table_digest)
        if table is None:
            detail = f"tag table {one.payload.table_digest.hex()} is not known; PUT it to /v1/tag-tables and send again"
            return verified, Refusal("unknown-tag-table", detail, one.index, one.statement)
        try:
            positions = tuple(table.positions(group) for group in one.payload.groups)
        except BatchError as error:
            return verified, Refusal(error.slug, str(error), one.index, one.statement)
        verified.append(Verified(one, table, positions))
    return verified, None


def neighbours(verified: Sequence[Verified]) -> set[ChainKey]:
    """Numbers whose stored batches decide about these: the same, the one before, the one after."""
    return {
        (stream, epoch, near) for stream, epoch, seq in (one.opened.key for one in verified) for near in (seq - 1, seq, seq + 1) if near
    }


def judge_chain(
    verified: Sequence[Verified], stored: Mapping[ChainKey, Link]
) -> tuple[list[Verified], list[Verified], tuple[Verified, Refusal] | None]:
    """Split into new ones and ones already stored, up to the first that breaks its chain. Batches may arrive out of order.

    Another batch under a stored number is judged first: it is an equivocation whatever its chain says.
    """
    links = dict(stored)
    new: list[Verified] = []
    known: list[Verified] = []
    for one in verified:
        stream, epoch, seq = one.opened.key
        header = one.opened.statement.header
        same, before, after = (links.get((stream, epoch, near)) for near in (seq, seq - 1, seq + 1))
        if same and same.entry == one.opened.entry:
            known.append(one)
            continue
        if same:
            detail = f"batch {stream} {epoch}/{seq} is stored with other bytes; both are kept"
            return new, known, (one, Refusal("equivocation", detail, one.opened.index, one.opened.statement))
        if before and before.entry != header.prev:
            detail = f"prev is not the entry hash of the stored batch {seq - 1}"
            return new, known, (one, Refusal("chain-broken", detail, one.opened.index, one.opened.statement))
        if after and after.prev != one.opened.entry:
            detail = f"the stored batch {seq + 1} continues another batch {seq}"
            return new, known, (one, Refusal("chain-broken", detail, one.opened.index, one.opened.statement))
        links[stream, epoch, seq] = Link(one.opened.entry, header.prev)
        new.append(one)
    return new, known, None


def parse_tag_table(body: bytes, limits: Limits) -> SignedTagTable:
    if len(body) > limits.tag_table_bytes:
        raise Refusal("too-large", f"a tag table of {len(body)} bytes, {limits.tag_table_bytes} are allowed")
    try:
        return statement.parse_tag_table(body)
    except BatchError as error:
        raise Refusal("too-large" if error.slug == "too-large" else "malformed-tag-table", str(error)) from error


def open_tag_table(signed: SignedTagTable, digest_hex: str, key: GatewayKey | None, at_us: int, vouched: Vouched | None = None) -> TagTable:
    """The table, when a valid key of its gateway has signed it and the digest is the one asked for."""
    key = check_key(key, at_us, statement.entry_hash(signed.data), vouched)
    try:
        signed.verify(key.verifier)
    except BatchError as error:
        raise Refusal(error.slug, str(error)) from error
    if signed.gateway != key.urn:
        raise Refusal("wrong-gateway", f"the key is that of {key.urn}, the tag table names {signed.gateway}")
    if signed.digest.hex() != digest_hex:
        raise Refusal("wrong-digest", f"the text has the SHA-256 {signed.digest.hex()}")
    try:
        table = TagTable.parse(signed.text)
    except ValueError as error:
        raise Refusal("malformed-tag-table", str(error)) from error
    if table.gateway not in (key.gateway, key.urn):
        raise Refusal("wrong-gateway", f"the key is that of {key.urn}, the text names {table.gateway}")
    if any(
        not 0 <= entry.id < 1 << 32 or entry.scale == 0 or not (entry.scale.is_finite() and entry.offset.is_finite())
        for entry in table.entries
    ):
        raise Refusal("malformed-tag-table", "ids are 32-bit numbers, scales are finite and not 0")
    return table
