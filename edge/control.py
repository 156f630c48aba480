"""The agent's local control: one JSON line in, one JSON line out, over a Unix socket in the data folder.

Who may open the socket file (mode 0600: the agent's own user and root) may ask; the asker's user id, which the kernel tells, stands in
every record. Nothing listens on a network. Requests: {"do": "arm", "tag", "value"}, {"do": "write", "tag", "value", "key", "life_s",
"arm", "expected"} and {"do": "accept-fork", "who", "why"}; answers have "ok" and either the result or "error".
"""

import asyncio
import contextlib
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from edge.buffer import BufferTrouble
from edge.commands import Command, Gate
from protocols.clock import Clock
from protocols.driver import WriteRefused

log = logging.getLogger("qenergyz.edge")
NAME: Final = "control.sock"
MAX_LINE: Final = 4096
PATIENCE_S: Final = 10.0


class NoFork(Exception):
    """There is no other log that could be accepted; the message says how it stands."""


def _no_fork(who: str, why: str) -> str:  # noqa: ARG001
    raise NoFork("this agent has no hub")


class ControlSocket:
    """`start`, `stop`."""

    def __init__(self, data: Path, gate: Gate, clock: Clock, accept_fork: Callable[[str, str], str] = _no_fork) -> None:
        self._data, self._gate, self._clock, self._accept_fork = data, gate, clock, accept_fork
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """A file system without sockets costs the commands, not the agent."""
        before = os.umask(0o177)
        try:
            (self._data / NAME).unlink(missing_ok=True)
            with _short(self._data) as folder:
                self._server = await asyncio.start_unix_server(self._answer, f"{folder}/{NAME}", limit=MAX_LINE)
        except OSError as error:
            log.warning("no_control_socket path=%s cause=%s", self._data / NAME, error)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        (self._data / NAME).unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = await reader.readline()
            writer.write(json.dumps(await self._do(line, _peer(writer))).encode() + b"\n")
            await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass  # the asker went away or sent no line
        finally:
            writer.close()

    async def _do(self, line: bytes, who: str) -> dict[str, Any]:
        try:
            match json.loads(line):
                case {"value": bool()} | {"life_s": bool()}:
                    return {"ok": False, "error": "expected numbers as value and life_s; true is 1"}
                case {"do": "accept-fork", "who": str(name), "why": str(why)}:
                    return {"ok": True, "said": self._accept_fork(name if name == who else f"{name} (as {who})", why)}
                case {"do": "arm", "tag": str(tag), "value": int() | float() as value}:
                    return {"ok": True, "arm": self._gate.arm(tag, float(value))}
                case {
                    "do": "write",
                    "tag": str(tag),
                    "value": int() | float() as value,
                    "key": str(key),
                    "life_s": int() | float() as life_s,
                    **rest,
                }:
                    expected: Any = rest.get("expected")
                    command = Command(
                        tag=tag,
                        value=float(value),
                        key=key,
                        expires_us=self._clock.now_us() + int(life_s * 1e6),
                        who=who,
                        expected=None if expected is None else float(expected),
                        arm=str(rest.get("arm", "")),
                    )
                    answer = await self._gate.write(command)
                    return {"ok": True, "outcome": answer.outcome.value, "cause": answer.cause}
                case _:
                    return {"ok": False, "error": "expected do = arm or write, with tag, value, and for a write key and life_s"}
        except (WriteRefused, BufferTrouble) as error:
            return {"ok": False, "error": str(error)}
        except NoFork as error:
            return {"ok": False, "error": str(error)}
        except (ValueError, TypeError) as error:
            return {"ok": False, "error": f"not understood: {error}"}


def ask(data: Path, request: dict[str, Any], patience_s: float) -> dict[str, Any]:
    """The answer of the agent on that data folder. Raises OSError when none listens, ValueError when it does not answer in JSON."""
    with _short(data) as folder, socket.socket(socket.AF_UNIX) as link:
        link.settimeout(patience_s)
        link.connect(f"{folder}/{NAME}")
        link.sendall(json.dumps(request).encode() + b"\n")
        found: dict[str, Any] = json.loads(link.makefile("rb").readline() or b"null")
        if not isinstance(found, dict):
            raise ValueError("the agent ended without an answer")
        return found


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A path of the folder that fits into a socket's address, which holds 107 bytes."""
    number = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


def _peer(writer: asyncio.StreamWriter) -> str:
    link = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
