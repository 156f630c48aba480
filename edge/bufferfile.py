"""The buffer as a file: its schema, how it is opened and checked, how a damaged one is set aside, and the note of how far all is cleared.

Not for: what stands in it (`edge.buffer`).
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

QUICK_CHECK_BYTES: Final = 256_000_000  # about 0.5 s; damage in a larger file is found when it is read
SCHEMA_VERSION: Final = 2

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag_table (id INTEGER PRIMARY KEY, digest BLOB UNIQUE NOT NULL, statement BLOB NOT NULL, accepted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS layout (id INTEGER PRIMARY KEY, tags BLOB UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS open (id INTEGER PRIMARY KEY AUTOINCREMENT, priority INTEGER NOT NULL DEFAULT 1, table_id INTEGER NOT NULL, gateway_us INTEGER NOT NULL, samples INTEGER NOT NULL, blocks BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS set_aside (id INTEGER PRIMARY KEY, gateway_us INTEGER NOT NULL, cause TEXT NOT NULL, blocks BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY AUTOINCREMENT, gateway_us INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS written (key TEXT PRIMARY KEY, digest TEXT NOT NULL, outcome TEXT NOT NULL, cause TEXT NOT NULL, at_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, identities BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS gap (id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, reason INTEGER NOT NULL, samples INTEGER NOT NULL DEFAULT 0, priority INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS dropped (reason INTEGER NOT NULL, priority INTEGER NOT NULL, samples INTEGER NOT NULL, PRIMARY KEY (reason, priority)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chain (stream TEXT PRIMARY KEY, seq INTEGER NOT NULL, entry BLOB NOT NULL, head_gone INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (
  id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, state TEXT NOT NULL,
  table_id INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, sealed_us INTEGER NOT NULL, samples INTEGER NOT NULL,
  bytes INTEGER NOT NULL, priority INTEGER NOT NULL DEFAULT 1, offered INTEGER NOT NULL DEFAULT 0, thinned INTEGER NOT NULL DEFAULT 0, statement BLOB NOT NULL, receipt BLOB, cause TEXT, UNIQUE (stream, epoch, seq));
CREATE INDEX IF NOT EXISTS batch_state ON batch (state, stream, id);
CREATE INDEX IF NOT EXISTS batch_counts ON batch (state, sealed_us, samples, bytes);
"""
# What version 1 lacks: (table, column); all are numbers with a default.
_SINCE_1: Final = (
    ("open", "priority", 1),
    ("gap", "samples", 0),
    ("gap", "priority", 1),
    ("chain", "head_gone", 0),
    ("batch", "priority", 1),
    ("batch", "offered", 1),  # perhaps
    ("batch", "thinned", 0),
)


Reading = Callable[[str, int, int, bytes], bytes]  # stream, epoch, seq, what is stored -> the statement
Check = Callable[[sqlite3.Connection], Reading]


class BufferTrouble(Exception):
    """The buffer cannot do what was asked; the message says what and why."""


def quarantine(path: Path, now_us: int) -> Path:
    """Set a corrupt buffer aside with its journal; returns the new name."""
    kept = path.with_name(f"{path.name}.corrupt-{now_us}")
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(kept.with_name(kept.name + suffix))
    return kept


def connect(path: Path, check: Check) -> sqlite3.Connection:
    """check: asked of the key before anything is believed or changed; gives how to read a stored statement."""
    connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, 1, SCHEMA_VERSION):
            raise BufferTrouble(
                f"{path}: written by another version of the agent (schema {version}, this one knows {SCHEMA_VERSION}); start that version, let it drain, then upgrade"
            )
        if version == 1:
            _add_columns(connection)
        connection.executescript(f"{_SCHEMA}\nPRAGMA user_version = {SCHEMA_VERSION};")
        connection.execute("DELETE FROM layout WHERE NOT EXISTS (SELECT 1 FROM open)")
        connection.commit()
        if path.stat().st_size <= QUICK_CHECK_BYTES:
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise sqlite3.DatabaseError(problem)
        _check_sense(connection, check(connection))
    except BaseException:
        connection.close()
        raise
    return connection


def _add_columns(connection: sqlite3.Connection) -> None:
    """From version 1 to 2. A column that is there already was added by a start that ended before it was done."""
    for table, column, default in _SINCE_1:
        if column not in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT {default}")


def _check_sense(connection: sqlite3.Connection, read: Reading) -> None:
    """What `quick_check` cannot see: rows that read well and say what was never written. The newest batch of each chain is its head."""
    heads = connection.execute("SELECT stream, seq, entry FROM chain WHERE head_gone = 0").fetchall()
    for stream, seq, entry in heads:
        newest = connection.execute(
            "SELECT seq, epoch, statement FROM batch WHERE stream = ? ORDER BY id DESC LIMIT 1", (stream,)
        ).fetchone()
        if newest is not None and (newest[0] != seq or hashlib.sha256(read(stream, newest[1], newest[0], newest[2])).digest() != entry):
            raise sqlite3.DatabaseError(f"the chain {stream} does not end with its newest batch")
    strangers = "SELECT count(*) FROM batch WHERE state NOT IN ('sealed', 'again', 'acknowledged', 'refused') OR stream NOT IN (SELECT stream FROM chain)"
    if connection.execute(strangers).fetchone()[0]:
        raise sqlite3.DatabaseError("a batch has a state or a stream that there is not")


def is_environment(error: sqlite3.DatabaseError) -> bool:
    """True for what a new file would not mend: permissions, locks, a full disk."""
    return isinstance(error, sqlite3.OperationalError) and any(
        word in str(error) for word in ("locked", "unable to open", "full", "readonly", "permission")
    )


def read_cleared(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def write_cleared(path: Path, cleared_us: int) -> None:
    fresh = path.with_suffix(".cleared.new")
    fresh.write_text(str(cleared_us))
    os.replace(fresh, path)  # noqa: PTH105
