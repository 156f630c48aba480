"""How the onboarding commands speak: data on standard output, progress on standard error, nothing secret on either, no colour ever.

A person hears something at once and at least every half second while something is waited for; a program reads `--json`.
"""

import contextlib
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from edge.onboarding.masking import Masker

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2  # the file or the command line is wrong
NOT_FOUND: Final = 3
REFUSED: Final = 4  # our identity is not accepted, or the peer's
CONFLICT: Final = 5
UNREACHABLE: Final = 7  # also: no answer in time
INTERRUPTED: Final = 130
BEAT_S: Final = 0.4
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Stop(Exception):
    """The command ends here. The message has been made for a person: cause, and next step where there is one."""

    def __init__(self, code: int, cause: str, next_step: str = "") -> None:
        super().__init__(cause)
        self.code, self.cause, self.next_step = code, cause, next_step


def shown(text: str) -> str:
    """Without what a terminal would obey: names, topics and texts come from devices and brokers."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class Output:
    """as_json: what would be said on standard output is left to `json`."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.masker = Masker()

    def say(self, text: str) -> None:
        """Progress and warnings."""
        print(shown(self.masker.masked(text)), file=sys.stderr, flush=True)

    def data(self, text: str) -> None:
        """What was asked for, for a person; nothing with `--json`."""
        if not self.as_json:
            print(shown(self.masker.masked(text)), flush=True)

    def json(self, document: Any) -> None:
        """What was asked for, for a program; nothing without `--json`."""
        if self.as_json:
            print(json.dumps(self.masker.masked_json(document), ensure_ascii=False), flush=True)

    def stopped(self, stop: Stop) -> int:
        """Tells why, and gives the exit code."""
        self.json({"ok": False, "error": stop.cause, "next_step": stop.next_step})
        self.say(stop.cause)
        if stop.next_step:
            self.say(f"  next: {stop.next_step}")
        return stop.code

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Says at once what is being done, and that it is still being done: from a thread, so that nothing that is slow can silence it."""
        self.say(f"{what} ...")
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(what, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat(self, what: str, done: threading.Event) -> None:
        begun = time.monotonic()
        while not done.wait(BEAT_S):
            self.say(f"  still {what}, {time.monotonic() - begun:.1f} s")
