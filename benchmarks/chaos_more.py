"""Faults of `benchmarks.chaos` that need more than a site's switches: a broker that is killed, tasks that fail, twenty devices, a twin."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.chaos_site import ChaosError, Site, Twin, wait_until
from edge import config
from protocols.devicemap import SHIPPED

TWENTY: Final = 20
LEAST_CYCLES: Final = 0.99
LEAST_COUNTED_S: Final = 10.0
EVERY: Final = "100ms"
WELLS: Final = ("2/WELL-00010_20171218200131", "2/WELL-00009_20170313160804")


def broker_killed(site: Site, seconds: float) -> None:
    """kill -9 of a broker under load; what the simulator publishes meanwhile waits in the simulator's own."""
    if site.mosquitto is None:
        raise ChaosError("this fault needs mosquitto")
    site.mosquitto.kill()
    wait_until(lambda: not connected(site, "well4"), "the agent notices that its broker is gone")
    time.sleep(seconds)
    site.mosquitto.start()


def connected(site: Site, device: str) -> bool:
    return bool(next(one["connected"] for one in site.health()["devices"] if one["name"] == device))


def every_task_fails(site: Site, _: float) -> None:
    """An exception in each of the agent's tasks in turn: counted, amber, and the task at work again."""
    names = [str(task["name"]) for task in site.health()["tasks"]]
    for name in names:
        site.failing.write_text(name)
        with site.config.open("a") as file:  # gives the task that follows the files something to do
            file.write("# looked at again\n")
        wait_until(lambda: not site.failing.exists(), f"the task {name} meets the exception", 90)
        wait_until(lambda: _failed(site, name), f"health tells that the task {name} failed")  # noqa: B023
    lines = (site.folder / f"{site.name}.log").read_text().splitlines()
    told = [line.partition("task_failed task=")[2] or line.partition("configuration_refused reason=injected into ")[2] for line in lines]
    unsaid = [name for name in names if told.count(name) != 1]
    if unsaid:
        raise ChaosError(f"not logged once: {', '.join(unsaid)}")
    site.notes.append(f"{len(names)} tasks: {', '.join(names)}")


def _failed(site: Site, name: str) -> bool:
    """The task that follows the files tells what it could not read as such, and looks again by itself."""
    state = site.health()
    restarted = any(task["name"] == name and task["restarts"] == 1 for task in state["tasks"])
    return state["state"] != "green" and (restarted or f"injected into {name}" in str(state["causes"]))


def scenario_of_twenty(folder: Path) -> Path:
    """Polled ten times a second, so that there are cycles to count; the map stands beside it, where the gateway's file looks as well."""
    path = folder / "twenty.toml"
    slow = (SHIPPED / "qenergyz_well_modbus.toml").read_text()
    (folder / "fast_well.toml").write_text(
        slow.replace('"qenergyz_well_modbus"', '"fast_well"').replace("[[tags]]", f'[[tags]]\nevery = "{EVERY}"')
    )
    devices = (
        f'[[device]]\nname = "d{number:02}"\nmap = "fast_well"\naddress = "127.0.0.1:0"\nasset = "A{number:02}"\n'
        f'source = {{ replay = "{WELLS[number % 2]}", repeat = true }}\n'
        for number in range(TWENTY)
    )
    path.write_text('scenario = "twenty"\nseed = 1\nrate = 5\ntimes = "wall"\n\n' + "\n".join(devices))
    return path


def one_of_twenty_dead(site: Site, seconds: float) -> None:
    """The others' cycles while one is dead, against their rate in as long a time before; one cycle is left to where the count begins."""
    seconds = max(seconds, LEAST_COUNTED_S)
    before, took = _cycles(site, seconds)
    site.programs.tell(site.simulator, f"fault d00 drop_link {seconds + 4}")
    wait_until(lambda: not connected(site, "d00"), "the agent notices that a device is dead")
    during, elapsed = _cycles(site, seconds)
    kept = min(1.0, *((during[name] + 1) * took / (before[name] * elapsed) for name in before if name != "d00"))
    site.notes.append(f"cycles of the other {TWENTY - 1}: at least {100 * kept:.1f} % of those before, {before['d01'] / took:.1f} a second")
    if kept < LEAST_CYCLES:
        raise ChaosError(f"a neighbour of a dead device kept only {100 * kept:.1f} % of its cycles")
    wait_until(lambda: connected(site, "d00"), "the dead device is back")


def _cycles(site: Site, seconds: float) -> tuple[dict[str, int], float]:
    """Polls of each device, and in how many seconds."""
    first, start = _frames(site), time.monotonic()
    time.sleep(seconds)
    last, end = _frames(site), time.monotonic()
    return {name: last[name] - first[name] for name in first}, end - start


def _frames(site: Site) -> dict[str, int]:
    return {str(device["name"]): int(device["frames"]) for device in site.health()["devices"]}


def started_off(offset_us: int) -> Any:
    def fault(site: Site, seconds: float) -> None:
        """Killed, started with a clock that is off, and the clock set right some seconds later."""
        site.kill_agent()
        site.clock.write_text(str(offset_us))
        site.start_agent()
        time.sleep(seconds)
        site.clock.write_text("0")
        time.sleep(seconds / 2)

    return fault


@contextlib.contextmanager
def second_agent(site: Site) -> Iterator[Path]:
    """With the same key and a buffer of its own. Gives its data folder."""
    name, data = f"{site.name}-twin", site.folder / f"{site.name}-twin-data"
    data.mkdir()
    for file in ("gateway.key", "enrolment.json"):
        shutil.copy2(site.data / file, data / file)
    path = site.folder / f"{name}.toml"
    path.write_text(site.config.read_text().replace(str(site.data), str(data)))
    site.start_agent(name, path)
    yield data
    collected = int(site.health(data)["collected"])
    site.programs.stop(name)  # in order: what it holds is sealed
    site.twin = Twin.of(data / "buffer.db", config.load(path).table, collected)


def two_agents(site: Site, seconds: float) -> None:
    """Until a person finds the second one by the hub's finding and its own alarm. What only it collected must stand in its buffer."""
    with second_agent(site) as data:
        gateway = site.gateway_id()
        wait_until(lambda: site.hub.findings(gateway) & {"two-agents", "equivocation"}, "the hub notes that two agents use one key")
        wait_until(lambda: site.health(data)["state"] != "green", "the second agent says that it is turned away")
        site.notes.append("the second agent says: " + site.health(data)["causes"][0]["cause"])
        time.sleep(seconds / 2)
    assert site.twin is not None
    site.notes.append(f"the second agent collected {site.twin.collected}, its buffer holds {site.twin.kept}")
