"""What waits is counted without looking at the batches themselves, however many there are."""

from pathlib import Path

from edge.buffer import LIVE
from edge.bufferbatches import COUNTS
from tests.edge.test_buffer import GATEWAY, NOW, SIGNER, grid, open_buffer


def test_counting_reads_the_index_alone(tmp_path: Path) -> None:
    plan = open_buffer(tmp_path / "buffer.db")._db.execute(f"EXPLAIN QUERY PLAN {COUNTS}").fetchall()
    assert [row[3] for row in plan] == ["SCAN batch USING COVERING INDEX batch_counts"]


def test_batches_fed_again_are_counted_with_the_sealed(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path / "buffer.db")
    for value in range(3):
        buffer.append([grid(NOW + value, value)])
        buffer.seal(GATEWAY, SIGNER, LIVE, NOW + value)
    before = buffer.backlog()
    assert before.sealed_batches == 3
    first = buffer.waiting(LIVE, max_batches=1, max_bytes=1 << 20)[0]
    buffer.acknowledge([(first.id, b"receipt")], "checkpoint")
    assert (buffer.backlog().sealed_batches, buffer.backlog().acknowledged_batches) == (2, 1)
    buffer._db.execute("UPDATE batch SET state = 'again' WHERE id = ?", (first.id,))
    after = buffer.backlog()
    assert (after.sealed_batches, after.sealed_samples, after.sealed_bytes) == (3, before.sealed_samples, before.sealed_bytes)
    assert after.oldest_sealed_us == before.oldest_sealed_us == NOW
