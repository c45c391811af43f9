"""A flipped bit in any file is reported, or has no effect; it is never served and never ends in a panic.

The data directory is copied for every flip. Allowed: the node refuses to start with a sentence; it starts and answers with
`data_corrupt` where the damage is; it answers everything as before (the byte was of no use any more). The last records of the
log are left out of the comparison: damage at the very end cannot be told from a write that a crash cut short.
"""

import os
import random
import shutil

import numpy as np
import pytest
from node import READY_DEADLINE_S, Node, poll

SLOW = os.environ.get("LAVANDIN_SLOW_TESTS") == "1"
FLIPS_PER_FILE = 40 if SLOW else 3
FLIPS_MAX = 2000 if SLOW else 45
DIM = 16
ROWS = 5000  # enough for a graph


def named(collection: str) -> dict:
    return {"database_name": "d", "collection_name": collection}


def fill(node: Node):
    """Sealed segments, a graph, deleted records, a checkpoint, a log behind it, and a sacrificial end."""
    rows = np.random.default_rng(5).standard_normal((ROWS, DIM)).astype(np.float32)
    node.post("/create_database", {"database_name": "d"}).params
    for name, mode in (("flat", "FLAT-L2"), ("graph", "HNSW-L2"), ("end", None)):
        node.post("/required_collection", {**named(name), "dim": DIM, "description": name}).params
        if mode is None:
            continue
        for start in range(0, ROWS, 1000):
            ids = [f"r{i}" if i % 2 else i for i in range(start, start + 1000)]
            batch = {"ids": ids, "vectors": rows[start : start + 1000].tolist(), "fields": [{"n": i % 10, "t": f"text {i}"} for i in range(1000)]}
            node.post("/add", {**named(name), **batch}).params
        node.post("/build_index", {**named(name), "index_mode": mode}).params
        node.post("/delete", {**named(name), "ids": [0, "r1"]}).params
        node.post("/checkpoint", named(name)).params
        poll(lambda name=name: name == "flat" or node.post("/stats", named(name)).params["stats"]["indexed_vectors"] >= ROWS - 2, "the graph", 60)
        node.post("/upsert", {**named(name), "ids": [2, "r3", "new"], "vectors": rows[:3].tolist()}).params
    for at in range(5):
        node.post("/add", {**named("end"), "ids": [at], "vectors": [[1.0] * DIM]}).params


def questions() -> list:
    vector = np.random.default_rng(6).standard_normal(DIM).tolist()
    asked = [("/show_collections", {"database_name": "d"})]
    for name in ("flat", "graph"):
        asked += [
            ("/get_collection_config", named(name)), ("/index_mode", named(name)), ("/stats", named(name)), ("/list_deleted_ids", named(name)),
            ("/head", {**named(name), "n": 5000}), ("/query", {**named(name), "where": "n = 3"}),
            ("/search", {**named(name), "vector": vector, "k": 20, "nprobe": 3000, "return_fields": True}),
            ("/search", {**named(name), "vector": vector, "k": 20, "nprobe": 3000, "where": "n < 5"}),
        ]
    return asked


def comparable(params: dict) -> dict:
    """Without the figures on memory and progress, which are no data."""
    if "stats" not in params:
        return params
    return {name: params["stats"][name] for name in ("n_vectors", "n_live", "n_tombstoned", "dimension", "index_mode", "max_id")}


def files_of(directory) -> list:
    return sorted(path for path in directory.rglob("*") if path.is_file() and path.stat().st_size > 0 and path.name != "LOCK")


def flip(path, offset: int, bit: int):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_a_flipped_bit_is_never_served(make_node, tmp_path, end):
    node = make_node().start()
    fill(node)
    asked = questions()
    owed = [node.post(path, body).params for path, body in asked]
    node.terminate() if end == "SIGTERM" else node.kill()
    at_random = random.Random(os.environ.get("LAVANDIN_TEST_SEED", "1"))
    flips = []
    for path in files_of(node.data_dir):
        size = path.stat().st_size
        flips += [(path.relative_to(node.data_dir), at_random.randrange(size), at_random.randrange(8)) for _ in range(FLIPS_PER_FILE)]
    at_random.shuffle(flips)
    seen = {"refused": 0, "reported": 0, "no effect": 0}
    for number, (path, offset, bit) in enumerate(flips[:FLIPS_MAX]):
        copy = make_node(f"copy-{number}")
        shutil.copytree(node.data_dir, copy.data_dir)
        flip(copy.data_dir / path, offset, bit)
        what = f"{path} byte {offset} bit {bit}"
        seen[outcome(copy, asked, owed, what)] += 1
        shutil.rmtree(copy.data_dir)
    print(seen)
    assert seen["refused"] + seen["reported"] > 0, "some of the flips must have been noticed"


def outcome(node: Node, asked: list, owed: list, what: str) -> str:
    node.spawn()
    refused = poll(lambda: "ended" if node.process.poll() is not None else node.is_ready() and "ready", f"an end or a start ({what})", READY_DEADLINE_S)
    if refused == "ended":
        assert node.process.returncode > 0, f"{what}: ended with {node.process.returncode}\n{node.log()[-2000:]}"
        assert "panicked" not in node.log() and len(node.log()) > 20, f"{what}: {node.log()[-2000:]}"
        return "refused"
    kind = "no effect"
    for (path, body), expected in zip(asked, owed):
        reply = node.post(path, body)
        if reply.status == 200:
            assert comparable(reply.params) == comparable(expected), f"{what}: {path} {body} is served wrong"
        else:
            assert reply.json["code"] in ("data_corrupt", "unavailable"), f"{what}: {reply.text[:300]}"
            kind = "reported"
    assert node.process.poll() is None and "panicked" not in node.log(), f"{what}: {node.log()[-2000:]}"
    node.kill()
    return kind
