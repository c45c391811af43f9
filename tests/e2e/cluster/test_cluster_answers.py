"""A cluster answers as one node does: searches for every metric, listings, ids, errors, through whichever member."""

import re
import threading

import numpy as np
import pytest
from cluster import owner
from lynse import VectorDBClient
from lynse.api.http_api.client_api import ExecutionError
from node import Node

ROWS, DIM = 120, 8
# Distances of one query to rows, in double precision; of the inner product, what is higher is nearer.
METRICS = {
    "IP": lambda a, rows: -(rows @ a),
    "L2": lambda a, rows: ((rows - a) ** 2).sum(axis=1),
    "COS": lambda a, rows: 1 - rows @ a / np.linalg.norm(rows, axis=1) / np.linalg.norm(a),
    "L1": lambda a, rows: np.abs(rows - a).sum(axis=1),
    "CHEBYSHEV": lambda a, rows: np.abs(rows - a).max(axis=1),
    "CANBERRA": lambda a, rows: (np.abs(rows - a) / (np.abs(a) + np.abs(rows))).sum(axis=1),
    "BRAY-CURTIS": lambda a, rows: np.abs(rows - a).sum(axis=1) / (rows + a).sum(axis=1),
    "CORRELATION": lambda a, rows: 1 - np.array([np.corrcoef(a, row)[0, 1] for row in rows]),
    "HELLINGER": lambda a, rows: np.sqrt(((np.sqrt(shares(rows)) - np.sqrt(a / a.sum())) ** 2).sum(axis=1) / 2),
    "WASSERSTEIN": lambda a, rows: np.abs(np.cumsum(shares(rows) - a / a.sum(), axis=1)).sum(axis=1),
    "JENSEN-SHANNON": lambda a, rows: np.array([jensen_shannon(a / a.sum(), row) for row in shares(rows)]),
    "HAMMING-BINARY": lambda a, rows: ((rows > 0.5) != (a > 0.5)).sum(axis=1),
    "JACCARD-BINARY": lambda a, rows: 1 - ((rows > 0.5) & (a > 0.5)).sum(axis=1) / ((rows > 0.5) | (a > 0.5)).sum(axis=1),
    "TANIMOTO-BINARY": lambda a, rows: 1 - ((rows > 0.5) & (a > 0.5)).sum(axis=1) / ((rows > 0.5) | (a > 0.5)).sum(axis=1),
    "DICE-BINARY": lambda a, rows: 1 - 2 * ((rows > 0.5) & (a > 0.5)).sum(axis=1) / ((rows > 0.5).sum(axis=1) + (a > 0.5).sum()),
    "HAVERSINE": lambda a, rows: haversine(a, rows),
}


def shares(rows):
    return rows / rows.sum(axis=1, keepdims=True)


def jensen_shannon(a, b):
    middle = (a + b) / 2
    return np.sqrt(max(0.0, ((a * np.log(a / middle)).sum() + (b * np.log(b / middle)).sum()) / 2))


def haversine(a, rows):
    a, rows = np.radians(a), np.radians(rows)
    inner = np.sin((rows[:, 1] - a[1]) / 2) ** 2 + np.cos(a[1]) * np.cos(rows[:, 1]) * np.sin((rows[:, 0] - a[0]) / 2) ** 2
    return 2 * 6_371_008.8 * np.arcsin(np.sqrt(inner))


@pytest.fixture
def cluster(show_logs):
    return show_logs


@pytest.fixture
def db(cluster, request):
    client = VectorDBClient(cluster.url)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", request.node.name)[-100:]
    yield client.create_database(name, drop_if_exists=True)
    client.drop_database(name)


@pytest.fixture
def alone(make_node) -> Node:
    """A single node to compare with."""
    return make_node().start()


def ids_of(db, count: int = ROWS) -> list[str]:
    ids = [f"r{row}" for row in range(count)]
    assert {owner(db.database_name, "c", key) for key in ids} == {"sg0", "sg1"}, "both groups have a part"
    return ids


