"""The child process that holds the native MMS client: `python -m protocols.iec61850.worker`.

First message in: what to read (see `protocols.iec61850.request`). Then, for tags that may be written:

    ["write", number, point, raw, expected]   answered by ["written", number, ""] or, when it was refused, the reason

Messages out, each a list:

    ["open", [point, ...]]                    associated; these points do not exist
    ["data", points, times_us, values, words, kinds, repeat, entry, ...]     columns as bytes: uint16, int64, float64, uint16, uint8
    ["text", number, text]                    a text that is new or has changed
    ["clock", flags, time_us]                 what the device's time stamps say of its clock has changed
    ["note", source, text, detail]            something that a person may want to know
    ["model", ...]                            see `protocols.iec61850.listing`; and the process ends
    ["alive"]                                 once a second
    ["error", "unreachable" | "setup", text]  and the process ends

kinds: 0 value, 1 access denied or gone, 2 not of the expected type. repeat: the device only repeats what it has (general interrogation,
integrity). entry: key of the report control block and id of its entry, to go on from after a cut. After the entry may come five more
columns, whose values are int64. The end of standard input ends the process: native threads do not survive an orderly exit.
"""

import os
import queue
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from protocols.iec61850.client import ALIVE_S, Client, Output
from protocols.iec61850.controls import Controls, Refused
from protocols.iec61850.listing import Listing
from protocols.iec61850.pipe import receive
from protocols.iec61850.reports import Reports

PROBE_S: Final = 5.0
TICK_S: Final = 0.05
FAREWELL_S: Final = 0.4  # after which the process ends, whatever the device says
Orders = queue.SimpleQueue[list[Any] | None]


@dataclass(slots=True)
class Turn:
    due: float
    every_s: float
    reads: list[tuple[str, list[str]]]


class Turns:
    """What is due when: polls by their intervals, texts by theirs."""

    def __init__(self, client: Client, brought: set[str]) -> None:
        self._client = client
        now = time.monotonic()
        intervals: dict[int, list[str]] = {}
        points = client.request["points"]
        for member in client.specifications:
            if member not in brought:
                every_ms = min(points[point][4] for point in client.objects[member])
                intervals.setdefault(every_ms, []).append(member)
        self._polls = [Turn(now, every_ms / 1000, client.plan(members)) for every_ms, members in intervals.items()]
        self._texts = dict.fromkeys(range(len(client.request["texts"])), now)
        self._shown: dict[int, str] = {}

    def next_s(self) -> float:
        return min((turn.due for turn in self._polls), default=float("inf"))

    def take(self, now: float) -> None:
        for turn in self._polls:
            if now >= turn.due:
                self._client.poll(turn.reads)
                turn.due = max(turn.due + turn.every_s, now)
        for number, due in self._texts.items():
            if now >= due:
                reference, constraint, every_ms = self._client.request["texts"][number]
                self._texts[number] = now + every_ms / 1000
                found = self._client.text(reference, constraint)
                if found is not None and found != self._shown.get(number):
                    self._shown[number] = found
                    self._client.output.send("text", number, found)


def main() -> None:
    output = Output(sys.stdout.buffer)
    request = receive(sys.stdin.buffer)
    try:
        import pyiec61850.pyiec61850 as iec
    except ImportError as error:
        output.fail("setup", f"IEC 61850 needs the package pyiec61850-ng ({error}); install qenergyz[iec61850]")
    orders: Orders = queue.SimpleQueue()
    threading.Thread(target=_listen, args=[orders], daemon=True).start()
    client = Client(iec, request, output)
    client.connect()
    if request["mode"] == "browse":
        output.send(*Listing(client).message())
        os._exit(0)
    controls, reports = Controls(client), Reports(client)
    if request["mode"] == "report":
        reports.subscribe(lambda: output.send("alive"))
    _run(client, reports, controls, orders)


def _run(client: Client, reports: Reports, controls: Controls, orders: Orders) -> NoReturn:
    output = client.output
    turns = Turns(client, reports.brought)
    now = time.monotonic()
    alive, probe = now, now + PROBE_S
    while True:
        if not client.connected:
            output.fail("unreachable", "the device closed the association")
        now = time.monotonic()
        turns.take(now)
        reports.tick(now)
        if now >= alive:
            client.tell_clock()
            output.send("alive")
            alive = now + ALIVE_S
        if now >= probe:
            client.probe()
            probe = now + PROBE_S
        try:
            order = orders.get(timeout=max(0.0001, min(TICK_S, turns.next_s() - now)))
        except queue.Empty:
            continue
        if order is None:
            reports.end()
            os._exit(0)
        _obey(order, controls, output)


def _obey(order: list[Any], controls: Controls, output: Output) -> None:
    match order:
        case ["write", number, point, raw, expected]:
            try:
                controls.write(point, raw, expected)
                output.send("written", number, "")
            except Refused as refusal:
                output.send("written", number, str(refusal))


def _listen(orders: Orders) -> None:
    try:
        while True:
            orders.put(receive(sys.stdin.buffer))
    except (EOFError, ValueError):
        orders.put(None)
    time.sleep(FAREWELL_S)
    os._exit(0)


if __name__ == "__main__":
    main()
