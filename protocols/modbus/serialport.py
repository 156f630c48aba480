"""A serial line as an asyncio transport, by the terminal's own file descriptor: no thread, no library beyond the standard one. POSIX only."""

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from typing import Final

from protocols.modbus.endpoint import Line

_READ: Final = 4096
# Indices of the list that termios gives.
_IN, _OUT, _CONTROL, _LOCAL, _SPEED_IN, _SPEED_OUT, _CHARACTERS = range(7)


def open_line(path: str, line: Line) -> int:
    """A file descriptor, not blocking, for us alone. Raises OSError, also when the path is no serial line."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, termios.TIOCEXCL)
        set_line(fd, line)
    except termios.error as error:
        os.close(fd)
        raise OSError(errno.ENOTTY, f"{path} cannot be set as a serial line: {error}") from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def set_line(fd: int, line: Line) -> None:
    """Raw bytes, no flow control."""
    speed = getattr(termios, f"B{line.baud}")
    control = termios.CS8 | termios.CREAD | termios.CLOCAL
    control |= {"N": 0, "E": termios.PARENB, "O": termios.PARENB | termios.PARODD}[line.parity]
    control |= termios.CSTOPB if line.stop == 2 else 0
    settings = termios.tcgetattr(fd)
    settings[_IN] = termios.INPCK if line.parity != "N" else 0
    settings[_OUT] = settings[_LOCAL] = 0
    settings[_CONTROL], settings[_SPEED_IN], settings[_SPEED_OUT] = control, speed, speed
    settings[_CHARACTERS][termios.VMIN], settings[_CHARACTERS][termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, settings)
    termios.tcflush(fd, termios.TCIOFLUSH)


class SerialTransport(asyncio.Transport):
    """Owns the descriptor. One frame is on its way at a time: what the line has not taken of the one before is not sent late."""

    def __init__(self, fd: int, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._fd, self._protocol = fd, protocol
        self._loop = asyncio.get_running_loop()
        self._waiting = b""
        self._closed = False
        self._loop.add_reader(fd, self._readable)
        protocol.connection_made(self)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return
        except OSError as error:  # unplugged
            self._lost(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._lost(OSError(errno.EIO, "the line is gone"))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closed:
            return
        self._waiting = bytes(data)
        self._writable()

    def _writable(self) -> None:
        try:
            self._waiting = self._waiting[os.write(self._fd, self._waiting) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._lost(error)
            return
        if self._waiting:
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._loop.remove_writer(self._fd)

    def is_closing(self) -> bool:
        return self._closed

    def abort(self) -> None:
        self._lost(None)

    close = abort

    def _lost(self, error: Exception | None) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, termios.TIOCNXCL)  # a pseudo terminal outlives us
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._loop.call_soon(self._protocol.connection_lost, error)
