"""A whole cluster as one server under comparison: shard groups of a primary and replicas behind one coordinator."""

import http.client
import json
import shutil
import subprocess
import time
from pathlib import Path

from server import READY_DEADLINE_S, TICK_S, Server, free_port


class ClusterServer(Server):
    """The same cluster.json and commands for both programs. `arguments` go to the data nodes."""

    def __init__(self, name: str, program: list[str], directory: Path, arguments=(), groups: int = 2, copies: int = 2):
        super().__init__(name, program, directory, arguments)
        self.layout = [[free_port() for _ in range(copies)] for _ in range(groups)]
        self.processes = []

    def start(self, fresh: bool = True) -> "ClusterServer":
        if fresh:
            shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        uri = "http://127.0.0.1:{}".format
        groups = [
            {"name": f"sg{number}", "primary": uri(ports[0]), "replicas": [uri(port) for port in ports[1:]]}
            for number, ports in enumerate(self.layout)
        ]
        config = self.directory / "cluster.json"
        config.write_text(json.dumps({"bucket_count": 4096, "write_mirror_replicas": True, "shard_groups": groups}))
        self.processes = [
            self.spawn(port, "--data-dir", str(self.directory / str(port)), *self.arguments) for ports in self.layout for port in ports
        ]
        # LynseDB's coordinator ends where a node does not answer yet.
        self.wait(lambda: all(self.at(port, "/readyz") for ports in self.layout for port in ports))
        coordinator = ("--role", "coordinator", "--cluster-config", str(config), "--cluster-state", str(self.directory / "state.json"))
        self.process = self.spawn(self.port, *coordinator)
        self.processes.append(self.process)
        self.wait(self.is_whole)
        return self

    def wait(self, until):
        end = time.monotonic() + READY_DEADLINE_S
        while not until():
            if any(process.poll() is not None for process in self.processes) or time.monotonic() > end:
                raise SystemExit(f"{self.name} did not start; see {self.directory}/*.log")
            time.sleep(0.05)

    def spawn(self, port: int, *more) -> subprocess.Popen:
        command = [*self.program, "serve", "--host", "127.0.0.1", "--port", str(port), *more]
        with open(self.directory / f"{port}.log", "ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)

    def is_whole(self) -> bool:
        """Whether the coordinator answers and calls every replica active."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", "/cluster_info")
            said = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return False
        groups = said.get("params", said).get("shard_groups") or []
        replicas = [replica for group in groups for replica in group["replicas"]]
        return len(replicas) == sum(len(ports) - 1 for ports in self.layout) and all(
            replica["state"] == "active" for replica in replicas
        )

    def metric(self, name: str) -> float | None:
        """The sum over the data nodes."""
        total = None
        coordinator = self.port
        for port in (port for ports in self.layout for port in ports):
            self.port = port
            value = super().metric(name)
            total = value if total is None else total + (value or 0.0)
        self.port = coordinator
        return total

    def cpu_s(self) -> float:
        """Of all processes together."""
        total = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total * TICK_S

    def stop(self):
        for process in reversed(self.processes):
            self.process = process
            super().stop()
        self.processes = []
