"""Loaders of training data beside each other: Lavandin over loopback, LitData, MosaicML Streaming (py1e) and Grain.

    python benchmarks/loaders/data.py --data DIR --forms parquet               (for ours; any Python with numpy and pyarrow)
    PEERS/bin/python benchmarks/loaders/data.py --data DIR --forms mds,litdata,arrayrecord
    python benchmarks/loaders/bench.py --data DIR --ours target/release/lavandin --peers PEERS/bin/python [--out FILE.json]

PEERS is a virtual environment with litdata, mosaicml-streaming, grain and array-record. Every loader is one process on one
thread (Grain reads with two) that takes whole epochs of batches of 256, each with another seed; the loaders take turns,
--repeat times after one epoch to warm up, and medians count. `samples per CPU-s` is of the client's process; the server's
own time stands beside it. `files per batch` is how many source files a batch has samples of, of 20: what the shuffle is
worth. Every epoch is checked to have each sample exactly once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from data import SIZES

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "lavender"))
from servers import Ours  # noqa: E402  (beside, in benchmarks/lavender)

OURS = "ours,ours-windowed,ours-lavender,ours-lists"
PEERS = "litdata,mds,grain"
REPLY = {"rows": 16, "blobs": 1}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ours", help="the lavandin program")
    parser.add_argument("--peers", help="a Python that has the other loaders")
    parser.add_argument("--systems", default=f"{OURS},{PEERS}")
    parser.add_argument("--tables", default="rows,blobs")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


class Child:
    """A loader's process."""

    def __init__(self, system: str, python: str):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}
        command = [python, str(HERE / "systems.py"), system]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def epoch(self, options: dict) -> dict:
        self.process.stdin.write(json.dumps(options) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[2]} ended with {self.process.wait()}")
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)


def systems(options) -> list[str]:
    wanted = options.systems.split(",")
    return [one for one in wanted if (options.ours if one.startswith("ours") else options.peers)]


def main():
    options = arguments()
    server = None
    if options.ours:
        server = Ours(str(Path(options.ours).absolute()), Path(tempfile.mkdtemp(prefix="lavandin-bench-")) / "ours").start()
    results = {"load": os.getloadavg(), "figures": {}}
    try:
        for table in options.tables.split(","):
            results["figures"][table] = compare(options, table, server)
            if options.out:
                options.out.write_text(json.dumps(results, indent=1))
    finally:
        if server:
            server.stop()
    for table, figures in results["figures"].items():
        print(f"\n{table}\n\n" + shown(figures))


def compare(options, table: str, server) -> dict:
    total, per_file = SIZES[table]
    asked = {"data": str(options.data), "table": table, "batch": options.batch, "total": total, "per_file": per_file}
    asked |= {"batches_per_reply": REPLY[table], "completes": False}
    if server:
        place = f"file://{(options.data / table / 'parquet').absolute()}"
        asked["dataset"], _ = server.connect().synced(f"{table}", place, total // per_file)
        asked["port"] = server.port
    names = systems(options)
    children = {name: Child(name, sys.executable if name.startswith("ours") else options.peers) for name in names}
    runs = {name: [] for name in names}
    for number in range(options.repeat + 1):
        for name, child in children.items():
            spent = server.cpu_s() if server and name.startswith("ours") else None
            figures = child.epoch({**asked, "seed": 100 + number})
            if spent is not None:
                figures["server_samples_per_cpu_s"] = total / max(server.cpu_s() - spent, 1e-9)
            print(json.dumps({"table": table, "system": name, "epoch": number, **figures}), flush=True)
            if number:
                runs[name].append(figures)
    for child in children.values():
        child.stop()
    return {name: medians(of_system) for name, of_system in runs.items()}


def medians(runs: list[dict]) -> dict:
    found = {name: statistics.median(run[name] for run in runs) for name in runs[0] if name != "exactly_once"}
    return {**found, "exactly_once": all(run["exactly_once"] for run in runs)}


def shown(figures: dict) -> str:
    columns = ["samples_per_s", "samples_per_cpu_s", "server_samples_per_cpu_s", "mb_per_s", "first_s", "files_per_batch", "exactly_once"]
    lines = ["| loader | " + " | ".join(columns).replace("_", " ") + " |", "|---" * (len(columns) + 1) + "|"]
    for name, one in figures.items():
        cells = [one.get(column, "") for column in columns]
        lines.append(f"| {name} | " + " | ".join(f"{cell:,.4g}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")
    if "litdata" in figures and "ours" in figures:
        ratio = figures["ours"]["samples_per_cpu_s"] / figures["litdata"]["samples_per_cpu_s"]
        lines.append(f"\nours takes {ratio:.2f} times LitData's samples per CPU-second of the client")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
