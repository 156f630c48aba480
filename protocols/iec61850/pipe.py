"""Messages between a program and its IEC 61850 child process: a length, then one CBOR item, over standard input and output.

Reports travel as columns. Used by the driver's worker and by the simulator's server process.
"""

import asyncio
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from protocols.batch import cbor
from protocols.batch.errors import BatchError

_LENGTH: Final = struct.Struct("<I")
_ROOT: Final = str(Path(__file__).resolve().parents[2])
LIMIT: Final = 16 * 1024 * 1024


def pack(message: Any) -> bytes:
    body: bytes = cbor.encode(message)
    return _LENGTH.pack(len(body)) + body


def _unpack(body: bytes) -> Any:
    try:
        return cbor.decode_strict(body)
    except BatchError as error:
        raise ValueError(f"not a message: {error}") from error


def receive(stream: BinaryIO) -> Any:
    """The next message of a blocking stream; EOFError when there is none."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (size,) = _LENGTH.unpack(head)
    body = stream.read(size)
    if len(body) < size:
        raise EOFError
    return _unpack(body)


async def receive_async(stream: asyncio.StreamReader) -> Any:
    """The next message; EOFError when the peer has gone, ValueError when it talks nonsense."""
    try:
        (size,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        if size > LIMIT:
            raise ValueError(f"message of {size} bytes")
        return _unpack(await stream.readexactly(size))
    except asyncio.IncompleteReadError as error:
        raise EOFError from error


async def start_child(module: str) -> asyncio.subprocess.Process:
    """`python -m module` with pipes; it finds our packages wherever this process found them."""
    path = os.pathsep.join([_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": path}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # a Ctrl-C at the terminal is for the parent, which ends the child
    )


async def end_child(process: asyncio.subprocess.Process, grace_s: float = 0.5) -> None:
    """Close its input, give it a moment, kill it. Never raises."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(grace_s):
            await process.wait()
    except TimeoutError:
        if process.returncode is None:
            process.kill()
        await process.wait()
