"""The desk's side of a demonstration: puts the book in, follows the results on the live stream as a trader's screen would, and tells
what the event did to health, volume, VaR and hedge, with the time from sensor to VaR.

Everything goes over the hub's API. A figure of before the event is the last result before the event's label, one of after the last of the run.
"""

import csv
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from simulators import book
from simulators.stories import DeskStory

LEAST_WAIT_S: Final = 60.0
Result = dict[str, Any]


class DeskError(Exception):
    """The hub did not take the book or gave no result; the message says which."""


def put_book(hub: str, token: str, story: DeskStory, deals: int = 0) -> None:
    """Asset model, calendars, quotes, deals and settings. Raises DeskError."""
    headers = {"authorization": f"Bearer {token}"}
    requests = [("PUT", "/v1/assets", story.model.read_text())]
    requests += [
        (method, path, json.dumps(body)) for method, path, body in book.documents(story.market, story.nameplate, datetime.now(UTC), deals)
    ]
    with httpx.Client(base_url=hub, headers=headers, timeout=60) as client:
        for method, path, body in requests:
            kind = "application/toml" if path == "/v1/assets" else "application/json"
            reply = client.request(method, path, content=body.encode(), headers={"content-type": kind})
            if reply.status_code >= 300:
                raise DeskError(f"{method} {path}: {reply.status_code} {reply.text[:500]}")


