"""Many clients at once: allotted ids are distinct, one of many equal adds wins, and a search sees whole batches only."""

import struct
import threading

import numpy as np
import pytest
from lynse import VectorDBClient
from lynse.api.http_api.client_api import ExecutionError

DIM = 8
NAMED = {"database_name": "d", "collection_name": "c"}
DEADLINE_S = 60.0


@pytest.fixture
def ready(node):
    node.post("/create_database", {"database_name": "d"}).params
    node.post("/required_collection", {**NAMED, "dim": DIM}).params
    return node


def together(workers: list):
    """Runs all at the same time and passes on the first failure."""
    barrier, failures = threading.Barrier(len(workers)), []

    def run(worker):
        try:
            barrier.wait(DEADLINE_S)
            worker()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "a writer is stuck"
    if failures:
        raise failures[0]


def test_allotted_ids_are_distinct_and_true(ready):
    """Through the client, each writer with a handle of its own: what it is told is what is stored."""
    told = {}

    def writer(number):
        def work():
            handle = VectorDBClient(ready.url).get_database("d").get_collection("c")
            for at in range(20):
                rows = [[float(number), float(at), float(row)] + [1.0] * (DIM - 3) for row in range(3)]
                for key, row in zip(handle.add(vectors=rows), rows):
                    assert told.setdefault(key, row) is row, f"id {key} was given twice"

        return work

    together([writer(number) for number in range(8)])
    assert len(told) == 8 * 20 * 3
    handle = VectorDBClient(ready.url).get_database("d").get_collection("c")
    keys = sorted(told)
    assert handle.read_by_only_id(keys).vectors.tolist() == [told[key] for key in keys]
    assert handle.shape[0] == len(keys)


def test_allotted_and_chosen_ids_do_not_collide(ready):
    def allotted():
        connection = ready.connect()
        body = struct.pack(f"<{DIM}f", *[1.0] * DIM)
        for _ in range(50):
            reply = connection.post_bytes(f"/bulk_add_binary?database_name=d&collection_name=c&dim={DIM}&n_vectors=1&return_ids=true", body)
            given.append(reply.params["ids"][0])

    def chosen():
        connection = ready.connect()
        for at in range(50):
            reply = connection.post("/add", {**NAMED, "ids": [2 * at + 5], "vectors": [[2.0] * DIM]})
            if reply.status == 200:
                taken.append(2 * at + 5)
            else:
                assert "already exists" in reply.json["error"]

    given, taken = [], []
    together([allotted, allotted, chosen])
    assert len(set(given)) == 100 and not set(given) & set(taken)
    stored = ready.post("/head", {**NAMED, "n": 1000}).params["head"]
    assert sorted(stored[1]) == sorted(given + taken)
    by_id = dict(zip(stored[1], stored[0]))
    assert all(by_id[key][0] == 1.0 for key in given) and all(by_id[key][0] == 2.0 for key in taken)


@pytest.mark.parametrize("make_id", [lambda at: f"s{at}", lambda at: at])
def test_of_equal_adds_exactly_one_wins(ready, make_id):
    rounds, writers = 30, 6
    won = [[] for _ in range(rounds)]

    def writer(number):
        def work():
            connection = ready.connect()
            for at in range(rounds):
                ids = [make_id(at), f"own-{number}-{at}"]
                rows = [[float(number + 1)] * DIM] * 2
                reply = connection.post("/add", {**NAMED, "ids": ids, "vectors": rows})
                if reply.status == 200:
                    won[at].append(number)
                else:
                    assert reply.status in (400, 409) and "already exists" in reply.json["error"], reply.text

        return work

    together([writer(number) for number in range(writers)])
    assert [len(winners) for winners in won] == [1] * rounds
    for at, (winner,) in enumerate(won):
        vectors, _, _ = ready.post("/read_by_only_id", {**NAMED, "id": [make_id(at), f"own-{winner}-{at}"]}).params["item"]
        assert vectors == [[float(winner + 1)] * DIM] * 2
    assert ready.post("/collection_shape", NAMED).params["shape"][0] == 2 * rounds, "the losers left nothing"


