//! Databases, collections, records and searches through JSON: what a client sees when all is well.

use crate::program::Server;
use serde_json::{Value, json};

fn filled() -> Server {
    let server = Server::start();
    server.make("docs", 4);
    server.ask(
        "/add",
        "docs",
        json!({
            "ids": ["doc-1", "doc-2", "a", 7],
            "vectors": [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [1, 0, 0, 0], [0, 1, 0, 0]],
            "fields": [
                {"title": "first cat", "n": 1, "tags": ["x", "y"], "ok": true, "price": 1.5},
                {"title": "second dog", "n": 2}, {"title": "third cat", "n": 3, "o": {"k": null}}, null,
            ],
        }),
    );
    server
}

#[test]
fn databases_and_collections_come_and_go() {
    let server = Server::start();
    assert_eq!(server.get("/list_databases").params(), json!({"databases": []}));
    server.make("docs", 4);
    server.make("docs", 4);
    assert_eq!(server.get("/list_databases").params()["databases"], json!(["db"]));
    let exists = |path: &str| server.ask(path, "docs", json!({}))["exists"].clone();
    assert_eq!((exists("/database_exists"), exists("/is_collection_exists")), (json!(true), json!(true)));
    let described = server.ask("/update_description", "docs", json!({"description": "texts"}));
    assert_eq!(described["description"], "texts");
    let details = server.ask("/show_collections_details", "", json!({}));
    let expected = json!({"name": "docs", "shape": [0, 4], "dim": 4, "dtypes": "float32", "index_mode": null, "description": "texts"});
    assert_eq!(details["collections"]["docs"], expected);
    assert_eq!(server.ask("/show_collections", "", json!({}))["collections"], json!(["docs"]));
    server.ask("/drop_collection", "docs", json!({}));
    server.ask("/drop_collection", "docs", json!({}));
    assert_eq!(exists("/is_collection_exists"), json!(false));
    server.post("/delete_database", &json!({"database_name": "db"})).params();
    server.post("/drop_database", &json!({"database_name": "db"})).params();
    assert_eq!((exists("/database_exists"), exists("/is_collection_exists")), (json!(false), json!(false)));
}