@dataclass(slots=True)
class DeskWatch:
    """Follows the stream in a thread. seen: (arrival in us of this machine's clock, result), in the order of arrival."""

    hub: str
    token: str
    seen: list[tuple[int, Result]] = field(default_factory=list)
    problem: str = ""

    def start(self) -> None:
        threading.Thread(target=self._follow, daemon=True, name="desk").start()

    def newest(self, kind: str, until_us: int | None = None) -> Result | None:
        """The last result of a kind, computed at or before until_us."""
        found = [result for _, result in list(self.seen) if result["kind"] == kind and (until_us is None or result["made_us"] <= until_us)]
        return found[-1] if found else None

    def _follow(self) -> None:
        headers = {"authorization": f"Bearer {self.token}"}
        while True:
            try:
                with httpx.stream("GET", f"{self.hub}/v1/stream", headers=headers, timeout=httpx.Timeout(10, read=60)) as reply:
                    event = ""
                    for line in reply.iter_lines():
                        if line.startswith("event: "):
                            event = line[7:]
                        elif line.startswith("data: ") and event == "result":
                            self.seen.append((time.time_ns() // 1000, json.loads(line[6:])))
            except httpx.HTTPError as error:
                self.problem = str(error)
                time.sleep(0.5)

    def line(self, story: DeskStory) -> str:
        """For people: health of the asset, volume and VaR."""
        health, forecast, risk = (self.newest(kind) for kind in ("health", "forecast", "risk"))
        parts = []
        if health and (asset := health["output"]["assets"].get(story.asset)):
            parts.append(f"{story.asset} {asset['index']:.2f} {asset['state']}")
        if forecast:
            total, days = forecast["output"]["total"], len(forecast["output"]["expected"])
            parts.append(f"volume {days} d P50 {total['p50']:,.0f} P5 {total['p5']:,.0f} {forecast['output']['unit']}")
        if risk:
            split = risk["output"]["split"]
            parts.append(
                f"VaR {split['joint'] / 1e6:,.2f} M (price {split['price'] / 1e6:,.2f}, volume {split['volume'] / 1e6:,.2f}) {risk['output']['currency']}"
            )
        return " | ".join(parts) or "waiting for the desk's first result"


def label_us(path: Path, device: str, labels: Sequence[int]) -> int | None:
    """When the event began, by the labels that the simulator wrote."""
    with path.open() as file:
        for row in csv.DictReader(file, ("device", "time_us", "label")):
            if row["device"] == device and int(row["label"]) in labels:
                return int(row["time_us"])
    return None


def report(watch: DeskWatch, story: DeskStory, event_us: int | None, since_us: int) -> Result:
    """What the JSON file says of the desk. Raises DeskError when there is nothing to compare."""
    before, after = _figures(watch, story, event_us), _figures(watch, story, None)
    if after is None:
        raise DeskError(f"the hub gave no risk figure{'; ' + watch.problem if watch.problem else ''}")
    return {
        "event_us": event_us,
        "before": before,
        "after": after,
        "volume_fell": None if before is None else after["volume"]["p50"] < before["volume"]["p50"],
        "joint_var_rose": None if before is None else after["var"]["joint"] > before["var"]["joint"],
        "latency": latency(watch.seen, since_us),
    }


def _figures(watch: DeskWatch, story: DeskStory, until_us: int | None) -> Result | None:
    health, forecast, risk, detail = (watch.newest(kind, until_us) for kind in ("health", "forecast", "risk", "detail"))
    if health is None or forecast is None or risk is None:
        return None
    asset, shown, value = health["output"]["assets"][story.asset], forecast["output"], risk["output"]
    hedge = value["hedge"] or {"volumes": [], "var_after": value["var"], "left": 1.0}
    found = {
        "made_us": risk["made_us"],
        "evidence": risk["id"],
        "health": {"asset": story.asset, "index": asset["index"], "low": asset["low"], "high": asset["high"], "state": asset["state"]},
        "volume": {"unit": shown["unit"], "days": len(shown["expected"]), **shown["total"]},
        "var": {
            "level": value["level"],
            "currency": value["currency"],
            **value["split"],
            "data_quality_add_on": value["quality"]["add_on"],
        },
        "es": value["es"],
        "hedge": {"volume": sum(volume for _, _, volume in hedge["volumes"]), "var_after": hedge["var_after"], "left": hedge["left"]},
    }
    if detail is not None:
        found["value_of_repair"] = {unit: var for unit, _, var, _ in detail["output"]["health"]}
    return found


def latency(seen: Sequence[tuple[int, Result]], since_us: int) -> Result:
    """Seconds from a sample's time to the VaR that rests on it, on this reader's side of the stream; by the oldest new sample of each
    result, so that the wait for its batch is in it. What a poll waits for a sensor to be read is not."""
    waits = sorted(
        (arrived_us - result["sensed_us"][0]) / 1e6
        for arrived_us, result in seen
        if result["kind"] == "risk" and result["sensed_us"] and result["sensed_us"][0] >= since_us
    )
    if not waits:
        return {"results": 0, "p50_s": None, "p95_s": None, "worst_s": None}
    return {
        "results": len(waits),
        "p50_s": round(waits[len(waits) // 2], 3),
        "p95_s": round(waits[min(len(waits) - 1, int(0.95 * len(waits)))], 3),
        "worst_s": round(waits[-1], 3),
    }


def print_report(found: Result) -> None:
    before, after = found["before"], found["after"]
    rows = [("", "before the event", "at the end")]
    shown: tuple[tuple[str, Callable[[Result], str]], ...] = (
        (
            "health",
            lambda one: f"{one['health']['index']:.2f} ({one['health']['low']:.2f}-{one['health']['high']:.2f}) {one['health']['state']}",
        ),
        ("volume P50", lambda one: f"{one['volume']['p50']:,.0f} {one['volume']['unit']}"),
        ("volume P5", lambda one: f"{one['volume']['p5']:,.0f} {one['volume']['unit']}"),
        ("VaR joint", lambda one: f"{one['var']['joint']:,.0f} {one['var']['currency']}"),
        ("VaR price", lambda one: f"{one['var']['price']:,.0f} {one['var']['currency']}"),
        ("VaR volume", lambda one: f"{one['var']['volume']:,.0f} {one['var']['currency']}"),
        ("interaction", lambda one: f"{one['var']['interaction']:,.0f} {one['var']['currency']}"),
        ("ES", lambda one: f"{one['es']:,.0f} {one['var']['currency']}"),
        ("hedge", lambda one: f"{one['hedge']['volume']:,.0f} {one['volume']['unit']} forward, leaves {one['hedge']['left']:.0%} of VaR"),
    )
    rows += [(name, "-" if before is None else pick(before), pick(after)) for name, pick in shown]
    for name, left, right in rows:
        print(f"  {name:12} {left:>40} {right:>40}")
    waits = found["latency"]
    print(
        f"sensor -> VaR on the stream: p50 {waits['p50_s']} s, p95 {waits['p95_s']} s over {waits['results']} results (oldest sample of each)"
    )
