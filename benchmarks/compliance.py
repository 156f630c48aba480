"""Rules, emissions, surveillance and reports at size, each beside a floor in the same run: `python -m benchmarks.compliance`.

Every floor is the least the same data can cost with the library below: facts only written as JSON, volumes only multiplied and summed,
events only sorted, XML only read and written. One core: all of it is one thread.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median

import numpy as np
from lxml import etree

from benchmarks import report
from cloud.compliance import facts_json, parameters, runner
from cloud.compliance.deal_facts import Booked
from cloud.compliance.knowledge import Knowledge
from cloud.compliance.register_store import Registered
from cloud.compliance.runner import Asked
from cloud.compliance.surveillance import columns
from cloud.compliance.surveillance.definitions import definitions
from cloud.compliance.surveillance.definitions import shipped as patterns
from cloud.compliance.surveillance.ignition import momentum_ignition
from cloud.compliance.surveillance.layering import layering
from cloud.compliance.surveillance.trades import round_trips, wash_trades
from cloud.esg import hourly, meters
from cloud.reports import remit, remit_checks
from cloud.reports.columns import Coded
from cloud.reports.layers import Layer, Outcome
from cloud.trading.deals import Deal, FixedPrice, Kind, Leg, Price, Quantity, Side

TODAY = date(2026, 11, 20)
SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "reports" / "remit"
PROFILE = Path(__file__).parents[1] / "cloud" / "compliance" / "examples" / "dhsv.toml"
LEI = "213800KUD8LAJWSQ9D15"
KINDS = (Kind.SPOT, Kind.FORWARD, Kind.SWAP, Kind.FUTURE)
HOURS = 8_760


@dataclass(frozen=True, slots=True)
class Case:
    """goal: seconds, or events a second where `events` says how many."""

    name: str
    work: Callable[[], object]
    floor: Callable[[], object]
    goal: str
    events: int = 0


def knowledge(count: int) -> Knowledge:
    """Deals as booked, the example's profile, and for two deals of three what somebody registered of them."""
    day_us = 86_400_000_000
    known_us = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()) * 1_000_000
    booked, registered = [], []
    for number in range(count):
        gas = number % 2 == 0
        price = FixedPrice(Price(Decimal("31.25"), "EUR", "MWh"))
        leg = Leg(
            Side.SELL,
            "gas" if gas else "WTI",
            "TTF" if gas else "Cushing",
            Quantity(Decimal(7200), "MWh"),
            date(2026, 12, 1),
            date(2026, 12, 31),
            price,
        )
        at_us = known_us - (number % 30) * day_us
        deal = Deal(f"D-{number:05}", 1, at_us, "gas", "Refiner", KINDS[number % len(KINDS)], (leg,))
        booked.append(Booked(deal, at_us))
        if number % 3:
            facts = {"uti": f"529900EXAMPLEFIELD93{number:012}", "action": "NEWT", "confirmed_on": str(date(2026, 11, 20))}
            registered.append(Registered("Derivative", f"deal/D-{number:05}", 1, known_us, "x", b"", facts))
    return Knowledge(known_us, tuple(booked), tuple(registered), PROFILE.read_text())


def rules_case(count: int) -> Case:
    """From what is stored to the rows of every area: facts, findings, digests, columns."""
    known, law = knowledge(count), parameters.shipped()

    def work() -> object:
        made, contradictions = runner.make(known, Asked(known.known_us), law)
        assert not contradictions, contradictions[:3]
        assert sum(sum(one.counts.values()) for one in made) > 10 * count
        return made

    return Case(
        f"{count} deals through all applicable rules", work, lambda: [facts_json.write(one.facts) for one in known.state().stated], "<= 2 s"
    )


def emissions_case(sources: int) -> Case:
    rng = np.random.default_rng(3)
    values = rng.uniform(0.5, 3.0, (sources, HOURS))
    present = rng.uniform(size=values.shape) > 0.01
    table, high, factor = meters.Columns(values, present), np.full(sources, 10.0), np.tile((53.06, 0.001, 0.0001), (sources, 1))
    quality = (2,) * sources

    def work() -> object:
        return hourly.emissions(meters.clean(table, high, meters.Rules()), factor, quality)

    return Case(f"a year of hourly emissions, {sources} sources", work, lambda: (values * present).sum(axis=1)[:, None] * factor, "<= 1 s")


def surveillance_case(events: int) -> Case:
    rng = np.random.default_rng(5)
    figures = definitions(patterns(), TODAY)
    each = events // 3
    time_us = np.sort(rng.integers(0, 8 * 3_600_000_000, each))
    owner, instrument = rng.integers(0, 200, each), rng.integers(0, 40, each)
    side, price = rng.choice((1, -1), each), 80 + np.cumsum(rng.normal(0, 0.001, each))
    quantity = rng.integers(1, 50, each).astype(float)
    filled = np.where(rng.uniform(size=each) < 0.3, quantity, 0.0)
    later = time_us + rng.integers(1, 60_000_000, each)
    trades = columns.Trades(time_us, instrument, owner, rng.integers(0, 200, each), price, quantity)
    orders = columns.Orders(
        time_us, owner, instrument, side, quantity, filled, np.where(filled > 0, later, -1), np.where(filled > 0, -1, later), np.zeros(each)
    )
    executions = columns.Executions(time_us, owner, instrument, side, price)
    news = (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def work() -> object:
        return (
            wash_trades(trades, figures.wash),
            round_trips(trades, figures.round_trip),
            layering(orders, figures.layering),
            momentum_ignition(executions, np.full(40, 0.05), news, figures.ignition),
        )

    floor = lambda: [np.lexsort((time_us, owner, instrument)) for _ in range(3)]  # noqa: E731
    return Case(f"surveillance, {3 * each} order events", work, floor, ">= 50,000 events/s", 3 * each)


def remit_case(trades: int) -> Case:
    first = next(iter(sorted(SAMPLE.glob("*.xml"))))
    table = remit.read(first.read_bytes())
    one = replace(table.trades[0], participant=Coded("lei", LEI), price=Decimal("41.5"))
    many = replace(table, orders=(), trades=tuple(replace(one, sequence=number, uti=f"T{number:08}") for number in range(1, trades + 1)))
    data = remit.write(many)

    def work() -> object:
        found = remit_checks.check(remit.write(many))
        assert found.of(Layer.SCHEMA).outcome is Outcome.PASS
        return found

    return Case(f"REMIT XML of {trades} trades, four layers", work, lambda: etree.tostring(etree.fromstring(data)), "<= 5 s")


def timed(work: Callable[[], object], rounds: int) -> float:
    """Median CPU seconds."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return median(found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compliance", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--deals", type=int, default=10_000)
    options = parser.parse_args()
    cases = (rules_case(options.deals), emissions_case(100), surveillance_case(600_000), remit_case(10_000))
    result, rows = {}, []
    for case in cases:
        seconds, floor = timed(case.work, options.rounds), timed(case.floor, options.rounds)
        rate = f"{case.events / seconds:,.0f}/s" if case.events else ""
        result[case.name] = {"seconds": seconds, "floor_seconds": floor, "ratio": seconds / floor}
        rows.append((case.name, f"{seconds:.3f}", rate, case.goal, f"{floor:.3f}", f"{seconds / floor:.1f}"))
    report.table("Compliance (CPU s of one core, medians)", ("what", "s", "rate", "goal", "floor s", "x floor"), rows)
    report.write(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
