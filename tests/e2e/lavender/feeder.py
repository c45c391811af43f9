"""A node that serves datasets, as the tests of this folder drive it.

`Feeder` is a `Node` with a modules directory and an interpreter. With LAVANDIN_TEST_PUBLISHED=1 the tests drive the server of
the published `lavender-data` wheel instead, which must be installed beside the running interpreter: that shows that a test
asks for what clients really got, and, through the marker `published` (see conftest.py), that a test of a defect sees it.
Invariants: as those of `Node`; the published server runs with a home of its own and in a process group that is killed whole.
"""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from feed_api import FeedApi
from node import STOP_DEADLINE_S, Node, clean_environment, poll

RELOAD_INTERVAL_S = 1
MODULES = Path(__file__).parent / "modules"


def published() -> bool:
    """Whether the published server is under test."""
    return os.environ.get("LAVANDIN_TEST_PUBLISHED") == "1"


@dataclass
class Feeder(Node):
    modules_dir: Path | None = None
    interpreter: str = sys.executable
    basic: str | None = None  # `id:secret` that the server asks for, as requests of `api` send it
    apis: list = field(default_factory=list)

    def command(self) -> list[str]:
        command = super().command() + ["--python", self.interpreter]
        if self.modules_dir is not None:
            command += ["--modules-dir", str(self.modules_dir), "--modules-reload-interval", str(RELOAD_INTERVAL_S)]
        return command

    def connect_api(self, **options) -> FeedApi:
        """A connection of the caller's own, for one thread."""
        return FeedApi(self.port, options.pop("basic", self.basic), **options)

    @property
    def api(self) -> FeedApi:
        """The connection that the test's own thread shares; made anew after a restart."""
        if not self.apis:
            self.apis.append(self.connect_api())
        return self.apis[0]

    def drop_api(self):
        while self.apis:
            self.apis.pop().close()

    def kill(self):
        self.drop_api()
        super().kill()

    def terminate(self) -> int:
        self.drop_api()
        return super().terminate()

    def stop(self):
        self.drop_api()
        super().stop()

    def workers(self) -> dict:
        """Process ids of the Python processes below the server, each with when it began."""
        return descendants(self.process.pid, lambda name: "python" in name)


class PublishedFeeder(Feeder):
    """The same for the published server; arguments of ours are left out."""

    def command(self) -> list[str]:
        return [str(Path(sys.executable).parent / "lavender-data"), "server", "run", "--init"]

    def spawn(self) -> "PublishedFeeder":
        home = self.data_dir
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            "HOME": str(home),
            "LAVENDER_DATA_PORT": str(self.port),
            "LAVENDER_DATA_HOST": "127.0.0.1",
            "LAVENDER_DATA_DB_URL": f"sqlite:///{home}/database.db",
            "LAVENDER_DATA_LOG_FILE": f"{home}/server.log",
            "LAVENDER_DATA_DISABLE_UI": "true",
            "LAVENDER_DATA_NUM_WORKERS": "1",
            "LAVENDER_DATA_MODULES_RELOAD_INTERVAL": str(RELOAD_INTERVAL_S),
        }
        if self.basic is None:
            environment["LAVENDER_DATA_DISABLE_AUTH"] = "true"
        if self.modules_dir is not None:
            environment["LAVENDER_DATA_MODULES_DIR"] = str(self.modules_dir)
        environment.update(self.environment)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                env=clean_environment(environment),
                cwd=home,
                start_new_session=True,
            )
        return self

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        try:
            api = FeedApi(self.port, timeout_s=5)
            try:
                return api.get("/version").status == 200
            finally:
                api.close()
        except OSError:
            return False

    def stop(self):
        self.drop_api()
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(STOP_DEADLINE_S)


def new_feeder(**options) -> Feeder:
    return (PublishedFeeder if published() else Feeder)(**options)


def copied_modules(folder: Path) -> Path:
    """A modules directory that a test may change."""
    copy = folder / "modules"
    shutil.copytree(MODULES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def descendants(root: int, wanted) -> dict:
    """Processes below `root` whose name is `wanted`: process id -> start time in ticks."""
    parents, starts, names = {}, {}, {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            name, rest = (folder / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue  # it ended meanwhile
        fields = rest.split()
        pid = int(folder.name)
        parents[pid], starts[pid], names[pid] = int(fields[1]), int(fields[19]), name
    found = {}
    for pid in parents:
        above = parents[pid]
        while above not in (root, 0, 1) and above in parents:
            above = parents[above]
        if above == root and wanted(names[pid]):
            found[pid] = starts[pid]
    return found


def still_running(processes: dict) -> dict:
    """Those of `processes` that live; a process id that was given to another process does not count."""
    living = {}
    for pid, start in processes.items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[19]) == start:
            living[pid] = start
    return living


def wait_ended(processes: dict, deadline_s: float = 10.0):
    poll(lambda: not still_running(processes), f"the end of the processes {sorted(processes)}", deadline_s)
