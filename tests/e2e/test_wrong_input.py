"""What wrong input gets: the right status, a JSON error with a code, nothing stored, and a node that goes on.

Every case is raw HTTP, so that no client corrects it on the way. After each one the collection is read back whole.
"""

import json
import math
import re
import socket
import struct

import pytest
from node import Connection, poll

NAMED = {"database_name": "wrong", "collection_name": "c"}
QUERY = "database_name=wrong&collection_name=c"
ROWS = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
BIGGEST = 2**64 - 1


@pytest.fixture(scope="module")
def node(shared_node):
    shared_node.post("/create_database", {"database_name": "wrong"}).params
    for name, mode in (("c", "FLAT-L2"), ("cosine", "FLAT-COS")):
        named = {**NAMED, "collection_name": name}
        shared_node.post("/required_collection", {**named, "dim": 4}).params
        shared_node.post("/add", {**named, "ids": ["a", 1], "vectors": ROWS, "fields": [{"n": 1, "t": "x"}, {"n": 2}]}).params
        shared_node.post("/build_index", {**named, "index_mode": mode}).params
    return shared_node


def everything(node) -> tuple:
    """All that a refused request could have changed."""
    listed = [node.post("/head", {**NAMED, "collection_name": name, "n": 100}).params["head"] for name in ("c", "cosine")]
    stats = node.post("/stats", NAMED).params["stats"]
    databases = node.get("/list_databases").params["databases"]
    collections = node.post("/show_collections", {"database_name": "wrong"}).params["collections"]
    mode = node.post("/index_mode", NAMED).params["index_mode"]
    deleted = node.post("/list_deleted_ids", NAMED).params["ids"]
    return listed, stats, databases, sorted(collections), mode, deleted


@pytest.fixture
def unchanged(node):
    before = everything(node)
    yield
    assert everything(node) == before
    found = node.post("/search", {**NAMED, "vector": ROWS[0], "k": 1}).params["items"]
    assert found["ids"] == ["a"] and found["scores"] == [0.0]


def refused(reply, status, code: str, *words: str):
    """Every error is a JSON object with a text and one of the codes."""
    assert reply.status == status if isinstance(status, int) else reply.status in status, f"{reply.status} {reply.text}"
    assert reply.headers["content-type"].startswith("application/json"), reply.headers
    body = reply.json
    assert set(body) >= {"error", "code"} and isinstance(body["error"], str) and body["error"], body
    assert body["code"] == code, body
    for word in words:
        assert word.lower() in body["error"].lower(), body
    assert "panicked" not in body["error"], body


def add(node, **given):
    return node.post("/add", {**NAMED, "ids": ["new"], "vectors": [[1.0, 2.0, 3.0, 4.0]], **given})


def binary(node, path: str, query: str, body: bytes):
    connection = node.connect()
    try:
        return connection.post_bytes(f"{path}?{QUERY}&{query}", body)
    finally:
        connection.close()


def raw(node, text: str, **named_json):
    connection = node.connect()
    try:
        return connection.request("POST", named_json.pop("path", "/add"), text.encode(), {"Content-Type": "application/json"})
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/add", "/upsert"])
@pytest.mark.parametrize(
    "given, words",
    [
        ({"vectors": [[1.0, 2.0, 3.0]]}, ["dimension", "4", "3"]),
        ({"ids": ["new", "other"], "vectors": [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0]]}, []),
        ({"vectors": [[]]}, []),
        ({"vectors": []}, []),
        ({"ids": []}, []),
        ({"ids": ["new", "other"]}, []),
        ({"ids": [""]}, ["empty"]),
        ({"ids": ["new", "new"], "vectors": ROWS}, ["twice"]),
        ({"ids": [-1]}, []),
        ({"ids": [1.5]}, []),
        ({"ids": [True]}, []),
        ({"ids": [None]}, []),
        ({"ids": [["x"]]}, []),
        ({"vectors": [[1.0, None, 3.0, 4.0]]}, []),
        ({"vectors": [[1.0, "2", 3.0, 4.0]]}, []),
        ({"vectors": [1.0, 2.0, 3.0, 4.0]}, []),
        ({"fields": [1]}, []),
        ({"fields": [{}, {}]}, ["fields"]),
        ({"fields": {"a": 1}}, []),
    ],
)
def test_json_writes(node, unchanged, path, given, words):
    body = {**NAMED, "ids": ["new"], "vectors": [[1.0, 2.0, 3.0, 4.0]], **given}
    refused(node.post(path, body), 400, "invalid_argument", *words)


