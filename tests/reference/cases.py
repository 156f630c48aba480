"""A case, the table that says which adapter answers it, and the comparison of answer and expectation."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.reference import trust

Adapter = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]


# Longest prefix wins. An adapter turns a case's inputs into an answer with the members of `expected`; it sees the
# expectation only to know which members are asked for.
ADAPTERS: Final[Mapping[str, Adapter]] = {
    "rfc6962-root-": trust.merkle_root,
    "rfc6962-hash-": trust.merkle_hash,
    "td-consistency-": trust.consistency,
    "td-inclusion-": trust.inclusion,
    "accumulated-inclusion-": trust.accumulated_inclusion,
    "cose-": trust.cose_sign1,
    "rfc9942-inclusion-": trust.inclusion_receipt,
    "rfc9942-consistency-": trust.consistency_receipt,
    "c2sp-signed-note": trust.signed_note,
    "c2sp-checkpoint-": trust.checkpoint_body,
    "rfc8032-": trust.ed25519_signature,
    "ed25519-malleable-": trust.ed25519_verification,
    "cbor-": trust.deterministic_cbor,
    "rfc8746-": trust.typed_array,
    "rfc6238-": trust.one_time_code,
    "qz1-golden-": trust.golden_batch,
    "qz1-neg-": trust.batch_verification,
    "qz1-receipt-": trust.receipt_verification,
}


def check(case: Case) -> tuple[str, str]:
    """PASS, FAIL or UNSUPPORTED, and what to print behind the id."""
    prefixes = [prefix for prefix in ADAPTERS if case.id.startswith(prefix)]
    if not prefixes:
        return "UNSUPPORTED", ""
    try:
        answer: Any = ADAPTERS[max(prefixes, key=len)](case.inputs, case.expected)
    except Exception as error:  # a crash of the product under a case is that case's failure, not the runner's
        return "FAIL", f"\n  got      {error!r}\n  expected {case.expected}"
    if same(answer, case.expected):
        return "PASS", ""
    return "FAIL", f"\n  got      {answer}\n  expected {case.expected}"


def same(answer: Any, expected: Any) -> bool:
    """Every expected member is there and equal; floats to nine digits; True is not 1."""
    if isinstance(expected, Mapping):
        return isinstance(answer, Mapping) and all(key in answer and same(answer[key], value) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(answer, list | tuple) and len(answer) == len(expected) and all(map(same, answer, expected))
    if isinstance(expected, float) and isinstance(answer, float | int) and not isinstance(answer, bool):
        return math.isclose(answer, expected, rel_tol=1e-9, abs_tol=1e-12)
    return type(answer) is type(expected) and bool(answer == expected)
