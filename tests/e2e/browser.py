"""Headless Chromium driven over its debugging pipe: open, click, press keys, read what stands there, take pictures.

For pages that have to be used and not only loaded. No port and no driver program: two pipes and JSON. Clicks and keys are those of a
user (they go through the browser's input), so that what cannot be reached with them is not reached here.
"""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

CHROMIUM: Final = Path("/usr/bin/chromium")
PATIENCE_S: Final = 20.0
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
# The browser hears on descriptor 3 and speaks on 4, whatever numbers they have here.
LAUNCH: Final = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"


def environment(profile: str) -> dict[str, str]:
    """No proxy and no home of anybody: the browser meets the hub and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "HOME": profile, "XDG_CONFIG_HOME": profile, "XDG_CACHE_HOME": profile}


class PageError(AssertionError):
    """What was expected of the page did not come, or the browser refused a command."""


class Browser:
    """One tab. `faults`: what the page wrote to its console as an error or threw."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[str] = []
        self.requests: list[str] = []
        self._numbers = itertools.count(1)
        self._rest = b""
        low_hears, self._say = os.pipe()
        self._hear, low_says = os.pipe()
        hears, says = (fcntl.fcntl(low, fcntl.F_DUPFD, 64) for low in (low_hears, low_says))
        profile = tempfile.mkdtemp(dir=folder)
        command = [sys.executable, "-c", LAUNCH, str(hears), str(says), str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(hears, says), env=environment(profile)
        )
        for ours in (low_hears, low_says, hears, says):
            os.close(ours)
        self._session = ""
        target = next(one for one in self.command("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._say)
        os.close(self._hear)

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": self._session} if self._session else {})
        os.write(self._say, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._hear, 1 << 16)
            if not read:
                raise PageError("the browser has ended")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.faults.append(str(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.faults.append(str(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.faults.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])

    def look(self, expression: str) -> Any:
        """The value of an expression of the page."""
        found = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise PageError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, expression: str, what: str = "") -> Any:
        """Its value as soon as it is true."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with contextlib.suppress(PageError):  # between two documents there is nothing to ask
                if found := self.look(expression):
                    return found
            time.sleep(0.03)
        raise PageError(f"waited {PATIENCE_S:g} s for {what or expression}; the page shows: {self.text()[:3000]}; faults: {self.faults}")

    def wait_text(self, text: str) -> None:
        self.wait(f"document.body.innerText.includes({json.dumps(text)})", f'the text "{text}"')

    def open(self, address: str) -> None:
        """A new document, always."""
        self.command("Page.navigate", url="about:blank")
        self.command("Page.navigate", url=address)
        self.wait('location.protocol.startsWith("http") && document.readyState === "complete"')

    def text(self) -> str:
        return str(self.look("document.body.innerText"))

    def click(self, selector: str, text: str = "") -> None:
        """The first element that the selector finds with exactly this text, where the user sees it."""
        wanted = f"[...document.querySelectorAll({json.dumps(selector)})].find((one) => !{json.dumps(text)} || one.innerText.trim() === {json.dumps(text)})"
        self.wait(wanted + " && true", f'{selector} "{text}"')
        at = self.look(
            f"(() => {{ const one = {wanted}; one.scrollIntoView({{ block: 'center' }}); const box = one.getBoundingClientRect();"
            " return [box.x + Math.min(box.width / 2, 20), box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def press(self, key: str, code: int) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        self.command("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        self.command("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def shape(self, width: int, height: int, scheme: str) -> None:
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path) -> bytes:
        """Of the whole page."""
        data = base64.b64decode(self.command("Page.captureScreenshot", captureBeyondViewport=True)["data"])
        path.write_bytes(data)
        return data

    def keep_downloads(self, folder: Path) -> None:
        self.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    folder = Path(tempfile.mkdtemp(prefix="qz-browser-"))
    browser = Browser(folder)
    try:
        yield browser
    finally:
        browser.end()
        shutil.rmtree(folder, ignore_errors=True)
