"""At rest nothing can be read without the key, no nonce is used twice, and a wrong key costs nothing."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.buffer import EVENT, LIVE, Buffer
from edge.bufferfile import BufferTrouble
from edge.bufferkey import MARK, SALT_BYTES, Vault, WrongKey, batch_row, event_row, open_row, parse_key, read_vault
from protocols.batch import statement
from protocols.devicemap import Device, DeviceMap, Tag, TagTable, TagType
from protocols.event import Event
from protocols.frame import Block, Frame
from protocols.secret import Secret
from protocols.signing import Ed25519Signer

GATEWAY = "urn:qz:gw:rig1"
TABLE = TagTable.build(GATEWAY, [Device("d", DeviceMap("m", "x", (), "modbus", None, (Tag("t", "0", TagType.FLOAT64),)), "a:1")])
SIGNER = Ed25519Signer.generate()
NOW = 1_700_000_000_000_000
KEY, OTHER = bytes(range(32)), bytes(32)
SECRET_TEXT = "a message that nobody else may read"


def open_buffer(path: Path, key: bytes | None, now_us: int = NOW) -> Buffer:
    buffer = Buffer.open(path, now_us, max_bytes=50_000_000, vault=Vault(key))
    buffer.use_table(TABLE, SIGNER, GATEWAY)
    return buffer


def frame(value: float) -> Frame:
    block = Block(np.zeros(1, np.uint32), np.array([NOW], np.int64), np.array([[value]]))
    return Frame("d", NOW, [block], events=[Event("alarm", "d", "level", NOW, NOW, SECRET_TEXT, 500, {"value": value})])


def fill(buffer: Buffer, *values: float) -> None:
    """Each in a batch of its own but the last, which stays open; an event with each."""
    for value in values[:-1]:
        buffer.append([frame(value)])
        buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
        buffer.seal_events(GATEWAY, SIGNER, NOW)
    buffer.append([frame(values[-1])])


def values_of(buffer: Buffer) -> list[float]:
    buffer.seal(GATEWAY, SIGNER, LIVE, NOW)
    payloads = [statement.parse(one.statement).open() for one in buffer.waiting(LIVE, max_batches=100, max_bytes=1 << 30)]
    return [value for payload in payloads for group in payload.groups for value in group.values.ravel().tolist()]


def messages_of(buffer: Buffer) -> list[str]:
    buffer.seal_events(GATEWAY, SIGNER, NOW)
    payloads = [statement.parse(one.statement).open() for one in buffer.waiting(EVENT, max_batches=100, max_bytes=1 << 30)]
    return [Event.parse(event).message for payload in payloads for event in payload.events]


def stored(path: Path) -> list[bytes]:
    """Every row that holds samples, events or a batch."""
    with sqlite3.connect(path) as connection:
        found = [
            row[0]
            for query in ("SELECT statement FROM batch", "SELECT blocks FROM open", "SELECT record FROM event")
            for row in connection.execute(query)
        ]
    connection.close()
    return found


def test_encrypted_buffer_gives_back_what_was_put_into_it(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    buffer = open_buffer(path, KEY)
    fill(buffer, 1.5, 2.5, 3.5)
    buffer.abandon()
    assert {row[0] for row in stored(path)} == {MARK}
    again = open_buffer(path, KEY)
    assert [float(block.values.flat[0]) for block in again.last_blocks()] == [1.5, 2.5, 3.5]
    assert values_of(again) == [1.5, 2.5, 3.5]
    assert messages_of(again) == [SECRET_TEXT] * 3


def test_neither_events_nor_times_of_samples_stand_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    buffer = open_buffer(path, KEY)
    buffer.append([frame(1.0)])
    buffer.close(NOW)
    assert SECRET_TEXT.encode() not in path.read_bytes()
    plain = open_buffer(tmp_path / "plain.db", None)
    plain.append([frame(1.0)])
    plain.close(NOW)
    assert SECRET_TEXT.encode() in (tmp_path / "plain.db").read_bytes()


def test_no_nonce_is_used_twice_not_even_by_copies_of_the_file(tmp_path: Path) -> None:
    first = open_buffer(tmp_path / "a.db", KEY)
    fill(first, *range(30))
    first.close(NOW)
    (tmp_path / "b.db").write_bytes((tmp_path / "a.db").read_bytes())
    before = stored(tmp_path / "a.db")
    for name in ("a.db", "b.db"):
        buffer = open_buffer(tmp_path / name, KEY)
        fill(buffer, *range(30, 60))
        buffer.close(NOW)
    rows = [*before, *(row for name in ("a.db", "b.db") for row in stored(tmp_path / name) if row not in before)]
    assert len(rows) > 150
    assert len({row[1 : 9 + SALT_BYTES] for row in rows}) == len(rows)


@pytest.mark.parametrize("key", [OTHER, None], ids=["another key", "no key"])
def test_wrong_key_is_told_at_the_start_and_costs_nothing(tmp_path: Path, key: bytes | None) -> None:
    path = tmp_path / "b.db"
    buffer = open_buffer(path, KEY)
    fill(buffer, 1.0, 2.0)
    buffer.close(NOW)
    before = stored(path)
    with pytest.raises(WrongKey, match="encrypted"):
        open_buffer(path, key)
    assert [one.name for one in tmp_path.iterdir()] == ["b.db"]
    assert stored(path) == before
    assert values_of(open_buffer(path, KEY)) == [1.0, 2.0]


def test_damaged_note_of_the_key_does_not_lock_the_right_one_out(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    buffer = open_buffer(path, KEY)
    fill(buffer, 1.0, 2.0)
    buffer.close(NOW)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'key_id'", (b"damaged!",))
    connection.close()
    with pytest.raises(WrongKey):
        open_buffer(path, OTHER)
    assert values_of(open_buffer(path, KEY)) == [1.0, 2.0]


def test_key_for_a_plain_buffer_reads_the_old_rows_and_encrypts_them_by_and_by(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    buffer = open_buffer(path, None)
    fill(buffer, *map(float, range(100)))
    buffer.close(NOW)
    buffer = open_buffer(path, KEY)
    buffer.append([frame(100.0)])
    assert {row[0] for row in stored(path)} > {MARK}
    assert values_of(buffer) == list(map(float, range(101)))
    buffer.seal_events(GATEWAY, SIGNER, NOW)
    for _ in range(5):
        buffer.evict(NOW)
    assert {row[0] for row in stored(path)} == {MARK}
    assert values_of(buffer) == list(map(float, range(101)))
    buffer.close(NOW)
    assert SECRET_TEXT.encode() not in path.read_bytes()


def test_empty_buffer_takes_a_new_key_or_none(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    for key in (KEY, OTHER, None):
        buffer = open_buffer(path, key)
        assert values_of(buffer) == []
        buffer._db.execute("DELETE FROM batch")
        buffer.close(NOW)
    assert stored(path) == []


def test_rows_that_were_swapped_become_gaps_and_never_values(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    buffer = open_buffer(path, KEY)
    buffer.append([frame(1.0)])
    buffer.append([frame(2.0)])
    first, second = (row[0] for row in buffer._db.execute("SELECT blocks FROM open ORDER BY id").fetchall())
    with buffer._db:
        buffer._db.execute("UPDATE open SET blocks = CASE id WHEN 1 THEN ? ELSE ? END", (second, first))
    assert values_of(buffer) == []
    assert sum(one.samples for one in buffer.dropped()) == 2
    cause = sqlite3.connect(path).execute("SELECT DISTINCT cause FROM set_aside").fetchall()
    assert cause == [("the row was altered or moved in the file",)]


def test_damaged_event_is_counted_and_blocks_nothing(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db", KEY)
    buffer.append([frame(1.0), frame(2.0)])
    with buffer._db:
        buffer._db.execute("UPDATE event SET record = x'E500' WHERE id = 1")
    assert messages_of(buffer) == [SECRET_TEXT]
    assert [(one.priority.name, one.samples) for one in buffer.dropped()] == [("EVENT", 1)]


@pytest.mark.parametrize(
    ("identity", "other"),
    [
        (open_row(1, 1, 1, NOW, 4), open_row(2, 1, 1, NOW, 4)),
        (event_row(1, NOW), event_row(1, NOW + 1)),
        (batch_row("live", 7, 1), batch_row("backfill", 7, 1)),
    ],
    ids=["open row", "event", "batch"],
)
def test_row_opens_only_where_it_was_closed(identity: bytes, other: bytes) -> None:
    vault = Vault(KEY)
    closed = vault.close(identity, b"what it says")
    assert Vault(KEY).open(identity, closed) == b"what it says"
    with pytest.raises(ValueError, match="moved"):
        vault.open(other, closed)
    for at in range(len(closed)):
        altered = closed[:at] + bytes((closed[at] ^ 1,)) + closed[at + 1 :]
        assert _opened(vault, identity, altered) != b"what it says"


def _opened(vault: Vault, identity: bytes, stored_row: bytes) -> bytes:
    try:
        return vault.open(identity, stored_row)
    except ValueError:
        return b""


@pytest.mark.parametrize(
    "text", [KEY.hex(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", f"  {KEY.hex()}\n"], ids=["hex", "base64", "blanks"]
)
def test_key_is_read_in_both_forms(text: str) -> None:
    assert parse_key(text, "here") == KEY


@pytest.mark.parametrize("text", ["", "hunter2", KEY.hex()[:-2], "AAECAwQF"], ids=["empty", "password", "too short", "short base64"])
def test_key_of_another_form_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(BufferTrouble, match="openssl rand -hex 32") as raised:
        parse_key(text, "here")
    assert not text or text not in str(raised.value)


def test_key_that_is_not_there_is_an_error_of_the_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BufferTrouble, match=r"nowhere.*cannot be read"):
        read_vault(tmp_path / "nowhere")
    monkeypatch.setenv("BUFFER_KEY", KEY.hex())
    assert read_vault(Secret("env", "BUFFER_KEY")).key_id == Vault(KEY).key_id
    assert not read_vault(None).locks


def test_frames_of_one_commit_stay_apart(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "b.db", KEY)
    buffer.append([replace(frame(float(number)), events=()) for number in range(50)])
    assert values_of(buffer) == list(map(float, range(50)))
