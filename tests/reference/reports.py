"""Adapters for the families of tests/cases/esg_compliance.json that cloud.reports answers: identifiers, FIX, REMIT files, statements."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from cloud.compliance.identifiers import lei_fits
from cloud.reports import fix, iso20022, remit, remit_checks, umm, xmlfile
from cloud.reports.identifiers import Kind, judge
from cloud.reports.layers import Layer
from tests.reference.cases import Unbuilt

Members = Mapping[str, Any]
SAMPLES: Final = Path(__file__).parents[1] / "data" / "reports"


def lei(inputs: Members, _: Any) -> Members:
    return {"valid": [judge(Kind.LEI, text).accepted for text in inputs["lei"]]}


def eic(inputs: Members, _: Any) -> Members:
    return {"valid": [judge(Kind.EIC, text).accepted for text in inputs["eic"]]}


def isin(inputs: Members, _: Any) -> Members:
    return {"valid": [judge(Kind.ISIN, text).accepted for text in inputs["isin"]]}


def uti(inputs: Members, _: Any) -> Members:
    judged = [judge(Kind.UTI, text) for text in inputs["uti"]]
    return {
        "pattern_ok": [one.failed is not Layer.SCHEMA for one in judged],
        "prefix_lei_ok": [text.isupper() and lei_fits(text[:20]) for text in inputs["uti"]],
        "accept": [one.accepted for one in judged],
    }


def fix_sums(inputs: Members, _: Any) -> Members:
    before = inputs["message_without_10"].replace("|", "\x01").encode()
    return {"body_length": fix.body_length(before), "checksum": fix.checksum(before)}


def remit_notional(inputs: Members, expected: Members) -> Members:
    """The notional of the sample where it is in the project, and the product that the cross-field check demands."""
    found: dict[str, Any] = {}
    for name, terms in inputs.items():
        if not name.startswith("EXAMPLE."):
            continue
        found[name] = float(Decimal(str(terms["price"])) * Decimal(str(terms["total_qty_MWh"])))
        file = SAMPLES / "remit" / f"{name}.xml"
        if file.exists():
            root = xmlfile.read(file.read_bytes())
            assert not list(remit_checks.cross_field(root))
            assert float(remit.of(root).trades[0].notional or 0) == found[name]
        if f"{name}_qty_check" in expected:
            days = remit_checks.delivery_days(next(root.iterfind(f"{{{remit.NAMESPACE}}}contractList/*")))
            assert days is not None
            found[f"{name}_qty_check"] = terms["capacity_MW"] * 24 * days
    return found


_MUTATIONS: Final[Mapping[str, tuple[str, str]]] = {
    "buySellIndicator=X": ("<buySellIndicator>B<", "<buySellIndicator>X<"),
    "lei 19 characters": ("<lei>a1", "<lei>a"),
    "priceCurrency=JPY": ("<priceCurrency>EUR<", "<priceCurrency>JPY<"),
    "quantity unit=BBL": ("<unit>MW<", "<unit>BBL<"),
    "price=40.123456": ("<price>41<", "<price>40.123456<"),
    "actionType removed": ("<actionType>N</actionType>", ""),
}


def remit_mutations(inputs: Members, _: Any) -> Members:
    sample = (SAMPLES / "remit" / "EXAMPLE.0102.xml").read_text()
    valid = []
    for mutation in inputs["mutations"]:
        changed = sample.replace(*_MUTATIONS[mutation], 1)
        assert changed != sample
        valid.append(not xmlfile.schema_faults(xmlfile.read(changed.encode()), remit.SCHEMA, "REMIT-S-XSD"))
    return {"schema_valid": valid}


def overlapping_outages(inputs: Members, _: Any) -> Members:
    def outage(event: Members) -> umm.Outage:
        start, stop = (datetime.fromisoformat(f"2026-11-23T{event[edge]}:00").replace(tzinfo=UTC) for edge in ("start", "stop"))
        return umm.Outage(start, stop, Decimal(event["unavailable"]))

    installed, first, second = Decimal(inputs["installed_MW"]), outage(inputs["event1"]), outage(inputs["event2"])
    cut = umm.intervals(installed, first, ()), umm.intervals(installed, second, (first,))
    said = [{"available": int(min(one.available for one in each)), "unavailable": int(each[0].unavailable)} for each in cut]
    return {"umm1": said[0], "umm2": said[1], "message_id_pattern": "<event>_<3-digit version> e.g. " + _example_id()}


def _example_id() -> str:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    none = Decimal(0)
    return umm.Umm(
        "12345-28X-TradingAG-BR-C", 1, umm.Status.ACTIVE, umm.Unavailability.UNPLANNED, "", now, now, "MW", none, none, none,
        "", "", "", "", "", "", now,
    ).id  # fmt: skip


def statement(inputs: Members, _: Any) -> Members:
    (found,) = iso20022.statements((SAMPLES / "iso20022" / "camt053_001_02.xml").read_bytes())
    signed = {code: float(found.balance(code)) for code, told in inputs.items() if isinstance(told, Mapping) and "ind" in told}
    return {"signed": signed, "booked_change": float(found.booked_change), "available_change": float(found.available_change)}


_REMIT: Final[Mapping[str, Callable[[Members, Any], Members]]] = {
    "EXAMPLE.0102": remit_notional,
    "mutations": remit_mutations,
    "event1": overlapping_outages,
}


def remit_files(inputs: Members, expected: Any) -> Members:
    for key, answer in _REMIT.items():
        if key in inputs:
            return answer(inputs, expected)
    raise Unbuilt
