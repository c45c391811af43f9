#!/usr/bin/env python3
"""The graph engine beside hnswlib and FAISS: one core, one run, in turns.

    cargo build --release -p lavandin-vector --example graph_bench
    pip install numpy hnswlib faiss-cpu
    python benchmarks/engine_peers.py VECTORS.npy [--example PATH] [--labels FILE.jsonl.gz]

VECTORS.npy holds float16 or float32 rows of unit length; the first --queries rows are the queries, the rest is indexed
under the inner product. Every engine answers one query at a time's worth of work on one thread, batches of all queries
in one call where the engine's API has it (hnswlib and FAISS do: their loop over queries is native code, as ours is).

The engines take turns in every round, so that what else the machine does hits all of them. Rates are queries per
second of processor time, the best round of each point counts, and the rate at recall 0.99 is interpolated between the
two points around it. Builds take turns too.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402  (after the thread limits)

K = 10
RECALL = 0.99
HNSW_BEAMS = [40, 50, 60, 70, 80, 90, 100, 120]
OUR_BEAMS = [32, 40, 48, 56, 64, 72, 80]


def truth_of(base, queries):
    found = []
    for part in np.array_split(queries, 10):
        order = np.argpartition(-(part @ base.T), K, axis=1)[:, :K]
        found.append(order)
    return np.concatenate(found)


def recall_of(rows, truth):
    return float(np.mean([len(set(map(int, a)) & set(map(int, b))) / K for a, b in zip(rows, truth)]))


class Hnswlib:
    name = "hnswlib M16 efC128"
    beams = HNSW_BEAMS

    def __init__(self, base, queries, truth):
        self.base, self.queries, self.truth = base, queries, truth

    def build(self):
        import hnswlib

        start = time.process_time()
        self.index = hnswlib.Index(space="ip", dim=self.base.shape[1])
        self.index.init_index(max_elements=len(self.base), M=16, ef_construction=128, random_seed=1)
        self.index.set_num_threads(1)
        self.index.add_items(self.base, num_threads=1)
        return time.process_time() - start

    def search(self, beam):
        self.index.set_ef(beam)
        start = time.process_time()
        rows, _ = self.index.knn_query(self.queries, K, num_threads=1)
        seconds = time.process_time() - start
        return recall_of(rows, self.truth), len(self.queries) / seconds


class Faiss:
    name = "FAISS HNSW32 efC128"
    beams = HNSW_BEAMS

    def __init__(self, base, queries, truth):
        self.base, self.queries, self.truth = base, queries, truth

    def build(self):
        import faiss

        faiss.omp_set_num_threads(1)
        start = time.process_time()
        self.index = faiss.IndexHNSWFlat(self.base.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = 128
        self.index.add(self.base)
        return time.process_time() - start

    def search(self, beam):
        self.index.hnsw.efSearch = beam
        start = time.process_time()
        _, rows = self.index.search(self.queries, K)
        seconds = time.process_time() - start
        return recall_of(rows, self.truth), len(self.queries) / seconds


class Ours:
    beams = OUR_BEAMS

    def __init__(self, example, arguments, level):
        self.name = "lavandin" + (f" ({level})" if level else "")
        options = [*arguments, "repeats=1"] + ([f"level={level}"] if level else [])
        self.process = subprocess.Popen(
            [example, *options, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"graph_bench ended at {command!r}")
        return dict(pair.split("=", 1) for pair in line.strip().split("\t")[1:])

    def build(self, threads=1):
        self.wall = None
        answer = self.ask(f"build={threads}")
        self.wall = float(answer["wall_s"])
        return float(answer["cpu_s"])

    def search(self, beam):
        answer = self.ask(f"search={beam}")
        return float(answer["recall"]), float(answer["qps"])

    def filtered(self, command, rounds):
        """The best of some rounds; a plan that only scans is compared with the scan it is."""
        answers = [self.ask(command) for _ in range(rounds)]
        best = answers[0]
        for name in ("scan_qps", "plan_qps", "walk_qps"):
            best[name] = max(float(answer[name]) for answer in answers)
        return best


def rate_at(points, recall):
    """The rate at a recall, between the two points around it."""
    points = sorted(points)
    for (low, low_rate), (high, high_rate) in zip(points, points[1:]):
        if low < recall <= high:
            return low_rate + (high_rate - low_rate) * (recall - low) / (high - low)
    return float("nan")


def label_file(path, directory):
    """One byte a row, the most frequent label first, as graph_bench reads it; and the labels' names."""
    with gzip.open(path, "rt") as lines:
        labels = [json.loads(line)["lex"] for line in lines]
    names = sorted(set(labels), key=lambda name: (-labels.count(name), name))
    numbers = {name: number for number, name in enumerate(names)}
    file = os.path.join(directory, "labels.npy")
    np.save(file, np.array([numbers[label] for label in labels], dtype=np.uint8))
    return file, names


