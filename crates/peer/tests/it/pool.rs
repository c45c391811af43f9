//! Connections made, shared, lost and made again.

use crate::rig::{ECHO, LOCAL, Recorder, WAIT, call, identity, secret, serve, server, until};
use bytes::Bytes;
use lavandin_peer::{
    CallError, Class, ClientOptions, ConnectionError, Connector, PeerIdentity, PeerPool, Reason,
    ServerOptions, Target,
};
use lavandin_types::{ErrorCode, NodeId};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connects to a node in this process; can be told to refuse, or to be slow.
#[derive(Clone)]
struct Wires {
    handler: Arc<Recorder>,
    attempts: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
    delay: Arc<Mutex<Duration>>,
    served: Arc<Mutex<JoinSet<()>>>,
}

impl Wires {
    fn new() -> Self {
        Self {
            handler: Recorder::new(),
            attempts: Arc::default(),
            down: Arc::default(),
            delay: Arc::default(),
            served: Arc::default(),
        }
    }

    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    fn cut(&self) {
        *self.served.lock().unwrap() = JoinSet::new();
    }
}

impl Connector for Wires {
    type Stream = DuplexStream;

    async fn connect(&self, _: &Target) -> Result<DuplexStream, ConnectionError> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        if self.down.load(Ordering::SeqCst) {
            return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
        }
        let (near, far) = duplex(64 << 10);
        let serving = server(&self.handler, ServerOptions::default());
        self.served.lock().unwrap().spawn(async move {
            let never = watch::channel(false).1;
            drop(serve(&serving, (far, LOCAL), never).await);
        });
        Ok(near)
    }
}

fn target() -> Target {
    Target { address: "node-2:7637".to_owned(), node: Some(NodeId::new(2)) }
}

fn pool(wires: &Wires) -> (PeerPool<Wires>, watch::Sender<PeerIdentity>) {
    let (sender, identity) = watch::channel(identity(1));
    (PeerPool::new(wires.clone(), secret("s"), identity, ClientOptions::default()), sender)
}

async fn echo(pool: &PeerPool<Wires>, class: Class) -> Result<Bytes, CallError> {
    pool.call(&target(), class, call(ECHO, 0, "x")).await
}