def test_a_duplicate_id_refuses_the_whole_request(node, unchanged):
    refused(add(node, ids=["new", "a"], vectors=ROWS), (400, 409), add(node, ids=["a"]).json["code"], "already exists")
    reply = add(node, ids=["new", 1], vectors=ROWS)
    assert reply.json["code"] in ("already_exists", "invalid_argument") and "already exists" in reply.json["error"]


def test_a_deleted_id_is_still_taken(node):
    node.post("/delete", {**NAMED, "ids": [1]}).params
    reply = add(node, ids=["new", 1], vectors=ROWS)
    assert reply.status in (400, 409) and "already exists" in reply.json["error"]
    node.post("/restore", {**NAMED, "ids": [1]}).params
    assert node.post("/is_id_exists", {**NAMED, "id": "new"}).params["is_id_exists"] is False


@pytest.mark.parametrize("text", [str(2**64), str(10**30), "1e3", "18446744073709551616.0", "-0.5"])
def test_ids_that_are_no_u64(node, unchanged, text):
    body = json.dumps({**NAMED, "vectors": [ROWS[0]]})[:-1] + f', "ids": [{text}]}}'
    refused(raw(node, body), 400, "invalid_argument")


def test_the_biggest_id_is_an_id(node):
    add(node, ids=[BIGGEST]).params
    read = node.post("/read_by_only_id", {**NAMED, "id": BIGGEST}).params["item"]
    assert read[1] == [BIGGEST], "exact, not rounded"
    assert node.post("/max_id", NAMED).params["max_id"] < 2**63, "ids that the server allots stay below 2^63"
    node.post("/delete", {**NAMED, "ids": [BIGGEST]}).params
    node.post("/compact", NAMED).params


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e39", "-1e999"])
def test_numbers_that_are_not_finite(node, unchanged, number):
    body = json.dumps({**NAMED, "ids": ["new"]})[:-1] + f', "vectors": [[1.0, {number}, 3.0, 4.0]]}}'
    refused(raw(node, body), 400, "invalid_argument")
    body = json.dumps(NAMED)[:-1] + f', "vector": [1.0, {number}, 3.0, 4.0]}}'
    refused(raw(node, body, path="/search"), 400, "invalid_argument")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("letter, encoding", [("f", "float32"), ("e", "float16")])
def test_binary_numbers_that_are_not_finite(node, unchanged, number, letter, encoding):
    vector = struct.pack(f"<4{letter}", 1.0, 2.0, number, 4.0)
    shape = f"dim=4&n_vectors=1&vector_encoding={encoding}"
    refused(binary(node, "/bulk_add_binary", f"{shape}&return_ids=true", vector), 400, "invalid_argument")
    for path in ("/add_binary_ids", "/upsert_binary", "/add_records_binary", "/upsert_records_binary"):
        refused(binary(node, path, f"{shape}&ids_encoding=range&ids_start=50", vector), 400, "invalid_argument")
    refused(binary(node, "/search_binary", f"dim=4&k=1&vector_encoding={encoding}", vector), 400, "invalid_argument")
    refused(binary(node, "/batch_search_binary", f"dim=4&n_queries=1&k=1&vector_encoding={encoding}", vector), 400, "invalid_argument")


def test_a_zero_vector_has_no_direction(node, unchanged):
    named = {**NAMED, "collection_name": "cosine"}
    zero = [0.0, 0.0, 0.0, -0.0]
    for path in ("/add", "/upsert"):
        body = {**named, "ids": ["fine", "new"], "vectors": [ROWS[0], zero]}
        refused(node.post(path, body), 400, "invalid_argument", "zero", "cosine")
    refused(node.post("/search", {**named, "vector": zero, "k": 1}), 400, "invalid_argument", "zero")
    assert node.post("/search", {**NAMED, "vector": zero, "k": 1}).status == 200, "under L2 it is a point like any other"


