//! A handler that does what it is told, and a pair of nodes connected by a pipe.

use bytes::Bytes;
use lavandin_peer::{
    Call, Class, ClientOptions, ClusterSecret, Connection, ConnectionError, IncomingCall, Lane, PeerHandler,
    PeerIdentity, PeerServer, PeerStatus, ServerOptions, Trust,
};
use lavandin_types::{ClusterId, ErrorCode, NodeId, StoreId};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Answers with the payload.
pub(crate) const ECHO: u16 = 1;
/// Answers when the gate opens.
pub(crate) const WAIT: u16 = 2;
/// Answers with an error.
pub(crate) const FAIL: u16 = 3;
/// Panics.
pub(crate) const PANIC: u16 = 4;
/// Gives its turn up, then waits for the gate.
pub(crate) const PASS: u16 = 5;
/// Answers with as many bytes as the payload says, as a number.
pub(crate) const MANY: u16 = 6;

/// What a handler saw, and what it waits for.
pub(crate) struct Recorder {
    /// The first byte of each call that began, in order.
    pub(crate) begun: Mutex<Vec<u8>>,
    pub(crate) last: Mutex<Option<IncomingFacts>>,
    pub(crate) gate: Semaphore,
    pub(crate) running: Arc<AtomicUsize>,
    pub(crate) running_max: AtomicUsize,
}

#[derive(Clone, Debug)]
pub(crate) struct IncomingFacts {
    pub(crate) from: PeerIdentity,
    pub(crate) class: Class,
    pub(crate) left: Duration,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Mutex::default(),
            last: Mutex::default(),
            gate: Semaphore::new(0),
            running: Arc::default(),
            running_max: AtomicUsize::new(0),
        })
    }

    pub(crate) fn begun(&self) -> Vec<u8> {
        self.begun.lock().unwrap().clone()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

/// Counts a call that is being handled, until its future ends or is dropped.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl PeerHandler for Recorder {
    async fn handle(&self, call: IncomingCall) -> Result<Bytes, PeerStatus> {
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.running_max.fetch_max(now, Ordering::SeqCst);
        let _running = Running(Arc::clone(&self.running));
        let left = call.deadline.saturating_duration_since(Instant::now());
        *self.last.lock().unwrap() = Some(IncomingFacts { from: call.from, class: call.class, left });
        self.begun.lock().unwrap().push(call.payload.first().copied().unwrap_or(0));
        match call.method {
            WAIT => self.gate.acquire().await.unwrap().forget(),
            FAIL => return Err(PeerStatus::new(ErrorCode::NotFound, "no such thing")),
            PANIC => panic!("a handler that panics"),
            PASS => {
                drop(call.turn);
                self.gate.acquire().await.unwrap().forget();
            }
            MANY => {
                let bytes = String::from_utf8(call.payload.to_vec()).unwrap().parse().unwrap();
                return Ok(vec![7; bytes].into());
            }
            _ => {}
        }
        Ok(call.payload)
    }
}

pub(crate) fn secret(text: &str) -> Trust {
    Trust::Secret(ClusterSecret::new(text.as_bytes()))
}

pub(crate) fn identity(node: u64) -> PeerIdentity {
    PeerIdentity {
        node: Some(NodeId::new(node)),
        incarnation: 1,
        store: StoreId::new(node.into()),
        cluster: Some(ClusterId::new(7)),
    }
}

pub(crate) fn server(handler: &Arc<Recorder>, options: ServerOptions) -> PeerServer<Recorder> {
    PeerServer::new(secret("s"), watch::channel(identity(2)).1, Arc::clone(handler), options)
}

/// Node 1's connection to node 2.
pub(crate) struct Pair {
    pub(crate) connection: Arc<Connection>,
    pub(crate) client: JoinHandle<Arc<ConnectionError>>,
    pub(crate) server: JoinHandle<Result<(), ConnectionError>>,
    pub(crate) handler: Arc<Recorder>,
    pub(crate) stop: watch::Sender<bool>,
}

pub(crate) async fn pair() -> Pair {
    pair_with(ServerOptions::default(), ClientOptions::default()).await
}

pub(crate) async fn pair_with(server_options: ServerOptions, client_options: ClientOptions) -> Pair {
    let (near, far) = duplex(256 << 10);
    pair_over(near, far, server_options, client_options).await
}

/// A pair over a wire that carries 64 KiB in a millisecond, each way.
pub(crate) async fn slow_pair() -> Pair {
    let ((near, near_wire), (far, far_wire)) = (duplex(64 << 10), duplex(64 << 10));
    let ((near_read, near_write), (far_read, far_write)) = (split(near_wire), split(far_wire));
    let carry = |mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<DuplexStream>| async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::spawn(carry(near_read, far_write));
    tokio::spawn(carry(far_read, near_write));
    pair_over(near, far, ServerOptions::default(), ClientOptions::default()).await
}

/// Accepts a stream and serves it.
pub(crate) async fn serve<S>(
    serving: &PeerServer<Recorder>,
    (stream, remote): (S, IpAddr),
    stop: watch::Receiver<bool>,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let accepted = serving.accept(stream, remote).await?;
    serving.serve(accepted, stop).await
}

pub(crate) async fn pair_over<S>(
    near: S,
    far: DuplexStream,
    server_options: ServerOptions,
    client_options: ClientOptions,
) -> Pair
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handler = Recorder::new();
    let (stop, stopped) = watch::channel(false);
    let serving = server(&handler, server_options);
    let server = tokio::spawn(async move { serve(&serving, (far, LOCAL), stopped).await });
    let node = Some(NodeId::new(2));
    let (connection, run) =
        Connection::open(near, node, Class::Bulk, (&secret("s"), identity(1)), &client_options)
            .await
            .unwrap();
    let client = tokio::spawn(run);
    Pair { connection: Arc::new(connection), client, server, handler, stop }
}

pub(crate) fn call(method: u16, lane: u64, payload: impl Into<Bytes>) -> Call {
    let deadline = Instant::now() + Duration::from_secs(30);
    Call { method, lane: Lane::new(lane), payload: payload.into(), deadline }
}

/// Starts a call in a task of its own, and lets it be sent.
pub(crate) fn start(
    connection: &Arc<Connection>,
    call: Call,
) -> JoinHandle<Result<Bytes, lavandin_peer::CallError>> {
    let connection = Arc::clone(connection);
    tokio::spawn(async move { connection.call(call).await })
}

/// Polls until `condition` holds; a minute (of a clock that may be paused) is a failure.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "what is waited for does not happen");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
