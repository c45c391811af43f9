use super::*;
use crate::accept::tests::{ask, config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIST: &str = "GET /list_databases HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_opened_again_keeps_its_port_and_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(config(folder.path(), &[])).await.unwrap();
    let body = r#"{"database_name":"db"}"#;
    let create = format!(
        "POST /create_database HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(ask(&running, &create).await.starts_with("HTTP/1.1 200"));
    let (address, first) = (running.address, Arc::downgrade(&running.app));
    // An idle connection is closed; clients that come at any moment from now on are answered.
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 15]).await.unwrap();
    let (done, mut is_done) = watch::channel(false);
    let clients = tokio::spawn(async move {
        let mut answered = 0;
        while !*is_done.borrow_and_update() {
            let mut stream = TcpStream::connect(address).await.expect("the port was free for a moment");
            stream.write_all(LIST.as_bytes()).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            if !reply.is_empty() {
                assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("\"db\""), "{reply}");
                answered += 1;
            }
        }
        answered
    });
    let running = running.reopen().await.unwrap();
    assert_eq!(running.address, address);
    assert!(first.upgrade().is_none(), "the first node is still there");
    let reply = ask(&running, LIST).await;
    assert!(reply.contains("\"db\""), "{reply}");
    done.send(true).unwrap();
    assert!(clients.await.unwrap() > 0);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    running.stop().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "a stopped server leaves its port");
}

#[tokio::test(flavor = "multi_thread")]
async fn adoption_is_noticed_and_its_impossibility_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start(config(folder.path(), &[])).await.unwrap();
    let (adopt, adopted) = watch::channel(false);
    running.adopted = adopted;
    let wait = Duration::from_millis(20);
    assert!(tokio::time::timeout(wait, running.was_adopted()).await.is_err());
    adopt.send(true).unwrap();
    running.was_adopted().await;
    running.adopted = watch::channel(false).1;
    assert!(tokio::time::timeout(wait, running.was_adopted()).await.is_err(), "nobody can adopt it");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_knows_its_address_and_the_nodes_of_its_cache() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache.json");
    std::fs::write(&cache, r#"{"cluster": null, "nodes": ["http://127.0.0.1:2", "http://127.0.0.1:1"]}"#)
        .unwrap();
    let flags = [
        ("role", "coordinator"),
        ("metadata_owners", "http://127.0.0.1:1"),
        ("cluster_state", cache.to_str().unwrap()),
        ("port", "7655"),
        ("host", "0.0.0.0"),
    ];
    let mut config = config(&folder.path().join("data"), &flags);
    cluster::prepare(&mut config, [0, 0, 0, 0].into());
    let settings = options_of(&config, ([127, 0, 0, 1], 7637).into()).cluster;
    assert_eq!(settings.advertised.as_deref(), Some("http://127.0.0.1:7655"));
    assert_eq!(settings.contacts, ["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    assert_eq!(settings.owners, ["http://127.0.0.1:1"]);
}