def test_cosine_is_refused_over_stored_zero_vectors(node):
    """The index is what turns a legal zero vector into one without a direction."""
    named = {**NAMED, "collection_name": "zero"}
    node.post("/required_collection", {**named, "dim": 4, "drop_if_exists": True}).params
    node.post("/add", {**named, "ids": ["z", "a"], "vectors": [[0.0] * 4, ROWS[0]]}).params
    reply = node.post("/build_index", {**named, "index_mode": "FLAT-COS"})
    if reply.status == 200:
        found = node.post("/search", {**named, "vector": ROWS[0], "k": 2}).params["items"]
        assert found["ids"] == ["a", "z"] and all(math.isfinite(score) for score in found["scores"])
    else:
        refused(reply, 400, "invalid_argument", "zero")
        assert node.post("/index_mode", named).params["index_mode"] is None
    node.post("/drop_collection", named).params


ON_COLLECTIONS = {
    "/add": {"ids": ["x"], "vectors": [ROWS[0]]}, "/upsert": {"ids": ["x"], "vectors": [ROWS[0]]}, "/delete": {"ids": ["x"]},
    "/restore": {"ids": ["x"]}, "/search": {"vector": ROWS[0]}, "/batch_search": {"vectors": ROWS}, "/search_profile": {"vector": ROWS[0]},
    "/search_range": {"vector": ROWS[0], "threshold": 1.0}, "/query": {"where": "n = 1"}, "/query_vectors": {"where": "n = 1"},
    "/head": {}, "/tail": {}, "/read_by_only_id": {"id": "a"}, "/collection_shape": {}, "/stats": {}, "/max_id": {}, "/index_mode": {},
    "/list_fields": {}, "/list_deleted_ids": {}, "/compact": {}, "/commit": {}, "/flush": {}, "/checkpoint": {}, "/close_collection": {},
    "/build_index": {"index_mode": "FLAT-L2"}, "/remove_index": {}, "/get_collection_config": {}, "/get_collection_path": {},
    "/update_description": {"description": "x"}, "/update_collection_description": {"description": "x"}, "/is_id_exists": {"id": "a"},
}


@pytest.mark.parametrize("path", ON_COLLECTIONS)
def test_an_unknown_collection_or_database(node, unchanged, path):
    refused(node.post(path, {**NAMED, "collection_name": "ghost", **ON_COLLECTIONS[path]}), 404, "not_found", "ghost")
    refused(node.post(path, {**NAMED, "database_name": "ghost-db", **ON_COLLECTIONS[path]}), 404, "not_found", "ghost-db")


def test_an_unknown_collection_in_the_binary_calls(node, unchanged):
    vector, ghost = struct.pack("<4f", *ROWS[0]), "database_name=wrong&collection_name=ghost&dim=4"
    connection = node.connect()
    for path, query in (
        ("/bulk_add_binary", "n_vectors=1"), ("/add_binary_ids", "n_vectors=1&ids_encoding=range&ids_start=0"),
        ("/add_records_binary", "n_vectors=1&ids_encoding=range&ids_start=0"), ("/search_binary", "k=1"), ("/batch_search_binary", "n_queries=1&k=1"),
    ):
        refused(connection.post_bytes(f"{path}?{ghost}&{query}", vector), 404, "not_found", "ghost")
    connection.close()


def test_a_collection_in_an_unknown_database_is_not_made(node, unchanged):
    refused(node.post("/required_collection", {"database_name": "ghost-db", "collection_name": "c", "dim": 4}), 404, "not_found", "ghost-db")
    assert node.post("/is_collection_exists", {**NAMED, "collection_name": "ghost"}).params["exists"] is False
    refused(node.post("/show_collections", {"database_name": "ghost-db"}), 404, "not_found")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', '{"database_name": "wrong"}', '{"database_name": 3, "collection_name": "c"}', "\x00", "{" * 5000, "[" * 200000])
@pytest.mark.parametrize("path", ["/add", "/search", "/delete", "/required_collection"])
def test_malformed_json(node, unchanged, path, text):
    refused(raw(node, text, path=path), 400, "invalid_argument")


def test_json_that_is_not_utf8(node, unchanged):
    connection = node.connect()
    reply = connection.request("POST", "/head", b'{"database_name": "wrong", "collection_name": "\xff\xfe"}', {"Content-Type": "application/json"})
    refused(reply, 400, "invalid_argument")
    connection.close()


