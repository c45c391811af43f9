"""Stands between a client and a server and notes every answer, so that a test can tell whose fault a failure was.

One thread a connection, both sides kept alive. Deliberately absent: chunked request bodies, anything but HTTP/1.1.
"""

import http.client
import http.server
import threading
import time
from dataclasses import dataclass

from feed_api import END_OF_ITERATION

ANSWER_LIMIT_S = 30.0
PASSED_ON = ("content-type", "authorization", "accept")


@dataclass
class Exchange:
    method: str
    path: str
    status: int
    seconds: float
    body: bytes

    def fault(self) -> str | None:
        """Why this answer is the server's fault, if it is."""
        if self.seconds > ANSWER_LIMIT_S:
            return f"{self.method} {self.path} took {self.seconds:.0f} s"
        end = self.status == 400 and END_OF_ITERATION.encode() in self.body
        if self.status not in (200, 202) and not end:
            return f"{self.method} {self.path}: {self.status} {self.body[:300]!r}"
        return None


class Proxy:
    """`with Proxy(port) as proxy:` listens on `proxy.url` and notes into `proxy.exchanges`."""

    def __init__(self, port: int):
        self.exchanges: list[Exchange] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(port, self.exchanges))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def faults(self) -> list[str]:
        return [fault for exchange in list(self.exchanges) if (fault := exchange.fault())]


def handler(port: int, exchanges: list):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() in PASSED_ON}
            began = time.monotonic()
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=2 * ANSWER_LIMIT_S)
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            content = answer.read()
            exchanges.append(Exchange(self.command, self.path, answer.status, time.monotonic() - began, content))
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower().startswith(("content-type", "x-lavender")):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            upstream.close()

        do_GET = do_POST = do_PUT = do_DELETE = pass_on

        def log_message(self, *_):
            pass

    return Handler
