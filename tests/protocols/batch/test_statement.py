import hashlib
import tracemalloc

import numpy as np
import pytest
import zstandard

from protocols.batch import cbor, cose, frames, statement
from protocols.batch.columns import ClockRecord, Gap, GapReason, Group, is_sequence
from protocols.batch.errors import BadSignature, BatchError, Bomb, MalformedBatch, TooLarge, WrongAlgorithm
from protocols.batch.statement import Header, Payload
from protocols.frame import Priority
from protocols.signing import Ed25519Signer

SIGNER = Ed25519Signer.from_seed(hashlib.sha256(b"a gateway of the tests").digest())
HEADER = Header("urn:qz:gw:rig7", "live", 1, 1, bytes(32))
GROUP = Group(np.array([3, 9], np.uint32), np.array([10, 20, 30], np.int64), np.array([[1, 7], [2, 7], [4, 6]], np.int32))
CLOCK = ClockRecord(2, -150, 900, bytes(range(16)), 77_000_000)
PAYLOAD = Payload(b"t" * 32, (GROUP,), (Gap(5, 9, GapReason.AGENT_DOWN), Gap(3, 4, GapReason.SEALED_DROPPED)), CLOCK, ({"kind": "start"},))


def sealed(payload: Payload = PAYLOAD, header: Header = HEADER) -> bytes:
    return statement.seal(header, payload, SIGNER)


def test_everything_sealed_is_read_back() -> None:
    parsed = statement.parse(sealed())
    parsed.verify(SIGNER.verifier())
    payload = parsed.open()
    assert parsed.header == HEADER
    assert (payload.table_digest, payload.gaps, payload.clock, payload.events) == (
        PAYLOAD.table_digest,
        PAYLOAD.gaps,
        CLOCK,
        ({"kind": "start"},),
    )
    assert payload.groups[0].values.tolist() == GROUP.values.tolist()
    assert payload.groups[0].times_us.tolist() == [10, 20, 30]


def test_a_batch_of_gaps_alone_needs_no_samples() -> None:
    payload = statement.parse(sealed(Payload(b"t" * 32, (), (Gap(1, 2, GapReason.DROPPED_BY_CAP),)))).open()
    assert (payload.groups, payload.samples, payload.gaps[0].reason) == ((), 0, GapReason.DROPPED_BY_CAP)


def test_a_gap_of_a_clock_that_was_set_back_is_written_in_order() -> None:
    payload = statement.parse(
        sealed(Payload(b"t" * 32, (), (Gap(900, 200, GapReason.AGENT_DOWN), Gap(-5, 3, GapReason.AGENT_DOWN))))
    ).open()
    assert [(gap.start, gap.end) for gap in payload.gaps] == [(200, 900), (0, 3)]


def test_gap_may_say_how_many_samples_are_missing_and_of_which_class() -> None:
    gaps = (Gap(1, 2, GapReason.THINNED_OUT, 40, Priority.BULK), Gap(3, 4, GapReason.AGENT_DOWN))
    assert statement.parse(sealed(Payload(b"t" * 32, (), gaps))).open().gaps == gaps


@pytest.mark.parametrize(
    "gap",
    [[1, 2, 6, 40], [1, 2, 6, 0, 1], [1, 2, 6, -1, 1], [1, 2, 6, 40, 256], [1, 2, 6, 1 << 63, 1], [2, 1, 6, 40, 1], [1, 2, 6, 40, True]],
)
def test_gap_of_another_form_is_malformed(gap: list[int]) -> None:
    with pytest.raises(MalformedBatch, match="a gap is"):
        statement._gap(gap)


def test_gap_reasons_say_whether_they_count_batches_or_time() -> None:
    assert GapReason.SEALED_DROPPED.is_sequence
    assert not GapReason.AGENT_STOPPED.is_sequence
    assert is_sequence(150)


def test_column_salt_and_root_are_carried() -> None:
    payload = Payload(b"t" * 32, (GROUP,), column_salt=b"s" * 16, column_root=b"r" * 32)
    opened = statement.parse(sealed(payload)).open()
    assert (opened.column_salt, opened.column_root) == (b"s" * 16, b"r" * 32)


def test_another_key_does_not_verify() -> None:
    with pytest.raises(BadSignature):
        statement.parse(sealed()).verify(Ed25519Signer.generate().verifier())


@pytest.mark.parametrize("algorithm", [-8, -7, -9, -48, 5])
def test_an_algorithm_other_than_the_enrolled_one_is_refused(algorithm: int) -> None:
    data = statement.seal(HEADER, PAYLOAD, Ed25519Signer.from_seed(b"k" * 32, algorithm))
    with pytest.raises(WrongAlgorithm):
        statement.parse(data).verify(Ed25519Signer.from_seed(b"k" * 32).verifier())