@pytest.mark.parametrize(
    "query, size",
    [
        ("dim=4&n_vectors=2", 16), ("dim=4&n_vectors=1", 17), ("dim=4&n_vectors=1", 0), ("dim=3&n_vectors=1", 12), ("dim=4&n_vectors=0", 0),
        ("dim=4", 16), ("n_vectors=1", 16), ("dim=x&n_vectors=1", 16), ("dim=4&n_vectors=-1", 16), ("dim=4&n_vectors=1&vector_encoding=float64", 16),
        ("dim=4294967295&n_vectors=4294967295", 16), ("dim=4&n_vectors=18446744073709551615", 16), ("dim=0&n_vectors=1", 0),
    ],
)
def test_binary_bodies_of_the_wrong_length(node, unchanged, query, size):
    refused(binary(node, "/bulk_add_binary", f"{query}&return_ids=true", bytes(size)), 400, "invalid_argument")
    with_ids = f"{query}&ids_encoding=raw"
    refused(binary(node, "/add_binary_ids", with_ids, bytes(size)), 400, "invalid_argument")


@pytest.mark.parametrize(
    "block",
    [
        b"LDBF1", b"XXXXX" + struct.pack("<I", 1), b"LDBF1" + struct.pack("<I", 2) + b"\0\0", b"LDBF1" + struct.pack("<I", 1) + b"\x02",
        b"LDBF1" + struct.pack("<I", 1) + b"\x01" + struct.pack("<I", 2**32 - 1), b"LDBF1" + struct.pack("<I", 1) + b"\0" + b"rest",
        b"LDBF1" + struct.pack("<I", 1) + b"\x01" + struct.pack("<II", 1, 2) + b"\xff\xfe" + b"\0",
        b"LDBF1" + struct.pack("<I", 1) + b"\x01" + struct.pack("<II", 1, 1) + b"a" + (b"\x07" + struct.pack("<I", 1)) * 10000 + b"\0",
    ],
)
def test_malformed_field_blocks(node, unchanged, block):
    body = struct.pack("<4f", *ROWS[0]) + block
    for path in ("/add_binary_ids", "/upsert_binary", "/add_records_binary", "/upsert_records_binary"):
        refused(binary(node, path, "dim=4&n_vectors=1&ids_encoding=range&ids_start=77", body), 400, "invalid_argument")


def test_a_range_of_ids_past_the_end(node, unchanged):
    body = struct.pack("<8f", *ROWS[0], *ROWS[1])
    refused(binary(node, "/add_binary_ids", f"dim=4&n_vectors=2&ids_encoding=range&ids_start={BIGGEST}", body), 400, "invalid_argument")


def test_content_length(make_node):
    """A body shorter than announced is never acted on, and holds nothing up."""
    node = make_node("short").start()
    node.post("/create_database", {"database_name": "wrong"}).params
    node.post("/required_collection", {**NAMED, "dim": 4}).params
    body = json.dumps({**NAMED, "ids": ["a"], "vectors": [ROWS[0]]}).encode()
    head = "POST /add HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", node.port)) as cut:
        cut.sendall(head.format(len(body) + 10).encode() + body)
        cut.shutdown(socket.SHUT_WR)
        answer = cut.recv(65536)
        assert answer == b"" or b" 400 " in answer.split(b"\r\n")[0], answer
    assert node.post("/collection_shape", NAMED).params["shape"] == [0, 4]
    with socket.create_connection(("127.0.0.1", node.port)) as garbage:
        garbage.sendall(b"POST /add HTTP/1.1\r\nContent-Length: many\r\n\r\n")
        assert b" 400 " in garbage.recv(65536).split(b"\r\n")[0]
    assert node.get("/healthz").status == 200


def test_a_body_over_the_limit(make_node):
    node = make_node("small", arguments=("--json-limit-mb", "1", "--payload-limit-mb", "2")).start()
    node.post("/create_database", {"database_name": "wrong"}).params
    node.post("/required_collection", {**NAMED, "dim": 4}).params
    refused(raw(node, json.dumps({**NAMED, "ids": ["a"], "vectors": [ROWS[0]], "fields": [{"t": "x" * 2_000_000}]})), 413, "payload_too_large")
    refused(binary(node, "/bulk_add_binary", "dim=4&n_vectors=200000", bytes(3_200_000)), 413, "payload_too_large")
    connection = node.connect()
    connection.http.putrequest("POST", "/add")
    connection.http.putheader("Content-Type", "application/json")
    connection.http.putheader("Content-Length", str(10**12))
    connection.http.endheaders()
    answer = connection.http.getresponse()
    assert answer.status == 413, "an announced size is refused before it is read"
    connection.close()
    assert node.post("/collection_shape", NAMED).params["shape"] == [0, 4]


