use super::*;

#[test]
fn a_cache_is_written_whole_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not-there-yet").join("state.json");
    let cache = StateCache { cluster: Some("7".repeat(32)), nodes: vec!["http://a:1".to_owned()] };
    cache.write(&path).unwrap();
    assert_eq!(StateCache::read(&path), cache);
    let fields: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(fields, serde_json::json!({"cluster": "7".repeat(32), "nodes": ["http://a:1"]}));
    let names: Vec<_> =
        fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["state.json"]);
}

#[test]
fn what_cannot_be_read_is_an_empty_cache() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(StateCache::read(&folder.path().join("missing")), StateCache::default());
    assert_eq!(StateCache::read(folder.path()), StateCache::default());
    let path = folder.path().join("state.json");
    let long = format!(r#"{{"cluster": null, "nodes": ["{}"]}}"#, "a".repeat(BYTES_MAX as usize));
    for text in ["", "{", r#"{"nodes": 1}"#, "\u{0}", &long] {
        fs::write(&path, text).unwrap();
        assert_eq!(StateCache::read(&path), StateCache::default(), "{text:.20}");
    }
    let many = StateCache { cluster: None, nodes: vec!["http://a:1".to_owned(); 1_000] };
    many.write(&path).unwrap();
    assert_eq!(StateCache::read(&path).nodes.len(), NODES_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_follows_the_catalogue() {
    use crate::accept::tests::{ask, config};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let running = crate::run::start(config(&folder.path().join("data"), &[])).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let keeping = tokio::spawn(keep(Arc::clone(&running.app), path.clone(), stopped));
    let body = r#"{"database_name":"db"}"#;
    let head = "POST /create_database HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length";
    assert!(ask(&running, &format!("{head}: {}\r\n\r\n{body}", body.len())).await.contains("200 OK"));
    let cluster = running.app.node.catalogue().cluster().map(|cluster| cluster.to_string());
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while StateCache::read(&path).cluster != cluster {
        assert!(std::time::Instant::now() < end, "the cache is not written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(true).unwrap();
    keeping.await.unwrap();
    running.stop().await.unwrap();
}
