"""Statement: a signed batch (COSE_Sign1, profile qz1), and the signed tag table that goes with it.

Reading goes in steps, each refusing before the next begins: `parse` (structure, strictly), `Statement.verify` (algorithm, key,
signature), `Statement.open` (unpack within limits, decode strictly). Whether the key may sign for that gateway, whether the tag
table is known and whether the chain holds is the hub's to judge. Nothing here reads files, clocks or networks.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from protocols.batch import cbor, cose, frames
from protocols.batch.columns import ClockRecord, Gap, Grid, Group, decode_groups, encode_groups
from protocols.batch.errors import MalformedBatch, TooLarge
from protocols.frame import Priority
from protocols.signing import Signer, Verifier

CONTENT_TYPE: Final = "application/vnd.qz.batch+cbor+zstd"
TYPE: Final = "application/vnd.qz.batch+cose"
TAGS_CONTENT_TYPE: Final = "application/vnd.qz.tags+json"
TAGS_TYPE: Final = "application/vnd.qz.tags+cose"
TAGS_SUBJECT: Final = "tags"
MAX_STATEMENT: Final = 4 << 20
MAX_TAG_TABLE: Final = 16 << 20
MAX_RECORDS: Final = 1 << 14  # gaps, and events, of one batch
CHAIN: Final = -70001  # private header label: [stream, epoch, seq, prev]
START: Final = bytes(32)  # `prev` of the first batch of a chain

_BATCH_LABELS: Final = {cose.ALGORITHM, cose.CONTENT_TYPE, cose.KEY_ID, cose.CLAIMS, cose.TYPE, CHAIN}
_TABLE_LABELS: Final = _BATCH_LABELS - {CHAIN}
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Header:
    """gateway: its URN. prev: entry hash of batch seq - 1 of the same (gateway, stream, epoch), 32 zero bytes at seq 1."""

    gateway: str
    stream: str
    epoch: int
    seq: int
    prev: bytes
    subject: str = "telemetry"


@dataclass(frozen=True, slots=True)
class Payload:
    """column_salt and column_root (selective disclosure) are carried as they came; nothing here computes them."""

    table_digest: bytes
    groups: tuple[Group, ...]
    gaps: tuple[Gap, ...] = ()
    clock: ClockRecord | None = None
    events: tuple[dict[Any, Any], ...] = ()
    column_salt: bytes | None = None
    column_root: bytes | None = None

    @property
    def samples(self) -> int:
        return sum(group.samples for group in self.groups)


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed batch: who claims to have signed what. Nothing is proven before `verify`."""

    header: Header
    algorithm: int
    key_id: bytes
    frame: bytes
    signature: bytes
    data: bytes
    sign1: cose.Sign1

    @property
    def entry(self) -> bytes:
        return entry_hash(self.data)

    def verify(self, verifier: Verifier) -> None:
        """Raises WrongAlgorithm or BadSignature."""
        self.sign1.check(verifier)

    def open(self) -> Payload:
        """Raises Bomb or MalformedBatch. Call it after `verify`."""
        return decode_payload(frames.decompress(self.frame))


def entry_hash(statement: bytes) -> bytes:
    """What the log holds of a batch; `prev` of the next batch of its chain."""
    return hashlib.sha256(statement).digest()


def seal(header: Header, payload: Payload, signer: Signer) -> bytes:
    """The bytes of a batch, which must be stored before they are sent. Raises TooLarge when it has to be cut smaller."""
    labels = {
        cose.CONTENT_TYPE: CONTENT_TYPE,
        cose.CLAIMS: {1: header.gateway, 2: header.subject},
        cose.TYPE: TYPE,
        CHAIN: [header.stream, header.epoch, header.seq, header.prev],
    }
    data = cose.seal(labels, frames.compress(encode_payload(payload)), signer)
    if len(data) > MAX_STATEMENT:
        raise TooLarge(f"a batch of {len(data)} bytes, {MAX_STATEMENT} are allowed")
    return data