#[test]
fn records_are_written_searched_and_read_back() {
    let server = filled();
    let found = server.ask(
        "/search",
        "docs",
        json!({"vector": [0.1, 0.2, 0.3, 0.4], "k": 2, "return_fields": true, "where": "n >= 2 OR title LIKE '%cat'"}),
    );
    let items = &found["items"];
    assert_eq!(items["ids"], json!(["doc-1", "doc-2"]));
    let scores: Vec<f64> =
        items["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
    assert!((scores[0] - 0.3).abs() < 1e-6 && (scores[1] - 0.2).abs() < 1e-6, "{scores:?}");
    assert_eq!(items["fields"][1], json!({"title": "second dog", "n": 2}));
    assert_eq!((&items["k"], &items["vector_field"]), (&json!(2), &json!("default")));

    let batch = server.ask("/batch_search", "docs", json!({"vectors": [[1, 0, 0, 0], [0, 1, 0, 0]], "k": 1}));
    let ids: Vec<_> =
        batch["results"].as_array().unwrap().iter().map(|result| result["ids"].clone()).collect();
    assert_eq!(ids, [json!(["a"]), json!([7])]);

    let range = server.ask("/search_range", "docs", json!({"vector": [1, 0, 0, 0], "threshold": 0.4}));
    assert_eq!(range["result"], json!({"ids": ["a", "doc-2"], "distances": [1.0, 0.4]}));

    let profile =
        server.ask("/search_profile", "docs", json!({"vector": [1, 0, 0, 0], "k": 2, "where": "n > 1"}));
    assert_eq!(profile["profile"]["filter_matches"], 2);
    assert_eq!(profile["items"]["index"], "FLAT-IP");

    let rows = server.ask("/query", "docs", json!({"where": "tags CONTAINS 'y'"}));
    assert_eq!(rows["result"][0]["id"], "doc-1");
    let ids = server.ask("/query", "docs", json!({"filter_ids": [7, "a"], "return_ids_only": true}));
    assert_eq!(ids["result"], json!([7, "a"]));
    let columns = server.ask("/query_vectors", "docs", json!({"filter_ids": 7}));
    assert_eq!(columns["result"], json!([[[0.0, 1.0, 0.0, 0.0]], [7], [{}]]));
    assert_eq!(server.ask("/head", "docs", json!({"n": 1}))["head"][1], json!(["doc-1"]));
    assert_eq!(server.ask("/tail", "docs", json!({"n": 1}))["tail"][1], json!([7]));
    let item = server.ask("/read_by_only_id", "docs", json!({"id": "a"}))["item"].clone();
    assert_eq!(
        item,
        json!([[[1.0, 0.0, 0.0, 0.0]], ["a"], [{"title": "third cat", "n": 3, "o": {"k": null}}]])
    );
    let names = server.ask("/list_fields", "docs", json!({}))["fields"].clone();
    assert!(names.as_array().unwrap().contains(&json!("price")));
}

#[test]
fn records_are_replaced_hidden_restored_and_removed() {
    let server = filled();
    let upsert = json!({"ids": ["a", "new"], "vectors": [[2, 0, 0, 0], [3, 0, 0, 0]], "fields": null});
    assert_eq!(server.ask("/upsert", "docs", upsert)["ids"], json!(["a", "new"]));
    let a = server.ask("/read_by_only_id", "docs", json!({"id": "a"}))["item"].clone();
    assert_eq!((&a[0], &a[2][0]["title"]), (&json!([[2.0, 0.0, 0.0, 0.0]]), &json!("third cat")));

    let deleted = server.ask("/delete", "docs", json!({"ids": ["a", 7, "missing"]}));
    assert_eq!((&deleted["status"], &deleted["count"]), (&json!("ok"), &json!(2)));
    let exists = |id: Value| server.ask("/is_id_exists", "docs", json!({"id": id}))["is_id_exists"].clone();
    assert_eq!(
        (exists(json!("a")), exists(json!("new")), exists(json!(-1))),
        (json!(false), json!(true), json!(false))
    );
    assert_eq!(server.ask("/list_deleted_ids", "docs", json!({}))["ids"].as_array().unwrap().len(), 2);
    server.ask("/restore", "docs", json!({"ids": "a"}));
    assert_eq!(exists(json!("a")), json!(true));
    assert_eq!(server.ask("/compact", "docs", json!({}))["vectors_removed"], 1);
    let stats = server.ask("/stats", "docs", json!({}))["stats"].clone();
    assert_eq!(
        (&stats["n_vectors"], &stats["n_live"], &stats["n_tombstoned"]),
        (&json!(4), &json!(4), &json!(0))
    );
    assert_eq!(server.ask("/collection_shape", "docs", json!({}))["shape"], json!([4, 4]));
}

#[test]
fn indexes_are_built_named_and_removed() {
    let server = filled();
    let mode = || server.ask("/index_mode", "docs", json!({}))["index_mode"].clone();
    assert_eq!(mode(), json!(null));
    let built =
        server.ask("/build_index", "docs", json!({"index_mode": "hnsw-L2", "params": {"m": 8, "nprobe": 3}}));
    assert_eq!((&built["index_mode"], &built["params"]), (&json!("hnsw-L2"), &json!({"m": 8, "nprobe": 3})));
    assert_eq!(mode(), "hnsw-L2");
    let found = server.ask("/search", "docs", json!({"vector": [0.1, 0.2, 0.3, 0.4], "k": 1}));
    assert_eq!((&found["items"]["ids"], &found["items"]["scores"]), (&json!(["doc-1"]), &json!([0.0])));
    let fields = server.ask("/list_vector_fields", "docs", json!({}))["fields"].clone();
    assert_eq!((&fields[0]["name"], &fields[0]["metric"]), (&json!("default"), &json!("l2")));
    server.ask("/remove_index", "docs", json!({}));
    assert_eq!(mode(), json!(null));
}

#[test]
fn approximate_scores_are_rounded() {
    let server = filled();
    let ask = |extra: Value| {
        let mut body = json!({"vector": [0.13, 0.2, 0.3, 0.4], "k": 1, "approx": true});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        server.ask("/search", "docs", body)["items"]["scores"][0].as_f64().unwrap()
    };
    assert_eq!(ask(json!({"eps": 0.5})), 0.5);
    assert!((ask(json!({"eps": null})) - 0.303).abs() < 1e-4);
    assert!(
        (ask(json!({"eps": 0.5, "where": "n = 1"})) - 0.303).abs() < 1e-4,
        "a filtered search is not rounded"
    );
}

#[test]
fn durability_calls_answer_as_the_reference_does() {
    let server = filled();
    let names = json!({"database_name": "db", "collection_name": "docs"});
    let commit = server.post("/commit", &names).params();
    assert_eq!(commit, json!({"status": "Success", "result": names}));
    for path in ["/flush", "/checkpoint", "/close_collection"] {
        assert_eq!(server.post(path, &names).params(), names, "{path}");
    }
}

#[test]
fn an_idempotency_key_makes_a_retry_harmless() {
    let server = filled();
    let body =
        json!({"database_name": "db", "collection_name": "docs", "ids": ["once"], "vectors": [[1, 1, 1, 1]]});
    let send = |key: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        server.send("POST", "/add", &headers, body.to_string().as_bytes())
    };
    assert_eq!(send("k1").params()["ids"], json!(["once"]));
    assert_eq!(send("k1").params()["ids"], json!(["once"]));
    assert!(send("k2").error(400, "invalid_argument").contains("already exists"));
    assert!(send("").error(400, "invalid_argument").contains("idempotency-key"));
}
