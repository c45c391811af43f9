"""SIGKILL in a stream of adds, upserts, deletes, restores and commits, again and again on one data directory.

No acknowledged operation may be lost or reverted, nothing refused may be present, and a request in flight at the kill is
there as a whole or not at all. 20 rounds; 200 with LAVANDIN_SLOW_TESTS=1.
"""

import http.client
import os
import random
import threading

import pytest
from node import Node, poll
from writers import DATABASE, DIM, AllottedWriter, Stored, Writer, fields_of, vector_of

ROUNDS = 200 if os.environ.get("LAVANDIN_SLOW_TESTS") == "1" else 20
SEED = int(os.environ.get("LAVANDIN_TEST_SEED", "1"))
ROUND_DEADLINE_S = 60.0
COLLECTIONS = {"mixed": None, "flat": "FLAT-L2", "graph": "HNSW-L2", "ints": "HNSW-COS", "allotted": "FLAT-IP"}
EVERYTHING = 1_000_000
BASE_ROWS = 5000  # records that nobody touches: enough for the engine to build a graph under the writers


def writers() -> list:
    return [
        Writer("mixed", lambda i: f"s{i}", seed=1),
        Writer("mixed", lambda i: i, seed=2),
        Writer("flat", lambda i: f"käse/{i}", seed=3, owns_collection=True),
        Writer("graph", lambda i: f"g{i}" if i % 2 else 2**63 + i, seed=4, owns_collection=True),
        Writer("ints", lambda i: 3 * i, seed=5, binary=True),
        Writer("ints", lambda i: 3 * i + 1, seed=6, binary=True),
        AllottedWriter("allotted", seed=7),
    ]


@pytest.mark.parametrize("durability", ["fsync", "os"])
def test_no_kill_loses_an_acknowledged_write(make_node, durability):
    """`os` survives a killed process too: what it may lose, it loses with the machine."""
    rounds = ROUNDS if durability == "fsync" else max(3, ROUNDS // 5)
    node = make_node(durability, arguments=("--durability", durability, "--max-top-k", "0"))
    at_random = random.Random(SEED)
    all_writers = writers()
    node.start()
    prepare(node)
    for number in range(rounds):
        stream_and_kill(node, all_writers, acknowledged_min=at_random.randint(20, 400))
        if at_random.random() < 0.25:
            kill_while_starting(node)
        node.start()
        try:
            check(node, all_writers)
        except AssertionError as error:
            raise AssertionError(f"round {number} of {rounds}, seed {SEED}: {error}") from error
    assert node.terminate() == 0
    node.start()
    check(node, all_writers)
    assert all(writer.acknowledged > rounds for writer in all_writers), "every writer took part"


def prepare(node: Node):
    node.post("/create_database", {"database_name": DATABASE}).params
    for name, mode in COLLECTIONS.items():
        named = {"database_name": DATABASE, "collection_name": name}
        node.post("/required_collection", {**named, "dim": DIM}).params
        if mode is not None:
            # a graph needs a first record
            node.post("/add", {**named, "ids": ["seed"], "vectors": [[1.0] * DIM]}).params
            node.post("/build_index", {**named, "index_mode": mode}).params
            node.post("/delete", {**named, "ids": ["seed"]}).params
            node.post("/compact", named).params
        if name == "graph":
            ids = [f"base{at}" for at in range(BASE_ROWS)]
            node.post("/add", {**named, "ids": ids, "vectors": [vector_of(key, 0) for key in ids]}).params


def stream_and_kill(node: Node, all_writers: list, acknowledged_min: int):
    """Lets the writers work until so many requests were answered, then kills the node among the next ones."""
    acknowledged = threading.Semaphore(0)
    failures = []

    def work(writer):
        connection = node.connect()
        try:
            writer.run(connection, acknowledged.release)
        except (OSError, http.client.HTTPException):
            pass  # the kill; the writer remembers what it had asked for
        except Exception as error:
            failures.append(error)
            acknowledged.release(EVERYTHING)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(writer,)) for writer in all_writers]
    for thread in threads:
        thread.start()
    for _ in range(acknowledged_min):
        assert acknowledged.acquire(timeout=ROUND_DEADLINE_S), f"the writers are stuck:\n{node.log()[-3000:]}"
    node.kill()
    for thread in threads:
        thread.join(ROUND_DEADLINE_S)
        assert not thread.is_alive(), "a connection to a dead process hangs"
    if failures:
        raise failures[0]


