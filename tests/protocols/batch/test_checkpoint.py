import hashlib

import pytest

from protocols.batch import checkpoint
from protocols.batch.checkpoint import Checkpoint, LogKey
from protocols.batch.errors import BadSignature, BatchError, MalformedBatch
from protocols.signing import Ed25519Signer

LOG = Ed25519Signer.from_seed(hashlib.sha256(b"a log of the tests").digest())
ORIGIN = "hub.example/tenant-1"
KEY = checkpoint.verifier_key(ORIGIN, LOG.public)
HEAD = Checkpoint(ORIGIN, 20_852_163, hashlib.sha256(b"root").digest())


def test_a_signed_checkpoint_is_read_back() -> None:
    assert checkpoint.verify(HEAD.sign(LOG), KEY) == HEAD
    assert LogKey.parse(KEY) == LogKey(ORIGIN, LOG.public)


def test_lines_of_witnesses_are_left_alone() -> None:
    witness = Ed25519Signer.generate()
    line = checkpoint.sign_note(HEAD.body, "witness.example", witness).splitlines()[-1]
    assert checkpoint.verify(HEAD.sign(LOG) + line + "\n", KEY) == HEAD


def test_no_changed_character_of_a_checkpoint_is_accepted() -> None:
    text = HEAD.sign(LOG)
    accepted = []
    for position in range(len(text)):
        for bit in range(7):
            mutant = text[:position] + chr(ord(text[position]) ^ 1 << bit) + text[position + 1 :]
            try:
                checkpoint.verify(mutant, KEY)
            except BatchError:
                continue
            accepted.append(mutant)
    assert accepted == []


def test_another_key_or_another_name_is_refused() -> None:
    with pytest.raises(BadSignature):
        checkpoint.verify(HEAD.sign(LOG), checkpoint.verifier_key(ORIGIN, Ed25519Signer.generate().public))
    with pytest.raises(BadSignature):
        checkpoint.verify(HEAD.sign(LOG), checkpoint.verifier_key("hub.example/tenant-2", LOG.public))
    with pytest.raises(MalformedBatch):
        checkpoint.verify(checkpoint.sign_note(HEAD.body, "other", LOG), checkpoint.verifier_key("other", LOG.public))


ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f"a\n7\n{ROOT}\nextension\n", id="extension line"),
        pytest.param(f"a\n+7\n{ROOT}\n", id="sign"),
        pytest.param(f"a\n\u0667\n{ROOT}\n", id="other digits"),
        pytest.param(f"a\n\n{ROOT}\n", id="no size"),
        pytest.param(f"a\n99999999999999999999\n{ROOT}\n", id="size beyond 64 bits"),
        pytest.param(f"\n7\n{ROOT}\n", id="no origin"),
        pytest.param(f"a b\n7\n{ROOT}\n", id="blank in the origin"),
        pytest.param(f"a\n7\n{ROOT[:-2]}J=\n", id="base64 not in standard form"),
        pytest.param(f"a\n7\n{ROOT}", id="no newline at the end"),
        pytest.param("", id="nothing"),
    ],
)
def test_bodies_beyond_the_letter_are_refused(body: str) -> None:
    with pytest.raises(MalformedBatch):
        checkpoint.parse(body)


@pytest.mark.parametrize("key", ["", "a+b+c", KEY.replace("+", "+0", 1), KEY[:-4], "hub.example+00000000+" + KEY.rpartition("+")[2]])
def test_damaged_log_keys_are_refused(key: str) -> None:
    with pytest.raises(MalformedBatch):
        LogKey.parse(key)
