import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from protocols.batch import statement
from protocols.batch.columns import Gap, GapReason
from protocols.batch.errors import BadSignature, WrongAlgorithm
from protocols.signing import ED25519, ESP256, Ed25519Signer, Ed25519Verifier, enrolled_verifier


class HardwareKey:
    """A P-256 key as a TPM has it, here in memory."""

    algorithm = ESP256

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        self.public = self._private.public_key().public_bytes(encoding, form)
        self.key_id = enrolled_verifier(ESP256, self.public).key_id

    def sign(self, message: bytes) -> bytes:
        r, s = utils.decode_dss_signature(self._private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_a_batch_signed_by_a_hardware_key_verifies_with_its_enrolled_key_alone() -> None:
    key, other = HardwareKey(), HardwareKey()
    payload = statement.Payload(bytes(32), (), (Gap(1, 2, GapReason.AGENT_DOWN),))
    parsed = statement.parse(statement.seal(statement.Header("urn:qz:gw:rig7", "live", 1, 1, statement.START), payload, key))
    parsed.verify(enrolled_verifier(ESP256, key.public))
    with pytest.raises(BadSignature):
        parsed.verify(enrolled_verifier(ESP256, other.public))
    with pytest.raises(WrongAlgorithm):
        parsed.verify(Ed25519Signer.generate().verifier())


@pytest.mark.parametrize(
    ("algorithm", "public"),
    [
        pytest.param(-8, bytes(32), id="deprecated EdDSA"),
        pytest.param(-7, b"\x04" + bytes(64), id="deprecated ES256"),
        pytest.param(-48, bytes(1312), id="ML-DSA, reserved"),
        pytest.param(5, bytes(32), id="HMAC with a public key"),
        pytest.param(0, b"", id="none"),
        pytest.param(-19, bytes(31), id="short Ed25519 key"),
        pytest.param(-9, b"\x04" + b"\x01" * 64, id="a point that is not on the curve"),
        pytest.param(-9, b"\x02" + bytes(32), id="compressed point"),
    ],
)
def test_keys_outside_the_closed_set_cannot_be_enrolled(algorithm: int, public: bytes) -> None:
    with pytest.raises(ValueError):  # the library's words for a point off the curve are its own
        enrolled_verifier(algorithm, public)


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
