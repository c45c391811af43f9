"""A `lavandin serve` process of a test: start, wait until ready, talk HTTP to it, stop or kill it.

Invariants: every wait is a poll with a deadline; a node never outlives its test (see conftest.py); the child sees none of
the caller's LAVANDIN_*, LYNSE_* or LAVENDER_DATA_* variables. Raw HTTP goes through http.client, so that a test sees the
status, the headers and the body as they came. Deliberately absent: the LynseDB client, which tests import themselves.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

READY_DEADLINE_S = 30.0
STOP_DEADLINE_S = 30.0
POLL_INTERVAL_S = 0.01
OWN_PREFIXES = ("LAVANDIN_", "LYNSE_", "LAVENDER_DATA_")


def binary() -> str:
    """The program under test: LAVANDIN_BIN, or the release build of this workspace."""
    named = os.environ.get("LAVANDIN_BIN")
    if named:
        return named
    return str(Path(__file__).resolve().parents[2] / "target" / "release" / "lavandin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(extra=None) -> dict:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_PREFIXES) and name != "PORT"}
    return {**kept, **(extra or {})}


def poll(probe, what: str, deadline_s: float = READY_DEADLINE_S):
    """Calls `probe` until it returns something true, and returns that; fails after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() >= end:
            raise AssertionError(f"{what}: not within {deadline_s} s")
        time.sleep(POLL_INTERVAL_S)


@dataclass
class Reply:
    status: int
    headers: dict
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def params(self) -> dict:
        """The payload of a success."""
        assert self.status == 200, f"{self.status} {self.text}"
        assert self.json["status"] == "success", self.text
        return self.json["params"]


class Connection:
    """One keep-alive connection, for one thread."""

    def __init__(self, port: int, key: str | None = None, timeout_s: float = 60.0):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self.key = key

    def request(self, method: str, path: str, body: bytes | None = None, headers=None) -> Reply:
        headers = dict(headers or {})
        if self.key is not None:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        try:
            self.http.request(method, path, body=body, headers=headers)
        except (BrokenPipeError, ConnectionResetError):
            # a server may refuse before it has read all of a body; its answer is what counts
            if body is None or self.http.sock is None:
                raise
        answer = self.http.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, named, answer.read())

    def post(self, path: str, payload) -> Reply:
        return self.request("POST", path, json.dumps(payload).encode(), {"Content-Type": "application/json"})

    def post_bytes(self, path: str, body: bytes) -> Reply:
        return self.request("POST", path, body, {"Content-Type": "application/octet-stream"})

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def close(self):
        self.http.close()


@dataclass
class Node:
    data_dir: Path
    port: int = field(default_factory=free_port)
    key: str | None = None
    arguments: tuple = ()
    environment: dict = field(default_factory=dict)
    program: str = field(default_factory=binary)
    process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.data_dir.with_name(self.data_dir.name + ".log")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def command(self) -> list[str]:
        command = [self.program, "serve", "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        if self.key is not None:
            command += ["--api-key", self.key]
        return command + [str(argument) for argument in self.arguments]

    def spawn(self) -> "Node":
        with open(self.log_path, "ab") as log:
            environment = clean_environment(self.environment)
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=environment)
        return self

    def start(self) -> "Node":
        self.spawn()
        poll(self.is_ready, f"readiness of {self.command()}")
        return self

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the node ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        try:
            connection = Connection(self.port, timeout_s=5)
            try:
                return connection.get("/readyz").status == 200
            finally:
                connection.close()
        except OSError:
            return False

    def kill(self):
        """SIGKILL: the process gets no chance to write anything more."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_DEADLINE_S)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_DEADLINE_S)

    def stop(self):
        """Ends the process whatever its state."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_DEADLINE_S)

    def connect(self, **options) -> Connection:
        return Connection(self.port, key=options.pop("key", self.key), **options)

    def post(self, path: str, payload) -> Reply:
        connection = self.connect()
        try:
            return connection.post(path, payload)
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        connection = self.connect()
        try:
            return connection.get(path)
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The value of a metric without labels, or the sum over its labels."""
        lines = [line for line in self.get("/metrics").text.splitlines() if line and not line.startswith("#")]
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.split(" ")[0].split("{")[0] == name]
        assert values, f"no metric {name}"
        return sum(values)
