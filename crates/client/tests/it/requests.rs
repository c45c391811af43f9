//! What is sent.

use crate::server::Once;
use lavandin_client::NextOptions;
use lavandin_wire::lavender::{ColumnOptions, CreateShardset, UpdateShardset};

const SHARDSET: &str = r#"{"id":"ss-1","dataset_id":"ds-1","location":"file:///a","is_main":true,"created_at":"2026-11-20T15:27:14","shard_count":2,"total_samples":20,"columns":[]}"#;

#[test]
fn a_request_has_its_path_its_key_and_its_body() {
    let server = Once::json(SHARDSET);
    let column_type = "int64".to_owned();
    let columns = vec![ColumnOptions { name: "id".to_owned(), column_type, description: None }];
    let new = CreateShardset { location: "file:///a".to_owned(), columns };
    let client = server.client(Some("la-1:secret"));
    let created = client.run(async |client| client.create_shardset("ds-1", &new).await).unwrap();
    assert_eq!((created.shardset.id.as_str(), created.shardset.total_samples), ("ss-1", 20));
    let asked = server.asked();
    assert_eq!(asked.line, "POST /api/datasets/ds-1/shardsets");
    assert_eq!(asked.header("authorization"), Some("Basic bGEtMTpzZWNyZXQ="));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.body, r#"{"location":"file:///a","columns":[{"name":"id","type":"int64"}]}"#);
}

#[test]
fn ids_and_parameters_cannot_leave_their_place() {
    let server = Once::json(SHARDSET);
    let client = server.client(None);
    let change = UpdateShardset { is_main: true };
    client.run(async |client| client.update_shardset("a/../b?c", "é #", &change).await).unwrap();
    let asked = server.asked();
    assert_eq!(asked.line, "PUT /api/datasets/a%2F..%2Fb%3Fc/shardsets/%C3%A9%20%23");
    assert_eq!(asked.header("authorization"), None);

    let server = Once::json("[]");
    let found = server.client(None).run(async |client| client.datasets(Some("a&name=b c")).await).unwrap();
    assert!(found.is_empty());
    assert_eq!(server.asked().line, "GET /api/datasets/?name=a%26name%3Db+c");
}

#[test]
fn fetching_says_for_whom_and_how() {
    let server = Once::new("200 OK", "X-Lavender-Data-Sample-Current: 7\r\n", b"\0\0bytes");
    let options = NextOptions { rank: 2, no_cache: true, max_retry_count: 3, step: Some(8) };
    let batch = server.client(None).run(async |client| client.next_batch("it-1", options).await).unwrap();
    assert_eq!((batch.current, batch.bytes.as_slice()), (Some(7), &b"\0\0bytes"[..]));
    let line = "GET /api/iterations/it-1/next?rank=2&no_cache=true&max_retry_count=3&step=8";
    assert_eq!(server.asked().line, line);

    let server = Once::json("null");
    server.client(None).run(async |client| client.complete_index("it-1", 5).await).unwrap();
    assert_eq!(server.asked().line, "POST /api/iterations/it-1/complete/5");
}
