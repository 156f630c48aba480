"""Every fault under load, and what came of it: nothing lost, doubled or wrong, and how soon all was well again.

Real processes: a hub with its PostgreSQL, and for each fault a site of its own (two Modbus wells, one OPC UA, one MQTT at speed, an agent, an
unreliable link to the hub). A fault lasts some seconds, then the site recovers by itself, drains, and what the simulator served is compared value
by value with what the hub stored. Samples that a policy or a fault made the gateway drop are in gaps that it signed; they are counted apart.
"""

import argparse
import contextlib
import ctypes
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import chaos_broker, report
from benchmarks.chaos_more import broker_killed, every_task_fails, one_of_twenty_dead, scenario_of_twenty, started_off, two_agents
from benchmarks.chaos_site import SCENARIO, ChaosError, Hub, Programs, Site, wait_until
from benchmarks.kill import free_port
from simulators import demo

YEAR_US: Final = 365 * 86_400_000_000
CAP: Final = 'max_size = "1MB"'
Fault = Callable[[Site, float], None]


def agent_killed(site: Site, seconds: float) -> None:
    site.kill_agent()
    time.sleep(seconds / 4)
    site.start_agent()


def hub_killed(site: Site, seconds: float) -> None:
    site.hub.end(kill=True)
    time.sleep(seconds)
    site.hub.start()


def postgres_killed(site: Site, seconds: float) -> None:
    os.kill(site.hub.postgres(), signal.SIGKILL)
    time.sleep(seconds / 4)


def link(manner: str) -> Fault:
    def fault(site: Site, seconds: float) -> None:
        site.link.manner = manner
        time.sleep(seconds)
        site.link.manner = "good"
        if not site.link.refused:
            raise ChaosError(f"no request met the fault {manner}")

    return fault


def device(name: str, times: int = 1) -> Fault:
    def fault(site: Site, seconds: float) -> None:
        for _ in range(times):
            site.programs.tell(site.simulator, f"fault {name} drop_link {seconds / times:g}")
            time.sleep(seconds / times + 0.5)

    return fault


def broker_away(site: Site, seconds: float) -> None:
    site.broker.cut()
    time.sleep(seconds)
    site.broker.join()


