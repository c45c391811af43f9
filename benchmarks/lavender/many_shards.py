"""A million rows in a thousand parquet files: how long a sync and the start of an iteration take, and memory under load.

    python benchmarks/lavender/many_shards.py --ours target/release/lavandin [--budget-mb 1024] [--out FILE.json]

Needs a Python with numpy and pyarrow. After the sync, eight iterations with different seeds, orders and batch sizes run at once
over connections of their own for --seconds, while the memory of the server and its children is read ten times a second.
Bounds: sync 20 s (on two cores), start 0.5 s, memory the budget that the server was given.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

import rows
from servers import Connection, Ours

SYNC_BOUND_S = 20.0
START_BOUND_S = 0.5
ITERATIONS = 8
STREAM = {"Accept": "application/vnd.apache.arrow.stream"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="the lavandin program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--budget-mb", type=int, default=1024)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


class Load(threading.Thread):
    """One iteration after another over one connection, until told to stop."""

    def __init__(self, server, dataset: str, number: int, stop: threading.Event):
        super().__init__()
        self.server, self.dataset, self.number, self.stopping = server, dataset, number, stop
        self.samples, self.failure = 0, None

    def run(self):
        connection = self.server.connect()
        try:
            epoch = 0
            while not self.stopping.is_set():
                epoch += 1
                self.take(connection, self.options(epoch))
        except (SystemExit, OSError) as error:
            self.failure = error
        finally:
            connection.close()

    def options(self, epoch: int) -> dict:
        shuffle = {"shuffle": True, "shuffle_seed": self.number * 1000 + epoch, "shuffle_block_size": 1 + self.number % 8}
        order = {"order": "global"} if self.number == 7 else {}
        return {"batch_size": [32, 256, 1024][self.number % 3], **shuffle, **order}

    def take(self, connection: Connection, options: dict):
        iteration = connection.iterate(self.dataset, **options)
        while not self.stopping.is_set():
            headers = STREAM if self.number % 2 else None
            status, content = connection.get(f"/iterations/{iteration}/next?rank=0", headers)
            if status == 400 and b"No more indices" in content:
                return
            if status != 200:
                raise SystemExit(f"{status} {content[:300]!r}")
            self.samples += options["batch_size"]


def main():
    options = arguments()
    directory = (options.directory or Path(tempfile.mkdtemp(prefix="lavandin-bench-"))).absolute()
    place = rows.write(directory / "rows", options.rows, options.shards)
    server = Ours(str(Path(options.ours).absolute()), directory / "ours")
    server.more = ("--feed-memory-mb", options.budget_mb)
    try:
        figures = run(server.start(), place, options)
    finally:
        server.stop()
    figures["load"] = os.getloadavg()[0]
    print(json.dumps(figures, indent=1))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1))


def run(server: Ours, place: str, options) -> dict:
    connection = server.connect()
    cpu = server.cpu_s()
    dataset, sync_s = connection.synced("many", place, options.shards)
    figures = {"sync_s": round(sync_s, 2), "sync_cpu_s": round(server.cpu_s() - cpu, 2), "after_sync_mb": round(server.resident_mb())}
    starts = [start_s(connection, dataset, seed) for seed in range(options.starts)]
    figures["start_s"] = round(statistics.median(starts), 3)
    figures["start_slowest_s"] = round(max(starts), 3)
    stop = threading.Event()
    loads = [Load(server, dataset, number, stop) for number in range(ITERATIONS)]
    began, cpu, memory = time.perf_counter(), server.cpu_s(), []
    for load in loads:
        load.start()
    while time.perf_counter() - began < options.seconds:
        memory.append(server.resident_mb())
        time.sleep(0.1)
    stop.set()
    for load in loads:
        load.join()
    took, spent = time.perf_counter() - began, server.cpu_s() - cpu
    failures = [str(load.failure) for load in loads if load.failure]
    figures |= {
        "samples_per_s": round(sum(load.samples for load in loads) / took),
        "samples_per_cpu_s": round(sum(load.samples for load in loads) / spent),
        "most_mb": round(max(memory)),
        "peak_mb": round(server.peak_mb()),
        "failures": failures,
    }
    figures["bounds"] = {
        f"sync <= {SYNC_BOUND_S} s": sync_s <= SYNC_BOUND_S,
        f"start <= {START_BOUND_S} s": max(starts) <= START_BOUND_S,
        f"memory <= {options.budget_mb} MB": max(figures["most_mb"], figures["peak_mb"]) <= options.budget_mb * 1.048576,
        "no failures": not failures,
    }
    connection.close()
    return figures


def start_s(connection: Connection, dataset: str, seed: int) -> float:
    """From asking for an iteration to having its first batch."""
    began = time.perf_counter()
    iteration = connection.iterate(dataset, batch_size=256, shuffle=True, shuffle_seed=seed, shuffle_block_size=4)
    status, content = connection.get(f"/iterations/{iteration}/next?rank=0")
    if status != 200:
        raise SystemExit(f"{status} {content[:300]!r}")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
