"""Resumption in mid-epoch: which samples are missing or come twice, and whether the rest comes in the order it would have.

    python benchmarks/loaders/resume.py --data DIR --ours target/release/lavandin [--peers PEERS/bin/python]

Each loader takes --batches batches of 256 small rows in one process, tells where it is, goes on to the end (for the order) and
ends; for ours another iteration with the same seed is the one that goes on, and the node is killed and started again in between.
A second process begins where the first one was told to be and takes the rest.
"""

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import numpy
from data import SIZES
from systems import SYSTEMS, ids_of

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "lavender"))
from servers import Ours  # noqa: E402  (beside, in benchmarks/lavender)

TABLE = "rows"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ours", help="the lavandin program")
    parser.add_argument("--peers", help="a Python that has the other loaders")
    parser.add_argument("--systems", default="ours,ours-windowed,ours-lavender,litdata,mds,grain")
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--phase", choices=["begin", "go-on"], help="used by the script itself")
    parser.add_argument("--told", type=Path, help="used by the script itself")
    return parser.parse_args()


def begin(system: str, options, told: Path):
    batches, tell = SYSTEMS[system](options, None)
    head = [ids_of(next(batches)) for _ in range(options.batches)]
    state = pickle.dumps(tell())
    if system.startswith("ours"):
        batches, _ = SYSTEMS[system](options, None)
        for _ in range(options.batches):
            next(batches)
    rest = [ids_of(batch) for batch in batches]
    told.write_bytes(pickle.dumps((state, numpy.concatenate(head), numpy.concatenate(rest))))


def go_on(system: str, options, told: Path) -> dict:
    state, head, expected = pickle.loads(told.read_bytes())
    began = time.perf_counter()
    batches, _ = SYSTEMS[system](options, pickle.loads(state))
    got = [ids_of(next(batches))]
    first = time.perf_counter() - began
    got = numpy.concatenate([*got, *(ids_of(batch) for batch in batches)])
    counts = numpy.bincount(numpy.concatenate([head, got]), minlength=options.total)
    return {
        "system": system,
        "missing": int((counts == 0).sum()),
        "twice": int((counts > 1).sum()),
        "same_order": bool(len(got) == len(expected) and (got == expected).all()),
        "state_bytes": len(state),
        "first_s": round(first, 3),
    }


def main():
    asked = arguments()
    if asked.phase:
        options = types.SimpleNamespace(**json.loads(sys.stdin.read()))
        if asked.phase == "begin":
            begin(asked.systems, options, asked.told)
        else:
            print(json.dumps(go_on(asked.systems, options, asked.told)))
        sys.stdout.flush()
        return
    directory = Path(tempfile.mkdtemp(prefix="lavandin-bench-"))
    total, per_file = SIZES[TABLE]
    options = {"data": str(asked.data), "table": TABLE, "batch": 256, "total": total, "per_file": per_file, "seed": 7}
    options |= {"batches": asked.batches, "batches_per_reply": 1, "completes": True}
    for system in asked.systems.split(","):
        is_ours = system.startswith("ours")
        if asked.ours if is_ours else asked.peers:
            run(system, asked, options, directory / system, sys.executable if is_ours else asked.peers)


def run(system: str, asked, options: dict, directory: Path, python: str):
    server = None
    directory.mkdir()
    if system.startswith("ours"):
        server = Ours(str(Path(asked.ours).absolute()), directory / "server").start()
        place = f"file://{(asked.data / TABLE / 'parquet').absolute()}"
        dataset, _ = server.connect().synced("resume", place, options["total"] // options["per_file"])
        options = {**options, "dataset": dataset, "port": server.port}
    try:
        phase("begin", system, asked, options, directory, python)
        if server:
            server.restart()
        print(phase("go-on", system, asked, options, directory, python).strip().splitlines()[-1], flush=True)
    finally:
        if server:
            server.stop()


def phase(name: str, system: str, asked, options: dict, directory: Path, python: str) -> str:
    command = [python, str(HERE / "resume.py"), "--data", str(asked.data), "--systems", system]
    command += ["--phase", name, "--told", str(directory / "told")]
    done = subprocess.run(command, input=json.dumps(options), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{system}, {name}: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