def test_limits(make_node):
    limits = ("--max-top-k", "5", "--max-batch-vectors", "3", "--max-collection-vectors", "4", "--max-collection-vector-bytes", "0")
    node = make_node("limits", arguments=limits).start()
    node.post("/create_database", {"database_name": "wrong"}).params
    node.post("/required_collection", {**NAMED, "dim": 4}).params
    refused(node.post("/search", {**NAMED, "vector": ROWS[0], "k": 6}), 400, "invalid_argument", "6", "5")
    refused(node.post("/batch_search", {**NAMED, "vectors": [ROWS[0]] * 4, "k": 1}), 400, "invalid_argument", "4", "3")
    refused(node.post("/add", {**NAMED, "ids": [1, 2, 3, 4], "vectors": [ROWS[0]] * 4}), 400, "invalid_argument", "3")
    node.post("/add", {**NAMED, "ids": [1, 2, 3], "vectors": [ROWS[0]] * 3}).params
    refused(node.post("/add", {**NAMED, "ids": [4, 5], "vectors": [ROWS[0]] * 2}), 400, "invalid_argument", "4")
    node.post("/upsert", {**NAMED, "ids": [1, 4], "vectors": [ROWS[0]] * 2}).params
    assert node.post("/collection_shape", NAMED).params["shape"] == [4, 4]


@pytest.mark.parametrize("k", [10001, 2**63, -1, 1.5, "3", True])
def test_k(node, unchanged, k):
    refused(node.post("/search", {**NAMED, "vector": ROWS[0], "k": k}), 400, "invalid_argument")
    if not isinstance(k, (str, bool)):
        refused(binary(node, "/search_binary", f"dim=4&k={k}", struct.pack("<4f", *ROWS[0])), 400, "invalid_argument")


@pytest.mark.parametrize("vector", [[1.0], [], [1.0] * 5, [None] * 4, "x", None])
def test_query_vectors_of_the_wrong_shape(node, unchanged, vector):
    for path in ("/search", "/search_profile"):
        refused(node.post(path, {**NAMED, "vector": vector, "k": 1}), 400, "invalid_argument")
    refused(node.post("/batch_search", {**NAMED, "vectors": [vector, ROWS[0]], "k": 1}), 400, "invalid_argument")
    refused(node.post("/search_range", {**NAMED, "vector": vector, "threshold": 1.0}), 400, "invalid_argument")


@pytest.mark.parametrize(
    "where, position, words",
    [
        ("n >>> 2", 3, []), ("n = ", 4, ["expected"]), ("", 0, ["expected"]), ("n = 1 AND", 9, ["expected"]), ("(n = 1", 6, [")"]),
        ("t = 'open", None, ["'"]), ("n = 1; DROP TABLE c", 5, []), ("n == 1", None, []), ("t SOUNDS 'x'", 2, []), ("nosuch = 1", 0, ["nosuch"]),
        ("n = 1 AND nosuch = 2", 10, ["nosuch"]), ("N = 1", 0, ["N"]), ("n = 'x'", None, []), ("t > 3", None, []), ("n LIKE 'x%'", None, []),
        ("t REGEXP '('", None, []), ("n BETWEEN 1", 11, ["and"]), ("n IN ()", 6, []), ("(" * 10000 + "n = 1" + ")" * 10000, None, []),
        ("n = 1 OR " * 20000 + "n = 1", None, []), ("n = \u0000", 4, []), ("external_id = 1", 0, ["external_id"]),
    ],
)
def test_filters(node, unchanged, where, position, words):
    for path, body in (("/search", {"vector": ROWS[0], "k": 1}), ("/query", {}), ("/query_vectors", {}), ("/search_profile", {"vector": ROWS[0]})):
        reply = node.post(path, {**NAMED, **body, "where": where})
        if where.startswith(("(((", "n = 1 OR n")):
            assert reply.status in (200, 400) and (reply.status == 200 or reply.json["code"] == "invalid_argument"), reply.text[:300]
            continue
        refused(reply, 400, "invalid_argument", *words)
        place = re.search(r"(?:byte|position) (\d+)", reply.json["error"])
        assert where == "" or place, reply.json
        assert position is None or not place or int(place[1]) == position, (reply.json, position)


