"""Adapters for tests/cases/trust.json: Merkle trees, COSE, CBOR, notes, keys, one-time codes, profile qz1."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from cloud.identity import totp
from protocols.batch import cbor, checkpoint, cose, merkle, receipt, statement
from protocols.batch.errors import BatchError
from protocols.signing import Ed25519Signer, Ed25519Verifier, ES256Verifier, Verifier

Members = Mapping[str, Any]


def merkle_root(inputs: Members, _: Members) -> Members:
    tree = merkle.Tree()
    for leaf in inputs["leaves_hex"]:
        tree.append(merkle.leaf_hash(bytes.fromhex(leaf)))
    return {"root_hex": tree.root().hex()}


def merkle_hash(inputs: Members, _: Members) -> Members:
    parts = hexes(inputs["data_hex"])
    found = merkle.leaf_hash(*parts) if inputs["kind"] == "leaf" else merkle.node_hash(*parts)
    return {"hash_hex": found.hex()}


def consistency(inputs: Members, _: Members) -> Members:
    roots = bytes.fromhex(inputs["root1_hex"]), bytes.fromhex(inputs["root2_hex"])
    return accepts(lambda: merkle.verify_consistency(inputs["size1"], inputs["size2"], *roots, hexes(inputs["proof_hex"])))


def inclusion(inputs: Members, _: Members) -> Members:
    leaf, root = bytes.fromhex(inputs["leaf_hash_hex"]), bytes.fromhex(inputs["root_hex"])
    return accepts(lambda: merkle.verify_inclusion(leaf, inputs["leaf_index"], inputs["tree_size"], hexes(inputs["proof_hex"]), root))


def accumulated_inclusion(inputs: Members, _: Members) -> Members:
    tree, lines = merkle.Tree(), hashlib.sha256()
    for size in range(1, inputs["max"] + 1):
        tree.append(merkle.leaf_hash(bytes((size - 1,))))
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, tree.node)
            merkle.verify_inclusion(tree.node(0, index), index, size, proof, tree.root())
            lines.update(" ".join([f"{index} {size}", *(part.hex() for part in proof)]).encode() + b"\n")
    return {"sha256_hex": lines.hexdigest()}


def cose_sign1(inputs: Members, _: Members) -> Members:
    data, external = bytes.fromhex(inputs["cbor_hex"]), bytes.fromhex(inputs["external_aad_hex"])
    try:
        sign1 = cose.verify_sign1(data, foreign_key(inputs["key"]), external)
    except BatchError:
        return {"valid": False}
    return {"valid": True, "sig_structure_hex": sign1.to_be_signed(external=external).hex()}


def foreign_key(key: Members) -> Verifier:
    if key["crv"] == "Ed25519":
        return Ed25519Verifier(bytes.fromhex(key["x_hex"]), algorithm=-8)
    return ES256Verifier(bytes.fromhex(key["x_hex"]), bytes.fromhex(key["y_hex"]), algorithm=-7)


def inclusion_receipt(inputs: Members, _: Members) -> Members:
    parsed = receipt.parse(bytes.fromhex(inputs["receipt_hex"]), foreign=True)
    header = parsed.sign1.header
    root = parsed.root(bytes.fromhex(inputs["leaf_hash_hex"]))
    facts = {"alg": header[cose.ALGORITHM], "vds": header[receipt.DATA_STRUCTURE], "issuer": parsed.issuer}
    return {**facts, "tree_size": parsed.size, "leaf_index": parsed.index, "root_hex": root.hex()}


def consistency_receipt(inputs: Members, _: Members) -> Members:
    parsed = receipt.parse_consistency(bytes.fromhex(inputs["receipt_hex"]), foreign=True)
    try:
        root = parsed.new_root(bytes.fromhex(inputs["old_root_hex"]))
    except BatchError:
        return {"valid": False}
    return {"valid": True, "size1": parsed.old_size, "size2": parsed.new_size, "new_root_hex": root.hex()}


def signed_note(inputs: Members, _: Members) -> Members:
    key = checkpoint.LogKey.parse(inputs["vkey"])
    return {**accepts(lambda: checkpoint.verify_note(inputs["note"], key)), "key_id_hex": key.key_id.hex()}


def checkpoint_body(inputs: Members, _: Members) -> Members:
    try:
        parsed = checkpoint.parse(inputs["text"])
    except BatchError:
        return {"valid": False}
    return {"valid": True, "origin": parsed.origin, "size": parsed.size, "root_hex": parsed.root.hex()}


def ed25519_signature(inputs: Members, _: Members) -> Members:
    signer = Ed25519Signer.from_seed(bytes.fromhex(inputs["seed_hex"]))
    signature = signer.sign(bytes.fromhex(inputs["msg_hex"]))
    signer.verifier().verify(bytes.fromhex(inputs["msg_hex"]), signature)
    return {"public_hex": signer.public.hex(), "signature_hex": signature.hex()}


def ed25519_verification(inputs: Members, _: Members) -> Members:
    verifier = Ed25519Verifier(bytes.fromhex(inputs["public_hex"]))
    return accepts(lambda: verifier.verify(bytes.fromhex(inputs["msg_hex"]), bytes.fromhex(inputs["signature_hex"])))


def deterministic_cbor(inputs: Members, _: Members) -> Members:
    data = bytes.fromhex(inputs["cbor_hex"])
    try:
        value = cbor.decode_strict(data)
    except BatchError:
        return {"valid": False}
    return {"valid": cbor.encode(value) == data, "diag": diagnostic(value)}


def diagnostic(value: Any) -> str:
    """RFC 8949, 8: diagnostic notation, as far as the cases go."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return f'"{value}"'
        case bytes():
            return f"h'{value.hex()}'"
        case cbor.Tag(number, content):
            return f"{number}({diagnostic(content)})"
        case list():
            return f"[{', '.join(map(diagnostic, value))}]"
        case dict():
            return "{" + ", ".join(f"{diagnostic(key)}: {diagnostic(item)}" for key, item in value.items()) + "}"
    return str(value)