def kill_while_starting(node: Node):
    """A recovery that is cut short must leave everything for the next one."""
    said = len(node.log())
    node.spawn()
    poll(lambda: len(node.log()) > said or node.process.poll() is not None, "the first line of the log")
    node.kill()


def check(node: Node, all_writers: list):
    """Reads every collection whole and lets each writer compare."""
    for name, mode in COLLECTIONS.items():
        named = {"database_name": DATABASE, "collection_name": name}
        assert node.post("/index_mode", named).params["index_mode"] == mode
        live = live_records(node, named)
        own = [writer for writer in all_writers if writer.collection == name]
        if isinstance(own[0], AllottedWriter):
            own[0].settle({key: vector for key, (vector, _) in live.items()})
            continue
        if name == "graph":
            base = [key for key in live if str(key).startswith("base")]
            assert len(base) == BASE_ROWS and all(live.pop(key) == (vector_of(key, 0), {}) for key in base)
        deleted = deleted_records(node, named)
        assert not set(live) & set(deleted), "an id is live and deleted"
        found = {key: recognise(key, *row, deleted=False) for key, row in live.items()}
        found |= {key: recognise(key, *row, deleted=True) for key, row in deleted.items()}
        assert all(any(writer.owns(key) for writer in own) for key in found), "records that nobody wrote"
        for writer in own:
            writer.settle(found)
        stats = node.post("/stats", named).params["stats"]
        assert (stats["n_live"], stats["n_tombstoned"]) == (len(live) + (BASE_ROWS if name == "graph" else 0), len(deleted))
        search_some(node, named, mode, live)


def live_records(node: Node, named: dict) -> dict:
    vectors, ids, fields = node.post("/head", {**named, "n": EVERYTHING}).params["head"]
    assert len(ids) == len(set(map(repr, ids))) == len(vectors) == len(fields), "an id is listed twice"
    return {key: (vector, field) for key, vector, field in zip(ids, vectors, fields)}


def deleted_records(node: Node, named: dict) -> dict:
    """What deleted records hold shows when they are restored; they are deleted again at once."""
    ids = node.post("/list_deleted_ids", named).params["ids"]
    if not ids:
        return {}
    node.post("/restore", {**named, "ids": ids}).params
    vectors, found, fields = node.post("/read_by_only_id", {**named, "id": ids}).params["item"]
    assert found == ids
    node.post("/delete", {**named, "ids": ids}).params
    return {key: (vector, field) for key, vector, field in zip(ids, vectors, fields)}


def recognise(key, vector: list, fields: dict, deleted: bool) -> Stored:
    """Which versions of a record wrote what was found. Every byte counts: they are compared with what they must be."""
    field_version = fields.get("version")
    assert fields == ({} if field_version is None else fields_of(key, field_version)), f"fields of {key!r}: {fields}"
    return Found(key, tuple(vector), field_version, deleted)


class Found(Stored):
    """Equal to the record that is owed when vector, fields and state are."""

    def __eq__(self, other):
        return (
            self.key == other.key
            and list(self.vector_version) == other.vector
            and self.field_version == other.field_version
            and self.deleted == other.deleted
        )

    __hash__ = None


def search_some(node: Node, named: dict, mode: str | None, live: dict):
    """Records are not only stored but found, each by its own vector."""
    if mode is None or "L2" not in mode:
        return
    some = random.Random(len(live)).sample(sorted(live, key=repr), min(10, len(live)))
    for key in some:
        vector = live[key][0]
        items = node.post("/search", {**named, "vector": vector, "k": 1, "nprobe": 64}).params["items"]
        assert items["scores"] == [0.0] and live[items["ids"][0]][0] == vector, f"{key!r} is not found by its vector"


def test_the_checker_notices_each_kind_of_damage():
    """A checker that cannot fail proves nothing."""
    writer = Writer("c", lambda i: i, seed=1, owns_collection=True)
    owed = {1: Stored(1, 5, 5), 2: Stored(2, 6, None, deleted=True)}
    good = {key: Found(key, tuple(row.vector), row.field_version, row.deleted) for key, row in owed.items()}
    writer.model = dict(owed)
    writer.settle(dict(good))
    for damaged in (
        {1: good[1]},
        {**good, 3: good[1]},
        {**good, 2: Found(2, good[2].vector_version, None, False)},
        {**good, 1: Found(1, good[1].vector_version, 4, False)},
        {**good, 1: Found(1, tuple(Stored(1, 4, 5).vector), 5, False)},
    ):
        with pytest.raises(AssertionError):
            writer.settle(damaged)
    writer.unfinished = {1: owed[1]}
    writer.settle({1: good[1]})
    assert writer.model == {1: owed[1]}