@pytest.mark.parametrize("metric", METRICS)
def test_searches_are_merged(db, cluster, metric):
    rows = np.random.default_rng(5).random((ROWS, 2 if metric == "HAVERSINE" else DIM), dtype=np.float32) + 0.01
    collection = db.require_collection("c", dim=rows.shape[1], default_index=None)
    ids = ids_of(db)
    collection.add(ids=ids, vectors=rows, fields=[{"n": row} for row in range(ROWS)])
    collection.build_index(f"FLAT-{metric}")
    for query in rows[[3, 77]]:
        expected = METRICS[metric](query.astype(np.float64), rows.astype(np.float64))
        found = collection.search(query, k=10)
        scores = -found.distances if metric == "IP" else found.distances
        close = {"rtol": 1e-3, "atol": 1.0} if metric == "HAVERSINE" else {"rtol": 1e-5, "atol": 2e-4}
        assert np.allclose(scores, np.sort(expected)[:10], **close)
        assert np.allclose([expected[int(key[1:])] for key in found.ids], np.sort(expected)[:10], **close)
        assert len(set(found.ids.tolist())) == 10
        few = collection.search(query, k=50, where="n >= 20 AND n < 40", return_fields=True)
        assert sorted(field["n"] for field in few.fields) == list(range(20, 40))
    search = {"database_name": db.database_name, "collection_name": "c", "vector": rows[3].tolist(), "k": 7}
    told = [member.post("/search", search).params["items"] for member in cluster.members.values()]
    assert all(items == told[0] for items in told), "every member gives the same answer"


def test_batches_ranges_and_profiles_are_merged(db):
    rows = np.random.default_rng(6).random((ROWS, DIM), dtype=np.float32)
    collection = db.require_collection("c", dim=DIM, default_index="FLAT-L2")
    collection.add(ids=ids_of(db), vectors=rows)
    many = collection.batch_search(rows[:20], k=3)
    assert [result.ids.tolist()[0] for result in many] == [f"r{row}" for row in range(20)]
    distances = ((rows - rows[0]) ** 2).sum(axis=1)
    near = collection.search_range(rows[0], float(np.sort(distances)[30]) + 1e-6, max_results=25)
    assert near.ids.tolist() == [f"r{row}" for row in np.argsort(distances)[:25]]
    profile = collection.search_profile(rows[0], k=2)
    assert profile["profile"]["total_vectors"] == ROWS and profile["items"]["ids"][0] == "r0"


def test_listings_keep_the_order_of_insertion(db, cluster):
    collection = db.require_collection("c", dim=2, default_index=None)
    ids = [f"z{99 - row:02}" for row in range(60)]
    for start in range(0, 60, 20):
        part = ids[start : start + 20]
        collection.add(ids=part, vectors=[[1.0, float(start)]] * 20, fields=[{"n": start + row} for row in range(20)])
    assert collection.head(7).ids.tolist() == ids[:7] and collection.head(1000).ids.tolist() == ids
    assert collection.tail(7).ids.tolist() == ids[-7:]
    assert collection.query(where="n >= 5 AND n < 45", return_ids_only=True).ids.tolist() == ids[5:45]
    assert collection.query(filter_ids=["z50", "z99", "z60"], return_ids_only=True).ids.tolist() == ["z50", "z99", "z60"]
    assert collection.read_by_only_id(["z41", "z98"]).ids.tolist() == ["z41", "z98"]
    collection.delete(ids[::2])
    assert collection.head(1000).ids.tolist() == ids[1::2]
    assert sorted(collection.list_deleted_ids()) == sorted(ids[::2])
    stats = collection.stats()
    assert (stats["n_live"], stats["n_tombstoned"]) == (30, 30)
    assert collection.compact() == 30 and collection.shape == (30, 2)
    named = {"database_name": db.database_name, "collection_name": "c", "n": 1000}
    assert all(member.post("/head", named).params["head"][1] == ids[1::2] for member in cluster.members.values())


