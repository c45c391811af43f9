"""How a wiped replica comes back: how fast beside a plain copy of its files, and what clients notice of it.

  python benchmarks/lynse/rebuild.py --ours target/release/lavandin [--rows 1000000] [--dim 128] [--out results.json]

Needs a Python with lynsedb==0.9.0 and numpy. One group of two copies and a coordinator hold the rows, checkpointed. The
replica is killed and its directory removed, `--rounds` times on an idle cluster and then once under a fixed load of
searches and writes through the coordinator. A rebuild is counted from the first byte fetched to the moment at which the
catalogue has the copy in sync; `wire_s` is the part until the last byte, `away_s` counts from the moment at which the new
process listens: its death has to be noticed and its directory adopted first, which takes times that are set. The plain copy
sends the same files over a loopback connection from one process to another, which syncs each: what the disk and the
network of this machine give.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from cluster import ClusterServer
from data import clustered, latencies, median
from sections import Subject

DEADLINE_S = 600
CHUNK = 1 << 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="the lavandin program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--searches", type=float, default=50, help="a second, under load")
    parser.add_argument("--writes", type=float, default=20, help="a second, of ten rows each, under load")
    parser.add_argument("--directory", type=Path, help="where the servers keep their data (default: a temporary one)")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


class Group(ClusterServer):
    """One group of a primary and a replica."""

    def ask(self, path: str) -> dict:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        said = json.loads(connection.getresponse().read())
        return said.get("params", said)

    def replica(self) -> dict:
        return self.ask("/cluster_info")["shard_groups"][0]["replicas"][0]

    def wipe_replica(self) -> float:
        """Kills the replica, removes its directory, starts it again; when the new process answers."""
        port = self.layout[0][1]
        index = 1
        self.processes[index].send_signal(signal.SIGKILL)
        self.processes[index].wait()
        shutil.rmtree(self.directory / str(port))
        self.processes[index] = self.spawn(port, "--data-dir", str(self.directory / str(port)), *self.arguments)
        while not self.at(port, "/healthz"):
            time.sleep(0.01)
        return time.perf_counter()

    def files(self) -> list[Path]:
        """Those of the primary's copy that a rebuild fetches."""
        return [path for path in (self.directory / str(self.layout[0][0]) / "groups").rglob("*") if path.is_file() and "segments" in path.parts]


def rebuild(group: Group) -> dict:
    begun = group.wipe_replica()
    first = last = None
    was_stale = False
    while True:
        replica, now = group.replica(), time.perf_counter()
        if replica.get("rebuild_bytes"):
            first, last = first or now, now
        if replica["state"] == "active" and was_stale:
            if first is None:
                raise SystemExit("the copy came back without a rebuild, or too fast to see it; use more rows")
            return {"seconds": now - first, "wire_s": last - first, "away_s": now - begun}
        was_stale = was_stale or replica["state"] != "active"
        if now - begun > DEADLINE_S:
            raise SystemExit(f"the replica does not come back: {replica}")
        time.sleep(0.02)


def receive(listener: socket.socket, target: Path):
    """Takes (length, bytes) after each other, and syncs each file."""
    stream, _ = listener.accept()
    buffer = memoryview(bytearray(CHUNK))
    number = 0
    with stream.makefile("rb", buffering=0) as source:
        while header := source.read(8):
            left = int.from_bytes(header, "little")
            with open(target / str(number), "wb", buffering=0) as file:
                while left:
                    count = source.readinto(buffer[: min(left, CHUNK)])
                    file.write(buffer[:count])
                    left -= count
                os.fdatasync(file.fileno())
            number += 1
    stream.sendall(b"!")


def plain_copy(files: list[Path], directory: Path) -> float:
    """Seconds that the files take over a loopback connection to another process."""
    target = directory / "plain-copy"
    target.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.Process(target=receive, args=(listener, target))
        process.start()
        with socket.create_connection(listener.getsockname()) as stream:
            begun = time.perf_counter()
            for path in files:
                stream.sendall(path.stat().st_size.to_bytes(8, "little"))
                with open(path, "rb") as file:
                    stream.sendfile(file)
            stream.shutdown(socket.SHUT_WR)
            stream.recv(1)
            taken = time.perf_counter() - begun
        process.join()
    shutil.rmtree(target)
    return taken


class Load:
    """Searches and writes at fixed rates, each from the moment at which it was due."""

    def __init__(self, subject: Subject, options, queries):
        self.stopped = threading.Event()
        self.taken = {"search": [], "write": []}
        rows = np.random.default_rng(7).standard_normal((10, options.dim)).astype(np.float32)
        handle = subject.plain
        work = {
            "search": (options.searches, lambda at: handle.search(queries[at % len(queries)], k=10)),
            "write": (options.writes, lambda at: handle.add(vectors=rows)),
        }
        self.threads = [threading.Thread(target=self.run, args=(kind, *what)) for kind, what in work.items()]
        for thread in self.threads:
            thread.start()

    def run(self, kind: str, rate: float, act):
        begun = time.perf_counter()
        at = 0
        while not self.stopped.wait(max(0.0, begun + at / rate - time.perf_counter())):
            due = begun + at / rate
            act(at)
            self.taken[kind].append((due, time.perf_counter() - due))
            at += 1

    def between(self, begun: float, ended: float) -> dict:
        return {kind: latencies([taken for due, taken in list(all_taken) if begun <= due < ended]) for kind, all_taken in self.taken.items()}

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def main():
    options = arguments()
    directory = options.directory or Path(tempfile.mkdtemp(prefix="lavandin-rebuild-"))
    rows, queries = clustered(options.rows, options.dim)
    group = Group("ours", [str(Path(options.ours).absolute())], directory / "ours", (), groups=1, copies=2).start()
    results = {}
    try:
        subject = Subject(group)
        subject.fill_plain(rows)
        subject.plain.checkpoint()
        files = group.files()
        size = sum(path.stat().st_size for path in files)
        copies = [plain_copy(files, directory) for _ in range(options.rounds)]
        rebuilds = [rebuild(group) for _ in range(options.rounds)]
        results["idle"] = {"mb": size / 1e6, "files": len(files), "plain_s": median(copies), "seconds": median([one["seconds"] for one in rebuilds])}
        results["idle"]["share"] = results["idle"]["plain_s"] / results["idle"]["seconds"]
        results["rebuilds"] = rebuilds
        load = Load(subject, options, queries)
        time.sleep(10)
        before = load.between(0, time.perf_counter())
        under = rebuild(group)
        ended = time.perf_counter()
        # Without the pause of writes that the kill itself costs, which lasts until the copy is out of the set.
        results["load"] = {"before": before, "during": load.between(ended - under["seconds"], ended), **under}
        load.stop()
    finally:
        group.stop()
        if not options.directory:
            shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
