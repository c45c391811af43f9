"""The servers under comparison: started here, measured through /proc, stopped here."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

READY_DEADLINE_S = 600.0
TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, name: str, program: list[str], directory: Path, arguments=()):
        self.name, self.program, self.directory, self.arguments = name, program, directory, list(arguments)
        self.port = free_port()
        self.process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, fresh: bool = True) -> "Server":
        if fresh:
            shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [*self.program, "serve", "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(self.directory), *self.arguments]
        with open(self.directory.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)
        end = time.monotonic() + READY_DEADLINE_S
        while not self.answers("/readyz"):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{self.name} did not start; see {self.directory.with_suffix('.log')}")
            time.sleep(0.002)
        return self

    def answers(self, path: str) -> bool:
        return self.at(self.port, path)

    def at(self, port: int, path: str) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_DEADLINE_S)
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except OSError:
            return False

    def metric(self, name: str) -> float | None:
        """A metric's value under either prefix; None where the server has none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        for line in text.splitlines():
            if line.split(" ")[0] in (f"lavandin_{name}", f"lynsedb_{name}"):
                return float(line.rsplit(" ", 1)[1])
        return None

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def cpu_s(self) -> float:
        """User and system time of all threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def memory_mb(self) -> dict:
        kept = {}
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "RssAnon", "RssFile", "VmHWM"):
                kept[name] = round(int(rest.split()[0]) / 1024, 1)
        return kept


class Stub(Server):
    """Answers every request at once with a fixed reply: what the clients could reach at best (stub.rs)."""

    def __init__(self, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        binary = directory / "stub"
        source = Path(__file__).with_name("stub.rs")
        subprocess.run(["rustc", "--edition", "2021", "-O", "-o", str(binary), str(source)], check=True)
        super().__init__("stub", [str(binary)], directory / "stub-data")
