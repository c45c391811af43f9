//! Peers and clients at one port: a real node, real sockets.

use crate::config::{Resolved, ServerConfig, Sources};
use crate::run::{self, Running};
use lavandin_node::ClusterSettings;
use lavandin_peer::{
    Call, CallError, Class, ClientOptions, ClusterSecret, ConnectionError, HandshakeError, Lane,
    PeerIdentity, PeerPool, Reason, Target, TcpConnector, Trust,
};
use lavandin_types::StoreId;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// The settings of `serve` on a free port, with some flags.
pub(crate) fn config(directory: &Path, flags: &[(&'static str, &str)]) -> ServerConfig {
    let mut command_line: BTreeMap<_, _> =
        flags.iter().map(|(key, text)| (*key, (*text).to_owned())).collect();
    command_line.entry("port").or_insert("0".to_owned());
    command_line.insert("data_dir", directory.display().to_string());
    let sources = Sources { command_line: &command_line, variable: &|_| None, file: None };
    Resolved::gather(&sources).unwrap().into_config(true).unwrap()
}

/// What a server answers to bytes after which it closes.
pub(crate) async fn ask(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

const GET: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const UPGRADE: &str =
    "GET /peer HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: lavandin-peer\r\n\r\n";

fn secret(text: &str) -> Trust {
    Trust::Secret(ClusterSecret::new(text.as_bytes()))
}

/// Another node that calls this one.
async fn call(running: &Running, trust: Trust) -> (PeerPool<TcpConnector>, Result<(), CallError>) {
    let identity = PeerIdentity { node: None, incarnation: 0, store: StoreId::new(9), cluster: None };
    let connector = TcpConnector { trust: trust.clone() };
    let pool = PeerPool::new(connector, trust, watch::channel(identity).1, ClientOptions::default());
    let target = Target { address: running.address.to_string(), node: None };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    // A method that no node has.
    let call = Call { method: 60_000, lane: Lane::new(0), payload: "x".into(), deadline };
    let outcome = pool.call(&target, Class::Control, call).await.map(drop);
    (pool, outcome)
}

/// Whether the call arrived: a status is the answering handler's.
fn arrived(outcome: &Result<(), CallError>) -> bool {
    matches!(outcome, Ok(()) | Err(CallError::Status(_)))
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_come_in_without_a_key_and_do_not_count_as_clients() {
    let folder = tempfile::tempdir().unwrap();
    let running = run::start(config(folder.path(), &[("api_key", "k")])).await.unwrap();
    let (pool, outcome) = call(&running, secret("k")).await;
    assert!(arrived(&outcome), "{outcome:?}");
    let text = crate::metrics::exposition(&running.app);
    assert!(text.contains("lavandin_peer_connections 1\n"), "{text}");
    until("the peer still counts as a client", || running.app.metrics.connections() == 0).await;
    // Anything else at that path is a client's request, which needs the key.
    for request in [
        "GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "POST /peer HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: lavandin-peer\r\ncontent-length: 0\r\n\r\n",
    ] {
        let reply = ask(&running, request).await;
        assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
    }
    let stopped = Instant::now();
    running.stop().await.unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(15), "a peer's connection held the stop up");
    pool.shut_down(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secret_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let running = run::start(config(folder.path(), &[("api_key", "k")])).await.unwrap();
    for trust in [secret("other"), Trust::Loopback] {
        let (_pool, outcome) = call(&running, trust).await;
        let Err(CallError::NotSent(Reason::Connection(error))) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(*error, ConnectionError::Handshake(HandshakeError::WrongSecret)), "{error:?}");
    }
    running.stop().await.unwrap();
}

#[test]
fn the_log_hears_of_a_refusal_once_a_minute() {
    let (doors, from, began) = (super::peers::Doors::default(), [10, 0, 0, 1].into(), Instant::now());
    let is_news = |error, second| doors.is_news(from, error, began + Duration::from_secs(second));
    let (secret, malformed) = (HandshakeError::WrongSecret, HandshakeError::Malformed("x"));
    assert!(is_news(secret, 0) && !is_news(secret, 1) && !is_news(secret, 59) && is_news(secret, 60));
    assert!(!is_news(malformed, 60) && is_news(malformed, 61), "and of all of them once a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_comes_in_where_clients_have_used_up_their_connections() {
    let folder = tempfile::tempdir().unwrap();
    let running = run::start(config(folder.path(), &[("max_connections", "1")])).await.unwrap();
    let mut held = TcpStream::connect(running.address).await.unwrap();
    held.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    held.read_exact(&mut [0; 15]).await.unwrap();
    let refused = ask(&running, GET).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    // Beginning as a peer does is not enough.
    let pretended = ask(&running, "GET /peer HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(pretended.starts_with("HTTP/1.1 503") && pretended.contains("x-request-id: "), "{pretended}");
    let (_pool, outcome) = call(&running, Trust::Loopback).await;
    assert!(arrived(&outcome), "{outcome:?}");
    drop(held);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_other_machines_are_refused() {
    use super::peers::{Doors, Visitor};
    let folder = tempfile::tempdir().unwrap();
    let running = run::start(config(folder.path(), &[])).await.unwrap();
    let app = &running.app;
    assert!(matches!(app.node.options().cluster, ClusterSettings { trust: Trust::Loopback, .. }));
    // The socket's address cannot be another machine's here, so the visitor is asked by itself.
    let (mut near, far) = tokio::io::duplex(4 << 10);
    let visitor = Visitor::new(app.clone(), std::sync::Arc::<Doors>::default(), [10, 0, 0, 9].into());
    let serving = tokio::spawn(async move {
        let service = hyper::service::service_fn(|request| {
            let answer = visitor.answer(request);
            async move { Ok::<_, std::convert::Infallible>(answer) }
        });
        let builder = hyper::server::conn::http1::Builder::new();
        drop(builder.serve_connection(hyper_util::rt::TokioIo::new(far), service).await);
    });
    near.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut reply = String::new();
    near.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 403"), "{reply}");
    assert!(
        reply.contains("10.0.0.9 is not on this machine") && reply.contains("--shard-api-key"),
        "{reply}"
    );
    serving.await.unwrap();
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_says_nothing_does_not_hold_the_stop_up() {
    let folder = tempfile::tempdir().unwrap();
    let running = run::start(config(folder.path(), &[("stop_timeout_secs", "1")])).await.unwrap();
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    silent.write_all(UPGRADE.as_bytes()).await.unwrap();
    silent.read_exact(&mut [0; 12]).await.unwrap();
    let stopped = Instant::now();
    running.stop().await.unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
}
