//! What wrong input gets: a clear JSON error, nothing stored, and a server that goes on.

use crate::program::Server;
use serde_json::{Value, json};

const NAMES: &str = r#""database_name":"db","collection_name":"docs""#;

fn server() -> Server {
    let server = Server::start();
    server.make("docs", 2);
    server.ask("/add", "docs", json!({"ids": ["a"], "vectors": [[1, 0]], "fields": [{"n": 1, "t": "x"}]}));
    server
}

fn raw(server: &Server, path: &str, body: &str) -> crate::program::Reply {
    server.send("POST", path, &[("content-type", "application/json")], body.as_bytes())
}

#[test]
fn wrong_writes_store_nothing() {
    let server = server();
    for (body, words) in [
        (r#""ids":["b"],"vectors":[[1]]"#, "Dimension mismatch: expected 2, got 1"),
        (r#""ids":["b","c"],"vectors":[[1,1],[1]]"#, "dimension mismatch: expected 2 as in vector 0, got 1"),
        (r#""ids":["b","a"],"vectors":[[1,1],[1,1]]"#, "already exists"),
        (r#""ids":["b","b"],"vectors":[[1,1],[1,1]]"#, "occurs twice"),
        (r#""ids":["b"],"vectors":[[null,1]]"#, "expected a finite number"),
        (r#""ids":["b"],"vectors":[[1e39,1]]"#, "number out of range"),
        (r#""ids":["b"],"vectors":[[NaN,1]]"#, "malformed JSON at line 1"),
        (r#""ids":[""],"vectors":[[1,1]]"#, "expected an id: a non-empty string"),
        (r#""ids":[18446744073709551616],"vectors":[[1,1]]"#, "integer from 0 to 18446744073709551615"),
        (r#""ids":[-1],"vectors":[[1,1]]"#, "expected an id"),
        (r#""ids":[true],"vectors":[[1,1]]"#, "expected an id"),
        (r#""ids":["b","c"],"vectors":[[1,1]]"#, "the ids list has 2 entries for 1 vectors"),
        (r#""ids":["b"],"vectors":[[1,1]],"fields":[]"#, "the fields list has 0 entries for 1 vectors"),
        (r#""ids":["b"],"vectors":[[1,1]],"fields":["x"]"#, "expected a field object or null"),
        (r#""ids":["b"],"vectors":[[1,1]"#, "malformed JSON"),
        (r#""vectors":[[1,1]]"#, "missing field `ids`"),
        (r#""ids":[],"vectors":[]"#, ""),
    ] {
        for path in ["/add", "/upsert"] {
            if path == "/upsert" && words == "already exists" {
                continue;
            }
            let message = raw(&server, path, &format!("{{{NAMES},{body}}}")).error(400, "invalid_argument");
            assert!(message.contains(words), "{path} {body}: {message}");
        }
    }
    assert_eq!(server.ask("/collection_shape", "docs", json!({}))["shape"], json!([1, 2]));
    server.ask("/build_index", "docs", json!({"index_mode": "FLAT-COS"}));
    let zero = raw(&server, "/add", &format!(r#"{{{NAMES},"ids":["z"],"vectors":[[0,0]]}}"#));
    assert!(zero.error(400, "invalid_argument").contains("is zero"));
    assert_eq!(server.ask("/is_id_exists", "docs", json!({"id": "z"}))["is_id_exists"], false);
}

#[test]
fn filters_are_refused_with_the_place() {
    let server = server();
    for (filter, position, words) in [
        ("n >>> 2", 3, "expected a value"),
        ("nosuch = 2", 0, "unknown field"),
        ("n = 1 AND nosuch = 2", 10, "unknown field"),
        ("", 0, "empty"),
        ("n = 1; DROP TABLE x", 5, "expected"),
    ] {
        let reply = server.post(
            "/search",
            &json!({"database_name": "db", "collection_name": "docs", "vector": [1, 0], "where": filter}),
        );
        let message = reply.error(400, "invalid_argument");
        assert!(message.contains(words), "{filter}: {message}");
        assert_eq!(reply.json()["position"], position, "{filter}: {message}");
        assert!(reply.json()["expected"].is_string() || filter.is_empty(), "{filter}");
    }
}

#[test]
fn searches_are_checked() {
    let server = server();
    for (body, words) in [
        (r#""vector":[1]"#, "Dimension mismatch: expected 2, got 1"),
        (r#""vector":[1,0],"k":20000"#, "k 20000 exceeds the server's max_top_k 10000"),
        (r#""vector":[1,0],"k":-1"#, "expected a non-negative integer"),
        (r#""vector":[1,null]"#, "expected a finite number"),
        (r#""k":1"#, "missing field `vector`"),
    ] {
        let message = raw(&server, "/search", &format!("{{{NAMES},{body}}}")).error(400, "invalid_argument");
        assert!(message.contains(words), "{body}: {message}");
    }
    let empty = server.ask("/search", "docs", json!({"vector": [1, 0], "k": 0}));
    assert_eq!(empty["items"]["ids"], json!([]));
}

#[test]
fn indexes_are_checked() {
    let server = server();
    for (mode, status, code, words) in [
        ("FOO-L2", 400, "invalid_argument", "unknown index mode"),
        ("HNSW", 400, "invalid_argument", "names no metric"),
        ("HNSW-CANBERRA", 400, "invalid_argument", "unsupported index/metric combination"),
        ("IVF-L2", 501, "not_implemented", "IVF"),
        ("SPANN-IP", 501, "not_implemented", "SPANN"),
        ("DISKANN-COS", 501, "not_implemented", "DISKANN"),
        ("FLAT-L2-PQ8", 501, "not_implemented", "PQ"),
        ("FLAT-L2-RABITQ", 501, "not_implemented", "RABITQ"),
        ("FLAT-IP-POLARVEC", 501, "not_implemented", "POLARVEC"),
    ] {
        let body = json!({"database_name": "db", "collection_name": "docs", "index_mode": mode});
        let message = server.post("/build_index", &body).error(status, code);
        assert!(message.contains(words), "{mode}: {message}");
    }
    for (params, words) in [
        (json!({"m": 0}), "m is 0, expected an integer greater than 0"),
        (json!({"alpha": 0.5}), "alpha is 0.5"),
        (json!({"colour": 1}), "unknown build parameter \"colour\""),
    ] {
        let body = json!({"database_name": "db", "collection_name": "docs", "index_mode": "HNSW-L2", "params": params});
        let message = server.post("/build_index", &body).error(400, "invalid_argument");
        assert!(message.contains(words), "{message}");
    }
    server.make("none", 2);
    let body = json!({"database_name": "db", "collection_name": "none", "index_mode": "HNSW-L2"});
    server.post("/build_index", &body).error(400, "empty_database");
}

#[test]
fn unknown_names_are_404_and_nothing_springs_up() {
    let server = server();
    let description = server.get("/openapi.json").json();
    let mut asked = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        let schema = &methods["post"]["requestBody"]["content"]["application/json"]["schema"];
        let tolerant =
            ["/is_collection_exists", "/required_collection", "/drop_collection"].contains(&path.as_str());
        if schema["properties"]["collection_name"].is_null() || tolerant {
            continue;
        }
        for (database, collection) in [("db", "ghost"), ("ghost", "docs")] {
            let body = json!({
                "database_name": database, "collection_name": collection, "vector": [1, 0], "vectors": [[1, 0]],
                "ids": [1], "id": 1, "threshold": 0, "n": 1, "k": 1, "filter_ids": [1], "index_mode": "FLAT-L2",
            });
            let message = server.post(path, &body).error(404, "not_found");
            assert!(message.contains("ghost"), "{path}: {message}");
            asked += 1;
        }
    }
    assert!(asked > 50, "only {asked} requests were sent");
    for path in ["/search_binary", "/bulk_add_binary", "/add_records_binary"] {
        let url = format!(
            "{path}?database_name=db&collection_name=ghost&dim=1&n_vectors=1&ids_encoding=range&ids_start=0"
        );
        server.octets(&url, &[0; 4]).error(404, "not_found");
    }
    server.get("/head_binary?database_name=db&collection_name=ghost").error(404, "not_found");
    server.post("/show_collections", &json!({"database_name": "ghost"})).error(404, "not_found");
    let body = json!({"database_name": "ghost", "collection_name": "x", "dim": 2});
    server.post("/required_collection", &body).error(404, "not_found");
    assert_eq!(server.get("/list_databases").params()["databases"], json!(["db"]));
    assert_eq!(server.ask("/show_collections", "", json!({}))["collections"], json!(["docs"]));
}

#[test]
fn names_and_types_of_collections_are_checked() {
    let server = server();
    for (path, body) in [
        ("/create_database", json!({"database_name": "a b"})),
        ("/create_database", json!({"database_name": ""})),
        ("/required_collection", json!({"database_name": "db", "collection_name": "a/b", "dim": 2})),
        (
            "/required_collection",
            json!({"database_name": "db", "collection_name": "i8", "dim": 2, "dtypes": "int8"}),
        ),
        (
            "/required_collection",
            json!({"database_name": "db", "collection_name": "docs", "dtypes": "float16"}),
        ),
    ] {
        server.post(path, &body).error(400, "invalid_argument");
    }
}

#[test]
fn every_endpoint_survives_nonsense() {
    let server = server();
    let description = server.get("/openapi.json").json();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            for body in ["", "{", "[]", "null", "\u{0}\u{ff}", r#"{"database_name":1}"#] {
                let reply = server.send(&method, path, &[], body.as_bytes());
                assert!(reply.status < 500 || reply.status == 501, "{path} {body:?}: {}", reply.status);
                if reply.status >= 400 {
                    let body: Value = reply.json();
                    assert_eq!(body["request_id"].as_str(), reply.header("x-request-id"), "{path}");
                }
            }
        }
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn features_of_later_say_so() {
    let server = server();
    for (path, words) in [
        ("/create_vector_field", "named vector fields"),
        ("/sparse_search", "sparse vectors"),
        ("/bm25_search", "BM25"),
        ("/text_search", "BM25"),
        ("/hybrid_search", "hybrid"),
        ("/write_blob?database_name=db&collection_name=docs&key=k", "blobs"),
        ("/snapshot_database", "snapshots"),
        ("/import_collection", "export and import"),
        ("/set_environment", "settings"),
    ] {
        let message = server.post(path, &json!({})).error(501, "not_implemented");
        assert!(message.contains(words), "{path}: {message}");
    }
    let body =
        json!({"database_name": "db", "collection_name": "docs", "vector": [1, 0], "vector_field": "img"});
    assert!(server.post("/search", &body).error(501, "not_implemented").contains("\"img\""));
}

#[test]
fn unknown_endpoints_and_methods_are_json_too() {
    let server = server();
    assert!(server.get("/nowhere").error(404, "not_found").contains("/nowhere"));
    let reply = server.get("/search");
    assert!(reply.error(405, "invalid_argument").contains("takes POST"));
    assert_eq!(reply.header("allow"), Some("POST"));
    let reply = server.send("DELETE", "/list_databases", &[], b"");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
}
