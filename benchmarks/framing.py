"""Why the Modbus driver frames by itself: CPU per block of 125 registers, three ways, on one simulated device in another process.

own: `protocols.modbus.driver`'s link, the answer as bytes. raw: pymodbus with a response class that keeps the bytes. plain: pymodbus as documented.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadHoldingRegistersResponse

from benchmarks import edge, report
from protocols.modbus import mbap
from protocols.modbus.address import Area, Span
from protocols.modbus.link import Link

WORDS = 125


class RawResponse(ReadHoldingRegistersResponse):
    """Keeps what came instead of making a list of numbers."""

    raw = b""

    def decode(self, data: bytes) -> None:
        self.raw = data[1:]


async def cpu_us(read: Callable[[], Awaitable[Any]], blocks: int) -> float:
    begun = time.process_time()
    for _ in range(blocks):
        await read()
    return 1e6 * (time.process_time() - begun) / blocks


async def measure(host: str, port: int, rounds: int, blocks: int) -> dict[str, float]:
    _, link = await asyncio.get_running_loop().create_connection(lambda: Link("bench", 1_000_000), host, port)
    ask = mbap.Ask.read(1, Span(Area.HOLDING, 0, WORDS))
    plain, raw = AsyncModbusTcpClient(host, port=port), AsyncModbusTcpClient(host, port=port)
    raw.register(RawResponse)
    await plain.connect()
    await raw.connect()
    answer: Any = await raw.execute(False, ReadHoldingRegistersRequest(address=0, count=WORDS, dev_id=1))
    assert len(answer.raw) == 2 * WORDS, "pymodbus did not take the response class"
    readers: dict[str, Callable[[], Awaitable[Any]]] = {
        "own": lambda: link.exchange(ask),
        "raw": lambda: raw.execute(False, ReadHoldingRegistersRequest(address=0, count=WORDS, dev_id=1)),
        "plain": lambda: plain.read_holding_registers(0, count=WORDS, device_id=1),
    }
    found: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            found[name].append(await cpu_us(read, blocks))
    link.close()
    plain.close()
    raw.close()
    return {name: round(median(values), 1) for name, values in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.framing", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qenergyz-framing-") as name:
        folder = Path(name)
        (folder / "devices").mkdir()
        with edge.served(folder, edge.CASES[0], 0) as (_, said):
            host, _, port = said["addresses"]["d0"].rpartition(":")
            found = asyncio.run(measure(host, int(port), options.rounds, 3000))
    report.table(
        "CPU per block of 125 registers (us, medians)", ("own framing", "pymodbus, raw response", "pymodbus"), [tuple(found.values())]
    )
    report.write(options.json, {"us_per_block": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
