"""EU market abuse regulation, as far as it is about lists and delays. The patterns of trading are looked for by `surveillance`.

Pure rules over plant_facts.InsiderEntry and DelayedNews.
"""

from datetime import date

from cloud.compliance.plant_facts import DelayedNews, InsiderEntry
from cloud.compliance.rules import Verdict, held, not_applicable, rule
from cloud.compliance.trace import Law, Trace

IN_FORCE = date(2016, 7, 3)


@rule("A-10", "Entry of the insider list is complete", InsiderEntry, ("MAR art. 18",), IN_FORCE)
def insider_list(f: InsiderEntry, _: Law, t: Trace) -> Verdict:
    if not t.known("inside information", f.inside_information):
        return not_applicable("no inside information")
    still = t.known("still inside", f.still_inside)
    fields = {"name": f.name, "role": f.role, "reason": f.reason, "time in": f.access_from_us, "time out": still or f.access_until_us}
    missing = t.step(
        "missing", "name, role, reason, time in and, where it is over, time out", tuple(one for one in fields if not fields[one])
    )
    return held(not missing, "complete", f"missing: {', '.join(missing)}")


@rule("A-12", "Delayed publication keeps its conditions", DelayedNews, ("MAR art. 17(4)",), IN_FORCE)
def delay(f: DelayedNews, _: Law, t: Trace) -> Verdict:
    if not t.known("issuer", f.issuer) or not t.known("delayed", f.delayed):
        return not_applicable("nothing of an issuer is delayed")
    met = (
        t.known("legitimate interest", f.legitimate),
        t.known("not misleading", f.not_misleading),
        t.known("confidential", f.confidential),
    )
    if not t.step("conditions met", "all three of them", all(met)):
        return held(False, "", "a condition of delay is not met")
    if not t.known("published", f.published):
        return held(True, "conditions met, not published yet", "")
    return held(t.known("notified after publication", f.notified_after), "conditions met and notified", "the delay was not notified")


RULES = (insider_list, delay)
