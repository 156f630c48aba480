import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from protocols.batch.errors import BadSignature
from protocols.signing import ED25519, Ed25519Signer, Ed25519Verifier


def test_a_saved_key_signs_the_same_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    signer = Ed25519Signer.generate()
    path = tmp_path / "gateway.pem"
    signer.save(path)
    loaded = Ed25519Signer.load(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (loaded.public, loaded.key_id, loaded.algorithm) == (signer.public, signer.key_id, ED25519)
    Ed25519Verifier(signer.public).verify(b"message", loaded.sign(b"message"))


def test_saving_never_replaces_a_key(tmp_path: Path) -> None:
    path = tmp_path / "gateway.pem"
    Ed25519Signer.generate().save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        Ed25519Signer.generate().save(path)
    assert path.read_bytes() == before


def test_a_key_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    with pytest.raises(ValueError, match="expected an Ed25519 key"):
        Ed25519Signer.load(path)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_bytes(b"no key")
    with pytest.raises(ValueError, match="PEM private key"):
        Ed25519Signer.load(path)


def test_another_message_or_a_short_signature_does_not_verify() -> None:
    signer = Ed25519Signer.generate()
    for message, signature in ((b"other", signer.sign(b"message")), (b"message", signer.sign(b"message")[:-1]), (b"message", b"")):
        with pytest.raises(BadSignature):
            signer.verifier().verify(message, signature)
