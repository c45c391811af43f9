//! What a slow handler, or a hungry caller, can make the other side hold.

use crate::rig::{ECHO, WAIT, call, pair_with, start, until};
use lavandin_peer::{CallError, ClientOptions, Reason, ServerOptions};
use lavandin_types::ErrorCode;
use std::time::Duration;
use tokio::time::Instant;

const MIB: usize = 1 << 20;

#[tokio::test(start_paused = true)]
async fn a_slow_handler_stops_the_reading_and_nobody_is_taken_for_dead() {
    let options = ServerOptions { bytes_max: 64 << 20, ..ServerOptions::default() };
    let pair = pair_with(options, ClientOptions { bytes_max: 256 * MIB, ..ClientOptions::default() }).await;
    let calls: Vec<_> =
        (1..=24).map(|name| start(&pair.connection, call(WAIT, 0, vec![name; 10 * MIB]))).collect();
    until(|| pair.handler.running() == 6).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(pair.handler.begun().len(), 6, "six of 10 MiB are within 64 MiB, the seventh is not read");
    assert!(pair.connection.ended().is_none(), "ten seconds without room are no death");
    pair.handler.gate.add_permits(24);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().len(), 10 * MIB);
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_calls_at_once_is_bounded() {
    let options = ServerOptions { calls_max: 4, ..ServerOptions::default() };
    let pair = pair_with(options, ClientOptions::default()).await;
    let calls: Vec<_> = (0..40).map(|name| start(&pair.connection, call(WAIT, 0, vec![name]))).collect();
    until(|| pair.handler.running() == 4).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(pair.handler.begun().len(), 4);
    pair.handler.gate.add_permits(40);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(pair.handler.running_max.load(std::sync::atomic::Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn the_smallest_limits_still_let_everything_through() {
    let server = ServerOptions { calls_max: 2, bytes_max: 64 << 20, ..ServerOptions::default() };
    let pair = pair_with(server, ClientOptions { bytes_max: 256 * MIB, ..ClientOptions::default() }).await;
    let mut calls = Vec::new();
    for name in 0..4 {
        calls.push(start(&pair.connection, call(ECHO, 1, vec![name; 30 * MIB])));
        calls.extend((0..20).map(|_| start(&pair.connection, call(ECHO, 0, vec![name; 60_000]))));
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_over_its_limit_hears_so_at_once() {
    let client = ClientOptions { calls_max: 3, bytes_max: 10 * MIB, ..ClientOptions::default() };
    let pair = pair_with(ServerOptions::default(), client).await;
    let large = start(&pair.connection, call(WAIT, 0, vec![1; 8 * MIB]));
    until(|| pair.handler.running() == 1).await;
    let began = Instant::now();
    let error = pair.connection.call(call(ECHO, 0, vec![2; 3 * MIB])).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(Reason::Full)), "{error:?}");
    assert_eq!((error.code(), began.elapsed()), (ErrorCode::Overloaded, Duration::ZERO));
    let more: Vec<_> = (0..2).map(|_| start(&pair.connection, call(WAIT, 0, "x"))).collect();
    until(|| pair.handler.running() == 3).await;
    let error = pair.connection.call(call(ECHO, 0, "y")).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(Reason::Full)), "{error:?}");
    pair.handler.gate.add_permits(3);
    large.await.unwrap().unwrap();
    for call in more {
        call.await.unwrap().unwrap();
    }
    assert_eq!(pair.connection.call(call(ECHO, 0, vec![2; 10 * MIB])).await.unwrap().len(), 10 * MIB);
}