def test_allotted_ids_are_never_given_twice(db, cluster):
    """Several clients at once, each through another member, and explicit ids in between."""
    collection = db.require_collection("c", dim=2, default_index=None)
    first = collection.add(vectors=[[0.0, 0.0]])
    collection.add(ids=[first + 500], vectors=[[9.0, 9.0]])
    told, failures = [], []

    def add(member, number):
        try:
            handle = VectorDBClient(member.url).get_database(db.database_name).get_collection("c")
            for at in range(15):
                told.extend((key, [float(number), float(at)]) for key in handle.add(vectors=[[float(number), float(at)]] * 3))
        except Exception as error:
            failures.append((member.name, error))

    threads = [threading.Thread(target=add, args=(member, number)) for number, member in enumerate(cluster.members.values())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a writer is stuck"
    assert not failures
    stored = collection.head(10_000)
    assert len(told) == len(threads) * 45 == len({key for key, _ in told})
    by_id = dict(zip(stored.ids.tolist(), stored.vectors.tolist()))
    assert all(by_id[key] == vector for key, vector in told) and by_id[first + 500] == [9.0, 9.0]
    assert len(by_id) == len(told) + 2


MISTAKES = {
    "duplicate": ("/add", {"ids": ["new", "r0"], "vectors": [[1.0] * DIM] * 2}),
    "twice in a batch": ("/add", {"ids": ["new", "new"], "vectors": [[1.0] * DIM] * 2}),
    "dimension": ("/add", {"ids": ["new", "new2"], "vectors": [[1.0] * 3] * 2}),
    "no number": ("/add", {"ids": ["new"], "vectors": [["x"] * DIM]}),
    "index name": ("/build_index", {"index_mode": "FOO-L2"}),
    "bare index name": ("/build_index", {"index_mode": "HNSW"}),
    "filter": ("/search", {"vector": [1.0] * DIM, "where": "n >>> 2"}),
    "unknown column": ("/search", {"vector": [1.0] * DIM, "where": "nosuch = 2"}),
    "query dimension": ("/search", {"vector": [1.0] * 3}),
    "k": ("/search", {"vector": [1.0] * DIM, "k": 20_000}),
    "unknown id": ("/read_by_only_id", {"id": ["r0", "nobody"]}),
    "unknown collection": ("/search", {"collection_name": "nowhere", "vector": [1.0]}),
    "unknown database": ("/show_collections", {"database_name": "nowhere"}),
    "empty id": ("/upsert", {"ids": [""], "vectors": [[1.0] * DIM]}),
}


@pytest.fixture(scope="module")
def mistaken(shared_cluster):
    """A collection for mistakes, on the cluster."""
    named = {"database_name": "mistakes", "collection_name": "c"}
    fill(next(iter(shared_cluster.members.values())), named)
    return named


def fill(member: Node, named: dict):
    member.post("/create_database", {"database_name": named["database_name"]}).params
    member.post("/required_collection", {**named, "dim": DIM}).params
    ids = [f"r{row}" for row in range(20)]
    member.post("/add", {**named, "ids": ids, "vectors": [[float(row)] * DIM for row in range(20)], "fields": [{"n": 1}] * 20}).params


def test_errors_are_the_single_nodes(cluster, mistaken, alone):
    fill(alone, mistaken)
    for what, (path, body) in MISTAKES.items():
        expected = alone.post(path, {**mistaken, **body})
        assert expected.status != 200, what
        for member in cluster.members.values():
            told = member.post(path, {**mistaken, **body})
            assert (told.status, error_of(told)) == (expected.status, error_of(expected)), (what, member.name)


def error_of(reply) -> dict:
    return {key: value for key, value in reply.json.items() if key != "request_id"}


def test_mistakes_change_no_replicas_state(cluster, mistaken):
    """A hundred mistakes through every member; a thousand take no longer per piece."""
    before = {group["name"]: (group["primary"], group["primary_epoch"]) for group in cluster.info()["shard_groups"]}
    members = list(cluster.members.values())
    for at in range(100):
        what, (path, body) = list(MISTAKES.items())[at % len(MISTAKES)]
        assert members[at % len(members)].post(path, {**mistaken, **body}).status in (400, 404, 409), what
    assert cluster.unsettled() == []
    assert {group["name"]: (group["primary"], group["primary_epoch"]) for group in cluster.info()["shard_groups"]} == before
    head = members[0].post("/head", {**mistaken, "n": 100}).params["head"][1]
    assert head == [f"r{row}" for row in range(20)], "nothing of any of them is there"


def test_the_client_picks_the_documented_exception(db):
    collection = db.require_collection("c", dim=4)
    collection.add(ids=["x"], vectors=[[1, 2, 3, 4]])
    with pytest.raises(ExecutionError, match="already exists"):
        collection.add(ids=["x"], vectors=[[1, 2, 3, 4]])
    with pytest.raises(ValueError):
        VectorDBClient(collection._uri).get_database("nowhere")
