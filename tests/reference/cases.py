"""A case, the table that says which adapter answers it, and the comparison of answer and expectation."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

Adapter = Callable[[Mapping[str, Any], Any], Any]


class Unbuilt(Exception):
    """No adapter, or the part of the product it asks is not there yet."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """`abs` and `rel` as usual; `bound`: the answer may lie `value` below the expectation or above it at will, for heuristics."""

    kind: str = "rel"
    value: float = 1e-9

    def covers(self, answer: float, expected: float) -> bool:
        if self.kind == "bound":
            return answer >= expected - self.value
        if self.kind == "abs":
            return abs(answer - expected) <= self.value
        return math.isclose(answer, expected, rel_tol=self.value, abs_tol=1e-12)

    @classmethod
    def of(cls, written: Mapping[str, Any] | str) -> "Tolerance":
        """From {"kind": "rel", "value": 1e-6}, "rel 1e-6" or "exact" (which leaves room for the last bits of a float only)."""
        if isinstance(written, str):
            kind, _, value = ("abs 1e-9" if written == "exact" else written).partition(" ")
            return cls(kind, float(value))
        return cls(written["kind"], written["value"])


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    inputs: Mapping[str, Any]
    expected: Any
    tolerance: Tolerance | None = field(default=None)

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Case":
        """From a file. An adapter that must know what is asked (which Greek) finds the case's own words in `inputs["what"]`."""
        tolerance = Tolerance.of(item["tolerance"]) if "tolerance" in item else None
        asked = {"what": item["what"]} if "tolerance" in item else {}
        return cls(item["id"], {**item["inputs"], **asked}, item["expected"], tolerance)


# Longest prefix wins. `module:function` below tests/reference, imported when a case asks: what is not built is UNSUPPORTED.
# An adapter turns a case's inputs into an answer of the shape of `expected`; it sees the expectation only to know which
# members are asked for.
ADAPTERS: Final[Mapping[str, str]] = {
    "rfc6962-root-": "trust:merkle_root",
    "rfc6962-hash-": "trust:merkle_hash",
    "td-consistency-": "trust:consistency",
    "td-inclusion-": "trust:inclusion",
    "accumulated-inclusion-": "trust:accumulated_inclusion",
    "cose-": "trust:cose_sign1",
    "rfc9942-inclusion-": "trust:inclusion_receipt",
    "rfc9942-consistency-": "trust:consistency_receipt",
    "c2sp-signed-note": "trust:signed_note",
    "c2sp-checkpoint-": "trust:checkpoint_body",
    "rfc8032-": "trust:ed25519_signature",
    "ed25519-malleable-": "trust:ed25519_verification",
    "cbor-": "trust:deterministic_cbor",
    "rfc8746-": "trust:typed_array",
    "rfc6238-": "trust:one_time_code",
    "qz1-golden-": "trust:golden_batch",
    "qz1-neg-": "trust:batch_verification",
    "qz1-receipt-": "trust:receipt_verification",
    "B76-": "risk:black76",
    "GBS-": "risk:black_scholes",
    "GRK-": "risk:greek",
    "KIRK-": "risk:kirk",
    "MARG-": "risk:margrabe",
    "VAR-": "risk:value_at_risk",
    "DG-": "risk:delta_gamma",
    "KUP-": "risk:kupiec",
    "KUP-R": "risk:kupiec_region",
    "CHR-": "risk:christoffersen",
    "TL-": "risk:traffic_light",
    "CURV-": "market:curve",
    "SS-": "market:futures_price",
    "VOL-": "market:ewma_volatility",
    "SUP-": "supply:supply",
    "ID-LEI-": "reports:lei",
    "ID-EIC-": "reports:eic",
    "ID-ISIN-": "reports:isin",
    "ID-UTI-": "reports:uti",
    "FIX-CHK-": "reports:fix_sums",
    "REMIT-XML-": "reports:remit_files",
    "REMIT-UMM-1": "reports:remit_files",
    "ISO20022-CAMT-": "reports:statement",
    "CFTC-LTR-": "compliance:large_trader",
    "CFTC-PL-": "compliance:position_limit",
    "CFTC-45-": "compliance:swap_creation_due",
    "CFTC-SD-": "compliance:swap_dealer",
    "EMIR-CT-": "compliance:clearing_threshold",
    "EMIR-ACT-": "compliance:action_types",
    "CSRD-": "compliance:csrd_scope",
    "REMIT-DL-": "compliance:remit_due",
    "REMIT-UMM-3": "compliance:disclosure",
    "GY-FLARE-1": "compliance:flaring_payment",
    "GY-FLARE-3": "compliance:flaring_timers",
    "GY-LCA-1": "compliance:guyanese_company",
    "GY-LCA-3": "compliance:first_schedule",
    "SH-SCR-": "compliance:screening",
    "SH-SALAM-": "compliance:salam",
    "SH-MUR-": "compliance:murabaha",
    "MAR-WASH-": "compliance:wash_trades",
    "MAR-SPOOF-": "compliance:layering",
    "MAR-CLOSE-": "compliance:marking_the_close",
    "ENG-DATE-": "compliance:dated_value",
    "ESG-C1-": "esg:combustion_case",
    "ESG-GWP-": "esg:warming",
    "ESG-FLARE-": "esg:flare",
    "ESG-VENT-": "esg:vent",
    "ESG-PNEU-": "esg:pneumatics",
    "ESG-FUG-": "esg:fugitives",
    "ESG-S2-": "esg:purchased_power",
    "ESG-MI-": "esg:methane_intensity",
    "ESG-UNC-": "esg:uncertainty",
    "ESG-TRIR-": "esg:safety",
    "ESG-DQ-": "esg:data_quality",
    "ESG-ITR-": "esg:temperature_rise",
    "ESG-POD-": "esg:detection",
}


def adapter(case_id: str) -> Adapter:
    prefixes = [prefix for prefix in ADAPTERS if case_id.startswith(prefix)]
    if not prefixes:
        raise Unbuilt
    module, _, name = ADAPTERS[max(prefixes, key=len)].partition(":")
    try:
        found: Adapter = getattr(import_module(f"tests.reference.{module}"), name)
    except AttributeError as error:
        raise Unbuilt from error
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("tests", "cloud"):
            raise
        raise Unbuilt from error
    return found


def check(case: Case) -> tuple[str, str]:
    """PASS, FAIL or UNSUPPORTED, and what to print behind the id."""
    try:
        answer: Any = adapter(case.id)(case.inputs, case.expected)
    except Unbuilt:
        return "UNSUPPORTED", ""
    except Exception as error:  # a crash of the product under a case is that case's failure, not the runner's
        return "FAIL", f"\n  got      {error!r}\n  expected {case.expected}"
    if same(answer, case.expected, case.tolerance):
        return "PASS", ""
    return "FAIL", f"\n  got      {answer}\n  expected {case.expected}"


def same(answer: Any, expected: Any, tolerance: Tolerance | None = None) -> bool:
    """Every expected member is there and equal; floats to nine digits or the case's own tolerance; True is not 1."""
    if isinstance(expected, Mapping):
        return isinstance(answer, Mapping) and all(key in answer and same(answer[key], value, tolerance) for key, value in expected.items())
    if isinstance(expected, list):
        each = isinstance(answer, list | tuple) and len(answer) == len(expected)
        return each and all(same(one, other, tolerance) for one, other in zip(answer, expected, strict=True))
    if number(expected) and number(answer) and (tolerance is not None or isinstance(expected, float)):
        return (tolerance or Tolerance()).covers(answer, expected)
    return type(answer) is type(expected) and bool(answer == expected)


def number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)
