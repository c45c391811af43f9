"""Lavandin against LynseDB through HTTP, with LynseDB's own Python client, both servers in one interleaved run.

  python benchmarks/lynse/bench.py --ours target/release/lavandin --peer PATH/TO/lynse [--modes FLAT-IP,…,HNSW-IP] [--out results.json]

Needs a Python with lynsedb==0.9.0 and numpy. The script starts and stops every server itself: `ours` (--durability os),
`ours-fsync`, `lynsedb`, and a stub that answers every search at once. Measurements of one row alternate between the servers,
`--rounds` times, and the median counts. "4 processes" are four client processes (see clients.py). CPU per query is the
server's user and system time over the 4-process row (single-client row: cpu_us_1). The stub's row is what
the same client reaches when the server does nothing. Prints a table with ratios; --out writes all
figures as JSON. Sections: --only ingest,search,filter,restart,memory.

With --groups N both programs run as a cluster of N groups of --copies copies behind one coordinator (cluster.py), and
`single` is ours as one node in the same run; sections ingest, search and filter.
"""

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from clients import Clients
from cluster import ClusterServer
from data import clustered, exact, latencies, median, metric_of, recall
from report import table
from sections import Subject, ingest, memory, restart
from server import Server, Stub

SEARCH_MODES = "FLAT-IP,FLAT-L2,FLAT-COS,HNSW-L2,HNSW-IP"
SECTIONS = "ingest,search,filter,restart,memory"
BATCH_REPEATS = 50


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="the lavandin program")
    parser.add_argument("--peer", help="the lynse program; without it only ours is measured")
    parser.add_argument("--modes", default=SEARCH_MODES)
    parser.add_argument("--only", default=SECTIONS)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--filter-rows", type=int, default=20_000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--nprobe", type=int, default=10, help="the client's default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one 4-process measurement")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--groups", type=int, default=0, help="run clusters of so many shard groups")
    parser.add_argument("--copies", type=int, default=2, help="of each group")
    parser.add_argument("--directory", type=Path, help="where the servers keep their data (default: a temporary one)")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


class Run:
    """The servers, the data and the results of one run."""

    def __init__(self, options):
        self.options = options
        shown = {name: value.name if isinstance(value, Path) else value for name, value in vars(options).items() if name not in ("ours", "peer")}
        self.results = {"host": host(), "options": shown}
        self.directory = options.directory or Path(tempfile.mkdtemp(prefix="lavandin-bench-"))
        self.rows, self.queries = clustered(options.rows, options.dim)
        self.subjects = [self.subject("ours", options.ours, "--durability", "os")]
        if options.peer:
            self.subjects.append(self.subject("lynsedb", options.peer))
        if options.groups:
            self.subjects.append(Subject(self.node("single", options.ours, "--durability", "os")))

    def node(self, name: str, program: str, *more) -> Server:
        return Server(name, [str(Path(program).absolute())], self.directory / name, more)

    def subject(self, name: str, program: str, *more) -> Subject:
        """A node, or a cluster where the run is of clusters."""
        options, node = self.options, self.node(name, program, *more)
        if not options.groups:
            return Subject(node)
        return Subject(ClusterServer(name, node.program, node.directory, more, options.groups, options.copies))

    def keep(self, section: str, row: str, name: str, figures: dict):
        self.results.setdefault(section, {}).setdefault(row, {})[name] = figures
        print(f"{section:8} {row:22} {name:10} {json.dumps(rounded(figures))}", flush=True)
        if self.options.out:
            self.options.out.write_text(json.dumps(self.results, indent=1))


def rounded(figures: dict) -> dict:
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}


def host() -> dict:
    model = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {"cpu": model[0] if model else platform.machine(), "cpus": os.cpu_count(), "load": os.getloadavg(), "python": platform.python_version()}


def search(run: Run):
    """Every mode: build, one client, four processes, batches; the servers take turns within a row."""
    options = run.options
    stub = Subject(Stub(run.directory / "stub").start(fresh=False))
    clients = Clients(options.clients, run.queries)
    for subject in run.subjects:
        subject.server.start()
        subject.fill_plain(run.rows)
    for mode in options.modes.split(","):
        truth = exact(run.rows, run.queries, metric_of(mode), options.k)
        kept = {}
        for subject in run.subjects:
            kept[subject.name] = {"build_s": subject.build(mode), "one": [], "qps": [], "four": [], "batch": [], "cpu": [], "cpu1": []}
            for vector in run.queries[:20]:
                subject.plain.search(vector, k=options.k, nprobe=options.nprobe)
        kept["stub"] = {"four": [], "one": [], "qps": [], "cpu1": []}
        for _ in range(options.rounds):
            for subject in [*run.subjects, stub]:
                one_client(run, subject, kept[subject.name], truth)
            for subject in run.subjects:
                four_processes(run, clients, subject, kept[subject.name], truth)
            kept["stub"]["four"].append(clients.search(stub.server.url, "plain", options.k, options.nprobe, options.seconds)["qps"])
        for repeat in range(BATCH_REPEATS):
            for subject in run.subjects if repeat % 2 else reversed(run.subjects):
                batch(run, subject, kept[subject.name], truth)
        for subject in run.subjects:
            run.keep("search", mode, subject.name, search_figures(kept[subject.name]))
        reached = kept["stub"]
        run.keep("search", mode, "stub", {**latencies(reached["one"]), "qps": median(reached["qps"]), "qps_4": median(reached["four"])})
    clients.close()
    stub.server.stop()
    for subject in run.subjects:
        subject.server.stop()


