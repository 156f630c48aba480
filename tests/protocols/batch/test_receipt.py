import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocols.batch import cbor, merkle, receipt
from protocols.batch.errors import BatchError
from protocols.signing import Ed25519Signer

LOG = Ed25519Signer.from_seed(hashlib.sha256(b"a log of the tests").digest())
ORIGIN = "hub.example/tenant-1"
STATEMENTS = [f"statement {i}".encode() for i in range(11)]


def log() -> merkle.Tree:
    tree = merkle.Tree()
    for data in STATEMENTS:
        tree.append(merkle.leaf_hash(hashlib.sha256(data).digest()))
    return tree


def issued(index: int, signer: Ed25519Signer = LOG, size: int = 11) -> bytes:
    tree = log()
    signed = receipt.sign_root(size, tree.root(size), ORIGIN, 1_717_200_100, signer)
    return receipt.issue(signed, index, merkle.inclusion_proof(index, size, tree.node))


@pytest.mark.parametrize("index", range(11))
def test_a_receipt_proves_its_statement_and_no_other(index: int) -> None:
    verified = receipt.verify(issued(index), STATEMENTS[index], LOG.verifier(), ORIGIN)
    assert (verified.size, verified.index, verified.issued_s, verified.root) == (11, index, 1_717_200_100, log().root())
    with pytest.raises(BatchError):
        receipt.verify(issued(index), STATEMENTS[index - 1], LOG.verifier(), ORIGIN)


def test_the_first_batch_of_a_log_has_an_empty_path() -> None:
    assert receipt.verify(issued(0, size=1), STATEMENTS[0], LOG.verifier(), ORIGIN).size == 1


def test_another_log_or_another_origin_is_refused() -> None:
    with pytest.raises(BatchError):
        receipt.verify(issued(3), STATEMENTS[3], Ed25519Signer.generate().verifier(), ORIGIN)
    with pytest.raises(BatchError):
        receipt.verify(issued(3), STATEMENTS[3], LOG.verifier(), "hub.example/tenant-2")


def test_no_changed_byte_of_a_receipt_is_accepted() -> None:
    good, verifier = issued(5), LOG.verifier()
    accepted = 0
    for position in range(len(good)):
        for changed in {good[position] ^ 1 << bit for bit in range(8)}:
            try:
                receipt.verify(good[:position] + bytes((changed,)) + good[position + 1 :], STATEMENTS[5], verifier, ORIGIN)
            except BatchError:
                continue
            accepted += 1
    assert accepted == 0


def test_a_second_proof_or_another_header_is_refused() -> None:
    tag = cbor.decode_strict(issued(2))
    proof = tag.value[1][396][-1][0]
    for unprotected in ({396: {-1: [proof, proof]}}, {396: {-1: [proof]}, 4: b"x"}, {396: {-1: []}}, {396: {}}, {}):
        with pytest.raises(BatchError):
            receipt.verify(cbor.encode(cbor.Tag(18, [tag.value[0], unprotected, *tag.value[2:]])), STATEMENTS[2], LOG.verifier(), ORIGIN)


def test_scitt_cose_verifies_a_receipt_made_in_compatibility_mode() -> None:
    import scitt_cose

    old = Ed25519Signer.from_seed(hashlib.sha256(b"a log of the tests").digest(), -8)
    pem = Ed25519PublicKey.from_public_bytes(old.public).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for index, size in ((4, 11), (0, 1)):
        entry = hashlib.sha256(STATEMENTS[index]).hexdigest()
        result = scitt_cose.verify_receipt(issued(index, old, size), leaf_entry_hex=entry, log_public_key_pem=pem)
        assert (result.ok, result.errors, result.tree_size, result.leaf_index) == (True, [], size, index)
        assert (result.issuer, result.iat) == (ORIGIN, 1_717_200_100)


def test_a_consistency_receipt_of_another_log_is_read() -> None:
    tree, old = log(), 6
    proof = cbor.encode([old, 11, merkle.consistency_proof(old, 11, tree.node)])
    header = cbor.encode({1: -19, 395: 1})
    data = cbor.encode(cbor.Tag(18, [header, {396: {-2: [proof]}}, None, b"s" * 64]))
    assert receipt.parse_consistency(data).new_root(tree.root(old)) == tree.root()
    with pytest.raises(merkle.BadProof):
        receipt.parse_consistency(data).new_root(tree.root(5))
