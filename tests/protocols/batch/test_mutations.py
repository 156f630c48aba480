"""0 of 100,000 changed statements and receipts is accepted."""

import random

import pytest

from protocols.batch import receipt, statement
from protocols.batch.errors import BatchError
from tests.protocols.batch.test_receipt import LOG, ORIGIN, STATEMENTS, issued
from tests.protocols.batch.test_statement import SIGNER, sealed

COUNT = 100_000


def mutants(data: bytes, seed: int, count: int) -> list[bytes]:
    """Bit flips, byte changes, insertions, removals, swaps of two stretches."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        at, other = draw.randrange(len(data)), draw.randrange(len(data))
        changed = [
            data[:at] + bytes((data[at] ^ 1 << draw.randrange(8),)) + data[at + 1 :],
            data[:at] + bytes((draw.randrange(256),)) + data[at + 1 :],
            data[:at] + bytes((draw.randrange(256),)) + data[at:],
            data[:at] + data[at + 1 :],
            data[:at] + data[other : other + 8] + data[at + 8 :],
        ][number % 5]
        if changed != data:
            found.append(changed)
    return found


@pytest.mark.parametrize("count", [5_000, pytest.param(COUNT, marks=pytest.mark.slow)])
def test_no_mutant_of_a_statement_is_accepted(count: int) -> None:
    verifier = SIGNER.verifier()
    accepted = 0
    for mutant in mutants(sealed(), 1, count):
        try:
            statement.parse(mutant).verify(verifier)
        except BatchError:
            continue
        accepted += 1
    assert accepted == 0


@pytest.mark.parametrize("count", [5_000, pytest.param(COUNT, marks=pytest.mark.slow)])
def test_no_mutant_of_a_receipt_is_accepted(count: int) -> None:
    verifier = LOG.verifier()
    accepted = 0
    for mutant in mutants(issued(5), 2, count):
        try:
            receipt.verify(mutant, STATEMENTS[5], verifier, ORIGIN)
        except BatchError:
            continue
        accepted += 1
    assert accepted == 0
