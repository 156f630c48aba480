"""A real broker between simulator and agent that can be killed: mosquitto, which keeps sessions and messages in a file. Only for benchmarks and tests.

It takes what the embedded broker of the simulator publishes over a bridge with a kept session, and gives it to the agent. What it has
acknowledged to one side and not yet delivered to the other is its own to keep; `autosave_on_changes` makes it write every change.
"""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from benchmarks.kill import free_port
from simulators import demo

READY_S: Final = 10.0
CONFIG: Final = """
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
connection simulator
address 127.0.0.1:{source}
remote_clientid bridge
bridge_protocol_version mqttv311
try_private false
notifications false
cleansession false
restart_timeout 1
topic # in 1
"""


def installed() -> str | None:
    """The program, where it is."""
    return shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Mosquitto:
    """Runs after `start` until `kill` or `stop`; `port` stays the same."""

    def __init__(self, folder: Path, source: int) -> None:
        self.port = free_port()
        self._folder = folder
        folder.mkdir()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(CONFIG.format(port=self.port, folder=folder, source=source))
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = installed()
        assert program is not None
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._running = subprocess.Popen([program, "-c", str(self._config), "-v"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise demo.DemoError(f"mosquitto does not listen; see {self._folder / 'mosquitto.log'}")

    def kill(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None
