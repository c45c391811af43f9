"""Restarts keep everything; a data directory has one process; writes on an indexed collection show in the next search.

The last is asked at every moment of an index's life: during its build, after it, before and after a restart.
"""

import signal
import subprocess
import threading

import numpy as np
import pytest
from node import Node, clean_environment, poll

DIM = 32
MODES = ["FLAT-IP", "FLAT-L2", "FLAT-COS", "FLAT-L2-SQ8", "HNSW-L2", "HNSW-IP", "HNSW-COS", "HNSW-L2-SQ8"]
BUILD_DEADLINE_S = 120.0
STATS_KEPT = ("n_vectors", "n_live", "n_tombstoned", "dimension", "index_mode", "max_id")
GRAPH_ROWS = 6000  # enough for the engine to build a graph instead of scanning


def named(collection: str) -> dict:
    return {"database_name": "d", "collection_name": collection}


def points(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def create(node: Node, collection: str, rows: np.ndarray, mode: str | None = None):
    node.post("/create_database", {"database_name": "d"}).params
    node.post("/required_collection", {**named(collection), "dim": rows.shape[1]}).params
    for start in range(0, len(rows), 1000):
        batch = rows[start : start + 1000]
        ids = [f"r{i}" for i in range(start, start + len(batch))]
        fields = [{"n": i} for i in range(start, start + len(batch))]
        node.post("/add", {**named(collection), "ids": ids, "vectors": batch.tolist(), "fields": fields}).params
    if mode is not None:
        node.post("/build_index", {**named(collection), "index_mode": mode}).params


def nearest(node: Node, collection: str, vector, k: int = 1, **more) -> list:
    items = node.post("/search", {**named(collection), "vector": [float(x) for x in vector], "k": k, **more}).params["items"]
    return items["ids"]


def far_point(direction: int) -> np.ndarray:
    """Alone in its direction and long: the nearest to itself under every metric."""
    point = np.zeros(DIM, dtype=np.float32)
    point[direction] = 50.0
    point[(direction + 1) % DIM] = 1.0
    return point


class Changes:
    """A round of add, upsert, delete and restore, each followed at once by the searches that must see it."""

    def __init__(self, node: Node, collection: str):
        self.node, self.collection, self.round = node, collection, 0

    def run(self):
        node, collection = self.node, self.collection
        self.round += 1
        first, second, at = f"first-{self.round}", f"second-{self.round}", self.round % (DIM // 2)
        here, there = far_point(at), far_point(at + DIM // 2)
        node.post("/add", {**named(collection), "ids": [first], "vectors": [here.tolist()], "fields": [{"n": -self.round}]}).params
        assert nearest(node, collection, here) == [first], "an added record is found"
        assert nearest(node, collection, here, where=f"n = -{self.round}") == [first]
        node.post("/upsert", {**named(collection), "ids": [first, second], "vectors": [there.tolist(), here.tolist()]}).params
        assert nearest(node, collection, here) == [second] and nearest(node, collection, there) == [first], "a moved record is found where it is"
        node.post("/delete", {**named(collection), "ids": [first]}).params
        assert nearest(node, collection, there) != [first], "a deleted record is not found"
        node.post("/restore", {**named(collection), "ids": [first]}).params
        assert nearest(node, collection, there) == [first], "a restored record is found"
        node.post("/delete", {**named(collection), "ids": [first, second]}).params
        assert not {first, second} & set(nearest(node, collection, here, k=10))


def builds_in_progress(node: Node) -> float:
    return node.metric("lavandin_index_builds_in_progress")


def state(node: Node) -> dict:
    """Everything a client can read."""
    found = {}
    for database in node.get("/list_databases").params["databases"]:
        details = node.post("/show_collections_details", {"database_name": database}).params["collections"]
        for name in node.post("/show_collections", {"database_name": database}).params["collections"]:
            where = {"database_name": database, "collection_name": name}
            found[database, name] = [
                details[name],
                node.post("/get_collection_config", where).params["config"],
                {name: node.post("/stats", where).params["stats"][name] for name in STATS_KEPT},
                node.post("/index_mode", where).params,
                node.post("/list_fields", where).params,
                node.post("/max_id", where).params,
                node.post("/list_deleted_ids", where).params,
                node.post("/head", {**where, "n": 10000}).params,
            ]
        found[database] = sorted(details)
    return found


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_restart_keeps_everything(make_node, how):
    node = make_node().start()
    rows = points(200)
    for mode in MODES:
        create(node, mode, rows, mode)
    create(node, "none", rows)
    node.post("/create_database", {"database_name": "empty"}).params
    node.post("/required_collection", {**named("half"), "dim": 3, "dtypes": "float16", "description": "ü"}).params
    node.post("/add", {**named("half"), "ids": [7, "7"], "vectors": [[0.1, 0.2, 0.3], [1, 2, 3]], "fields": [{"a": [1, {"b": None}]}, {}]}).params
    node.post("/required_collection", {**named("lazy")}).params
    node.post("/required_collection", {**named("dropped"), "dim": 3}).params
    node.post("/drop_collection", named("dropped")).params
    node.post("/delete", {**named("HNSW-L2"), "ids": ["r3", "r4"]}).params
    node.post("/delete", {**named("FLAT-L2"), "ids": ["r5", "r6"]}).params
    node.post("/compact", named("FLAT-L2")).params
    node.post("/build_index", {**named("none"), "index_mode": "FLAT-L2"}).params
    node.post("/remove_index", named("none")).params
    before = state(node)
    answers = {mode: nearest(node, mode, rows[9], k=5, nprobe=200) for mode in MODES}
    if how == "SIGTERM":
        assert node.terminate() == 0
    else:
        node.kill()
    node.start()
    assert state(node) == before
    for mode in MODES:
        poll(lambda mode=mode: nearest(node, mode, rows[9], k=5, nprobe=200) == answers[mode], f"the answers of {mode}")
    assert node.post("/search", {**named("HNSW-L2"), "vector": rows[3].tolist(), "k": 1}).params["items"]["ids"] != ["r3"]


def test_a_fresh_node_restarts_empty(make_node):
    node = make_node().start()
    assert node.get("/list_databases").params["databases"] == []
    assert node.terminate() == 0
    node.start()
    assert node.get("/list_databases").params["databases"] == []


def test_a_second_process_on_one_directory_refuses(make_node):
    node = make_node().start()
    create(node, "c", points(10))
    second = Node(data_dir=node.data_dir)
    done = subprocess.run(second.command(), capture_output=True, text=True, timeout=30, env=clean_environment())
    assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
    said = (done.stdout + done.stderr).lower()
    assert str(node.data_dir).lower() in said and "another process" in said, said
    assert "panicked" not in said
    assert nearest(node, "c", points(10)[4]) and node.process.poll() is None
    node.kill()
    second.start()
    assert second.post("/collection_shape", named("c")).params["shape"] == [10, DIM]
    second.stop()


def test_a_port_in_use_is_a_clear_error(make_node):
    node = make_node().start()
    other = make_node("other", port=node.port)
    done = subprocess.run(other.command(), capture_output=True, text=True, timeout=30, env=clean_environment())
    assert done.returncode != 0 and str(node.port) in done.stdout + done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_changes_on_an_indexed_collection_show_at_once(make_node, mode):
    node = make_node().start()
    create(node, "c", points(GRAPH_ROWS if mode.startswith("HNSW") else 1500), mode)
    changes = Changes(node, "c")
    for _ in range(3):
        changes.run()
    node.kill()
    node.start()
    for _ in range(3):
        changes.run()
    node.post("/commit", named("c")).params
    node.post("/checkpoint", named("c")).params
    changes.run()
    assert node.terminate() == 0
    node.start()
    changes.run()
    assert node.post("/index_mode", named("c")).params["index_mode"] == mode
    node.post("/compact", named("c")).params
    changes.run()


@pytest.mark.parametrize("mode", ["HNSW-L2", "HNSW-IP", "HNSW-COS"])
def test_changes_during_a_build_show_at_once(make_node, mode):
    node = make_node().start()
    rows = points(30000)
    create(node, "c", rows)
    answer = []
    build = threading.Thread(target=lambda: answer.append(node.post("/build_index", {**named("c"), "index_mode": mode})))
    build.start()
    changes = Changes(node, "c")
    poll(lambda: not build.is_alive() or node.post("/index_mode", named("c")).params["index_mode"] == mode, "the new metric", BUILD_DEADLINE_S)
    rounds_during = 0
    while build.is_alive() or builds_in_progress(node):
        changes.run()
        rounds_during += 1
        assert rounds_during < 100000
    build.join(BUILD_DEADLINE_S)
    answer[0].params
    for _ in range(3):
        changes.run()
    print(f"{rounds_during} rounds during the build")
    assert rounds_during >= 2, "the build was over before anything could happen beside it"
    sample = range(0, 30000, 700)
    own = [nearest(node, "c", rows[i], nprobe=100, k=10 if mode == "HNSW-IP" else 1) for i in sample]
    if mode != "HNSW-IP":
        assert sum(ids == [f"r{i}"] for ids, i in zip(own, sample)) >= len(own) - 2


def test_a_kill_during_a_build_loses_neither_records_nor_mode(make_node):
    node = make_node().start()
    rows = points(8000)
    create(node, "c", rows)
    thread = threading.Thread(target=lambda: quietly(lambda: node.post("/build_index", {**named("c"), "index_mode": "HNSW-L2"})))
    thread.start()
    poll(lambda: node.post("/index_mode", named("c")).params["index_mode"] == "HNSW-L2" or not thread.is_alive(), "the build's start")
    node.post("/add", {**named("c"), "ids": ["last"], "vectors": [far_point(3).tolist()]}).params
    node.kill()
    thread.join(30)
    node.start()
    assert node.post("/index_mode", named("c")).params["index_mode"] == "HNSW-L2"
    assert node.post("/collection_shape", named("c")).params["shape"] == [8001, DIM]
    assert nearest(node, "c", far_point(3)) == ["last"]
    Changes(node, "c").run()
    poll(lambda: builds_in_progress(node) == 0, "the end of the build", BUILD_DEADLINE_S)
    assert nearest(node, "c", rows[77], nprobe=100) == ["r77"]


def quietly(call):
    try:
        call()
    except OSError:
        pass


def test_the_index_catches_up_after_many_inserts(make_node):
    """A graph that grew by inserts still finds what an exact scan finds."""
    node = make_node().start()
    rows = points(30000)
    create(node, "c", rows[:GRAPH_ROWS], "HNSW-L2")
    for start in range(GRAPH_ROWS, len(rows), 1000):
        ids = [f"r{i}" for i in range(start, start + 1000)]
        node.post("/add", {**named("c"), "ids": ids, "vectors": rows[start : start + 1000].tolist()}).params
    queries = points(50, seed=2)
    exact = [set(np.argsort(((rows - q) ** 2).sum(axis=1))[:10]) for q in queries]
    for moment in ("just after the inserts", "after a kill", "when all work is done"):
        found = [nearest(node, "c", q, k=10, nprobe=100) for q in queries]
        recall = np.mean([len({int(i[1:]) for i in ids} & truth) / 10 for ids, truth in zip(found, exact)])
        assert recall >= 0.95, f"{recall} {moment}"
        if moment == "after a kill":
            poll(lambda: builds_in_progress(node) == 0, "the end of the builds", BUILD_DEADLINE_S)
        else:
            node.kill()
            node.start()