def test_no_changed_byte_is_accepted() -> None:
    data = sealed()
    verifier = SIGNER.verifier()
    accepted = 0
    for position in range(len(data)):
        for changed in {data[position] ^ 1 << bit for bit in range(8)} | {0, 255, data[position] + 1 & 255} - {data[position]}:
            mutant = data[:position] + bytes((changed,)) + data[position + 1 :]
            try:
                parsed = statement.parse(mutant)
                parsed.verify(verifier)
            except BatchError:
                continue
            accepted += 1
    assert accepted == 0


def resign(protected: object, unprotected: object = None, payload: object = b"") -> bytes:
    """A statement with a header of the test's own making under a good signature."""
    raw = protected if isinstance(protected, bytes) else cbor.encode(protected)
    frame = frames.compress(statement.encode_payload(PAYLOAD)) if payload == b"" else payload
    signature = SIGNER.sign(cose.to_be_signed(raw, frame if isinstance(frame, bytes) else b""))
    return cbor.encode(cbor.Tag(18, [raw, {} if unprotected is None else unprotected, frame, signature]))


LABELS = {
    1: -19,
    3: statement.CONTENT_TYPE,
    4: SIGNER.key_id,
    15: {1: "urn:qz:gw:rig7", 2: "telemetry"},
    16: statement.TYPE,
    statement.CHAIN: ["live", 1, 2, b"p" * 32],
}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(resign(LABELS, {4: b"x"}), id="unprotected header not empty"),
        pytest.param(resign(LABELS, payload=None), id="payload missing"),
        pytest.param(resign({**LABELS, 5: 1}), id="label the profile does not have"),
        pytest.param(resign({k: v for k, v in LABELS.items() if k != 16}), id="type missing"),
        pytest.param(resign({**LABELS, 3: "text/plain"}), id="other content type"),
        pytest.param(resign({**LABELS, 1: True}), id="algorithm true"),
        pytest.param(resign({**LABELS, 1: -19.0}), id="algorithm a float"),
        pytest.param(resign({**LABELS, 4: b"short"}), id="short key id"),
        pytest.param(resign({**LABELS, 15: {1: "urn:qz:gw:rig7"}}), id="no subject"),
        pytest.param(resign({**LABELS, 15: {1: "a", 2: "b", 6: 1}}), id="a claim too many"),
        pytest.param(resign({**LABELS, statement.CHAIN: ["live", 1, 0, bytes(32)]}), id="seq 0"),
        pytest.param(resign({**LABELS, statement.CHAIN: ["live", 1, 1, b"p" * 32]}), id="first batch with a predecessor"),
        pytest.param(resign({**LABELS, statement.CHAIN: ["live", True, 2, b"p" * 32]}), id="epoch true"),
        pytest.param(resign({**LABELS, statement.CHAIN: ["live", 1, 2, b"p"]}), id="short prev"),
        pytest.param(resign(b"\xa0"), id="empty header"),
        pytest.param(resign(b"\xbf\x01\x32\xff"), id="indefinite header"),
        pytest.param(sealed() + b"\x00", id="trailing byte"),
        pytest.param(sealed()[:-1], id="truncated"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x81" * 100_000, id="deep nesting"),
        pytest.param(b"\x9b" + b"\xff" * 8, id="array of 2**64 items"),
    ],
)
def test_malformed_statements_are_refused_before_any_cryptography(data: bytes) -> None:
    with pytest.raises(MalformedBatch):
        statement.parse(data)


SOME = bytes(range(256)) * 8


def test_a_gigabyte_bomb_is_refused_before_it_is_unpacked() -> None:
    packer = zstandard.ZstdCompressor(level=1).compressobj(size=1 << 30)
    bomb = b"".join(packer.compress(bytes(16 << 20)) for _ in range(64)) + packer.flush()
    tracemalloc.start()
    with pytest.raises(Bomb):
        frames.decompress(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_frame_that_asks_for_a_huge_window_is_refused() -> None:
    small = frame(SOME)
    window_of_2_gib = b"\x28\xb5\x2f\xfd\x40\xa8" + small[5:]  # no single segment: a window descriptor comes first
    with pytest.raises(Bomb):
        frames.decompress(window_of_2_gib)


def frame(plain: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(plain)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(SOME, write_content_size=False), id="no content size"),
        pytest.param(frame(SOME) + frame(SOME), id="two frames"),
        pytest.param(frame(SOME) + b"x", id="bytes behind the frame"),
        pytest.param(b"\x50\x2a\x4d\x18\x00\x00\x00\x00" + frame(SOME), id="a skippable frame first"),
        pytest.param(frame(SOME)[:-3], id="truncated"),
        pytest.param(b"", id="nothing"),
        pytest.param(SOME, id="no zstd"),
    ],
)
def test_unsound_frames_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedBatch):
        frames.decompress(data)


def test_a_frame_that_understates_its_content_is_refused() -> None:
    good = frame(SOME)
    size = len(SOME) - 256 - 7  # the field holds the size less 256 (RFC 8878, 3.1.1.1.4)
    assert good[4] == 0x60  # single segment, two bytes of content size
    with pytest.raises(BatchError):
        frames.decompress(good[:5] + size.to_bytes(2, "little") + good[7:])