@pytest.mark.parametrize("mode", ["FLAT-L2", "HNSW-L2"])
def test_searches_see_whole_batches(ready, mode):
    """Every batch holds as many records of one tag as the next; half a batch would show as an odd count."""
    batch, batches = 10, 60
    ready.post("/add", {**NAMED, "ids": ["first"], "vectors": [[100.0] * DIM], "fields": [{"tag": -1}]}).params
    ready.post("/build_index", {**NAMED, "index_mode": mode}).params
    done = threading.Event()
    rng = np.random.default_rng(0)

    def writer():
        try:
            connection = ready.connect()
            for at in range(batches):
                rows = rng.standard_normal((batch, DIM)).tolist()
                ids = [f"{at}-{row}" for row in range(batch)]
                connection.post("/add", {**NAMED, "ids": ids, "vectors": rows, "fields": [{"tag": at}] * batch}).params
                if at % 3 == 2:
                    connection.post("/delete", {**NAMED, "ids": ids}).params
                if at % 3 == 1:
                    connection.post("/upsert", {**NAMED, "ids": ids, "vectors": rows, "fields": [{"tag": at + 1000}] * batch}).params
        finally:
            done.set()

    def reader():
        connection = ready.connect()
        seen = 0
        while not done.is_set():
            items = connection.post("/search", {**NAMED, "vector": [0.0] * DIM, "k": 2000, "nprobe": 2000, "return_fields": True, "where": "tag >= 0"}).params["items"]
            counts = {}
            for fields in items["fields"]:
                counts[fields["tag"]] = counts.get(fields["tag"], 0) + 1
            assert all(count == batch for count in counts.values()), counts
            assert not any(tag + 1000 in counts for tag in counts), "the old and the new version at once"
            listed = connection.post("/query", {**NAMED, "where": "tag >= 0", "return_ids_only": True}).params["result"]
            assert len(listed) % batch == 0
            seen += 1
        assert seen > 0

    together([writer, reader, reader])


def test_concurrent_creation_makes_one_collection(ready):
    def create():
        client = VectorDBClient(ready.url)
        database = client.create_database("race")
        collection = database.require_collection("c", dim=DIM, default_index="HNSW-L2")
        try:
            collection.add(ids=["only"], vectors=[[1.0] * DIM])
        except (ExecutionError, RuntimeError) as error:
            assert "already exists" in str(error)

    together([create] * 6)
    where = {"database_name": "race", "collection_name": "c"}
    assert ready.post("/collection_shape", where).params["shape"] == [1, DIM]
    assert ready.post("/index_mode", where).params["index_mode"] == "HNSW-L2"


def test_concurrent_drops_and_writes_leave_no_ruin(ready):
    """A write into a collection that is being dropped is stored or refused; the node and other collections go on."""
    other = {**NAMED, "collection_name": "other"}
    ready.post("/required_collection", {**other, "dim": DIM}).params
    ready.post("/add", {**other, "ids": ["x"], "vectors": [[1.0] * DIM]}).params
    stop = threading.Event()

    def dropper():
        connection = ready.connect()
        for _ in range(30):
            connection.post("/required_collection", {**NAMED, "dim": DIM, "drop_if_exists": True}).params
            connection.post("/drop_collection", NAMED).params
        stop.set()

    def writer():
        connection = ready.connect()
        at = 0
        while not stop.is_set():
            reply = connection.post("/add", {**NAMED, "ids": [at], "vectors": [[1.0] * DIM]})
            assert reply.status in (200, 400, 404, 409), reply.text
            reply = connection.post("/search", {**NAMED, "vector": [1.0] * DIM, "k": 3})
            assert reply.status in (200, 404), reply.text
            at += 1

    together([dropper, writer, writer])
    assert ready.post("/is_collection_exists", NAMED).params["exists"] is False
    assert ready.post("/search", {**other, "vector": [1.0] * DIM, "k": 1}).params["items"]["ids"] == ["x"]
