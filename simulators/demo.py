"""`qenergyz demo`: hub, simulators and two gateways on this machine, as separate processes, replaying real wells.

Nothing here is a short cut: the parts are started by the same commands that an operator uses and meet on loopback sockets only. With `--for`
the run is unattended: it ends by draining the gateways, comparing the hub with the ground truth value by value, exporting a bundle and
checking it offline; the exit code says whether everything was equal.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import httpx

from protocols.tomlfile import parse_duration_us
from simulators import conduct_demo
from simulators.book import quotes
from simulators.comparison import Comparison, Series, compare, read_truth, series
from simulators.conduct_demo import ConductError
from simulators.desk_demo import DeskError, DeskWatch, label_us, print_report, put_book, report
from simulators.scenario import find_scenario, load_scenario
from simulators.stories import STORIES, DeskStory, Story

MARK: Final = ".qenergyz-demo"
READY_S: Final = 120.0
DRAIN_S: Final = 60.0
ROLES: Final = ("field_engineer", "operator", "trader", "risk_manager", "compliance_officer", "esg_analyst", "auditor", "admin")
Sites = Mapping[str, str]  # gateway -> scenario


class DemoError(Exception):
    """A part did not come up or did not do its work; the message says which and where its log is."""


class Programs:
    """The child processes; leaving the context ends them all, agents first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    def __enter__(self) -> "Programs":
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self._running)):
            self.stop(name)
        for log in self._logs:
            log.close()

    def start(self, name: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        log = (self._folder / f"{name}.log").open("ab")
        self._logs.append(log)
        process = subprocess.Popen(command(*arguments), stdin=stdin, stdout=log, stderr=log, start_new_session=True)
        self._running[name] = process
        return process

    def wait_file(self, name: str, path: Path) -> dict[str, Any]:
        """The JSON that the program writes when it is ready."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            self.check(name)
            if path.exists():
                document: dict[str, Any] = json.loads(path.read_text())
                return document
            time.sleep(0.05)
        raise DemoError(f"{name} was not ready within {READY_S:.0f} s; see {self._folder / name}.log")

    def check(self, *names: str) -> None:
        for name in names or tuple(self._running):
            if self._running[name].poll() is not None:
                raise DemoError(f"{name} ended with code {self._running[name].returncode}; see {self._folder / name}.log")

    def tell(self, name: str, line: str) -> None:
        pipe = self._running[name].stdin
        if pipe is not None:
            pipe.write(line.encode() + b"\n")
            pipe.flush()

    def forget(self, name: str) -> subprocess.Popen[bytes]:
        """Hand the process over to the caller, who will end it."""
        return self._running.pop(name)

    def stop(self, name: str) -> None:
        process = self._running.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "qenergyz", *arguments]


def run(*arguments: str) -> str:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"qenergyz {' '.join(arguments[:2])} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Hub:
    """The running hub as a reader sees it."""

    url: str
    token: str

    def get(self, path: str, **params: str | int) -> httpx.Response:
        reply = httpx.get(f"{self.url}{path}", params=params, headers={"authorization": f"Bearer {self.token}"}, timeout=60)
        reply.raise_for_status()
        return reply

    def stored(self) -> dict[str, Series]:
        """Every sample of every tag, as stored."""
        found = {}
        for tag in self.get("/v1/tags").json():
            body = self.get(f"/v1/tags/{tag['id']}/samples", from_us=0, to_us=1 << 62).json()
            found[tag["name"]] = series(body["times_us"], body["values"], body["quality"])
        return found


def token(folder: Path, name: str, *scopes: str) -> str:
    return run("hub", "token", "--data", str(folder / "hub"), "--name", name, *(part for scope in scopes for part in ("--scope", scope)))


def start_hub(programs: Programs, folder: Path, listen: str) -> Hub:
    data = folder / "hub"
    programs.start("hub", "hub", "serve", "--data", str(data), "--listen", listen)
    url = programs.wait_file("hub", data / "hub.json")["url"]
    return Hub(url, token(folder, "demo", "read"))


def make_people(folder: Path, hub: Hub) -> list[dict[str, str]]:
    """One login per role with one generated password, as an operator makes them; for machines in logins.json, readable by its owner alone."""
    password = secrets.token_urlsafe(12)

    def make(role: str) -> dict[str, str]:
        name = role.replace("_", "-")
        arguments = ("hub", "person", "--data", str(folder / "hub"), "--name", name, "--role", role, "--password-stdin")
        done = subprocess.run(command(*arguments), input=password, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"qenergyz hub person failed for {name}: {done.stderr.strip()}")
        return {"name": name, "role": role, "password": password}

    with ThreadPoolExecutor(4) as threads:
        people = list(threads.map(make, ROLES))
    logins = folder / "logins.json"
    logins.touch(0o600)
    logins.write_text(json.dumps({"url": hub.url, "people": people}, indent=1) + "\n")
    return people


def print_logins(hub: Hub, people: Sequence[Mapping[str, str]], page: str) -> None:
    print(f"pages: {hub.url}{page}   (API: {hub.url}/openapi.json)")
    print(f"sign in as {', '.join(person['name'] for person in people)}")
    print(f"with the password {people[0]['password']}", flush=True)


def start_site(
    programs: Programs, folder: Path, hub: Hub, gateway: str, scenario: str, options: Sequence[str], seal_every: str = "1s"
) -> Path:
    """Simulator and gateway of one site; the simulator shows its first step and waits for "go". Returns the gateway's file."""
    ready = folder / f"{gateway}-sim.json"
    simulator = f"sim-{gateway}"
    files = ("--truth", str(folder / f"truth-{gateway}.csv"), "--labels", str(folder / f"labels-{gateway}.csv"), "--ready", str(ready))
    programs.start(simulator, "sim", "run", scenario, *files, "--wait", *options, stdin=subprocess.PIPE)
    addresses = programs.wait_file(simulator, ready)
    path = folder / f"{gateway}.toml"
    path.write_text(gateway_file(gateway, hub.url, scenario, addresses, seal_every))
    voucher = run("hub", "voucher", "--data", str(folder / "hub"), "--gateway", gateway)
    run("edge", "enrol", str(path), "--voucher", voucher)
    programs.start(gateway, "edge", "run", str(path))
    return path


def gateway_file(gateway: str, hub: str, scenario: str, addresses: Mapping[str, str], seal_every: str = "1s") -> str:
    """The file an engineer would write for this site, with the addresses that the simulator got."""
    parts = [f'[gateway]\nname = "{gateway}"\nhub = "{hub}"\n\n[buffer]\nmax_size = "200MB"\nseal_every = "{seal_every}"\n']
    for device in load_scenario(find_scenario(scenario)).devices:
        keys = {"name": device.name, "map": device.map.name, "address": addresses[device.name], "asset": device.asset}
        keys |= {key: getattr(device.settings, key) for key in ("unit", "version") if hasattr(device.settings, key)}
        parts.append("[[device]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items()) + "\n")
    return "\n".join(parts)


def health(folder: Path, gateway: str) -> dict[str, Any]:
    url = json.loads((folder / f"{gateway}-data" / "agent.json").read_text())["url"]
    document: dict[str, Any] = httpx.get(f"{url}/health", timeout=10).json()
    return document


def wait_devices(programs: Programs, folder: Path, sites: Sites) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        programs.check()
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
            states = {gateway: health(folder, gateway) for gateway in sites}
            down = [
                f"{device['name']}: {device['cause']}"
                for state in states.values()
                for device in state["devices"]
                if not device["connected"]
            ]
            if not down:
                return
        time.sleep(0.2)
    raise DemoError(f"devices are still down after {READY_S:.0f} s: {'; '.join(down)}")


def drain(programs: Programs, folder: Path, sites: Sites) -> dict[str, dict[str, Any]]:
    """Until every gateway has had a receipt for everything it collected, and collects nothing new."""
    until = time.monotonic() + DRAIN_S
    before = -1
    while time.monotonic() < until:
        programs.check()
        states = {gateway: health(folder, gateway) for gateway in sites}
        waiting = sum(state["backlog"]["open_samples"] + state["backlog"]["sealed_samples"] for state in states.values())
        collected = sum(state["collected"] for state in states.values())
        if waiting == 0 and collected == before:
            return states
        before = collected
        time.sleep(1.0)
    raise DemoError(f"{waiting} samples still wait for a receipt after {DRAIN_S:.0f} s; see {folder}")


def watch(programs: Programs, folder: Path, sites: Sites, seconds: float | None) -> Iterator[str]:
    """A line per second for people, begun and not yet ended, until the time is over or Ctrl-C."""
    start = time.monotonic()
    while seconds is None or time.monotonic() - start < seconds:
        programs.check()
        states = {gateway: health(folder, gateway) for gateway in sites}
        parts = []
        for gateway, state in states.items():
            hub = state["hub"] or {"receipts_verified": 0, "receipt_lag_us": 0}
            up = sum(device["up"] for device in state["devices"])
            parts.append(
                f"{gateway}: {up}/{len(state['devices'])} devices, {state['collected']} samples, {hub['receipts_verified']} receipts,"
                f" lag {hub['receipt_lag_us'] / 1e6:.2f} s"
            )
        yield f"[{time.monotonic() - start:5.0f} s] " + " | ".join(parts)
        time.sleep(1.0)


def bundle(folder: Path, hub: Hub, name: str) -> Path:
    """Export everything of one tag and check it the way an auditor would: another process, no network."""
    tag = next((tag for tag in hub.get("/v1/tags").json() if tag["name"] == name), None)
    if tag is None:
        raise DemoError(f"the hub does not know the tag {name}")
    path = folder / "bundle.qzb"
    path.write_bytes(hub.get("/v1/bundles", tag=tag["id"], from_us=0, to_us=1 << 62).content)
    print(run("verify", str(path)))
    return path


def finish(programs: Programs, folder: Path, hub: Hub, story: Story, since_us: int) -> tuple[dict[str, Any], Comparison]:
    states = drain(programs, folder, story.sites)
    truth: dict[str, Series] = {}
    protocols: dict[str, str] = {}
    for gateway in story.sites:
        with (folder / f"truth-{gateway}.csv").open() as lines:
            found, kinds = read_truth(lines)
        truth |= found
        protocols |= kinds
    compared = compare(truth, hub.stored(), protocols, since_us)
    collected = sum(state["collected"] for state in states.values())
    gateways = hub.get("/v1/gateways").json()
    sent = sum(gateway["bytes"] for gateway in gateways)
    path = bundle(folder, hub, story.tag)
    return {
        "protocols": compared.protocols,
        "collected": collected,
        "stored": compared.stored,
        "lost": compared.lost + max(0, collected - compared.stored),
        "doubled": compared.doubled,
        "wrong": compared.wrong,
        "agent_made": compared.agent_made,
        "receipts_verified": sum(state["hub"]["receipts_verified"] for state in states.values()),
        "bytes_per_sample": round(sent / compared.stored, 3) if compared.stored else None,
        "bundle": str(path),
        "examples": compared.examples,
    }, compared


def prepare(folder: Path) -> None:
    """An empty folder that is ours. Raises DemoError rather than delete what somebody else put there."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise DemoError(f"{folder} exists and was not made by the demo; give another one with --data")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="qenergyz demo", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--scenario", choices=list(STORIES), default="wells", help="what is played (default: %(default)s)")
    parser.add_argument("--for", dest="duration", metavar="60s", help="run unattended for so long, then drain, compare and verify")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result for machines")
    parser.add_argument("--data", type=Path, default=Path("demo-data"), help="folder for everything the demo writes (default: demo-data)")
    parser.add_argument("--listen", default="127.0.0.1:0", help="address of the hub (default: a free port of this machine only)")
    options = parser.parse_args(argv)
    try:
        seconds = parse_duration_us(options.duration) / 1e6 if options.duration else None
    except ValueError as error:
        parser.error(f"--for: {error}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder: Path = options.data.resolve()
    try:
        prepare(folder)
        result = play(folder, options.listen, seconds, STORIES[options.scenario])
    except (DemoError, DeskError, ConductError) as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    if result is None:
        return 0
    if options.json:
        fresh = options.json.with_suffix(".new")
        fresh.write_text(json.dumps(result, indent=1) + "\n")
        os.replace(fresh, options.json)  # noqa: PTH105
    whole = result["lost"] == result["doubled"] == result["wrong"] == 0 and result["receipts_verified"]
    desk = result.get("desk", {"volume_fell": True, "joint_var_rose": True})
    told = result.get("conduct", {"published": True})["published"]
    return 0 if whole and told and desk["volume_fell"] is not False and desk["joint_var_rose"] is not False else 1


def play(folder: Path, listen: str, seconds: float | None, story: Story) -> dict[str, Any] | None:
    """The run itself; None when it was ended by Ctrl-C."""
    with Programs(folder) as programs:
        print("starting the hub with its own PostgreSQL ...", flush=True)
        hub = start_hub(programs, folder, listen)
        people = make_people(folder, hub)
        print_logins(hub, people, "/risk" if story.desk else "/fleet")
        for gateway, scenario in story.sites.items():
            print(f"starting site {gateway} (scenario {scenario}) ...", flush=True)
            start_site(programs, folder, hub, gateway, scenario, (), story.seal_every)
        wait_devices(programs, folder, story.sites)
        desk = start_desk(programs, folder, hub, story.desk) if story.desk else None
        since_us = time.time_ns() // 1000
        for gateway in story.sites:
            programs.tell(f"sim-{gateway}", "go")
        try:
            for line in watch(programs, folder, story.sites, seconds):
                print(line if desk is None or story.desk is None else f"{line.partition(']')[0]}] {desk.line(story.desk)}", flush=True)
        except KeyboardInterrupt:
            print("\nstopping", flush=True)
            return None
        for gateway in story.sites:
            programs.tell(f"sim-{gateway}", "hold")
        print("time is over: draining, then comparing the hub with what was served ...", flush=True)
        result, compared = finish(programs, folder, hub, story, since_us)
        print_result(result, compared)
        if desk is not None and story.desk is not None:
            result["desk"] = finish_desk(folder, hub, desk, story.desk, since_us)
        if story.desk is not None and story.desk.conduct is not None:
            result["conduct"] = finish_conduct(folder, hub, people, story.desk)
        return result


def start_desk(programs: Programs, folder: Path, hub: Hub, story: DeskStory) -> DeskWatch:
    """The book, a moving market, and somebody who watches."""
    print(f"putting in the book: {story.market.product} at {story.market.place} ...", flush=True)
    put_book(hub.url, token(folder, "desk", "write:assets", "write:deals", "write:market", "write:risk"), story)
    if story.conduct is not None:
        print("handing in who takes part in the market, and the sources of emissions ...", flush=True)
        conduct_demo.put(hub.url, token(folder, "conduct", "write:compliance", "write:esg", "write:deals"), story.conduct)
    secret, curve = folder / "market.token", folder / "curve.json"
    secret.touch(0o600)
    secret.write_text(token(folder, "market", "write:market"))
    curve.write_text(json.dumps(quotes(story.market, datetime.now(UTC))))
    programs.start("market", "sim", "market", "--hub", hub.url, "--token-file", str(secret), "--every", "2s", "--curve", str(curve))
    desk = DeskWatch(hub.url, hub.token)
    desk.start()
    return desk


def finish_desk(folder: Path, hub: Hub, desk: DeskWatch, story: DeskStory, since_us: int) -> dict[str, Any]:
    """The desk's figures before and after, and the proof of the last one, computed again by another process."""
    found = report(desk, story, label_us(folder / f"labels-{story.gateway}.csv", story.device, story.labels), since_us)
    print_report(found)
    path = folder / "evidence.qzb"
    path.write_bytes(hub.get(f"/v1/evidence/{found['after']['evidence']}/bundle").content)
    print(run("verify", "--recompute", str(path)))
    return {**found, "evidence_bundle": str(path), "recomputed": "equal"}


def finish_conduct(folder: Path, hub: Hub, people: Sequence[Mapping[str, str]], story: DeskStory) -> dict[str, Any]:
    """The event as the market is told of it, by two people; the proof of the message, computed again by another process."""
    found = conduct_demo.play(hub.url, people, story.asset)
    path = folder / "message.qzb"
    path.write_bytes(hub.get(f"/v1/evidence/{found['message_evidence']}/bundle").content)
    print(run("verify", "--recompute", str(path)))
    return {**found, "message_bundle": str(path), "recomputed": "equal"}


def print_result(result: dict[str, Any], compared: Comparison) -> None:
    counts = ", ".join(f"{protocol} {count}" for protocol, count in sorted(result["protocols"].items()))
    print(f"samples stored: {result['stored']} ({counts}); collected by the gateways: {result['collected']}")
    print(f"lost {result['lost']}, doubled {result['doubled']}, wrong {result['wrong']}; receipts verified {result['receipts_verified']}")
    print(f"bytes per sample on the wire, signature included: {result['bytes_per_sample']}; bundle: {result['bundle']}")
    for example in compared.examples:
        print(f"  {example}")
