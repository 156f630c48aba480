"""`qenergyz hub rules list | explain | run`: rules, one finding with its trace, and a run, without a page; while the hub runs and while it does not.

A run from here is an action in the tenant's journal, by "command line". A running hub finds its rows by itself.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import psycopg

from cloud import people_cli
from cloud.compliance import html, knowledge, rule_list, runner
from cloud.compliance.deal_facts import PREFIX, Contradiction
from cloud.compliance.parameters import ParameterSet, shipped
from cloud.compliance.rules import Finding
from cloud.compliance.runner import Asked, NothingKnown
from cloud.compliance.table import BY_ID
from cloud.compliance.trace import day_of, instant
from cloud.compliance.unbuilt import UNBUILT
from cloud.data_folder import CommandError, find_tenant, with_database
from cloud.db import Database, MigrationError, Unavailable
from cloud.postgres import ClusterError
from cloud.reports.reported import reported
from protocols.tomlfile import ConfigError

FAILURES: Final = (CommandError, ClusterError, MigrationError, Unavailable, psycopg.OperationalError)
MOST_SHOWN: Final = 20  # contradictions
Result = tuple[Finding, tuple[Contradiction, ...]]


def main(argv: Sequence[str]) -> int:
    """Exit code: 0 done, 1 it did not work, 2 the command line is wrong."""
    options = _parser().parse_args(argv)
    actions: dict[str, Callable[[argparse.Namespace, ParameterSet], int]] = {"list": _list, "explain": _explain, "run": _run}
    try:
        return actions[options.action](options, shipped())
    except (ConfigError, NothingKnown, ValueError, *FAILURES) as error:  # ValueError: an unknown scenario, too many findings
        print(f"qenergyz hub rules {options.action}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    text = "List rules, explain a finding, judge all deals and registered facts."
    parser = argparse.ArgumentParser(prog="qenergyz hub rules", description=text)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="every rule with citations, owner and figures", description="List the rules.")
    _add_law(listed)
    listed.add_argument("--json", action="store_true", help="for machines")
    explain = actions.add_parser(
        "explain", help="one finding, step by step", description="Judge one subject by one rule and show each step."
    )
    explain.add_argument("rule", metavar="RULE", help="such as E-01")
    about = explain.add_mutually_exclusive_group(required=True)
    about.add_argument("--deal", metavar="ID", help="a booked deal")
    about.add_argument("--subject", metavar="SUBJECT", help='what facts were registered of, such as "portfolio/Acme"')
    form = explain.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--html", action="store_true", help="as a page")
    run = actions.add_parser("run", help="judge everything and store the findings", description="Judge all deals and registered facts.")
    run.add_argument("--json", action="store_true", help="for machines")
    for command in (explain, run):
        _add_law(command)
        command.add_argument("--known-at", metavar="TIME", help="facts as known then, e.g. 2026-05-01T12:00:00Z (default: now)")
        command.add_argument("--data", type=Path, required=True, help="the hub's data folder")
        command.add_argument("--database-url", help="another PostgreSQL instead of the embedded one")
        command.add_argument("--tenant", default="default")
    return parser


def _add_law(command: argparse.ArgumentParser) -> None:
    command.add_argument("--as-of", metavar="DAY", help="law of that day, e.g. 2026-05-01 (default: the day of what is known)")
    command.add_argument("--scenario", action="append", default=[], metavar="NAME", help="suppose it; may be given several times")


def _asked(options: argparse.Namespace, law: ParameterSet, subjects: tuple[str, ...] | None = None) -> Asked:
    known_us = time.time_ns() // 1000 if not getattr(options, "known_at", None) else _moment_us(options.known_at)
    asked = Asked(known_us, _day(options.as_of), frozenset(options.scenario), subjects)
    asked.run(law)
    return asked


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f'--as-of: expected a day such as 2026-05-01, found "{text}"') from error


def _moment_us(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f'--known-at: expected a time such as 2026-05-01T12:00:00Z, found "{text}"') from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


def _list(options: argparse.Namespace, law: ParameterSet) -> int:
    asked = _asked(options, law)
    found = rule_list.rules_json(law, asked.as_of or day_of(asked.known_us), asked.scenarios)
    print(json.dumps(found, indent=2) if options.json else rule_list.text(found))
    return 0


def _explain(options: argparse.Namespace, law: ParameterSet) -> int:
    rule = BY_ID.get(options.rule)
    if rule is None:
        reason = f"does not run: {UNBUILT[options.rule]}" if options.rule in UNBUILT else "is no rule; `qenergyz hub rules list` lists them"
        raise CommandError(f"{options.rule} {reason}")
    subject = options.subject if options.deal is None else PREFIX + options.deal
    asked = _asked(options, law)

    async def work(db: Database) -> Result:
        tenant = await find_tenant(db, options.tenant)
        async with db.tenant(tenant.tenant_id) as connection:
            return await runner.explain(connection, tenant.tenant_id, rule, subject, asked, law, reported)

    finding, contradictions = with_database(options, work)
    if options.json:
        print(json.dumps(finding.document() | {"known_us": asked.known_us, "digest": finding.digest.hex()}, indent=2))
    elif options.html:
        print(html.page(finding, instant(asked.known_us), contradictions))
    else:
        print(finding.text())
        print(f"  facts as known at {instant(asked.known_us)}")
        print(*(f"  contradiction: {one.detail}" for one in contradictions), sep="\n", end="\n" if contradictions else "")
    return 0


def _run(options: argparse.Namespace, law: ParameterSet) -> int:
    asked = _asked(options, law)

    async def work(db: Database) -> tuple[tuple[runner.Stored, ...], tuple[Contradiction, ...]]:
        tenant = await find_tenant(db, options.tenant)
        async with db.tenant(tenant.tenant_id) as connection:
            known = await knowledge.read(connection, tenant.tenant_id, asked.known_us, filed=reported)
        made, contradictions = await asyncio.to_thread(runner.make, known, asked, law)
        async with db.tenant(tenant.tenant_id) as connection:
            stored = await runner.store(connection, tenant.tenant_id, made, time.time_ns() // 1000)
            if fresh := {one.area: one.digest.hex() for one in stored if one.fresh}:
                await people_cli.record(connection, tenant, "run-rules", "rules", {"rows": fresh, "known_us": asked.known_us})
        return stored, contradictions

    stored, contradictions = with_database(options, work)
    if options.json:
        areas = [{"area": one.area, "evidence": one.digest.hex(), "new": one.fresh, "counts": one.counts} for one in stored]
        told = [{"subject": one.subject, "kind": one.kind, "detail": one.detail} for one in contradictions]
        print(json.dumps({"known_us": asked.known_us, "areas": areas, "contradictions": told}, indent=2))
        return 0
    for one in stored:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in one.counts.items() if count)
        print(f"{one.area:8} {counts or 'nothing to judge'}  {one.digest.hex()[:16]}{'' if one.fresh else ' (as before)'}")
    for clash in contradictions[:MOST_SHOWN]:
        print(f"contradiction: {clash.subject} {clash.kind}: {clash.detail}", file=sys.stderr)
    if len(contradictions) > MOST_SHOWN:
        print(f"and {len(contradictions) - MOST_SHOWN} contradictions more", file=sys.stderr)
    return 0
