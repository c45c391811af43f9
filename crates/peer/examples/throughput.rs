//! Measures peer connections over TCP on the loopback: payload bytes per second and per second of processor time, and
//! round trips of small calls. `cargo run --release -p lavandin-peer --example throughput`

use bytes::Bytes;
use lavandin_peer::{
    Call, Class, ClientOptions, ClusterSecret, Connection, IncomingCall, Lane, PeerHandler, PeerIdentity,
    PeerServer, PeerStatus, ServerOptions, Trust,
};
use lavandin_types::StoreId;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Takes appends and says how long each was.
struct Length;

impl PeerHandler for Length {
    async fn handle(&self, call: IncomingCall) -> Result<Bytes, PeerStatus> {
        drop(call.turn);
        Ok(Bytes::copy_from_slice(&call.payload.len().to_le_bytes()))
    }
}

fn identity(store: u128) -> PeerIdentity {
    PeerIdentity { node: None, incarnation: 1, store: StoreId::new(store), cluster: None }
}

/// Processor time of this process so far, from `/proc`; the kernel counts in hundredths of a second.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

async fn connected() -> std::io::Result<Arc<Connection>> {
    let trust = Trust::Secret(ClusterSecret::new(b"throughput"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let server = PeerServer::new(
        trust.clone(),
        watch::channel(identity(2)).1,
        Arc::new(Length),
        ServerOptions::default(),
    );
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let never = watch::channel(false).1;
        if let Ok(accepted) = server.accept(stream, IpAddr::V4(Ipv4Addr::LOCALHOST)).await {
            drop(server.serve(accepted, never).await);
        }
        std::io::Result::Ok(())
    });
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let options = ClientOptions::default();
    let (connection, run) = Connection::open(stream, None, Class::Bulk, (&trust, identity(1)), &options)
        .await
        .map_err(std::io::Error::other)?;
    tokio::spawn(run);
    Ok(Arc::new(connection))
}

/// Makes `count` calls of `bytes` each, `at_once` of them under way.
async fn measure(connection: &Arc<Connection>, bytes: usize, count: usize, at_once: usize) {
    let payload = Bytes::from(vec![7; bytes]);
    let (began, processor) = (Instant::now(), processor_time());
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (connection, payload) = (Arc::clone(connection), payload.clone());
        tasks.spawn(async move {
            for _ in 0..count / at_once {
                let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
                let call = Call { method: 1, lane: Lane::new(1), payload: payload.clone(), deadline };
                if let Err(error) = connection.call(call).await {
                    println!("a call failed: {error}");
                }
            }
        });
    }
    tasks.join_all().await;
    let took = began.elapsed().as_secs_f64();
    let used =
        processor.zip(processor_time()).map_or(f64::NAN, |(before, after)| (after - before).as_secs_f64());
    let megabytes = (bytes * count) as f64 / 1e6;
    println!(
        "{bytes:>8} B x {count:>6}, {at_once:>2} at once: {:>8.0} calls/s, {:>6.0} MB/s, {:>6.0} MB per second of \
         processor time (both sides together)",
        count as f64 / took,
        megabytes / took,
        megabytes / used
    );
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let connection = connected().await?;
    for (bytes, count, at_once) in
        [(64, 20_000, 1), (64, 100_000, 32), (16 << 10, 40_000, 8), (1 << 20, 2_000, 4), (16 << 20, 100, 2)]
    {
        measure(&connection, bytes, count, at_once).await;
    }
    Ok(())
}
