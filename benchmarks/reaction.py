"""From a sensor's change to the VaR on the live stream: a hub process with its own PostgreSQL, four wells, `--deals` deals, moving quotes.

Wells step away and come back, so that health, volume and VaR move: one after the other, then all at once. Each VaR on /v1/stream is timed as its reader
sees it: from the oldest new sample under it, and from the moment the batch with that sample was sent. The floor, in the same run: the
receipts of the same batches, which is the time until the hub has them durable and logged; the rest is what the reaction adds. Beside it
the stages alone on the inputs of the last VaR.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from benchmarks import hub as hubs
from benchmarks import reaction_field as fields
from benchmarks import reaction_stages, report
from benchmarks.hub import Hub
from benchmarks.reaction_field import Rig, Run, S, now_us
from cloud.assets.model import parse_model
from simulators import book
from simulators.desk_demo import DeskWatch, put_book
from simulators.stories import STORIES, DeskStory

GOALS: Final = {"sample -> VaR p95 s": 1.0}
QUOTES_EVERY: Final = "2s"
READY_S: Final = 60.0
SETTLE_S: Final = 3.0
TAIL_S: Final = 2.0  # for the last VaR
TO_VAR, FROM_SENT, FLOOR = "sample -> VaR", "batch sent -> VaR", "floor: batch sent -> receipt"


def desk_story() -> DeskStory:
    story = STORIES["dhsv"].desk
    assert story is not None
    return story


def token(hub: Hub, name: str, *scopes: str) -> str:
    return hub.command("token", "--name", name, *(part for scope in scopes for part in ("--scope", scope)))


@contextmanager
def moving_quotes(hub: Hub, story: DeskStory) -> Iterator[None]:
    """The simulated market as a process of its own."""
    with tempfile.TemporaryDirectory(prefix="qz-bench-") as folder:
        secret, curve = Path(folder) / "token", Path(folder) / "curve.json"
        secret.touch(0o600)
        secret.write_text(token(hub, "market", "write:market"))
        curve.write_text(json.dumps(book.quotes(story.market, datetime.now(UTC))))
        command = [sys.executable, "-m", "qenergyz", "sim", "market", "--hub", hub.url, "--token-file", str(secret)]
        process = subprocess.Popen([*command, "--every", QUOTES_EVERY, "--curve", str(curve)], stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


async def ready(watch: DeskWatch, assets: int) -> None:
    """Every well is known and there is a VaR."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        health = watch.newest("health")
        states = [one["state"] for one in health["output"]["assets"].values()] if health else []
        if states.count("good") == assets and watch.newest("risk"):
            return
        await asyncio.sleep(0.1)
    problem = watch.newest("problem")
    raise SystemExit(f"no VaR within {READY_S:.0f} s; {problem['output']['reason'] if problem else watch.problem or states}")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the run, measured. cores: CPU seconds per second, by program."""

    name: str
    since_us: int
    until_us: int
    cores: dict[str, float]


async def play(hub: Hub, rigs: Sequence[Rig], watch: DeskWatch, seconds: float) -> list[Part]:
    """History, then live polls: first the wells move one after the other, then all at once."""
    run, wells = Run(), sum(len(rig.wells) for rig in rigs)
    async with hubs.loader(hub) as client, asyncio.TaskGroup() as tasks:
        await hubs.enrol(hub, client, [rig.gateway for rig in rigs])
        begin_us = now_us()
        await asyncio.gather(*(fields.history(client, rig, begin_us) for rig in rigs))
        for rig in rigs:
            tasks.create_task(fields.live(client, rig, begin_us, run))
        found = []
        for name, turns in (("one well after the other", wells), ("all wells at once", 1)):
            run.wells = 0
            await ready(watch, wells)
            await asyncio.sleep(SETTLE_S)
            run.since_us, run.wells = now_us(), turns
            before, began = hub.cpu_s(), time.monotonic()
            await asyncio.sleep(seconds)
            after, wall_s = hub.cpu_s(), time.monotonic() - began
            cores = {program: (then - now) / wall_s for program, then, now in zip(("hub", "PostgreSQL"), after, before, strict=True)}
            found.append(Part(name, run.since_us, now_us(), cores))
        await asyncio.sleep(TAIL_S)
        run.over = True
    return found


def spread(waits: Sequence[float]) -> dict[str, float]:
    if not waits:
        raise SystemExit("nothing was measured")
    p50, p95 = (float(np.percentile(waits, share, method="inverted_cdf")) for share in (50, 95))
    return {"p50 s": p50, "p95 s": p95, "worst s": max(waits), "count": len(waits)}


def latencies(rigs: Sequence[Rig], watch: DeskWatch, part: Part) -> dict[str, dict[str, float]]:
    """Of every VaR that rests on new samples of the part, by the oldest of them."""
    sent = {one.oldest_us: one for rig in rigs for one in rig.sent if part.since_us <= one.oldest_us < part.until_us}
    seen: dict[int, tuple[int, int]] = {}
    for arrived_us, result in list(watch.seen):
        if result["kind"] == "risk" and result["sensed_us"] and result["sensed_us"][0] in sent:
            seen.setdefault(result["sensed_us"][0], (arrived_us, result["made_us"]))
    pairs = [(sent[oldest_us], arrived_us, made_us) for oldest_us, (arrived_us, made_us) in seen.items()]
    return {
        TO_VAR: spread([(arrived_us - one.oldest_us) / S for one, arrived_us, _ in pairs]),
        FROM_SENT: spread([(arrived_us - one.sent_us) / S for one, arrived_us, _ in pairs]),
        "of it: VaR computed -> stored and read": spread([(arrived_us - made_us) / S for _, arrived_us, made_us in pairs]),
        FLOOR: spread([(one.receipt_us - one.sent_us) / S for one, _, _ in pairs]),
    }


def measure(deals: int, seconds: float) -> dict[str, Any]:
    story = desk_story()
    rigs = fields.rigs(parse_model(story.model.read_text()))
    with hubs.running_hub() as hub:
        put_book(hub.url, token(hub, "desk", "write:assets", "write:deals", "write:market", "write:risk"), story, deals)
        watch = DeskWatch(hub.url, token(hub, "bench", "read"))
        watch.start()
        with moving_quotes(hub, story):
            parts = asyncio.run(play(hub, rigs, watch, seconds))
        taken = stages_alone(hub, watch)
    return {
        "deals": deals,
        "seconds": seconds,
        "parts": {part.name: _figures(part, latencies(rigs, watch, part)) for part in parts},
        "stages ms": {name: 1000 * value for name, value in taken.items()},
    }


def _figures(part: Part, waits: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {
        "latency": waits,
        "VaR / receipt": {name: waits[FROM_SENT][name] / waits[FLOOR][name] for name in ("p50 s", "p95 s")},
        "cores": part.cores,
        "reached": waits[TO_VAR]["p95 s"] <= GOALS["sample -> VaR p95 s"],
    }


def stages_alone(hub: Hub, watch: DeskWatch) -> dict[str, float]:
    """Seconds of each stage on the inputs of the last VaR."""
    risk = watch.newest("risk")
    assert risk is not None
    url, headers = f"{hub.url}/v1/evidence/{risk['id']}/bundle", {"authorization": f"Bearer {watch.token}"}
    recorded = reaction_stages.recorded(httpx.get(url, headers=headers, timeout=60).raise_for_status().content)
    return reaction_stages.computed_s(recorded) | {"store": asyncio.run(reaction_stages.stored_s(recorded, hub.database_url))}


def show(found: dict[str, Any]) -> None:
    header = ("", "count", "p50 s", "p95 s", "worst s")
    for name, part in found["parts"].items():
        rows = [(what, f"{one['count']:.0f}", *(f"{one[column]:.3f}" for column in header[2:])) for what, one in part["latency"].items()]
        report.table(f"{found['deals']} deals, {found['seconds']:.0f} s, {name}", header, rows)
        ratio, cores = part["VaR / receipt"], part["cores"]
        print(
            f"batch sent -> VaR is {ratio['p50 s']:.1f}x (p50), {ratio['p95 s']:.1f}x (p95) its receipt; CPU: hub {cores['hub']:.2f} cores,"
            f" PostgreSQL {cores['PostgreSQL']:.2f}; goal p95 <= {GOALS['sample -> VaR p95 s']:g} s: {'reached' if part['reached'] else 'MISSED'}"
        )
    title = f"stages alone, median of {reaction_stages.REPEATS} (assess: of all health rows under the last VaR)"
    report.table(title, ("", "ms"), [(name, f"{value:.1f}") for name, value in found["stages ms"].items()])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reaction", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--deals", type=int, default=1000, help="small sales beside the five of the demonstration (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two parts (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(argv)
    found = measure(options.deals, options.seconds)
    show(found)
    report.write(options.json, {"goals": GOALS, **found})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
