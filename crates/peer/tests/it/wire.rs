//! What someone on the wire can do.

use crate::rig::{ECHO, LOCAL, Recorder, call, identity, pair_over, secret, serve, server};
use lavandin_peer::{
    CallError, Class, ClientOptions, Connection, ConnectionError, FrameError, HandshakeError, PeerServer,
    ServerOptions, Trust,
};
use lavandin_types::{ClusterId, ErrorCode, NodeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::watch;

/// Carries bytes, flipping one bit of one of them.
async fn carry(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    flipped: usize,
    count: Arc<AtomicUsize>,
) {
    let mut at = 0;
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if (at..at + read).contains(&flipped) {
            bytes[flipped - at] ^= 1 << (flipped % 8);
        }
        at += read;
        count.fetch_add(read, Ordering::SeqCst);
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// One exchange over a wire that flips a bit of the byte `flipped` towards the server, or of the one towards the client.
async fn exchange(flipped: (usize, usize)) -> (Result<(), String>, [usize; 2]) {
    let ((near, near_wire), (far, far_wire)) = (duplex(1 << 20), duplex(1 << 20));
    let ((near_read, near_write), (far_read, far_write)) = (split(near_wire), split(far_wire));
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    tokio::spawn(carry(near_read, far_write, flipped.0, Arc::clone(&counts[0])));
    tokio::spawn(carry(far_read, near_write, flipped.1, Arc::clone(&counts[1])));
    let handler = Recorder::new();
    let serving = server(&handler, ServerOptions::default());
    let (stop, stopped) = watch::channel(false);
    let served = tokio::spawn(async move { serve(&serving, (far, LOCAL), stopped).await });
    let node = Some(NodeId::new(2));
    let options = ClientOptions::default();
    let outcome = async {
        let (connection, run) =
            Connection::open(near, node, Class::Bulk, (&secret("s"), identity(1)), &options)
                .await
                .map_err(|error| error.to_string())?;
        let run = tokio::spawn(run);
        let answer = connection.call(call(ECHO, 0, "payload")).await;
        assert!(answer.as_ref().map_or(true, |answer| answer == "payload"), "a changed answer: {answer:?}");
        drop(connection);
        run.await.unwrap();
        answer.map(drop).map_err(|error| error.to_string())
    };
    let outcome = outcome.await;
    assert!(handler.begun().iter().all(|first| *first == b'p'), "a changed call");
    let served = served.await.unwrap();
    drop(stop);
    let both = outcome.and(served.map_err(|error| error.to_string()));
    (both, counts.map(|count| count.load(Ordering::SeqCst)))
}

#[tokio::test(start_paused = true)]
async fn a_bit_flipped_anywhere_ends_the_connection_with_an_error() {
    let none = usize::MAX;
    let (good, [there, back]) = exchange((none, none)).await;
    assert_eq!(good, Ok(()));
    assert!(there > 144 && back > 136, "{there} {back}");
    for at in 0..there {
        assert!(exchange((at, none)).await.0.is_err(), "byte {at} towards the server");
    }
    for at in 0..back {
        assert!(exchange((none, at)).await.0.is_err(), "byte {at} towards the client");
    }
}

/// How two nodes part; the server's half first.
async fn parted(
    (trust, node): (Trust, Option<u64>),
    serving: PeerServer<Recorder>,
) -> (ConnectionError, ConnectionError) {
    let (near, far) = duplex(1 << 16);
    let (_stop, stopped) = watch::channel(false);
    let served = tokio::spawn(async move { serve(&serving, (far, LOCAL), stopped).await });
    let options = ClientOptions::default();
    let opened =
        Connection::open(near, node.map(NodeId::new), Class::Control, (&trust, identity(1)), &options).await;
    let Err(error) = opened.map(drop) else { panic!("they became peers") };
    (served.await.unwrap().unwrap_err(), error)
}

fn of(error: &ConnectionError) -> HandshakeError {
    match error {
        ConnectionError::Handshake(error) => *error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_say_why_they_part() {
    let normal = || server(&Recorder::new(), ServerOptions::default());
    let (theirs, mine) = parted((secret("other"), Some(2)), normal()).await;
    assert_eq!((of(&theirs), of(&mine)), (HandshakeError::WrongSecret, HandshakeError::WrongSecret));
    assert_eq!((theirs.code(), mine.code()), (ErrorCode::Unauthorized, ErrorCode::Unauthorized));
    let (theirs, mine) = parted((Trust::Loopback, Some(2)), normal()).await;
    assert_eq!((of(&theirs), of(&mine)), (HandshakeError::WrongSecret, HandshakeError::WrongSecret));
    let wrong = HandshakeError::WrongNode { addressed: NodeId::new(5), reached: Some(NodeId::new(2)) };
    let (theirs, mine) = parted((secret("s"), Some(5)), normal()).await;
    assert_eq!((of(&theirs), of(&mine)), (wrong, wrong));
    let mut stranger = identity(2);
    stranger.cluster = Some(ClusterId::new(8));
    let other =
        PeerServer::new(secret("s"), watch::channel(stranger).1, Recorder::new(), ServerOptions::default());
    let (theirs, mine) = parted((secret("s"), Some(2)), other).await;
    assert!(matches!(of(&theirs), HandshakeError::WrongCluster { ours, .. } if ours == ClusterId::new(8)));
    assert!(matches!(of(&mine), HandshakeError::WrongCluster { ours, .. } if ours == ClusterId::new(7)));
}

#[tokio::test(start_paused = true)]
async fn without_a_secret_only_this_machine_is_trusted() {
    let serving = || {
        let identity = watch::channel(identity(2)).1;
        PeerServer::new(Trust::Loopback, identity, Recorder::new(), ServerOptions::default())
    };
    let stopped = watch::channel(false).1;
    for (address, trusted) in [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("10.0.0.1", false),
        ("::ffff:10.0.0.1", false),
    ] {
        let (near, far) = duplex(1 << 16);
        let (serving, stopped) = (serving(), stopped.clone());
        let served =
            tokio::spawn(async move { serve(&serving, (far, address.parse().unwrap()), stopped).await });
        let options = ClientOptions::default();
        let opened =
            Connection::open(near, None, Class::Control, (&Trust::Loopback, identity(1)), &options).await;
        assert_eq!(opened.is_ok(), trusted, "{address}");
        if !trusted {
            assert!(matches!(served.await.unwrap(), Err(ConnectionError::NotLoopback(_))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_let_go() {
    let serving = server(&Recorder::new(), ServerOptions::default());
    let (near, far) = duplex(1 << 16);
    let served = serve(&serving, (far, LOCAL), watch::channel(false).1).await;
    assert!(matches!(served, Err(ConnectionError::Slow { waited_ms: 5000 })), "{served:?}");
    drop(near);
    let (near, far) = duplex(1 << 16);
    let options = ClientOptions { connect_max: Duration::from_millis(700), ..ClientOptions::default() };
    let opened = Connection::open(near, None, Class::Control, (&secret("s"), identity(1)), &options).await;
    assert!(matches!(opened.map(drop), Err(ConnectionError::Slow { waited_ms: 700 })));
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_within_a_frame_was_cut() {
    let ((near, mut near_wire), (far, mut far_wire)) = (duplex(1 << 20), duplex(1 << 20));
    let cut = tokio::spawn(async move {
        let (mut bytes, mut back) = (vec![0; 4096], vec![0; 4096]);
        // The whole handshake, and half of the first frame.
        let mut left: usize = 48 + 96 + 40;
        loop {
            tokio::select! {
                read = near_wire.read(&mut bytes) => {
                    let read = read.unwrap().min(left);
                    left -= read;
                    far_wire.write_all(&bytes[..read]).await.unwrap();
                    if left == 0 {
                        return;
                    }
                }
                read = far_wire.read(&mut back) => {
                    let read = read.unwrap();
                    near_wire.write_all(&back[..read]).await.unwrap();
                }
            }
        }
    });
    let pair = pair_over(near, far, ServerOptions::default(), ClientOptions::default()).await;
    let error = pair.connection.call(call(ECHO, 0, "payload")).await.unwrap_err();
    assert!(matches!(error, CallError::Unknown(_)), "{error:?}");
    cut.await.unwrap();
    let error = pair.server.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectionError::Frame(FrameError::Truncated)), "{error:?}");
}