def parse(data: bytes) -> Statement:
    """Structure and header, strictly; no cryptography, nothing unpacked. Raises TooLarge or MalformedBatch."""
    if len(data) > MAX_STATEMENT:
        raise TooLarge(f"a batch of {len(data)} bytes, {MAX_STATEMENT} are allowed")
    sign1, claims = _unseal(data, _BATCH_LABELS, CONTENT_TYPE, TYPE)
    match sign1.header[CHAIN]:
        case [str(stream), epoch, seq, bytes(prev)] if cbor.are_ints(epoch, seq) and stream and epoch >= 0 and seq >= 1 and len(prev) == 32:
            header = Header(claims[0], stream, epoch, seq, prev, claims[1])
        case _:
            raise MalformedBatch("header -70001 is [stream, epoch, seq from 1, 32 bytes of prev]")
    if header.seq == 1 and header.prev != START:
        raise MalformedBatch("batch 1 of a chain has 32 zero bytes as prev")
    assert sign1.payload is not None
    return Statement(header, sign1.header[cose.ALGORITHM], sign1.header[cose.KEY_ID], sign1.payload, sign1.signature, data, sign1)


def _unseal(data: bytes, labels: set[int], content_type: str, kind: str) -> tuple[cose.Sign1, tuple[str, str]]:
    sign1 = cose.unseal(data)
    header = sign1.header
    if sign1.unprotected:
        raise MalformedBatch("the unprotected header must be empty: nothing signs it")
    if sign1.payload is None:
        raise MalformedBatch("the payload is missing")
    if set(header) != labels:
        raise MalformedBatch(f"the protected header has the labels {sorted(labels)} and no others")
    if header[cose.CONTENT_TYPE] != content_type or header[cose.TYPE] != kind:
        raise MalformedBatch(f'expected content type "{content_type}" and type "{kind}"')
    if not cbor.are_ints(header[cose.ALGORITHM]) or not isinstance(header[cose.KEY_ID], bytes) or len(header[cose.KEY_ID]) != 32:
        raise MalformedBatch("the algorithm is a number and the key id has 32 bytes")
    match header[cose.CLAIMS]:
        case {1: str(issuer), 2: str(subject), **rest} if issuer and subject and not rest:
            return sign1, (issuer, subject)
    raise MalformedBatch("header 15 names issuer and subject, and nothing else")


def encode_payload(payload: Payload) -> bytes:
    """The plain payload. Raises TooLarge for more groups, samples or records than a batch may hold."""
    if max(len(payload.gaps), len(payload.events)) > MAX_RECORDS:
        raise TooLarge(f"{max(len(payload.gaps), len(payload.events))} records in one batch, {MAX_RECORDS} are allowed")
    grid, groups = encode_groups(payload.groups)
    plain: dict[int, Any] = {0: _VERSION, 1: [grid.t0_us, grid.dt_us, grid.rows], 2: payload.table_digest, 4: groups}
    if payload.column_salt is not None:
        plain[3] = payload.column_salt
    if payload.column_root is not None:
        plain[5] = payload.column_root
    if payload.gaps:
        # A clock that was set back must not make a record that the hub refuses.
        plain[6] = [_gap_members(gap) for gap in payload.gaps]
    if payload.clock is not None:
        clock = payload.clock
        plain[7] = {0: clock.source, 1: clock.offset_us, 2: clock.error_us, 3: clock.boot, 4: clock.mono_us}
    if payload.events:
        plain[8] = list(payload.events)
    return cbor.encode(plain)


def decode_payload(plain: bytes) -> Payload:
    """Inverse of `encode_payload`. Raises MalformedBatch or Bomb."""
    match cbor.decode_strict(plain):
        case {0: version, 1: [t0, dt, rows], 2: bytes(digest), 4: list(groups), **rest} if cbor.are_ints(version, t0, dt, rows):
            pass
        case _:
            raise MalformedBatch("the payload needs a version, a grid, a tag table digest and groups")
    if version != _VERSION or len(digest) != 32 or dt < 0 or rows < 0:
        raise MalformedBatch("the payload is of version 1, its digest has 32 bytes, its grid does not run backwards")
    if not rest.keys() <= {3, 5, 6, 7, 8} or not (_in_int64(t0) and _in_int64(t0 + dt * max(rows - 1, 0))):
        raise MalformedBatch("the payload has members of another version, or times beyond 64 bits")
    salt, column_root = _bytes(rest.get(3), 16), _bytes(rest.get(5), 32)
    events = rest.get(8, [])
    if not isinstance(events, list) or len(events) > MAX_RECORDS or not all(isinstance(event, dict) for event in events):
        raise MalformedBatch("events are a list of maps")
    gaps, clock = _gaps(rest.get(6, [])), _clock(rest.get(7))
    return Payload(digest, decode_groups(Grid(t0, dt, rows), groups), gaps, clock, tuple(events), salt, column_root)