def typed_array(inputs: Members, _: Members) -> Members:
    tag = cbor.decode_strict(bytes.fromhex(inputs["cbor_hex"]))
    return {"values": cbor.typed_array(tag).tolist(), "dtype": cbor.TYPED_ARRAYS[tag.number]}


def one_time_code(inputs: Members, expected: Members) -> Members:
    return {"code": totp.code(inputs["secret_ascii"].encode(), inputs["time"], digits=len(expected["code"]))}


def golden_batch(inputs: Members, _: Members) -> Members:
    data = bytes.fromhex(inputs["statement_hex"])
    parsed = statement.parse(data)
    parsed.verify(Ed25519Verifier(bytes.fromhex(inputs["gateway_public_hex"])))
    verified = receipt.verify(
        bytes.fromhex(inputs["receipt_hex"]), data, Ed25519Verifier(bytes.fromhex(inputs["hub_public_hex"])), inputs["origin"]
    )
    header, payload = parsed.header, parsed.open()
    return {
        "valid": True,
        "stream_epoch_seq_prev": [header.stream, header.epoch, header.seq, header.prev.hex()],
        "entry_sha256_hex": parsed.entry.hex(),
        "tree_size": verified.size,
        "leaf_index": verified.index,
        "root_hex": verified.root.hex(),
        "counts": payload.groups[0].values.T.tolist(),
    }


def batch_verification(inputs: Members, _: Members) -> Members:
    data, verifier = bytes.fromhex(inputs["statement_hex"]), Ed25519Verifier(bytes.fromhex(inputs["gateway_public_hex"]))
    return accepts(lambda: statement.parse(data).verify(verifier))


def receipt_verification(inputs: Members, _: Members) -> Members:
    log = Ed25519Verifier(bytes.fromhex(inputs["hub_public_hex"]))
    try:
        verified = receipt.verify(bytes.fromhex(inputs["receipt_hex"]), bytes.fromhex(inputs["statement_hex"]), log, inputs["origin"])
    except BatchError:
        return {"valid": False}
    return {"valid": True, "tree_size": verified.size, "leaf_index": verified.index}


def accepts(call: Any) -> dict[str, Any]:
    try:
        call()
    except BatchError:
        return {"valid": False}
    return {"valid": True}


def hexes(parts: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(part) for part in parts]
