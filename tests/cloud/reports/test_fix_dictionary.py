"""All messages of QuickFIX's session scripts for FIX 4.4, judged as the scripts say that a session judges them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud.reports import fix
from cloud.reports.fix import SOH
from cloud.reports.layers import Layer, Outcome

SCRIPTS = sorted((Path(__file__).parents[2] / "data" / "reports" / "fix").glob("*.def"))
# A session drops these without a word: wrong length, wrong checksum, wrong version, no form at all.
DROPPED = {
    "1d_InvalidLogonLengthInvalid", "1d_InvalidLogonWrongBeginString", "2d_GarbledMessage", "2i_BeginStringValueUnexpected",
    "2m_BodyLengthValueNotCorrect", "2t_FirstThreeFieldsOutOfOrder", "3b_InvalidChecksum", "3c_GarbledMessage",
}  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """What a client sends in a script, and the (reason, tag) for which the server has to reject it."""

    script: str
    data: bytes
    reject: tuple[int, int] | None

    def __str__(self) -> str:
        return f"{self.script} {self.data[20:60].replace(SOH, b' ').decode('latin-1')}"


def scripted(script: Path) -> Iterator[Sent]:
    lines = [line for line in script.read_bytes().replace(b"\r", b"").split(b"\n") if line.strip() and not line.startswith(b"#")]
    for line, answer in zip(lines, [*lines[1:], b""], strict=True):
        if line.startswith(b"I8="):
            yield Sent(script.stem, whole(re.sub(rb"<TIME[^>]*>", b"20261123-10:00:00", line[1:])), reject(answer))


def reject(answer: bytes) -> tuple[int, int] | None:
    fields = dict(part.split(b"=", 1) for part in answer.split(SOH) if b"=" in part)
    return (int(fields[b"373"]), int(fields.get(b"371", -1))) if fields.get(b"35") == b"3" and b"373" in fields else None


def whole(body: bytes) -> bytes:
    """With the length and the sum that the script leaves to its player; its own where it says one."""
    parts = body.rstrip(SOH).split(SOH)
    rest = b"".join(part + SOH for part in parts[1:] if not part.startswith((b"9=", b"10=")))
    length = next((part for part in parts if part.startswith(b"9=")), b"9=%d" % len(rest))
    head = parts[0] + SOH + length + SOH + rest
    return head + next((part for part in parts if part.startswith(b"10=")), b"10=%03d" % (sum(head) % 256)) + SOH


SENT = [sent for script in SCRIPTS for sent in scripted(script)]


def test_the_scripts_are_all_there() -> None:
    assert len(SCRIPTS) == 59
    assert len(SENT) > 250


@pytest.mark.parametrize("sent", [one for one in SENT if one.reject is not None and one.reject[1] > 0], ids=str)
def test_a_rejected_message_has_the_fault_it_is_rejected_for(sent: Sent) -> None:
    reason, tag = sent.reject or (0, 0)
    found = {(fault.check, fault.place) for fault in fix.check(sent.data).faults}
    assert found & {(f"FIX-S-{reason}", f"tag {tag}"), ("FIX-X-POSSDUP", f"tag {tag}")}


@pytest.mark.parametrize("sent", [one for one in SENT if one.reject is not None and one.reject[1] == 0], ids=str)
def test_a_tag_that_is_no_number_has_no_form(sent: Sent) -> None:
    assert [fault.check for fault in fix.check(sent.data).faults] == ["FIX-S-FORM"]


@pytest.mark.parametrize("sent", [one for one in SENT if one.reject is None and one.script not in DROPPED], ids=str)
def test_an_accepted_message_passes_and_is_written_again_byte_for_byte(sent: Sent) -> None:
    found = fix.check(sent.data)
    assert {found.of(layer).outcome for layer in (Layer.SCHEMA, Layer.CHECKSUM, Layer.CROSS_FIELD)} == {Outcome.PASS}, found.faults
    assert fix.write(fix.read(sent.data)) == sent.data


@pytest.mark.parametrize("script", sorted(DROPPED))
def test_what_a_session_drops_has_a_fault(script: str) -> None:
    assert any(fix.check(sent.data).faults for sent in SENT if sent.script == script)
