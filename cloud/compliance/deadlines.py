"""Duties with a last day: due date, and whether what had to be done was done by then.

Shared by the rules. `done` None means not done by the day up to which the facts are known; a duty that day has not reached is not
applicable yet, never kept.
"""

from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal

from cloud.compliance.rules import Verdict, failed, not_applicable, passed
from cloud.compliance.trace import Trace
from cloud.compliance.workdays import add_workdays, add_years


def whole(number: Decimal) -> int:
    if number != int(number):
        raise ValueError(f"expected a whole number of days, months or years, found {number}")
    return int(number)


def done_by(t: Trace, what: str, due: date, done: date | None, checked_on: date) -> Verdict:
    t.known("checked on", checked_on)
    if done is not None:
        t.known(f"{what} on", done)
        kept = t.step("in time", f"{what} on or before {due}", done <= due)
        return passed(f"{what} on {done}, due {due}") if kept else failed(f"{what} on {done}, due {due}")
    if t.step("overdue", f"not {what} and the day after {due} has come", checked_on > due):
        return failed(f"not {what} by {due}")
    return not_applicable(f"to be {what} by {due}, which is not over")


def due_workdays(t: Trace, after: date, count: Decimal, holidays: AbstractSet[date]) -> date:
    return t.step("due", f"{count} working days after {after}", add_workdays(after, whole(count), holidays))


def kept_until(t: Trace, ends: date, years: Decimal, keep_until: date | None) -> Verdict:
    until = t.step("to be kept until", f"{years} years after {ends}", add_years(ends, whole(years)))
    kept = t.known("kept until", keep_until)
    return passed(f"kept until {kept}") if kept >= until else failed(f"kept until {kept} only, to be kept until {until}")
