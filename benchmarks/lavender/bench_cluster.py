"""Feeding by a head and a worker: how much the way through the worker costs, and how much two nodes prepare more than one.

    python benchmarks/lavender/bench_cluster.py --ours target/release/lavandin [--peer VENV/bin/lavender-data] [--rounds 5]

Needs a Python with lavender-data==0.1.10 and pyarrow (its interpreter also runs the modules). Each node is bound to a core of its own
(taskset) and has one Python worker. One kept-alive connection takes batches of 32 rows for --seconds:
- *plain*, through the head and through the worker by turns; the group of the dataset is led by one of them;
- *plain* of the published servers with --peer, whose iteration is made at the head and read through the worker (`cluster_sync`);
- *burn*, with a preprocessor that takes --burn-ms of processor time a batch, through the worker of the two nodes, and through
  a node alone on one core, by turns.
Medians of the rounds; ratios within one run count.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import rows
from servers import Ours, Published

HERE = Path(__file__).parent
SECRET = "benchmark"


class Bound(Ours):
    """A node on one core, alone or in a cluster."""

    core = 0
    head = None

    def command(self) -> list[str]:
        return ["taskset", "-c", str(self.core), *super().command(), "--python-workers", "1"]

    def environment(self) -> dict:
        if self.head is None:
            return super().environment()
        return {
            **super().environment(),
            "LAVENDER_DATA_CLUSTER_ENABLED": "true",
            "LAVENDER_DATA_CLUSTER_SECRET": SECRET,
            "LAVENDER_DATA_CLUSTER_HEAD_URL": f"http://127.0.0.1:{self.head}",
            "LAVENDER_DATA_CLUSTER_NODE_URL": f"http://127.0.0.1:{self.port}",
        }


class PublishedMember(Published):
    """A node of the published cluster, which works without authentication only."""

    head = None

    def environment(self) -> dict:
        head = self.head or self.port
        return {
            **super().environment(),
            "LAVENDER_DATA_CLUSTER_ENABLED": "true",
            "LAVENDER_DATA_CLUSTER_SECRET": SECRET,
            "LAVENDER_DATA_CLUSTER_HEAD_URL": f"http://127.0.0.1:{head}",
            "LAVENDER_DATA_CLUSTER_NODE_URL": f"http://127.0.0.1:{self.port}",
        }


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="the lavandin program")
    parser.add_argument("--peer", help="the lavender-data program; without it only ours is measured")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--burn-ms", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def node(options, directory: Path, name: str, core: int, head: int | None = None) -> Bound:
    made = Bound(str(Path(options.ours).absolute()), directory / name, HERE / "modules")
    made.name, made.core = name, core
    made.head = made.port if head == 0 else head
    return made


def whole(server: Bound) -> bool:
    """Both nodes have their copies in sync."""
    status, content = server.connect(5).get("/cluster_info")
    info = json.loads(content)["params"] if status == 200 else {}
    groups = info.get("shard_groups") or []
    return len(groups) == 2 and all(group["in_sync"] == 2 and group["writable"] for group in groups)


def take(server, dataset: str, kind: str, options, seed: int, made_at=None) -> float:
    """Batches a second; `made_at` is the server that iterations are made at, if that is another one."""
    connection = server.connect()
    maker, more = (connection, {}) if made_at is None else (made_at.connect(), {"cluster_sync": True})
    asked = {"batch_size": options.batch, "shuffle": True, "shuffle_block_size": 4}
    if kind == "burn":
        asked["preprocessors"] = [{"name": "burn", "params": {"ms": options.burn_ms}}]
    epoch = itertools.count(seed * 1000)
    asked |= more
    iteration = maker.iterate(dataset, shuffle_seed=next(epoch), **asked)
    path = "/iterations/{}/next?rank=0&no_cache=true&max_retry_count=0"
    for _ in range(8):  # what begins slowly is not what is measured
        connection.get(path.format(iteration))
    began, count = time.perf_counter(), 0
    while (now := time.perf_counter()) - began < options.seconds:
        status, content = connection.get(path.format(iteration))
        if status == 200:
            count += 1
        elif status == 400 and b"No more indices" in content:
            iteration = maker.iterate(dataset, shuffle_seed=next(epoch), **asked)
        else:
            raise SystemExit(f"{server.name}: {status} {content[:500]!r}")
    connection.close()
    return count / (now - began)


def main():
    options = arguments()
    directory = Path(tempfile.mkdtemp(prefix="lavandin-bench-")).absolute()
    place = rows.write(directory / "rows", 50_000, 50)
    head = node(options, directory, "head", 0, 0)
    worker = node(options, directory, "worker", 1, head.port)
    alone = node(options, directory, "alone", 1)
    seeds, figures, published = itertools.count(1), {}, []
    if options.peer:
        peer = str(Path(options.peer).absolute())
        published = [PublishedMember(peer, directory / f"published{number}", HERE / "modules") for number in range(2)]
        published[1].head = published[0].port
    try:
        head.start()
        worker.start()
        alone.start()
        for server in published:
            server.start()
        while not whole(head):
            time.sleep(0.1)
        dataset, _ = worker.connect().synced("bench", place, 50)
        own, _ = alone.connect().synced("bench", place, 50)
        turns = {
            "plain, head": (head, dataset, "plain"),
            "plain, worker": (worker, dataset, "plain"),
            "burn, two nodes through the worker": (worker, dataset, "burn"),
            "burn, one node": (alone, own, "burn"),
        }
        if published:
            theirs, _ = published[0].connect().synced("bench", place, 50)
            turns["plain, published worker"] = (published[1], theirs, "plain", published[0])
        runs = {name: [] for name in turns}
        for number in range(options.rounds + 1):
            for name, (server, of, kind, *made_at) in turns.items():
                speed = take(server, of, kind, options, next(seeds), *made_at)
                if number:  # the first one warms up
                    runs[name].append(speed)
        figures = {name: round(statistics.median(of), 1) for name, of in runs.items()}
        figures["worker / head"] = round(statistics.median(w / h for h, w in zip(runs["plain, head"], runs["plain, worker"])), 3)
        pairs = zip(runs["burn, two nodes through the worker"], runs["burn, one node"])
        figures["two nodes / one"] = round(statistics.median(two / one for two, one in pairs), 3)
        if published:
            pairs = zip(runs["plain, worker"], runs["plain, published worker"])
            figures["worker / published worker"] = round(statistics.median(ours / theirs for ours, theirs in pairs), 1)
        print(json.dumps({"load": os.getloadavg(), **figures}, indent=1))
        if options.out:
            options.out.write_text(json.dumps(figures, indent=1))
    finally:
        for server in (worker, head, alone, *published):
            server.stop()


if __name__ == "__main__":
    main()
