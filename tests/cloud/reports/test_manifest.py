from dataclasses import replace
from datetime import date
from hashlib import sha256

import pytest

from cloud.reports import manifest
from cloud.reports.errors import ReportError
from protocols.signing import Ed25519Signer

DATA = b"<a/>"
RULES = sha256(b"rules").hexdigest()
SIGNER = Ed25519Signer.generate()
MADE = manifest.of("REMIT Table 1", DATA, RULES, 2, date(2026, 11, 23), "qenergyz 0.1.0")
SIGNED = manifest.sign(MADE, SIGNER)


def test_signed_manifest_verifies_with_its_file_and_after_a_round_trip() -> None:
    again = manifest.from_json(manifest.as_json(SIGNED))
    manifest.verify(again, DATA, SIGNER.verifier())
    assert again == SIGNED


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 3},
        {"kind": "other"},
        {"as_of": date(2026, 11, 24)},
        {"generator": "x"},
        {"rule_set_sha256": "0" * 64},
        {"file_sha256": "0" * 64},
    ],
)
def test_a_changed_member_does_not_fit_the_signature(change: dict[str, object]) -> None:
    wrong = replace(SIGNED, manifest=replace(MADE, **change))  # type: ignore[arg-type]
    with pytest.raises(ReportError, match=r"manifest\.signature"):
        manifest.verify(wrong, DATA, SIGNER.verifier())


def test_a_changed_file_does_not_fit_the_manifest() -> None:
    with pytest.raises(ReportError, match=r"manifest\.file_sha256"):
        manifest.verify(SIGNED, DATA + b" ", SIGNER.verifier())


def test_another_key_is_named_before_the_signature_is_looked_at() -> None:
    with pytest.raises(ReportError, match=r"manifest\.key"):
        manifest.verify(SIGNED, DATA, Ed25519Signer.generate().verifier())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"rows":2', '"rows":"2"'),
        ('"rows":2', '"rows":2,"more":1'),
        ('"rows":2', '"rows":2,"rows":2'),
        ('"as_of":"2026-11-23"', '"as_of":"2026-11-31"'),
    ],
)
def test_a_document_that_is_no_manifest_is_refused(old: str, new: str) -> None:
    with pytest.raises(ReportError, match="signed manifest"):
        manifest.from_json(manifest.as_json(SIGNED).decode().replace(old, new).encode())


@pytest.mark.parametrize("change", [{"rows": -1}, {"kind": ""}, {"file_sha256": "abc"}, {"rule_set_sha256": "G" * 64}])
def test_a_manifest_that_cannot_be_meant_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ReportError, match="manifest"):
        replace(MADE, **change)  # type: ignore[arg-type]