@pytest.mark.parametrize("size", [200, 1000, 40_000, 128 << 10, 3 << 20, 9 << 20, 16 << 20])
def test_what_compresses_too_well_is_diluted_until_the_reader_takes_it(size: int) -> None:
    for plain in (bytes(size), b"\x01\x02\x03\x04" * (size // 4)):
        packed = frames.compress(plain)
        assert len(plain) <= frames.MAX_RATIO * len(packed)
        assert len(packed) <= size // 200 + 2000
        assert frames.decompress(packed) == plain


def test_a_frozen_field_is_sealed_and_read() -> None:
    still = Group(np.arange(2, dtype=np.uint32), np.arange(100_000) * 7919 % 1000 + np.arange(100_000), np.ones((100_000, 2), np.float64))
    payload = statement.parse(sealed(Payload(b"t" * 32, (still,)))).open()
    assert np.array_equal(np.concatenate([g.values for g in payload.groups], axis=1), still.values)


def test_more_than_a_batch_may_hold_is_refused_when_sealing() -> None:
    with pytest.raises(TooLarge):
        statement.seal(
            HEADER, Payload(b"t" * 32, (Group(np.zeros(2, np.uint32), np.arange(1 << 22), np.zeros((1 << 22, 2), np.int32)),)), SIGNER
        )


def payload_bytes(**changes: object) -> bytes:
    plain = cbor.decode_strict(statement.encode_payload(PAYLOAD))
    for key, value in changes.items():
        plain[int(key[1:])] = value
    return cbor.encode(plain)


@pytest.mark.parametrize(
    "plain",
    [
        pytest.param(payload_bytes(_0=2), id="other version"),
        pytest.param(payload_bytes(_0=True), id="version true"),
        pytest.param(payload_bytes(_9=1), id="unknown member"),
        pytest.param(payload_bytes(_1=[0, 0, 0]), id="no grid for a group without times"),
        pytest.param(payload_bytes(_1=[2**63 - 1, 10, 3]), id="times beyond 64 bits"),
        pytest.param(payload_bytes(_2=b"short"), id="short digest"),
        pytest.param(payload_bytes(_4=[[1, 2]]), id="a group of two numbers"),
        pytest.param(payload_bytes(_6=[[9, 5, 1]]), id="gap that ends before it begins"),
        pytest.param(payload_bytes(_6=[[1, 2, 3, 4]]), id="gap of four"),
        pytest.param(payload_bytes(_7={0: 1, 1: 2, 2: 3, 3: b"", 4: 5}), id="clock without boot id"),
        pytest.param(payload_bytes(_8=["event"]), id="event that is no map"),
    ],
)
def test_malformed_payloads_are_refused(plain: bytes) -> None:
    with pytest.raises(MalformedBatch):
        statement.decode_payload(plain)


def test_constants_that_unpack_to_more_samples_than_allowed_are_refused() -> None:
    group = [cbor.typed_tag(np.arange(4, dtype=np.uint32)), 4, 0, cbor.encode(cbor.typed_tag(np.zeros(4, np.int32))), b""]
    with pytest.raises(Bomb):
        statement.decode_payload(payload_bytes(_1=[0, 1, 1 << 22], _4=[group]))


def test_a_tag_table_is_signed_and_read_back() -> None:
    table = statement.parse_tag_table(statement.sign_tag_table('{"tags":[]}', "urn:qz:gw:rig7", SIGNER))
    table.verify(SIGNER.verifier())
    assert (table.text, table.gateway) == ('{"tags":[]}', "urn:qz:gw:rig7")
    assert table.digest == hashlib.sha256(b'{"tags":[]}').digest()


def test_a_batch_is_no_tag_table_and_a_tag_table_no_batch() -> None:
    with pytest.raises(MalformedBatch):
        statement.parse_tag_table(sealed())
    with pytest.raises(MalformedBatch):
        statement.parse(statement.sign_tag_table("{}", "urn:qz:gw:rig7", SIGNER))


def test_a_chain_follows_by_number_and_hash() -> None:
    first = statement.parse(sealed())
    second = statement.parse(sealed(header=Header("urn:qz:gw:rig7", "live", 1, 2, first.entry)))
    stray = statement.parse(sealed(header=Header("urn:qz:gw:rig7", "live", 1, 2, b"x" * 32)))
    assert statement.chain_follows(first, second)
    assert not statement.chain_follows(first, stray)
    assert not statement.chain_follows(second, first)


def test_cwt_verifies_our_statement() -> None:
    import cwt

    cwt_key = cwt.COSEKey.new({1: 1, -1: 6, -2: SIGNER.public, 3: -19, 2: SIGNER.key_id})
    data = sealed()
    assert cwt.COSE.new().decode(data, cwt_key) == statement.parse(data).frame