@pytest.mark.parametrize("where", [3, True, ["n = 1"], {}])
def test_filters_that_are_no_text(node, unchanged, where):
    refused(node.post("/search", {**NAMED, "vector": ROWS[0], "where": where}), 400, "invalid_argument")


@pytest.mark.parametrize("body", [{"index_mode": "FOO-L2"}, {"index_mode": "HNSW"}, {"index_mode": ""}, {"index_mode": 3}, {"index_mode": "HNSW-L2", "params": {"m": 0}},
                                  {"index_mode": "HNSW-L2", "params": {"nosuch": 1}}, {"index_mode": "HNSW-L2", "params": {"ef_construction": -1}},
                                  {"index_mode": "HNSW-L2", "params": {"m": 1e9}}, {"index_mode": "FLAT-HAVERSINE"}, {"index_mode": "HNSW-CANBERRA"}, {"index_mode": "FLAT-HELLINGER-SQ8"}])
def test_indexes(node, unchanged, body):
    refused(node.post("/build_index", {**NAMED, **body}), 400, "invalid_argument")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "../x", "x" * 129, "ü", "a\u0000", None, 3])
def test_names(node, unchanged, name):
    refused(node.post("/create_database", {"database_name": name}), 400, "invalid_argument")
    refused(node.post("/required_collection", {"database_name": "wrong", "collection_name": name, "dim": 4}), 400, "invalid_argument")


@pytest.mark.parametrize("given", [{"dim": -1}, {"dim": 10**9}, {"dim": "4"}, {"dim": 1.5}, {"dtypes": "int8"}, {"dtypes": 3}, {"description": 3}])
def test_collection_options(node, unchanged, given):
    body = {"database_name": "wrong", "collection_name": "new", "dim": 4, **given}
    refused(node.post("/required_collection", body), 400, "invalid_argument")


@pytest.mark.parametrize("method, path, status", [("GET", "/nosuch", 404), ("POST", "/nosuch", 404), ("GET", "/search", (404, 405)), ("DELETE", "/search", (404, 405)), ("PUT", "/", (404, 405)), ("POST", "/add/", 404), ("GET", "//", 404)])
def test_unknown_routes(node, unchanged, method, path, status):
    connection = node.connect()
    reply = connection.request(method, path, b"{}" if method == "POST" else None)
    refused(reply, status, reply.json["code"])
    assert reply.json["code"] in ("not_found", "invalid_argument")
    connection.close()


def test_an_unknown_id(node, unchanged):
    refused(node.post("/read_by_only_id", {**NAMED, "id": "zz"}), (400, 404), node.post("/read_by_only_id", {**NAMED, "id": ["a", "zz"]}).json["code"], "zz")
    refused(node.post("/query", {**NAMED, "filter_ids": ["a", "zz"]}), (400, 404), node.post("/query", {**NAMED, "filter_ids": ["zz"]}).json["code"], "zz", "does not exist")
    assert node.post("/is_id_exists", {**NAMED, "id": "1"}).params["is_id_exists"] is False, "1 and the string 1 differ"


def test_the_node_survives_a_burst_of_garbage(make_node):
    node = make_node("burst").start()
    for bytes_sent in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 100, b"POST /add HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n", bytes(range(256)) * 100):
        with socket.create_connection(("127.0.0.1", node.port), timeout=10) as garbage:
            try:
                garbage.sendall(bytes_sent)
                garbage.shutdown(socket.SHUT_WR)
                while garbage.recv(65536):
                    pass
            except OSError:
                # Refused before all was sent: a reset, or no connection left to shut down.
                pass
    idle = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(200)]
    assert poll(lambda: node.get("/healthz").status == 200, "an answer beside 200 idle connections")
    for connection in idle:
        connection.close()
    assert Connection(node.port).get("/readyz").status == 200 and node.process.poll() is None
