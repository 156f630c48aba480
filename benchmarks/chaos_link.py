"""An unreliable way from gateways to a hub: an HTTP proxy whose manners can be changed while it runs. Only for benchmarks and tests.

Manners: good; cut (connections end without a word); slow (`BYTES_PER_S` both ways); flapping (cut and good in turn); 429 and 503 (answered
here, with Retry-After); half (the hub works, half of its answer arrives); lost (the hub works, every second answer is lost); silent (nothing
is ever answered).
"""

import http.client
import itertools
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

BYTES_PER_S: Final = 40_000
FLAP_S: Final = 0.7
SILENT_S: Final = 60.0
CHUNK: Final = 4_000


class Link:
    """`manner` may be set at any time; `refused` counts requests that did not go the good way."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target, self.manner, self.refused = target, "good", 0
        self.turn = itertools.count()
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def now(self) -> str:
        if self.manner == "flapping":
            return "cut" if int(time.monotonic() / FLAP_S) % 2 else "good"
        return self.manner

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, link: Link) -> None:
        self.link = link
        super().__init__(("127.0.0.1", 0), _Exchange)


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        link = self.server.link
        manner = link.now()
        self.close_connection = manner != "good"
        link.refused += manner != "good"
        if manner == "cut":
            return
        body = self._read(manner)
        if manner == "silent":
            time.sleep(SILENT_S)
        elif manner in ("429", "503"):
            self.send_response(int(manner))
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._pass_on(body, manner)

    do_PUT = do_POST
    do_GET = do_POST

    def _read(self, manner: str) -> bytes:
        left = int(self.headers.get("content-length") or 0)
        parts = []
        while left and (part := self.rfile.read(min(left, CHUNK))):
            left -= len(part)
            parts.append(part)
            if manner == "slow":
                time.sleep(len(part) / BYTES_PER_S)
        return b"".join(parts)

    def _pass_on(self, body: bytes, manner: str) -> None:
        onward = http.client.HTTPConnection(*self.server.link.target, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "authorization")}
            onward.request(self.command, self.path, body, headers)
            reply = onward.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # the hub is away: so is the connection
            return
        finally:
            onward.close()
        if manner == "lost" and next(self.server.link.turn) % 2:
            return
        self.send_response(reply.status)
        for name in ("content-type", "retry-after"):
            if value := reply.getheader(name):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self._write(content[: len(content) // 2] if manner == "half" else content, manner)

    def _write(self, content: bytes, manner: str) -> None:
        for at in range(0, len(content), CHUNK):
            self.wfile.write(content[at : at + CHUNK])
            if manner == "slow":
                time.sleep(CHUNK / BYTES_PER_S)
