"""Evidence for controls: which control of which framework is answered by which query of the hub, how often, and what a result says.

A literal table and pure functions over rows. Not for asking (`controls_store`) and no certificate: a result is evidence for a control,
never a statement that anybody complies with anything. Rules: a control that the hub holds no facts about is listed with the reason; rows are
written canonically, so that the same facts have the same SHA-256; every result is an evidence row that can be computed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud import document
from cloud.evidence.again import Known, Stage
from cloud.evidence.code import code
from protocols.batch import evidence
from protocols.batch.evidence import Inputs, Row
from protocols.batch.pedigree import Opened

KIND: Final = "control"
DAY_US: Final = 86_400_000_000
SOC, ISO, IEC = "SOC 2", "ISO/IEC 27001:2022 Annex A", "IEC 62443-3-3"
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Control:
    """references: clauses by framework, as we read them (unconfirmed by an assessor). every_days: how often it is to be run. reason: why the
    hub cannot answer, empty where it can."""

    id: str
    title: str
    references: Mapping[str, tuple[str, ...]]
    every_days: int
    says: str
    reason: str = ""


_OUTSIDE: Final = "the hub holds no facts of this: it is kept where "
CONTROLS: Final[Mapping[str, Control]] = {
    one.id: one
    for one in (
        Control(
            "Q-01", "Access review", {SOC: ("CC6.1", "CC6.2", "CC6.3"), ISO: ("A.5.15", "A.5.16", "A.5.18"), IEC: ("SR 1.1", "SR 2.1")}, 90,
            "people and API tokens, what each may do, when each was last seen",
        ),
        Control(
            "Q-02", "Coverage of second factors", {SOC: ("CC6.1",), ISO: ("A.5.17", "A.8.5"), IEC: ("SR 1.1 RE 2",)}, 30,
            "people who may sign in, by role, with and without a second factor",
        ),
        Control(
            "Q-03", "Changes that two people agreed to", {SOC: ("CC8.1",), ISO: ("A.8.32", "A.5.3"), IEC: ("SR 2.1 RE 4",)}, 90,
            "approvals with who asked and who decided; changes of the program itself are told by its repository",
        ),
        Control(
            "Q-04", "Backup and restore tests", {SOC: ("A1.2", "A1.3"), ISO: ("A.8.13",), IEC: ("SR 7.3",)}, 90, "",
            _OUTSIDE + "backups are made and restored",
        ),
        Control(
            "Q-05", "Age of known vulnerabilities", {SOC: ("CC7.1",), ISO: ("A.8.8",), IEC: ("SR 3.4",)}, 30, "",
            _OUTSIDE + "dependencies and images are scanned",
        ),
        Control(
            "Q-06", "Integrity of the log", {SOC: ("CC7.2",), ISO: ("A.8.15",), IEC: ("SR 2.8", "SR 6.1")}, 1,
            "the tree of all entries computed anew, its signed root, and what entries stand for",
        ),
        Control(
            "Q-07", "Timeline of incidents", {SOC: ("CC7.3", "CC7.4"), ISO: ("A.5.24", "A.5.26"), IEC: ("SR 6.2",)}, 30,
            "refused batches, contradicting batches, revoked keys, refused orders; what was done outside of the hub is not in it",
        ),
        Control(
            "Q-08", "Register of vendors", {SOC: ("CC9.2",), ISO: ("A.5.19", "A.5.22"), IEC: ()}, 365, "",
            _OUTSIDE + "contracts with vendors are kept",
        ),
        Control(
            "Q-09", "Rotation and custody of keys", {SOC: ("CC6.1",), ISO: ("A.8.24",), IEC: ("SR 1.9", "SR 4.3")}, 90,
            "keys of gateways with beginning, end and algorithm; whether a key lies in hardware is the gateway's own word and not in it",
        ),
        Control(
            "Q-10", "Isolation of tenants", {SOC: ("CC6.1",), ISO: ("A.8.3", "A.5.23"), IEC: ("SR 5.1",)}, 7,
            "row security of every table as the database's catalogue has it now, and what the program's own role may do",
        ),
        Control(
            "Q-11", "Inventory of gateways and their identities", {SOC: ("CC6.1",), ISO: ("A.5.9", "A.8.1"), IEC: ("SR 1.2", "SR 1.8")}, 30,
            "gateways with the key that each certificate is issued for; certificates themselves are issued and not kept",
        ),
        Control(
            "Q-12", "Training", {SOC: ("CC1.4", "CC2.2"), ISO: ("A.6.3",), IEC: ()}, 365, "", _OUTSIDE + "people are trained",
        ),
    )
}  # fmt: skip


def content(control: Control, rows: Rows) -> bytes:
    """What is hashed: the same facts give the same bytes, whenever they are asked for."""
    return document.encode({"control": control.id, "rows": [dict(one) for one in rows]})


def result_row(control: Control, data: bytes, as_of_us: int) -> Row:
    inputs = Inputs(contents={"rows": evidence.digest(data)})
    return Row(KIND, control.id, as_of_us, inputs, {}, 0, code("compliance"), output_of(control, data))


def output_of(control: Control, data: bytes) -> dict[str, Any]:
    held: Any = document.parse(data)
    return {
        "control": control.id,
        "title": control.title,
        "statement": f"evidence for {_references(control)}: {control.says}",
        "rows": len(held["rows"]),
        "sha256": evidence.digest(data).hex(),
        "summary": _SUMMARIES[control.id](held["rows"]),
    }


def sign_off_row(control: Control, result: bytes, by: str, remark: str, as_of_us: int) -> Row:
    told = {"by": by, "remark": remark}
    return Row(
        KIND, f"{control.id} sign-off", as_of_us, Inputs(rows={"result": result}), told, 0, code("compliance"), _signed(result, told)
    )


def _signed(result: bytes, told: Mapping[str, Any]) -> dict[str, Any]:
    return {"result": result, "signed_by": told["by"], "remark": told["remark"]}


def _references(control: Control) -> str:
    return "; ".join(f"{framework} {', '.join(clauses)}" for framework, clauses in control.references.items() if clauses)


def _access(rows: Rows) -> dict[str, Any]:
    people = [one for one in rows if one["kind"] == "person"]
    return {
        "people": len(people),
        "disabled": sum(one["disabled"] for one in people),
        "never signed in": sum(one["last_seen"] is None for one in people),
        "API tokens": len(rows) - len(people),
        "API tokens without end": sum(one["kind"] == "token" and one["ends_us"] is None for one in rows),
    }


def _factors(rows: Rows) -> dict[str, Any]:
    total, covered = (sum(one[name] for one in rows) for name in ("people", "with_factor"))
    return {"people": total, "with a second factor": covered, "percent": round(100 * covered / total, 1) if total else None}


def _approvals(rows: Rows) -> dict[str, Any]:
    decided = [one for one in rows if one["decided_by"] is not None]
    alone = [one for one in decided if one["decided_by"] == one["asked_by"]]
    return {"asked": len(rows), "decided": len(decided), "decided by who asked": len(alone)}


def _failing(rows: Rows) -> dict[str, Any]:
    return {"checks": len(rows), "failed": sum(not one["right"] for one in rows)}


def _timeline(rows: Rows) -> dict[str, Any]:
    kinds = sorted({one["what"] for one in rows})
    return {what: sum(one["what"] == what for one in rows) for what in kinds}


def _keys(rows: Rows) -> dict[str, Any]:
    return {"keys": len(rows), "without end": sum(one["ends_us"] is None for one in rows)}


_SUMMARIES: Final = {
    "Q-01": _access,
    "Q-02": _factors,
    "Q-03": _approvals,
    "Q-06": _failing,
    "Q-07": _timeline,
    "Q-09": _keys,
    "Q-10": _failing,
    "Q-11": _keys,
}


def _again(known: Known, opened: Opened) -> Mapping[str, Any]:
    row = opened.row
    if "rows" not in row.inputs.contents:
        return _signed(row.inputs.rows["result"], row.parameters)
    return output_of(CONTROLS[row.subject], known.contents[row.inputs.contents["rows"]])


STAGES: Final[Mapping[str, Stage]] = {KIND: _again}
