//! What the server says of itself: health, metrics, description, names of requests, logs.

use crate::program::Server;
use serde_json::json;

#[test]
fn liveness_and_readiness() {
    let server = Server::start();
    assert_eq!(server.get("/healthz").json(), json!({"status": "ok"}));
    assert_eq!(server.get("/readyz").json(), json!({"status": "ready"}));
    assert_eq!(server.get("/version").json()["name"], "lavandin");
    let greeting = server.get("/").json();
    assert_eq!(
        (&greeting["status"], &greeting["message"]),
        (&json!("success"), &greeting["params"]["message"])
    );
}

#[test]
fn a_node_alone_is_a_cluster_of_one() {
    let server = Server::start();
    let own = format!("http://{}", server.address);
    for formed in [false, true] {
        let info = server.get("/cluster_info").params();
        let group = &info["shard_groups"][0];
        assert_eq!((&group["name"], &group["primary"]), (&json!("sg0"), &json!(own)), "{info}");
        assert_eq!((&group["primary_epoch"], &group["replicas"]), (&json!(1), &json!([])), "{info}");
        assert_eq!((&group["writable"], &group["why_not"]), (&json!(true), &json!(null)), "{info}");
        assert_eq!(info["degraded"], json!([]), "{info}");
        assert_eq!(info["cluster"].is_string(), formed, "{info}");
        let status = server.get("/coordinator_status").params();
        assert_eq!(
            (&status["role"], &status["coordinator_uri"]),
            (&json!("single"), &json!(own)),
            "{status}"
        );
        assert_eq!(
            (&status["metadata"]["mode"], &status["metadata"]["degraded"]),
            (&json!("single"), &json!(false))
        );
        server.make("docs", 2);
    }
    let info = server.get("/cluster_info").params();
    assert_eq!(info["databases"], json!(["db"]));
    let docs = &info["collections"]["db/docs"];
    assert_eq!((&docs["dim"], &docs["shard_groups"]), (&json!(2), &json!(["sg0"])), "{info}");
    assert!(info["meta_epoch"].as_u64() > Some(0) && info["bucket_count"] == 4096, "{info}");
    let text = String::from_utf8(server.get("/metrics").body).unwrap();
    for line in [
        "lavandin_ready 1",
        "lavandin_group_in_sync{group=\"sg0\"} 1",
        "lavandin_group_copies_wanted{group=\"sg0\"} 1",
        "lavandin_group_writable{group=\"sg0\"} 1",
        "lavandin_metadata_degraded 0",
        "lavandin_peer_connections 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    for name in
        ["group_primary_epoch{", "metadata_leader_changes_total ", "chores_epoch ", "data_volume_free_bytes "]
    {
        assert!(
            text.lines().any(|line| line.starts_with(&format!("lavandin_{name}"))),
            "no {name} in\n{text}"
        );
    }
}

#[test]
fn a_machine_open_to_others_without_a_secret_is_warned_about() {
    let open = Server::start_with(&["--host", "0.0.0.0"]);
    assert_eq!(open.logged("peers_on_this_machine_only")["flag"], "--api-key");
    let keyed = Server::start_with(&["--host", "0.0.0.0", "--api-key", "k"]);
    assert!(!keyed.has_logged("peers_on_this_machine_only"));
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
