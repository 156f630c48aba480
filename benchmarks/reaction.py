"""From a sensor's change to the VaR on the live stream: a hub process with its own PostgreSQL, four wells, `--deals` deals, moving quotes.

Wells step away and come back in turn, so that health, volume and VaR move with every poll. Each VaR on /v1/stream is timed as its reader
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


async def play(hub: Hub, rigs: Sequence[Rig], watch: DeskWatch, seconds: float) -> dict[str, Any]:
    """History, then live polls; measured from when the wells begin to move. What was seen, with CPU shares."""
    run = Run()
    async with hubs.loader(hub) as client, asyncio.TaskGroup() as tasks:
        await hubs.enrol(hub, client, [rig.gateway for rig in rigs])
        begin_us = now_us()
        await asyncio.gather(*(fields.history(client, rig, begin_us) for rig in rigs))
        for rig in rigs:
            tasks.create_task(fields.live(client, rig, begin_us, run))
        await ready(watch, sum(len(rig.wells) for rig in rigs))
        await asyncio.sleep(SETTLE_S)
        before, began, run.since_us = hub.cpu_s(), time.monotonic(), now_us()
        run.until_us = run.since_us + round(seconds * S)
        await asyncio.sleep(seconds)
        after, wall_s = hub.cpu_s(), time.monotonic() - began
    await asyncio.sleep(1.0)  # for the last VaR
    shares = {name: (then - now) / wall_s for name, then, now in zip(("hub", "PostgreSQL"), after, before, strict=True)}
    return {"since_us": run.since_us, "cores used": shares}


def spread(waits: Sequence[float]) -> dict[str, float]:
    if not waits:
        raise SystemExit("nothing was measured")
    p50, p95 = (float(np.percentile(waits, share, method="inverted_cdf")) for share in (50, 95))
    return {"p50 s": p50, "p95 s": p95, "worst s": max(waits), "count": len(waits)}


def latencies(rigs: Sequence[Rig], watch: DeskWatch, since_us: int) -> dict[str, dict[str, float]]:
    """Of every VaR that rests on new samples; a result that repeats those of another counts once."""
    sent = {one.oldest_us: one for rig in rigs for one in rig.sent if one.oldest_us >= since_us}
    arrived: dict[int, int] = {}
    for arrived_us, result in list(watch.seen):
        if result["kind"] == "risk" and result["sensed_us"]:
            arrived.setdefault(result["sensed_us"][0], arrived_us)
    known = {oldest_us: arrived_us for oldest_us, arrived_us in arrived.items() if oldest_us in sent}
    return {
        "sample -> VaR": spread([(arrived_us - oldest_us) / S for oldest_us, arrived_us in known.items()]),
        "batch sent -> VaR": spread([(arrived_us - sent[oldest_us].sent_us) / S for oldest_us, arrived_us in known.items()]),
        "floor: batch sent -> receipt": spread([(sent[oldest_us].receipt_us - sent[oldest_us].sent_us) / S for oldest_us in known]),
        "all batches: sent -> receipt": spread([(one.receipt_us - one.sent_us) / S for one in sent.values()]),
    }


def measure(deals: int, seconds: float) -> dict[str, Any]:
    story = desk_story()
    rigs = fields.rigs(parse_model(story.model.read_text()))
    with hubs.running_hub() as hub:
        put_book(hub.url, token(hub, "desk", "write:assets", "write:deals", "write:market"), story, deals)
        watch = DeskWatch(hub.url, token(hub, "bench", "read"))
        watch.start()
        with moving_quotes(hub, story):
            found = asyncio.run(play(hub, rigs, watch, seconds))
        risk = watch.newest("risk")
        assert risk is not None
        waits = latencies(rigs, watch, found["since_us"])
        reader = httpx.Client(base_url=hub.url, timeout=60, trust_env=False, headers={"authorization": f"Bearer {watch.token}"})
        with reader:
            recorded = reaction_stages.recorded(reader.get(f"/v1/evidence/{risk['id']}/bundle").raise_for_status().content)
        taken = reaction_stages.computed_s(recorded) | {"store": asyncio.run(reaction_stages.stored_s(recorded, hub.database_url))}
    floor = waits["floor: batch sent -> receipt"]
    reacted = waits["batch sent -> VaR"]
    return {
        "deals": deals,
        "seconds": seconds,
        "latency": waits,
        "VaR / receipt": {name: reacted[name] / floor[name] for name in ("p50 s", "p95 s")},
        "cores used": found["cores used"],
        "stages ms": {name: 1000 * value for name, value in taken.items()},
        "reached": waits["sample -> VaR"]["p95 s"] <= GOALS["sample -> VaR p95 s"],
    }


def show(found: dict[str, Any]) -> None:
    header = ("", "count", "p50 s", "p95 s", "worst s")
    rows = [(name, f"{one['count']:.0f}", *(f"{one[column]:.3f}" for column in header[2:])) for name, one in found["latency"].items()]
    report.table(f"{found['deals']} deals, {found['seconds']:.0f} s; goal: sample -> VaR p95 <= 1 s", header, rows)
    report.table(
        "batch sent -> VaR against its receipt", ("", "x"), [(name, f"{value:.2f}") for name, value in found["VaR / receipt"].items()]
    )
    report.table("cores used", ("", "share"), [(name, f"{value:.2f}") for name, value in found["cores used"].items()])
    report.table(
        f"stages alone, median of {reaction_stages.REPEATS} (assess: of the chain)",
        ("", "ms"),
        [(name, f"{value:.1f}") for name, value in found["stages ms"].items()],
    )
    print("goal reached" if found["reached"] else "goal MISSED")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reaction", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--deals", type=int, default=1000, help="small sales beside the five of the demonstration (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured, after the wells are known (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(argv)
    found = measure(options.deals, options.seconds)
    show(found)
    report.write(options.json, {"goals": GOALS, **found})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