def _in_int64(value: int) -> bool:
    return -(1 << 63) <= value < 1 << 63


def _bytes(value: object, size: int) -> bytes | None:
    if value is None or (isinstance(value, bytes) and len(value) == size):
        return value
    raise MalformedBatch("column salt and root have 16 and 32 bytes")


def _gaps(items: object) -> tuple[Gap, ...]:
    if not isinstance(items, list) or len(items) > MAX_RECORDS:
        raise MalformedBatch("gaps are a list of [from, to, reason, ? samples, priority]")
    return tuple(_gap(item) for item in items)


def _gap_members(gap: Gap) -> list[int]:
    counted = [gap.samples, int(gap.priority)] if gap.samples else []
    return [*sorted((max(gap.start, 0), max(gap.end, 0))), int(gap.reason), *counted]


def _gap(item: Any) -> Gap:
    samples, priority = 0, int(Priority.NORMAL)
    match item:
        case [_, _, _, counted, of] if cbor.are_ints(counted, of) and counted > 0 and 0 <= of < 1 << 8 and _in_int64(counted):
            item, samples, priority = item[:3], counted, of
    match item:
        case [start, end, reason] if cbor.are_ints(start, end, reason) and 0 <= start <= end and 0 <= reason < 1 << 31 and _in_int64(end):
            return Gap(start, end, reason, samples, priority)
    raise MalformedBatch("a gap is [from, to, reason] with from <= to, or that with samples and priority")


def _clock(item: object) -> ClockRecord | None:
    match item:
        case None:
            return None
        case {0: source, 1: offset, 2: error, 3: bytes(boot), 4: mono, **rest} if not rest and len(boot) == 16:
            numbers = (source, offset, error, mono)
            if cbor.are_ints(*numbers) and min(source, error, mono) >= 0 and all(_in_int64(part) for part in numbers):
                return ClockRecord(source, offset, error, boot, mono)
    raise MalformedBatch("the clock record is {source, offset, error, 16 bytes of boot, monotonic time}")


@dataclass(frozen=True, slots=True)
class SignedTagTable:
    gateway: str
    text: str
    algorithm: int
    key_id: bytes
    data: bytes
    sign1: cose.Sign1

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()

    def verify(self, verifier: Verifier) -> None:
        """Raises WrongAlgorithm or BadSignature."""
        self.sign1.check(verifier)


def sign_tag_table(text: str, gateway: str, signer: Signer) -> bytes:
    labels = {cose.CONTENT_TYPE: TAGS_CONTENT_TYPE, cose.CLAIMS: {1: gateway, 2: TAGS_SUBJECT}, cose.TYPE: TAGS_TYPE}
    return cose.seal(labels, text.encode(), signer)


def parse_tag_table(data: bytes) -> SignedTagTable:
    """Envelope only; `devicemap.TagTable.parse` reads the text. Raises TooLarge or MalformedBatch."""
    if len(data) > MAX_TAG_TABLE:
        raise TooLarge(f"a tag table of {len(data)} bytes, {MAX_TAG_TABLE} are allowed")
    sign1, (gateway, subject) = _unseal(data, _TABLE_LABELS, TAGS_CONTENT_TYPE, TAGS_TYPE)
    assert sign1.payload is not None
    if subject != TAGS_SUBJECT:
        raise MalformedBatch(f'a tag table has the subject "{TAGS_SUBJECT}"')
    try:
        text = sign1.payload.decode()
    except UnicodeDecodeError as error:
        raise MalformedBatch("a tag table is UTF-8 text") from error
    return SignedTagTable(gateway, text, sign1.header[cose.ALGORITHM], sign1.header[cose.KEY_ID], data, sign1)


def chain_follows(before: Statement, after: Statement) -> bool:
    """Whether `after` is the next of the chain of `before`."""
    here, there = after.header, before.header
    same = (here.gateway, here.stream, here.epoch) == (there.gateway, there.stream, there.epoch)
    return same and here.seq == there.seq + 1 and here.prev == before.entry