#[tokio::test(start_paused = true)]
async fn one_connection_a_class_is_made_when_first_wanted() {
    let wires = Wires::new();
    *wires.delay.lock().unwrap() = Duration::from_millis(100);
    let (pool, _identity) = pool(&wires);
    assert_eq!(wires.attempts(), 0);
    let mut calls = JoinSet::new();
    for at in 0..20 {
        let pool = pool.clone();
        let class = if at % 2 == 0 { Class::Control } else { Class::Bulk };
        calls.spawn(async move { echo(&pool, class).await.unwrap() });
    }
    calls.join_all().await;
    assert_eq!(wires.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_short_deadline_does_not_end_the_attempt() {
    let wires = Wires::new();
    *wires.delay.lock().unwrap() = Duration::from_millis(500);
    let (pool, _identity) = pool(&wires);
    let mut short = call(ECHO, 0, "x");
    short.deadline = Instant::now() + Duration::from_millis(100);
    let error = pool.call(&target(), Class::Control, short).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(Reason::Deadline)), "{error:?}");
    echo(&pool, Class::Control).await.unwrap();
    assert_eq!(wires.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn failed_attempts_pause_longer_and_longer_and_calls_fail_at_once() {
    let wires = Wires::new();
    wires.down.store(true, Ordering::SeqCst);
    let (pool, _identity) = pool(&wires);
    let error = echo(&pool, Class::Control).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(Reason::Connection(_))), "{error:?}");
    let error = echo(&pool, Class::Control).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(Reason::BackingOff { .. })), "{error:?}");
    assert_eq!(error.code(), ErrorCode::Unavailable);
    // A caller that asks all the time makes four to eight attempts a second in the end.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        assert!(echo(&pool, Class::Control).await.is_err());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let attempts = wires.attempts();
    let failure = || pool.failure(&target(), Class::Control);
    assert!(failure().is_some_and(|error| error.to_string().contains("refused")), "{:?}", failure());
    assert!(pool.failure(&target(), Class::Bulk).is_none(), "nobody tried");
    assert!((240..=500).contains(&attempts), "{attempts} attempts in a minute");
    wires.down.store(false, Ordering::SeqCst);
    let began = Instant::now();
    while echo(&pool, Class::Control).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(began.elapsed() <= Duration::from_millis(300), "{:?}", began.elapsed());
    assert!(failure().is_none(), "{:?}", failure());
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_made_again() {
    let wires = Wires::new();
    let (pool, _identity) = pool(&wires);
    for round in 1..=3 {
        echo(&pool, Class::Control).await.unwrap();
        assert_eq!(wires.attempts(), round);
        tokio::time::sleep(Duration::from_secs(2)).await;
        wires.cut();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drops_connections_is_not_dialled_at_the_rate_of_the_calls() {
    let wires = Wires::new();
    let (pool, _identity) = pool(&wires);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        let _ = echo(&pool, Class::Control).await;
        wires.cut();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(wires.attempts() < 160, "{} attempts in 20 s", wires.attempts());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_costs_the_time_set_once() {
    let wires = Wires::new();
    *wires.delay.lock().unwrap() = Duration::from_secs(100);
    let (pool, _identity) = pool(&wires);
    let began = Instant::now();
    let error = echo(&pool, Class::Control).await.unwrap_err();
    let CallError::NotSent(Reason::Connection(error)) = error else { panic!("{error:?}") };
    assert!(matches!(*error, ConnectionError::Slow { waited_ms: 2000 }), "{error:?}");
    assert_eq!(began.elapsed().as_millis(), 2000);
}

#[tokio::test(start_paused = true)]
async fn another_identity_makes_another_connection() {
    let wires = Wires::new();
    let (pool, sender) = pool(&wires);
    echo(&pool, Class::Control).await.unwrap();
    sender.send_replace(PeerIdentity { incarnation: 5, ..identity(1) });
    echo(&pool, Class::Control).await.unwrap();
    assert_eq!(wires.attempts(), 2);
    let last = wires.handler.last.lock().unwrap().clone().unwrap();
    assert_eq!(last.from.incarnation, 5);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_let_go_is_left_when_its_calls_have_ended() {
    let wires = Wires::new();
    let (pool, _identity) = pool(&wires);
    let under_way = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.call(&target(), Class::Bulk, call(WAIT, 0, "x")).await })
    };
    until(|| wires.handler.running() == 1).await;
    pool.retain(|_| false);
    wires.handler.gate.add_permits(1);
    under_way.await.unwrap().unwrap();
    let mut served = std::mem::take(&mut *wires.served.lock().unwrap());
    served.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_shuts_down_waits_for_calls_and_takes_no_more() {
    let wires = Wires::new();
    let (pool, _identity) = pool(&wires);
    let under_way = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.call(&target(), Class::Bulk, call(WAIT, 0, "x")).await })
    };
    until(|| wires.handler.running() == 1).await;
    let down = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.shut_down(Duration::from_secs(5)).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = echo(&pool, Class::Bulk).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(Reason::ShutDown)), "{error:?}");
    wires.handler.gate.add_permits(1);
    under_way.await.unwrap().unwrap();
    let began = Instant::now();
    down.await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_dropped_leaves_nothing_behind() {
    let wires = Wires::new();
    let (pool, _identity) = pool(&wires);
    echo(&pool, Class::Control).await.unwrap();
    drop(pool);
    let mut served = std::mem::take(&mut *wires.served.lock().unwrap());
    let began = Instant::now();
    served.join_next().await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_millis(100));
}
