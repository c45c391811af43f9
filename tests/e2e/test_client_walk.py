"""Every call of the published LynseDB client that a node answers, with its results; what is not there yet answers 501."""

import re

import numpy as np
import pytest
from lynse import VectorDBClient
from lynse.api.http_api.client_api import Collection, ExecutionError

VECTORS = [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
FIELDS = [
    {"title": "first cat", "n": 1, "tags": ["x", "y"], "ok": True, "price": 1.5},
    {"title": "second dog", "n": 2, "tags": ["y"], "ok": False, "price": 2.5},
    {"title": "third cat", "n": 3, "nested": {"k": 1}, "nothing": None},
    {"title": "fourth"},
]
IDS = ["doc-1", "doc-2", "a", "b"]


@pytest.fixture(scope="module")
def client(shared_node):
    with VectorDBClient(shared_node.url) as client:
        yield client


@pytest.fixture
def db(client, request):
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", request.node.name)[-100:]
    yield client.create_database(name, drop_if_exists=True)
    client.drop_database(name)


@pytest.fixture
def docs(db):
    collection = db.require_collection("docs", dim=4, description="d")
    collection.add(ids=IDS, vectors=VECTORS, fields=FIELDS)
    return collection


def refusal(call) -> str:
    """The text of the error that a call must raise, whichever exception the client picks for it."""
    with pytest.raises((ExecutionError, RuntimeError)) as caught:
        call()
    return str(caught.value)


def test_databases(client, shared_node):
    first = client.create_database("walk-a")
    client.create_database("walk-a")
    client.create_database("walk-b", drop_if_exists=True)
    assert {"walk-a", "walk-b"} <= set(client.list_databases())
    assert first.database_exists()["params"]["exists"] is True
    with pytest.raises(ValueError):
        client.get_database("nope")
    assert client.get_database("walk-a").show_collections() == []
    client.drop_database("walk-a")
    assert first.database_exists()["params"]["exists"] is False
    assert first.drop_database()["status"] == "success"
    client.get_database("walk-b").drop_database()
    assert not {"walk-a", "walk-b"} & set(client.list_databases())
    assert "name" in refusal(lambda: client.create_database("a b"))


def test_collections(client, db):
    collection = db.require_collection("docs", dim=4, description="first", default_index=None)
    assert collection.shape == (0, 4) and collection.exists() is True
    db.require_collection("lazy")
    assert sorted(db.show_collections()) == ["docs", "lazy"]
    details = db.show_collections_details()
    assert details["docs"]["dim"] == 4 and details["docs"]["description"] == "first"
    collection.update_description("second")
    assert db.show_collections_details()["docs"]["description"] == "second"
    db.update_collection_description("docs", "third")
    again = db.get_collection("docs")
    assert (again._init_params["description"], again._init_params["dim"]) == ("third", 4)
    assert again.vector_dtype == "float32"
    assert isinstance(again.get_collection_path(), str)
    assert db.require_collection("docs").shape == (0, 4), "opening without a dimension keeps it"
    with pytest.raises(ExecutionError):
        db.get_collection("nope")
    assert db.drop_collection("docs")["status"] == "success"
    assert db.show_collections() == ["lazy"]
    assert client.create_collection("walk-new", "c", dim=2, drop_database_if_exists=True).shape == (0, 2)
    client.drop_database("walk-new")
    assert "dtype" in refusal(lambda: db.require_collection("bad", dim=2, dtypes="int8")).lower()
    assert "name" in refusal(lambda: db.require_collection("a/b", dim=2))
    assert db.show_collections() == ["lazy"]


def test_a_dimension_is_taken_from_the_first_write(db):
    collection = db.require_collection("lazy")
    assert collection.shape == (0, 0)
    collection.add(ids=["x"], vectors=[[1.0, 2.0, 3.0]])
    assert collection.shape == (1, 3)
    assert db.get_collection("lazy")._init_params["dim"] == 3


def test_the_default_index_is_reported_once_it_is_built(db):
    collection = db.require_collection("c", dim=4)
    assert not collection.index_mode
    collection.add(ids=["x"], vectors=[VECTORS[0]])
    assert collection.index_mode == "FLAT-IP"
    other = db.require_collection("other", dim=4, default_index="FLAT-L2")
    other.add(ids=["x"], vectors=[VECTORS[0]])
    assert other.index_mode == "FLAT-L2"
    none = db.require_collection("none", dim=4, default_index=None)
    none.add(ids=["x"], vectors=[VECTORS[0]])
    assert not none.index_mode


def test_add_and_read_back(docs):
    assert docs.shape == (4, 4)
    assert docs.head(2).ids.tolist() == ["doc-1", "doc-2"]
    tail = docs.tail(2)
    assert sorted(tail.ids.tolist()) == ["a", "b"]
    everything = docs.head(10)
    assert everything.ids.tolist() == IDS
    assert np.array_equal(everything.vectors, np.array(VECTORS, dtype=np.float32))
    assert everything.fields == FIELDS
    one = docs.read_by_only_id("a")
    assert one.ids.tolist() == ["a"] and one.fields == [FIELDS[2]]
    assert docs.read_by_only_id(["b", "a"]).ids.tolist() == ["b", "a"]
    assert "missing" in refusal(lambda: docs.read_by_only_id(["a", "missing"]))
    assert docs.is_id_exists("a") is True and docs.is_id_exists("zz") is False
    assert docs.is_id_exists(0) is False, "there are no hidden integer ids"
    assert {"title", "n", "tags", "ok", "price", "nested"} <= set(docs.list_fields())


def test_a_refused_add_stores_nothing(docs):
    assert "already exists" in refusal(lambda: docs.add(ids=["new", "doc-1"], vectors=VECTORS[:2]))
    assert "imension" in refusal(lambda: docs.add(ids=["new"], vectors=[[1.0, 1.0, 1.0]]))
    assert docs.is_id_exists("new") is False and docs.shape == (4, 4)


def test_upsert(docs):
    assert docs.upsert(ids=["doc-2", "new"], vectors=[[2, 2, 2, 2], [3, 3, 3, 3]], fields=[{"n": 20}, {"n": 5}]) == ["doc-2", "new"]
    assert docs.upsert(ids="a", vectors=[9, 9, 9, 9]) == "a"
    assert docs.shape == (5, 4)
    read = docs.read_by_only_id(["doc-2", "new", "a"])
    assert read.vectors.tolist() == [[2, 2, 2, 2], [3, 3, 3, 3], [9, 9, 9, 9]]
    assert read.fields == [{"n": 20}, {"n": 5}, FIELDS[2]], "fields are replaced as a whole where given, and kept where not"
    assert docs.query(where="title = 'second dog'", return_ids_only=True).ids.tolist() == []


def test_search(docs):
    found = docs.search(VECTORS[0], k=2, return_fields=True)
    assert found.ids.tolist() == ["doc-1", "a"] or found.ids.tolist() == ["doc-1", "doc-2"]
    scores = np.array(VECTORS, dtype=np.float32) @ np.array(VECTORS[0], dtype=np.float32)
    everything = docs.search(VECTORS[0], k=100)
    order = np.argsort(-scores, kind="stable")
    assert everything.ids.tolist() == [IDS[i] for i in order]
    assert np.allclose(everything.distances, scores[order])
    assert everything.fields == [] and everything.distance_metric == "IP" and everything.index_type == "Flat"
    assert found.fields[0] == FIELDS[0]
    filtered = docs.search(VECTORS[0], k=5, where="n >= 2 AND title LIKE '%dog%'", return_fields=True)
    assert filtered.ids.tolist() == ["doc-2"] and filtered.fields == [FIELDS[1]]
    assert docs.search(VECTORS[0], k=5, where="n > 100").ids.tolist() == []
    many = docs.batch_search(VECTORS[:2], k=2, return_fields=True)
    assert [result.ids.tolist()[0] for result in many] == [docs.search(v, k=1).ids.tolist()[0] for v in VECTORS[:2]]
    assert all(len(result.fields) == 2 for result in many)
    near = docs.search_range(VECTORS[0], 0.25)
    assert near.ids.tolist() == [IDS[i] for i in order if scores[i] >= 0.25]
    assert docs.search_range(VECTORS[0], -1e6, max_results=0).ids.tolist() == []
    reversed_order = docs.search(VECTORS[0], k=4, reranker=lambda payload: [item["id"] for item in reversed(payload["items"])])
    assert reversed_order.ids.tolist() == list(reversed(everything.ids.tolist()))


def test_search_profile_explains(docs):
    explained = docs.search_profile(VECTORS[0], k=2, where="n > 1")
    assert explained["items"]["ids"] == docs.search(VECTORS[0], k=2, where="n > 1").ids.tolist()
    profile = explained["profile"]
    assert profile["filter_matches"] == 2 and profile["total_vectors"] == 4 and profile["index_path"]
    assert profile["result_count"] == 2 and profile["total_us"] >= profile["search_us"] >= 0


def test_search_is_refused_where_it_makes_no_sense(docs):
    assert re.search(r"(byte|position) 3", refusal(lambda: docs.search(VECTORS[0], where="n >>> 2")))
    assert "nosuch" in refusal(lambda: docs.search(VECTORS[0], where="nosuch = 2"))
    assert "imension" in refusal(lambda: docs.search([0.1, 0.2, 0.3]))
    assert "20000" in refusal(lambda: docs.search(VECTORS[0], k=20000))


@pytest.mark.parametrize(
    "where, expected",
    [
        ("n = 1", ["doc-1"]), ("n != 1", ["doc-2", "a"]), ("n <> 1", ["doc-2", "a"]), ("n < 3", ["doc-1", "doc-2"]),
        ("n BETWEEN 2 AND 3", ["doc-2", "a"]), ("n IN (1, 3)", ["doc-1", "a"]), ("n NOT IN (1, 3)", ["doc-2"]),
        ("n IS NULL", ["b"]), ("n IS NOT NULL", ["doc-1", "doc-2", "a"]), ("NOT n = 1", ["doc-2", "a"]),
        ("title LIKE '%cat'", ["doc-1", "a"]), ("tags CONTAINS 'y'", ["doc-1", "doc-2"]), ("ok = true", ["doc-1"]),
        ('"title" = \'fourth\'', ["b"]), ("`n` = 2", ["doc-2"]), ("(n = 1 OR n = 2) AND price > 2", ["doc-2"]),
        ("upper(title) = 'FOURTH'", ["b"]), ("length(title) = 6", ["b"]), ("title REGEXP '^f'", ["doc-1", "b"]),
        ("1 = 1", IDS), ("price >= 1.5", ["doc-1", "doc-2"]),
    ],
)
def test_filters(docs, where, expected):
    assert docs.query(where=where, return_ids_only=True).ids.tolist() == expected
    assert sorted(docs.search(VECTORS[0], k=10, where=where).ids.tolist()) == sorted(expected)


def test_query(docs):
    found = docs.query(where="n > 1")
    assert found.ids.tolist() == ["doc-2", "a"]
    assert found.fields == [{**FIELDS[1], "id": "doc-2"}, {**FIELDS[2], "id": "a"}]
    assert docs.query(filter_ids=["b", "a"], return_ids_only=True).ids.tolist() == ["b", "a"]
    assert docs.query().ids.tolist() == [] and docs.query(filter_ids=[]).ids.tolist() == []
    assert "missing" in refusal(lambda: docs.query(filter_ids=["a", "missing"]))
    with_vectors = docs.query_vectors(where="n = 1")
    assert with_vectors.ids.tolist() == ["doc-1"] and with_vectors.fields == [FIELDS[0]]
    assert np.array_equal(with_vectors.vectors, np.array(VECTORS[:1], dtype=np.float32))
    assert docs.query_vectors(filter_ids=["a"]).ids.tolist() == ["a"]
    assert docs.query_vectors(filter_ids=[]).vectors.shape[0] == 0


def test_deleted_records_are_hidden_everywhere_until_restored(docs):
    docs.delete(["a", "missing"])
    docs.delete("a")
    assert docs.list_deleted_ids() == ["a"]
    assert docs.is_id_exists("a") is False
    assert "a" in refusal(lambda: docs.read_by_only_id("a"))
    refusal(lambda: docs.query(filter_ids=["a"]))
    for listed in (docs.head(10), docs.tail(10), docs.query(where="n = 3"), docs.search(VECTORS[2], k=10)):
        assert "a" not in listed.ids.tolist()
    assert "a" not in docs.search_range(VECTORS[2], -1e6).ids.tolist()
    stats = docs.stats()
    assert (stats["n_live"], stats["n_tombstoned"], stats["dimension"]) == (3, 1, 4)
    assert "already exists" in refusal(lambda: docs.add(ids=["a"], vectors=[[9, 9, 9, 9]]))
    docs.restore(["a", "missing"])
    assert docs.list_deleted_ids() == [] and docs.read_by_only_id("a").fields == [FIELDS[2]]
    assert docs.search(VECTORS[2], k=1).ids.tolist() == ["a"]


def test_compact_removes_deleted_records_for_good(docs):
    docs.delete(["a", "b"])
    assert docs.compact() == 2 and docs.compact() == 0
    assert docs.shape == (2, 4) and docs.list_deleted_ids() == []
    stats = docs.stats()
    assert (stats["n_vectors"], stats["n_live"], stats["n_tombstoned"]) == (2, 2, 0)
    docs.restore(["a"])
    assert docs.is_id_exists("a") is False
    docs.add(ids=["a"], vectors=[[9, 9, 9, 9]])
    assert docs.read_by_only_id("a").vectors.tolist() == [[9, 9, 9, 9]]


def test_durability_calls(docs):
    for call in (docs.commit, docs.commit, docs.flush, docs.checkpoint, docs.close):
        assert call()["status"] == "success"
    assert docs.search(VECTORS[0], k=1).ids.tolist() == ["doc-1"], "closing a handle closes nothing for others"
    with docs as handle:
        handle.add(ids="later", vectors=VECTORS[0])
    with docs.insert_session() as session:
        session.add(ids=["s1", "s2"], vectors=VECTORS[:2], fields=[{"n": 7}, {"n": 8}])
    assert docs.query(where="n >= 7", return_ids_only=True).ids.tolist() == ["s1", "s2"]


def test_integer_ids(db):
    collection = db.require_collection("ints", dim=4, default_index="FLAT-L2")
    assert collection.add(ids=[10, 20], vectors=VECTORS[:2]) == [10, 20]
    assert collection.add(ids=[5, 7], vectors=VECTORS[2:], fields=[{"a": 1}, {"a": None, "f": 1.25, "neg": -3, "l": [1, "x"]}]) == [5, 7]
    assert collection.search(VECTORS[0], k=4).ids.tolist()[0] == 10
    assert collection.search(VECTORS[3], k=1, return_fields=True).fields == [{"a": None, "f": 1.25, "neg": -3, "l": [1, "x"]}]
    assert collection.upsert(ids=[20, 30], vectors=VECTORS[:2]) == [20, 30]
    assert collection.upsert(ids=[5], vectors=[[8, 8, 8, 8]], fields=[{"a": 2}]) == [5]
    assert collection.read_by_only_id([5]).fields == [{"a": 2}]
    assert collection.max_id == 30
    for absent in (0, 1, 2, 3):
        assert collection.is_id_exists(absent) is False, "positions are no ids"
    collection.delete([1, 10])
    assert collection.list_deleted_ids() == [10]
    assert sorted(collection.head(10).ids.tolist()) == [5, 7, 20, 30]
    assert "already exists" in refusal(lambda: collection.add(ids=[7], vectors=[VECTORS[0]]))
    assert "already exists" in refusal(lambda: collection.add(ids=[99, 7], vectors=VECTORS[:2], fields=[{"z": 1}, {}]))
    assert collection.is_id_exists(99) is False


def test_five_and_the_string_five_are_two_ids(db):
    collection = db.require_collection("mixed", dim=4, default_index="FLAT-L2")
    collection.add(ids=[5, "5"], vectors=VECTORS[:2], fields=[{"kind": "int"}, {"kind": "str"}])
    assert collection.read_by_only_id(5).fields == [{"kind": "int"}]
    assert collection.read_by_only_id("5").fields == [{"kind": "str"}]
    collection.delete("5")
    assert collection.is_id_exists(5) is True and collection.is_id_exists("5") is False


def test_the_server_allots_ids(db):
    collection = db.require_collection("auto")
    assert collection.add(vectors=VECTORS) == [0, 1, 2, 3]
    assert collection.add(vectors=VECTORS[0]) == 4
    assert collection.add(vectors=VECTORS[:2], wire_dtype="float16") == [5, 6]
    assert collection.add(ids=[100], vectors=[VECTORS[0]]) == [100]
    assert collection.add(vectors=VECTORS[:3], batch_size=2) == [101, 102, 103]
    collection.build_index("FLAT-L2")
    assert collection.search(VECTORS[2], k=2).ids.tolist() == [2, 103]
    assert [found.ids.tolist()[0] for found in collection.batch_search(VECTORS[2:], k=1)] == [2, 3]
    half = collection.search(VECTORS[3], k=1, return_fields=True, wire_dtype="float16")
    assert half.ids.tolist() == [3] and half.fields == [{}]
    assert collection.shape == (11, 4) and collection.max_id == 103


def test_a_fresh_handle_sees_true_ids_whatever_their_kind(db):
    first = db.require_collection("c", dim=4, default_index="FLAT-L2")
    first.add(ids=[10, 20, 30], vectors=VECTORS[:3])
    fresh = db.get_collection("c")
    assert fresh.search(VECTORS[2], k=1).ids.tolist() == [30]
    assert fresh.add(vectors=VECTORS[3]) == 31
    fresh.add(ids=["text"], vectors=[[5, 5, 5, 5]])
    other = db.get_collection("c")
    assert other.search([5, 5, 5, 5], k=1).ids.tolist() == ["text"]
    assert [r.ids.tolist() for r in other.batch_search([[5, 5, 5, 5], VECTORS[2]], k=1)] == [["text"], [30]]
    (allotted,) = other.add(vectors=[[6, 6, 6, 6]])
    assert other.search([6, 6, 6, 6], k=1).ids.tolist() == [allotted]
    assert other.read_by_only_id(allotted).vectors.tolist() == [[6, 6, 6, 6]]
    assert "string id" in refusal(lambda: first.search([5, 5, 5, 5], k=1)), "a binary reply cannot carry a string id"


def test_string_ids_then_generated_ids(db):
    collection = db.require_collection("c", dim=4, default_index=None)
    collection.add(ids=["first", "second"], vectors=VECTORS[:2])
    generated = collection.add(vectors=VECTORS[2:])
    assert collection.head(4).ids.tolist() == ["first", "second", *generated]
    assert all(collection.read_by_only_id(i).vectors.tolist() == [VECTORS[2 + at]] for at, i in enumerate(generated))


def test_a_handle_made_by_hand_works_too(db, shared_node):
    db.require_collection("c", dim=4, default_index=None)
    handle = Collection(shared_node.url, db.database_name, "c", dim=4)
    assert handle.add(ids=[7, 3], vectors=VECTORS[:2], fields=[{"n": 1}, {}]) == [7, 3]
    assert handle.upsert(ids=[7, 8], vectors=VECTORS[2:]) == [7, 8]
    assert handle.read_by_only_id([7, 3, 8]).fields == [{"n": 1}, {}, {}]
    asking = Collection(shared_node.url, db.database_name, "c", dim=4)
    assert asking.add(vectors=VECTORS[:2]) == [9, 10]


@pytest.mark.parametrize("mode", ["FLAT-IP", "flat-l2", "FLAT-COS", "FLAT-L2-SQ8", "HNSW-IP", "HNSW-L2", "HNSW-Cos", "HNSW-L2-SQ8"])
def test_indexes(db, mode):
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((300, 16)).astype(np.float32)
    collection = db.require_collection("c", dim=16, default_index=None)
    collection.add(ids=[f"r{i}" for i in range(300)], vectors=vectors, fields=[{"n": i} for i in range(300)])
    collection.build_index(mode)
    assert collection.index_mode == mode
    if "IP" in mode:
        expected = np.argsort(-(vectors @ vectors[3]))[:5]
    elif "cos" in mode.lower():
        expected = np.argsort(-(vectors @ vectors[3]) / np.linalg.norm(vectors, axis=1))[:5]
    else:
        expected = np.argsort(((vectors - vectors[3]) ** 2).sum(axis=1))[:5]
    found = collection.search(vectors[3], k=5, nprobe=200)
    assert found.ids.tolist() == [f"r{i}" for i in expected]
    assert found.index_type == ("HNSW" if mode.startswith("HNSW") else "Flat")
    few = collection.search(vectors[3], k=5, where="n < 3", nprobe=10)
    assert sorted(few.ids.tolist()) == ["r0", "r1", "r2"]
    collection.remove_index()
    assert not collection.index_mode
    assert len(collection.search(vectors[3], k=5)) == 5


def test_index_parameters(docs):
    assert docs.build_index("HNSW-L2", m=8, ef_construction=64, ef_search=32, n_clusters=9)["status"] == "success"
    assert docs.search(VECTORS[0], k=2).ids.tolist()[0] == "doc-1"
    for wrong in ("FOO-L2", "HNSW", "FLAT", "HNSW-NOPE"):
        assert wrong in refusal(lambda wrong=wrong: docs.build_index(wrong))
    assert "m" in refusal(lambda: docs.build_index("HNSW-L2", m=0))
    assert docs.index_mode == "HNSW-L2", "a refused build changes nothing"


def test_an_index_on_an_empty_collection(db):
    collection = db.require_collection("c", dim=4, default_index=None)
    assert collection.build_index("FLAT-L2")["status"] == "success"
    assert "empty" in refusal(lambda: collection.build_index("HNSW-L2")).lower()


METRICS = {
    "L1": lambda a, b: np.abs(a - b).sum(),
    "CHEBYSHEV": lambda a, b: np.abs(a - b).max(),
    "CANBERRA": lambda a, b: (np.abs(a - b) / (np.abs(a) + np.abs(b))).sum(),
    "BRAY-CURTIS": lambda a, b: np.abs(a - b).sum() / (a + b).sum(),
    "CORRELATION": lambda a, b: 1 - np.corrcoef(a, b)[0, 1],
    "HELLINGER": lambda a, b: np.sqrt(((np.sqrt(a / a.sum()) - np.sqrt(b / b.sum())) ** 2).sum() / 2),
    "WASSERSTEIN": lambda a, b: np.abs(np.cumsum(a / a.sum()) - np.cumsum(b / b.sum())).sum(),
    "HAMMING-BINARY": lambda a, b: ((a > 0.5) != (b > 0.5)).sum(),
    "JACCARD-BINARY": lambda a, b: 1 - ((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5) | (b > 0.5)).sum(),
    "TANIMOTO-BINARY": lambda a, b: 1 - ((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5) | (b > 0.5)).sum(),
    "DICE-BINARY": lambda a, b: 1 - 2 * ((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5).sum() + (b > 0.5).sum()),
}


@pytest.mark.parametrize("metric", METRICS)
def test_metrics(db, metric):
    vectors = np.random.default_rng(3).random((40, 16), dtype=np.float32) + 0.01
    collection = db.require_collection("c", dim=16, default_index=None)
    collection.add(ids=list(range(40)), vectors=vectors)
    collection.build_index(f"FLAT-{metric}")
    query = vectors[5]
    wide = vectors.astype(np.float64)
    expected = np.array([METRICS[metric](wide[5], row) for row in wide])
    found = collection.search(query, k=40)
    assert np.allclose(found.distances, np.sort(expected), atol=2e-4)
    assert np.allclose([expected[i] for i in found.ids], np.sort(expected), atol=2e-4)


def test_haversine(db):
    collection = db.require_collection("geo", dim=2, default_index=None)
    collection.add(ids=["shanghai", "beijing"], vectors=[[121.4737, 31.2304], [116.4074, 39.9042]])
    collection.build_index("FLAT-HAVERSINE")
    found = collection.search([121.4737, 31.2304], k=2)
    assert found.ids.tolist() == ["shanghai", "beijing"]
    assert found.distances[1] == pytest.approx(1_067_000, abs=10_000)


def test_half_precision_storage(db):
    collection = db.require_collection("h", dim=4, dtypes="float16", default_index="FLAT-L2")
    assert collection.vector_dtype == "float16"
    collection.add(ids=["x"], vectors=[VECTORS[0]])
    assert np.array_equal(collection.read_by_only_id("x").vectors[0], np.array(VECTORS[0], dtype=np.float16).astype(np.float32))
    assert "float16" in refusal(lambda: db.require_collection("h", dim=4, dtypes="float32"))


def test_large_numbers_in_fields(db, shared_node):
    collection = db.require_collection("c", dim=2, default_index=None)
    collection.add(ids=["x"], vectors=[[1, 2]], fields=[{"big": 2**63 - 1, "small": -(2**63), "text": "ü€𝄞\u0000", "deep": [[{"a": []}]]}])
    assert collection.read_by_only_id("x").fields == [{"big": 2**63 - 1, "small": -(2**63), "text": "ü€𝄞\u0000", "deep": [[{"a": []}]]}]


NOT_YET = {
    "bm25": ("bm25", lambda db, c, path: c.bm25_search("cat")),
    "hybrid": ("hybrid", lambda db, c, path: c.hybrid_search(vector=VECTORS[0], text="cat")),
    "sparse add": ("sparse", lambda db, c, path: c.add_sparse_vectors([{1: 0.5}], ["a"])),
    "sparse search": ("sparse", lambda db, c, path: c.search_sparse({1: 1.0})),
    "named create": ("named", lambda db, c, path: c.create_vector_field("img", 3)),
    "named add": ("named", lambda db, c, path: c.add_named_vectors("img", [[1, 2, 3]], ["a"])),
    "named search": ("named", lambda db, c, path: c.search(VECTORS[0], vector_field="img")),
    "named index": ("named", lambda db, c, path: c.build_index("FLAT-L2", field_name="img")),
    "named remove index": ("named", lambda db, c, path: c.remove_index(field_name="img")),
    "blob write": ("blob", lambda db, c, path: c.write_blob("k", b"x")),
    "blob read": ("blob", lambda db, c, path: c.read_blob("k")),
    "blob delete": ("blob", lambda db, c, path: c.delete_blob("k")),
    "snapshot": ("snapshot", lambda db, c, path: c.snapshot_to(path)),
    "restore": ("restore", lambda db, c, path: db.restore_collection("r", path)),
    "export": ("export", lambda db, c, path: c.export_to(path)),
    "import": ("import", lambda db, c, path: db.import_collection("i", path)),
    "snapshot database": ("snapshot", lambda db, c, path: db.snapshot_database(path)),
    "restore database": ("restore", lambda db, c, path: db.restore_database(path)),
    "ivf": ("ivf", lambda db, c, path: c.build_index("IVF-L2", n_clusters=4)),
    "spann": ("spann", lambda db, c, path: c.build_index("SPANN-IP")),
    "diskann": ("diskann", lambda db, c, path: c.build_index("DISKANN-L2")),
    "pq": ("pq", lambda db, c, path: c.build_index("FLAT-IP-PQ8")),
    "rabitq": ("rabitq", lambda db, c, path: c.build_index("FLAT-L2-RABITQ")),
    "polarvec": ("polarvec", lambda db, c, path: c.build_index("FLAT-COS-POLARVEC4")),
}


@pytest.mark.parametrize("feature", NOT_YET)
def test_what_is_not_there_yet_says_so(db, docs, tmp_path, feature):
    name, call = NOT_YET[feature]
    text = refusal(lambda: call(db, docs, tmp_path / "target"))
    assert "not_implemented" in text and name in text.lower(), text
    assert docs.index_mode == "FLAT-IP" and docs.shape == (4, 4)
    assert not (tmp_path / "target").exists()