def buffer_damaged(damage: Callable[[Path], None]) -> Fault:
    """With a backlog in it, so that there is something to lose."""

    def fault(site: Site, seconds: float) -> None:
        site.link.manner = "cut"
        time.sleep(seconds)
        site.kill_agent()
        with contextlib.closing(sqlite3.connect(site.data / "buffer.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the journal still has it all
        damage(site.data / "buffer.db")
        site.link.manner = "good"
        site.start_agent()

    return fault


def scribble(path: Path) -> None:
    dice = random.Random(1)
    with path.open("r+b") as file:
        for _ in range(8):
            file.seek(dice.randrange(max(1, path.stat().st_size - 4096)))
            file.write(dice.randbytes(2048))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 6 // 10)


def disk_full(site: Site, seconds: float) -> None:
    ballast = site.data / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    wait_until(lambda: site.health()["state"] == "red", "the agent notices that its disk is full")
    time.sleep(seconds)
    ballast.unlink()


def buffer_at_cap(site: Site, seconds: float) -> None:
    """No hub for so long that the cap of 1 MB is reached and the oldest batches, which nobody has, are dropped."""
    site.link.manner = "cut"
    site.kill_agent()
    site.fill(990_000)
    oldest = site.oldest_waiting()
    site.start_agent()
    wait_until(lambda: site.oldest_waiting() > oldest, "the oldest batches make room", 120)
    time.sleep(seconds)
    site.link.manner = "good"


def clock_jumps(offset_us: int) -> Fault:
    def fault(site: Site, seconds: float) -> None:
        site.clock.write_text(str(offset_us))
        time.sleep(seconds)
        site.clock.write_text("0")
        time.sleep(seconds / 2)

    return fault


def boots_at_1970(site: Site, seconds: float) -> None:
    """Killed, started with the clock at zero, and the clock set right some seconds later."""
    site.kill_agent()
    site.clock.write_text(str(-time.time_ns() // 1000))
    site.start_agent()
    time.sleep(seconds)
    site.clock.write_text("0")
    time.sleep(seconds / 2)


def hub_restored(site: Site, seconds: float) -> None:
    """A backup of the hub, more data, then the backup in place of the hub."""
    backup = site.folder / "backup"
    site.hub.end()
    site.copy_hub(backup)
    site.hub.start()
    site.recovered()
    time.sleep(seconds)
    site.hub.end(kill=True)
    os.kill(site.hub.postgres(), signal.SIGKILL)
    time.sleep(0.5)
    shutil.rmtree(site.hub.data)
    backup.rename(site.hub.data)
    site.hub.start()
    wait_until(lambda: site.health()["hub"]["log_went_back_us"], "the gateway notices that the log went back")


FAULTS: Final[Mapping[str, Fault]] = {
    "agent killed": agent_killed,
    "hub killed": hub_killed,
    "PostgreSQL killed": postgres_killed,
    "link cut": link("cut"),
    "link silent": link("silent"),
    "link slow": link("slow"),
    "link flapping": link("flapping"),
    "answers 429": link("429"),
    "answers 503": link("503"),
    "half answers": link("half"),
    "50 % of answers lost": link("lost"),
    "OPC UA server restarts": device("well3", 3),
    "broker away": broker_away,
    "broker killed": broker_killed,
    "one device of four dead": device("well1"),
    "one device of twenty dead": one_of_twenty_dead,
    "an exception in any task": every_task_fails,
    "buffer corrupted": buffer_damaged(scribble),
    "buffer truncated": buffer_damaged(truncate),
    "disk full": disk_full,
    "buffer at its cap": buffer_at_cap,
    "clock a year ahead": clock_jumps(YEAR_US),
    "clock a year behind": clock_jumps(-YEAR_US),
    "started a year ahead": started_off(YEAR_US),
    "started a year behind": started_off(-YEAR_US),
    "boot at 1970": boots_at_1970,
    "hub restored from backup": hub_restored,
    "two agents, one key": two_agents,
}
BROKERED: Final = ("broker killed", "two agents, one key")  # with a real broker, where there is one
QUICK: Final = ("agent killed", "link flapping", "50 % of answers lost", "buffer corrupted", "two agents, one key")


def small_disk(folder: Path) -> Path | None:
    """16 MB of a file system of its own, or None where mounting is not allowed."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() or libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=16m"):
        return None
    return folder


def prepared(hub: Hub, name: str, number: int, rate: float, disk: Path | None) -> Site:
    data = disk / "data" if disk else None
    scenario = str(scenario_of_twenty(hub.folder)) if name == "one device of twenty dead" else SCENARIO
    buffer = CAP if name == "buffer at its cap" else ""
    return Site(
        hub,
        f"site{number}",
        rate,
        buffer=buffer,
        data=data,
        scenario=scenario,
        mosquitto=name in BROKERED and chaos_broker.installed() is not None,
    )


def suffer(hub: Hub, number: int, name: str, seconds: float, rate: float) -> dict[str, Any]:
    """One row of the table."""
    disk = small_disk(hub.folder / f"disk{number}") if name == "disk full" else None
    if name == "disk full" and disk is None:
        return {"fault": name, "skipped": "mounting a small disk needs root"}
    if name == "broker killed" and not chaos_broker.installed():
        return {"fault": name, "skipped": "mosquitto is not installed"}
    site = prepared(hub, name, number, rate, disk)
    try:
        site.go()
        time.sleep(2.0)
        FAULTS[name](site, seconds)
        recovery_s = site.recovered()
        time.sleep(1.0)
        site.drain()
        verdict = site.judge()
    finally:
        site.end()
        if disk is not None:
            subprocess.run(["umount", "-l", str(disk)], check=False)
    return {
        "fault": name,
        "served": verdict.served,
        "stored": verdict.stored,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "wrong": verdict.wrong,
        "declared": verdict.declared,
        "held": verdict.held,
        "recovery_s": round(recovery_s, 1),
        "gaps": verdict.gaps,
        "notes": site.notes,
        "examples": verdict.examples,
    }


def run(folder: Path, names: Sequence[str], seconds: float, rate: float) -> list[dict[str, Any]]:
    rows = []
    with Programs(folder) as programs:
        hub = Hub(programs, folder, free_port())
        for number, name in enumerate(names):
            print(f"\r{number + 1}/{len(names)} {name:<30}", end="", file=sys.stderr, flush=True)
            try:
                rows.append(suffer(hub, number, name, seconds, rate))
            except demo.DemoError as error:
                rows.append({"fault": name, "failed": str(error)})
        print(file=sys.stderr)
    return rows


def good(row: Mapping[str, Any]) -> bool:
    return "skipped" in row or ("failed" not in row and row["stored"] > 0 and row["lost"] == row["doubled"] == row["wrong"] == 0)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="faults whose name contains the text; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a few of them: " + ", ".join(QUICK).replace("%", "%%"))
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a fault lasts (4)")
    parser.add_argument("--rate", type=float, default=25.0, help="steps per second of every simulated device (25)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    options = parser.parse_args(argv)
    names = [name for name in (QUICK if options.quick else FAULTS) if not options.only or any(part in name for part in options.only)]
    folder = Path(tempfile.mkdtemp(prefix="qenergyz-chaos-"))
    try:
        rows = run(folder, names, options.seconds, options.rate)
    except demo.DemoError as error:
        print(f"chaos failed: {error}", file=sys.stderr)
        return 1
    keys = ("fault", "served", "lost", "doubled", "wrong", "declared", "held", "recovery_s")
    report.table(
        f"faults of {options.seconds:g} s under load, {options.rate:g} steps/s; declared: served, not stored, in a signed gap;"
        " held: not stored, in the buffer of a second agent that the hub turned away",
        keys,
        [[row.get(key, row.get("failed", row.get("skipped", "")) if key == "served" else "") for key in keys] for row in rows],
    )
    for row in rows:
        for text in (*row.get("notes", ()), *row.get("gaps", ()), *row.get("examples", ())):
            print(f"  {row['fault']}: {text}")
    report.write(options.json, {"seconds": options.seconds, "rate": options.rate, "faults": rows})
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if rows and all(good(row) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
