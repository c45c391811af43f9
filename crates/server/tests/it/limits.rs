//! Keys, sizes and content types.

use crate::program::{Server, connect, read_reply};
use serde_json::json;
use std::io::{Read, Write};

#[test]
fn the_key_is_wanted_everywhere_but_on_open_routes() {
    let server = Server::start_with(&["--api-key", "sesame"]);
    for path in ["/", "/version", "/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for path in ["/list_databases", "/metrics", "/openapi.json", "/cluster_info", "/nowhere"] {
        let reply = server.get(path);
        reply.error(401, "unauthorized");
        assert!(reply.header("www-authenticate").unwrap().contains("Bearer"), "{path}");
    }
    for (value, status) in [
        ("Bearer sesame", 200),
        ("Basic YW55OnNlc2FtZQ==", 200),
        ("Bearer wrong", 401),
        ("Basic YW55Ondyb25n", 401),
        ("sesame", 401),
    ] {
        assert_eq!(
            server.send("GET", "/list_databases", &[("authorization", value)], b"").status,
            status,
            "{value}"
        );
    }
    let body = vec![b' '; 4 << 20];
    let reply = server.send("POST", "/add", &[("content-type", "application/json")], &body);
    reply.error(401, "unauthorized");
}

#[test]
fn bodies_over_the_limit_are_413() {
    let server = Server::start_with(&["--json-limit-mb", "1", "--payload-limit-mb", "1"]);
    let large = vec![b' '; (1 << 20) + 1];
    let message = server
        .send("POST", "/add", &[("content-type", "application/json")], &large)
        .error(413, "payload_too_large");
    assert!(message.contains("1048577") && message.contains("1048576"), "{message}");
    server
        .octets("/bulk_add_binary?database_name=d&collection_name=c&dim=1&n_vectors=1", &large)
        .error(413, "payload_too_large");
    let mut stream = connect(&server.address);
    stream
        .write_all(
            b"POST /add HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .unwrap();
    let piece = vec![b' '; 1 << 16];
    for _ in 0..20 {
        stream.write_all(b"10000\r\n").unwrap();
        stream.write_all(&piece).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    read_reply(&reply).error(413, "payload_too_large");
    let fits = vec![b' '; 1 << 20];
    server.send("POST", "/add", &[], &fits).error(400, "invalid_argument");
}

#[test]
fn content_types_are_checked() {
    let server = Server::start();
    let body = br#"{"database_name":"db"}"#;
    for (kind, status) in [
        (Some("application/json"), 200),
        (Some("application/json; charset=utf-8"), 200),
        (None, 200),
        (Some("text/plain"), 400),
        (Some("application/x-www-form-urlencoded"), 400),
    ] {
        let headers: Vec<_> = kind.iter().map(|kind| ("content-type", *kind)).collect();
        assert_eq!(server.send("POST", "/create_database", &headers, body).status, status, "{kind:?}");
    }
    let reply = server.send("POST", "/search_binary", &[("content-type", "application/json")], b"{}");
    assert!(reply.error(400, "invalid_argument").contains("expected application/octet-stream"));
}

#[test]
fn counts_over_the_limits_are_refused() {
    let server = Server::start_with(&[
        "--max-batch-vectors",
        "2",
        "--max-top-k",
        "3",
        "--max-collection-vectors",
        "3",
    ]);
    server.make("docs", 1);
    let three = json!({"ids": [1, 2, 3], "vectors": [[1], [2], [3]], "database_name": "db", "collection_name": "docs"});
    let message = server.post("/add", &three).error(400, "invalid_argument");
    assert!(message.contains("max_batch_vectors 2"), "{message}");
    server.ask("/add", "docs", json!({"ids": [1, 2], "vectors": [[1], [2]]}));
    let two = json!({"ids": [3, 4], "vectors": [[3], [4]], "database_name": "db", "collection_name": "docs"});
    server.post("/add", &two).error(400, "invalid_argument");
    for (path, body) in [
        ("/search", json!({"vector": [1], "k": 4})),
        ("/head", json!({"n": 4})),
        ("/search_range", json!({"vector": [1], "threshold": 0, "max_results": 4})),
        ("/batch_search", json!({"vectors": [[1], [1], [1]], "k": 1})),
        ("/delete", json!({"ids": [1, 2, 3]})),
    ] {
        let mut body = body;
        body["database_name"] = json!("db");
        body["collection_name"] = json!("docs");
        server.post(path, &body).error(400, "invalid_argument");
    }
    assert_eq!(server.ask("/collection_shape", "docs", json!({}))["shape"], json!([2, 1]));
}

#[test]
fn connections_over_the_limit_are_told() {
    let server = Server::start_with(&["--max-connections", "1"]);
    let mut held = connect(&server.address);
    held.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut first = [0; 15];
    held.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let mut refused = connect(&server.address);
    let mut reply = Vec::new();
    refused.read_to_end(&mut reply).unwrap();
    assert_eq!(read_reply(&reply).status, 503);
}

#[test]
fn a_body_that_ends_early_is_refused() {
    let server = Server::start();
    let mut stream = connect(&server.address);
    stream
        .write_all(b"POST /create_database HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"data")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    if !reply.is_empty() {
        assert_eq!(read_reply(&reply).status, 400);
    }
    assert_eq!(server.get("/list_databases").params()["databases"], json!([]));
}

#[test]
fn a_body_that_nobody_wants_does_not_hide_the_reply() {
    let server = Server::start();
    let body = vec![b' '; 8 << 20];
    for (method, path, status) in [
        ("GET", "/list_databases", 200),
        ("GET", "/iterations/", 200),
        ("GET", "/iterations/none", 404),
        ("POST", "/cluster/sync", 410),
        ("POST", "/create_database", 400),
    ] {
        let reply = server.send(method, path, &[("content-type", "text/plain")], &body);
        assert_eq!(reply.status, status, "{method} {path}");
    }
}
