"""The servers of datasets under comparison: started here, measured through /proc with their children, stopped here.

`Ours` is `lavandin serve`; `Published` is the server of the `lavender-data` wheel. Both answer the same requests. Driven by the
scripts of this folder and of benchmarks/loaders; needs nothing but Python and, for their modules, the interpreter given.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

READY_DEADLINE_S = 120.0
SYNC_DEADLINE_S = 600.0
POLL_S = 0.005
TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    name = "server"

    def __init__(self, program: str, directory: Path, modules: Path | None = None, interpreter: str = sys.executable):
        self.program, self.directory, self.modules, self.interpreter = program, directory, modules, interpreter
        self.port = free_port()
        self.process = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict:
        return {}

    def start(self, fresh: bool = True) -> "Server":
        if fresh:
            shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAVANDIN_", "LAVENDER_DATA_"))}
        with open(self.directory.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={**kept, **self.environment()},
                start_new_session=True,
            )
        end = time.monotonic() + READY_DEADLINE_S
        while not self.answers("/version"):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{self.name} did not start; see {self.directory.with_suffix('.log')}")
            time.sleep(POLL_S)
        return self

    def answers(self, path: str) -> bool:
        try:
            return self.connect(5).get(path)[0] == 200
        except OSError:
            return False

    def connect(self, timeout_s: float = 120.0) -> "Connection":
        return Connection(self.port, timeout_s)

    def restart(self):
        """Kills the server and starts it on what it left behind."""
        self.process.kill()
        self.process.wait()
        self.start(fresh=False)

    def stop(self):
        """Ends the server's own process group, which nothing else is in."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def cpu_s(self) -> float:
        """User and system time so far of the server and all its children, those that ended included."""
        return sum(tree(self.process.pid, lambda fields: sum(map(int, fields[11:15])) * TICK_S))

    def resident_mb(self) -> float:
        pages = sum(tree(self.process.pid, lambda fields: int(fields[21])))
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def peak_mb(self) -> float:
        """The most that the server's own process ever had in memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
        return 0.0


def tree(root: int, value) -> list:
    """`value` of the stat fields of a process and all below it."""
    stats = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stats[int(folder.name)] = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it ended meanwhile
    found, fresh = {root}, [root]
    while fresh:
        above = set(fresh)
        fresh = [pid for pid, fields in stats.items() if int(fields[1]) in above and pid not in found]
        found.update(fresh)
    return [value(stats[pid]) for pid in found if pid in stats]


class Ours(Server):
    name = "ours"
    more: tuple = ()

    def command(self) -> list[str]:
        command = [self.program, "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--data-dir", str(self.directory / "data"), "--python", self.interpreter, "--log-level", "warn"]
        if self.modules is not None:
            command += ["--modules-dir", str(self.modules)]
        return command + [str(one) for one in self.more]


class Published(Server):
    name = "published"

    def command(self) -> list[str]:
        return [self.program, "server", "run", "--init"]

    def environment(self) -> dict:
        set_up = {
            "HOME": str(self.directory),
            "LAVENDER_DATA_HOST": "127.0.0.1",
            "LAVENDER_DATA_PORT": str(self.port),
            "LAVENDER_DATA_DB_URL": f"sqlite:///{self.directory}/database.db",
            "LAVENDER_DATA_LOG_FILE": f"{self.directory}/server.log",
            "LAVENDER_DATA_DISABLE_UI": "true",
            "LAVENDER_DATA_DISABLE_AUTH": "true",
        }
        return set_up if self.modules is None else {**set_up, "LAVENDER_DATA_MODULES_DIR": str(self.modules)}


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int, timeout_s: float):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def ask(self, method: str, path: str, body=None, headers=None) -> tuple[int, bytes]:
        headers = dict(headers or {})
        if body is not None:
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        self.http.request(method, path, body, headers)
        answer = self.http.getresponse()
        return answer.status, answer.read()

    def get(self, path: str, headers=None) -> tuple[int, bytes]:
        return self.ask("GET", path, headers=headers)

    def json(self, method: str, path: str, body=None):
        status, content = self.ask(method, path, body)
        if status != 200:
            raise SystemExit(f"{method} {path}: {status} {content[:500]!r}")
        return json.loads(content)

    def close(self):
        self.http.close()

    def synced(self, name: str, location: str, shards: int, columns=()) -> tuple[str, float]:
        """A new dataset over a location: its id, and the seconds until all its shards are known."""
        dataset = self.json("POST", "/datasets/", {"name": name, "uid_column_name": "id", "shardset_location": None})["id"]
        began = time.perf_counter()
        made = self.json("POST", f"/datasets/{dataset}/shardsets", {"location": location, "columns": list(columns)})
        path = f"/datasets/{dataset}/shardsets/{made['id']}"
        while True:
            idle = self.json("GET", f"{path}/sync")
            if (idle is None or idle["status"] == "completed") and self.json("GET", path)["shard_count"] >= shards:
                return dataset, time.perf_counter() - began
            if time.perf_counter() - began > SYNC_DEADLINE_S:
                raise SystemExit(f"{name}: no sync of {shards} shards within {SYNC_DEADLINE_S} s; now {idle}")
            time.sleep(POLL_S)

    def iterate(self, dataset: str, **options) -> str:
        return self.json("POST", "/iterations/", {"dataset_id": dataset, "rank": 0, **options})["id"]