def measure(engines, rounds):
    builds = {engine.name: [] for engine in engines}
    for _ in range(min(rounds, 3)):
        for engine in engines:
            builds[engine.name].append(engine.build())
    rates = {engine.name: {beam: [0.0, 0.0] for beam in engine.beams} for engine in engines}
    for _ in range(rounds):
        for step in range(max(len(engine.beams) for engine in engines)):
            for engine in engines:
                if step < len(engine.beams):
                    beam = engine.beams[step]
                    recall, rate = engine.search(beam)
                    best = rates[engine.name][beam]
                    best[0], best[1] = recall, max(best[1], rate)
    return builds, rates


def print_results(engines, builds, rates):
    for engine in engines:
        print(f"\n{engine.name}: build {min(builds[engine.name]):.2f} s of processor time")
        for beam, (recall, rate) in rates[engine.name].items():
            print(f"  beam {beam:4}  recall {recall:.4f}  {rate:8.0f} queries/s")
    at = {name: rate_at([tuple(point) for point in points.values()], RECALL) for name, points in rates.items()}
    print(f"\nqueries per second of processor time at recall@{K} = {RECALL}, interpolated")
    for engine in engines:
        ratios = ", ".join(f"{at[engine.name] / at[peer.name]:.2f} x {peer.name}" for peer in engines[:2])
        print(f"  {engine.name:24} {at[engine.name]:8.0f}   {ratios}")
    print("\nbuild, processor time")
    for engine in engines:
        ratio = min(builds[engine.name]) / min(builds[engines[0].name])
        print(f"  {engine.name:24} {min(builds[engine.name]):8.2f} s {ratio:5.2f} x {engines[0].name}")


def print_filtered(ours, names, rounds):
    print("\nfiltered (beam 56): the scan of the matches, the planned search, the walk alone")
    commands = [(f"filter={share}", f"{share / 10} % at random") for share in (1, 10, 100, 200, 300, 500)]
    commands += [(f"label={number}", name) for number, name in enumerate(names[:5])]
    for command, title in commands:
        answer = ours.filtered(command, rounds)
        print(
            f"  {title:22} {answer['matches']:>6} rows  scan {answer['scan_qps']:7.0f}/s"
            f"  planned {answer['plan_qps']:7.0f}/s recall {answer['plan_recall']} ({answer['plan']})"
            f"  walk {answer['walk_qps']:7.0f}/s recall {answer['walk_recall']}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("vectors")
    parser.add_argument("--example", default="target/release/examples/graph_bench")
    parser.add_argument("--labels", help="the rows' fields, JSON lines in gzip, with a `lex` each")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--level", action="append", default=[], help="measure ours at this instruction set too")
    options = parser.parse_args()

    vectors = np.load(options.vectors).astype(np.float32)
    queries, base = vectors[: options.queries], np.ascontiguousarray(vectors[options.queries :])
    truth = truth_of(base, queries)
    with tempfile.TemporaryDirectory() as directory:
        arguments, names = [options.vectors, f"queries={options.queries}"], []
        if options.labels:
            file, names = label_file(options.labels, directory)
            arguments.append(f"labels={file}")
        ours = [Ours(options.example, arguments, level) for level in [None, *options.level]]
        engines = [Hnswlib(base, queries, truth), Faiss(base, queries, truth), *ours]
        print(f"{len(base)} rows of {base.shape[1]} dimensions, {len(queries)} queries, k = {K}")
        builds, rates = measure(engines, options.rounds)
        print_results(engines, builds, rates)
        one, one_wall = min((ours[0].build(1), ours[0].wall) for _ in range(2))
        two, two_wall = min((ours[0].build(2), ours[0].wall) for _ in range(2))
        print(f"  on two threads: {two_wall:.2f} s, {two:.2f} s of processor time (one: {one_wall:.2f}, {one:.2f})")
        print_filtered(ours[0], names, 3)


if __name__ == "__main__":
    main()
