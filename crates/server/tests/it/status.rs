//! What the server says of itself: health, metrics, description, names of requests, logs.

use crate::program::Server;
use serde_json::json;

#[test]
fn liveness_and_readiness() {
    let server = Server::start();
    assert_eq!(server.get("/healthz").json(), json!({"status": "ok"}));
    assert_eq!(server.get("/readyz").json(), json!({"status": "ready"}));
    assert_eq!(server.get("/version").json()["name"], "lavandin");
    assert_eq!(server.get("/").json()["status"], "success");
    assert_eq!(server.get("/cluster_info").params()["shard_groups"][0]["name"], "sg0");
}

#[test]
fn metrics_count_what_happened() {
    let server = Server::start();
    server.make("docs", 2);
    server.ask("/add", "docs", json!({"ids": [1], "vectors": [[1, 2]]}));
    server.get("/nowhere");
    let reply = server.get("/metrics");
    assert!(reply.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(reply.body).unwrap();
    for line in [
        "lavandin_up 1",
        "lavandin_databases_total 1",
        "lavandin_collections_total 1",
        "lavandin_records_total 1",
        "lavandin_http_requests_by_status_total{status_class=\"4xx\"} 1",
        "lavandin_http_requests_by_route_total{method=\"POST\",route=\"/add\"} 1",
        "lavandin_http_requests_by_route_total{method=\"\",route=\"(none)\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    for name in [
        "server_start_time_seconds",
        "storage_disk_bytes",
        "storage_wal_bytes",
        "storage_index_bytes",
        "process_resident_memory_bytes",
        "index_builds_total",
        "index_builds_in_progress",
        "index_build_current_vectors",
        "index_build_last_vectors",
        "index_build_progress_ratio",
        "index_build_duration_seconds_sum",
        "index_build_duration_seconds_count",
        "index_build_last_duration_seconds",
        "http_requests_total",
        "http_request_errors_total",
        "http_request_errors_by_kind_total",
        "http_request_duration_seconds_bucket",
        "http_request_duration_seconds_quantile",
        "open_databases_total",
        "open_collections_total",
    ] {
        assert!(text.lines().any(|line| line.starts_with(&format!("lavandin_{name}"))), "no lavandin_{name}");
    }
}

#[test]
fn requests_are_named() {
    let server = Server::start();
    let named = server.send("GET", "/", &[("x-request-id", "mine-1")], b"");
    assert_eq!(named.header("x-request-id"), Some("mine-1"));
    let strange = server.send("GET", "/", &[("x-request-id", "a b\"")], b"");
    let other = server.get("/");
    assert!(strange.header("x-request-id").is_some_and(|name| name != "a b\""));
    assert_ne!(strange.header("x-request-id"), other.header("x-request-id"));
}

#[test]
fn changes_and_slow_searches_are_logged() {
    let server = Server::start_with(&["--slow-query-warn-ms", "1", "--log-level", "debug"]);
    server.make("docs", 64);
    let change = server.logged("audit");
    assert_eq!((&change["action"], &change["outcome"]), (&json!("create_database"), &json!("done")));
    let rows: Vec<Vec<u64>> = (0..2000).map(|row| (0..64).map(|at| row * at % 97).collect()).collect();
    let ids: Vec<u64> = (0..2000).collect();
    server.ask("/add", "docs", json!({"ids": ids, "vectors": rows}));
    server.ask("/batch_search", "docs", json!({"vectors": rows, "k": 100}));
    let slow = server.logged("slow_query");
    assert_eq!((&slow["route"], &slow["collection"]), (&json!("/batch_search"), &json!("docs")));
    assert_eq!((&slow["queries"], &slow["level"]), (&json!(2000), &json!("WARN")));
    let access = server.logged("http_request");
    assert_eq!((&access["path"], &access["status"]), (&json!("/create_database"), &json!(200)));
}

#[test]
fn an_open_address_is_warned_about() {
    let open = Server::start_with(&["--host", "0.0.0.0"]);
    assert_eq!(open.logged("open_to_all")["level"], "WARN");
}
