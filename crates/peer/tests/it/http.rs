//! A real HTTP server on a loopback port, which serves clients and peers.

use crate::rig::{ECHO, LOCAL, Recorder, call, identity, secret, serve, server};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use lavandin_peer::{
    CallError, Class, ClientOptions, ConnectionError, PEER_PATH, PeerPool, Reason, ServerOptions, Target,
    TcpConnector, accept_upgrade, is_peer_upgrade, upgraded,
};
use lavandin_types::NodeId;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

type Reply = Response<Empty<Bytes>>;

async fn answer(handler: Arc<Recorder>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    if request.uri().path() != PEER_PATH || !is_peer_upgrade(request.headers()) {
        let mut reply = Reply::default();
        *reply.status_mut() = StatusCode::NOT_FOUND;
        return Ok(reply);
    }
    tokio::spawn(async move {
        let stream = upgraded(request).await?;
        let serving = server(&handler, ServerOptions::default());
        serve(&serving, (stream, LOCAL), watch::channel(false).1).await
    });
    Ok(accept_upgrade())
}

/// The address of a node.
async fn node(tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let handler = Recorder::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = Arc::clone(&handler);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&handler), request));
                let builder = Builder::new(TokioExecutor::new());
                drop(builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await);
            });
        }
    });
    address
}

fn pool() -> PeerPool<TcpConnector> {
    let connector = TcpConnector { trust: secret("s") };
    PeerPool::new(connector, secret("s"), watch::channel(identity(1)).1, ClientOptions::default())
}

#[tokio::test]
async fn peers_and_clients_share_a_port() {
    let mut tasks = JoinSet::new();
    let address = node(&mut tasks).await;
    let target = Target { address: address.clone(), node: Some(NodeId::new(2)) };
    let pool = pool();
    for class in [Class::Control, Class::Bulk] {
        assert_eq!(pool.call(&target, class, call(ECHO, 0, "over TCP")).await.unwrap(), "over TCP");
        let large = vec![3; 4 << 20];
        assert_eq!(pool.call(&target, class, call(ECHO, 1, large.clone())).await.unwrap(), large);
    }
    let mut client = TcpStream::connect(&address).await.unwrap();
    client.write_all(b"GET /else HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 404"), "{reply}");
    pool.shut_down(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_is_no_node_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
    });
    let target = Target { address, node: None };
    let error = pool().call(&target, Class::Control, call(ECHO, 0, "x")).await.unwrap_err();
    let CallError::NotSent(Reason::Connection(error)) = error else { panic!("{error:?}") };
    assert!(matches!(*error, ConnectionError::NotUpgraded { status: 404 }), "{error:?}");
}