def one_client(run: Run, subject: Subject, kept: dict, truth):
    taken, found = [], []
    cpu = subject.server.cpu_s()
    for vector in run.queries:
        begun = time.perf_counter()
        result = subject.plain.search(vector, k=run.options.k, nprobe=run.options.nprobe)
        taken.append(time.perf_counter() - begun)
        found.append(result.ids)
    kept["cpu1"].append((subject.server.cpu_s() - cpu, len(taken)))
    kept["one"] += taken
    kept["qps"].append(len(taken) / sum(taken))
    kept["recall"] = recall(found, truth, run.options.k)


def four_processes(run: Run, clients: Clients, subject: Subject, kept: dict, truth):
    cpu = subject.server.cpu_s()
    done = clients.search(subject.server.url, "plain", run.options.k, run.options.nprobe, run.options.seconds)
    kept["cpu"].append((subject.server.cpu_s() - cpu, done["searches"]))
    kept["four"].append(done["qps"])
    kept["recall_4"] = recall(list(done["found"].values()), truth[list(done["found"])], run.options.k)


def batch(run: Run, subject: Subject, kept: dict, truth):
    begun = time.perf_counter()
    found = subject.plain.batch_search(run.queries, k=run.options.k, nprobe=run.options.nprobe)
    kept["batch"].append(len(run.queries) / (time.perf_counter() - begun))
    kept["batch_recall"] = recall([result.ids for result in found], truth, run.options.k)


def cpu_us(spent) -> float:
    """Over all rounds together, because the kernel counts in hundredths of a second."""
    return sum(seconds for seconds, _ in spent) / sum(count for _, count in spent) * 1e6


def search_figures(kept: dict) -> dict:
    return {
        "build_s": kept["build_s"], "recall": kept["recall"], "recall_4": kept["recall_4"], **latencies(kept["one"]), "qps": median(kept["qps"]),
        "qps_4": median(kept["four"]), "cpu_us_1": cpu_us(kept["cpu1"]), "cpu_us_4": cpu_us(kept["cpu"]),
        "batch_qps": median(kept["batch"]), "batch_recall": kept["batch_recall"],
    }


FILTERS = {
    "1 %": ("cat = 7", lambda i: i % 100 == 7),
    "50 %": ("price < 50", lambda i: (i % 1000) / 10 < 50),
    "AND": ("cat < 10 AND tag = 't3'", lambda i: (i % 100 < 10) & (i % 7 == 3)),
    "none": (None, lambda i: i >= 0),
}


def filtered(run: Run):
    options = run.options
    count = min(options.filter_rows, len(run.rows))
    queries = run.queries[:100]
    stub = Subject(Stub(run.directory / "stub").start(fresh=False))
    for subject in run.subjects:
        subject.server.start()
        subject.fill_fields("fielded", run.rows[:count])
    for mode in ("FLAT-L2", "HNSW-L2"):
        for subject in run.subjects:
            subject.build(mode, subject.collection("fielded"))
        turns = [*run.subjects, stub]
        for name, (where, mask) in FILTERS.items():
            truth = exact(run.rows[:count], queries, "L2", options.k, mask(np.arange(count)))
            kept = {subject.name: [] for subject in turns}
            for _ in range(options.rounds):
                for subject in turns:
                    kept[subject.name].append(filtered_round(run, subject, queries, where, truth))
            for subject in turns:
                taken, cpu, recalls = zip(*kept[subject.name])
                rates = [len(part) / sum(part) for part in taken]
                shown = latencies(np.concatenate(taken))
                figures = {**shown, "recall": min(recalls), "qps": median(rates), "cpu_us_1": cpu_us(cpu)}
                if subject is stub:
                    del figures["recall"]
                run.keep("filter", f"{mode} {name}", subject.name, figures)
    for subject in turns:
        subject.server.stop()


def filtered_round(run: Run, subject: Subject, queries, where, truth):
    handle, taken, found = subject.collection("fielded"), [], []
    cpu = subject.server.cpu_s()
    for vector in queries:
        begun = time.perf_counter()
        result = handle.search(vector, k=run.options.k, nprobe=run.options.nprobe, where=where)
        taken.append(time.perf_counter() - begun)
        found.append(result.ids)
    spent = (subject.server.cpu_s() - cpu, len(taken))
    return taken, spent, recall(found, truth, run.options.k)


def main():
    options = arguments()
    run = Run(options)
    chosen = options.only.split(",")
    try:
        if "ingest" in chosen:
            synced = run.subject("ours-fsync", options.ours, "--durability", "fsync")
            ingest(run, [*run.subjects, synced])
        if "search" in chosen:
            search(run)
        if "filter" in chosen:
            filtered(run)
        if "restart" in chosen:
            restart(run)
        if "memory" in chosen:
            memory(run)
    finally:
        for subject in run.subjects:
            subject.server.stop()
        if not options.directory:
            shutil.rmtree(run.directory, ignore_errors=True)
    run.results["host"]["load_after"] = os.getloadavg()
    if options.out:
        options.out.write_text(json.dumps(run.results, indent=1))
    print("\n" + table(run.results))


if __name__ == "__main__":
    main()
