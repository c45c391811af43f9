"""Lavandin against the published Lavender Data server: batches per second and per CPU-second of the server, in one run.

    python benchmarks/lavender/bench_iter.py --ours target/release/lavandin --peer VENV/bin/lavender-data [--out FILE.json]

Needs a Python with lavender-data==0.1.10, tqdm, numpy and pyarrow (its interpreter also runs the modules of ours). 50,000 rows
in 50 parquet files, shuffled in blocks of 4 files with a fresh seed for each measurement, so that no cache of batches helps;
one kept-alive connection takes batches of 1, 32 and 256 rows for --seconds, without user code and with a preprocessor that does
nothing. Measurements alternate between the servers, --rounds times, and medians count. CPU is user and system time of the
server and its children. Only ratios within one run count: the servers share the machine with the client.
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
from servers import Ours, Published, Server

HERE = Path(__file__).parent
BOUNDS = {"raw": 10.0, "noop": 3.0}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="the lavandin program")
    parser.add_argument("--peer", help="the lavender-data program; without it only ours is measured")
    parser.add_argument("--batches", default="1,32,256")
    parser.add_argument("--kinds", default="raw,noop")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--shards", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--directory", type=Path, help="where data and servers' files go (default: a temporary one)")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main():
    options = arguments()
    directory = (options.directory or Path(tempfile.mkdtemp(prefix="lavandin-bench-"))).absolute()
    place = rows.write(directory / "rows", options.rows, options.shards)
    servers: list[Server] = [Ours(str(Path(options.ours).absolute()), directory / "ours", HERE / "modules")]
    if options.peer:
        servers.append(Published(str(Path(options.peer).absolute()), directory / "published", HERE / "modules"))
    results = {"options": {name: str(value) for name, value in vars(options).items()}, "load": os.getloadavg(), "figures": []}
    try:
        datasets = {}
        for server in servers:
            dataset, took = server.start().connect().synced("bench", place, options.shards)
            datasets[server.name] = dataset
            print(json.dumps({"server": server.name, "sync_s": round(took, 2)}), flush=True)
        seeds = itertools.count(1)
        for kind, batch in itertools.product(options.kinds.split(","), map(int, options.batches.split(","))):
            row = compare(servers, datasets, kind, batch, options, seeds)
            results["figures"].append(row)
            print(json.dumps(row), flush=True)
            if options.out:
                options.out.write_text(json.dumps(results, indent=1))
    finally:
        for server in servers:
            server.stop()
    print("\n" + table(results["figures"]))


def compare(servers, datasets, kind: str, batch: int, options, seeds) -> dict:
    """Medians of one kind of fetch at one batch size, the servers by turns."""
    runs = {server.name: [] for server in servers}
    for round_number in range(options.rounds + 1):
        for server in servers:
            figures = measure(server, datasets[server.name], kind, batch, options, next(seeds))
            if round_number:  # the first one warms up
                runs[server.name].append(figures)
    row = {"kind": kind, "batch": batch}
    for name, of_server in runs.items():
        row[name] = {figure: round(statistics.median(run[figure] for run in of_server), 3) for figure in of_server[0]}
    if len(runs) == 2:
        row["times_per_cpu_s"] = round(row["ours"]["batches_per_cpu_s"] / row["published"]["batches_per_cpu_s"], 2)
        row["times_per_s"] = round(row["ours"]["batches_per_s"] / row["published"]["batches_per_s"], 2)
    return row


def measure(server: Server, dataset: str, kind: str, batch: int, options, seed: int) -> dict:
    """Takes batches for a while, over one epoch after another if one is not enough."""
    connection = server.connect()
    asked = {"batch_size": batch, "shuffle": True, "shuffle_block_size": 4}
    if kind == "noop":
        asked["preprocessors"] = [{"name": "noop", "params": {}}]
    epoch = itertools.count(seed * 1000)
    iteration = connection.iterate(dataset, shuffle_seed=next(epoch), **asked)
    cpu, began, count, size, first = server.cpu_s(), time.perf_counter(), 0, 0, None
    while (now := time.perf_counter()) - began < options.seconds:
        status, content = connection.get(f"/iterations/{iteration}/next?rank=0&no_cache=false&max_retry_count=0")
        if status == 200:
            count, size = count + 1, size + len(content)
            first = first or time.perf_counter() - began
        elif status == 400 and b"No more indices" in content:
            iteration = connection.iterate(dataset, shuffle_seed=next(epoch), **asked)
        else:
            raise SystemExit(f"{server.name}: {status} {content[:500]!r}")
    took, spent = now - began, server.cpu_s() - cpu
    connection.close()
    return {
        "batches_per_s": count / took,
        "samples_per_s": count * batch / took,
        "batches_per_cpu_s": count / max(spent, 1e-9),
        "cpu_ms_per_batch": spent / count * 1000,
        "first_ms": first * 1000,
        "mb_per_s": size / took / 1e6,
    }


def table(figures: list) -> str:
    lines = ["| fetch | batch | server | batches/s | samples/s | batches per CPU-s | CPU ms/batch | first ms |", "|---" * 8 + "|"]
    for row in figures:
        for name in ("ours", "published"):
            if name in row:
                one = row[name]
                cells = [one["batches_per_s"], one["samples_per_s"], one["batches_per_cpu_s"], one["cpu_ms_per_batch"], one["first_ms"]]
                lines.append(f"| {row['kind']} | {row['batch']} | {name} | " + " | ".join(f"{cell:,.4g}" for cell in cells) + " |")
        if "times_per_cpu_s" in row:
            bound = BOUNDS[row["kind"]]
            met = "met" if row["times_per_cpu_s"] >= bound else "**MISSED**"
            text = f"{row['times_per_s']} times per s, **{row['times_per_cpu_s']} times per CPU-s** (bound {bound:g}: {met})"
            lines.append(f"| {row['kind']} | {row['batch']} | {text} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
