//! Calls, their answers, their ends.

use crate::rig::{ECHO, FAIL, MANY, PANIC, WAIT, call, identity, pair, pair_with, slow_pair, start, until};
use lavandin_peer::{CallError, Class, ClientOptions, MESSAGE_BYTES_MAX, Reason, ServerOptions};
use lavandin_types::ErrorCode;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_and_the_handler_knows_whose_it_is() {
    let pair = pair().await;
    assert_eq!(pair.connection.peer(), identity(2));
    assert_eq!(pair.connection.call(call(ECHO, 0, "hello")).await.unwrap(), "hello");
    let facts = pair.handler.last.lock().unwrap().clone().unwrap();
    assert_eq!((facts.from, facts.class), (identity(1), Class::Bulk));
    assert!(
        facts.left > Duration::from_secs(29) && facts.left <= Duration::from_secs(30),
        "{:?}",
        facts.left
    );
    assert_eq!(pair.connection.call(call(ECHO, 0, "")).await.unwrap(), "");
}

#[tokio::test(start_paused = true)]
async fn errors_of_a_handler_arrive_with_code_and_sentence() {
    let pair = pair().await;
    let error = pair.connection.call(call(FAIL, 0, "x")).await.unwrap_err();
    assert!(matches!(&error, CallError::Status(status) if status.message == "no such thing"), "{error:?}");
    assert_eq!((error.code(), error.to_string()), (ErrorCode::NotFound, "no such thing".to_owned()));
    let error = pair.connection.call(call(PANIC, 0, "x")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Internal);
    assert_eq!(pair.connection.call(call(ECHO, 0, "after")).await.unwrap(), "after");
}

#[tokio::test(start_paused = true)]
async fn answers_come_as_they_are_ready() {
    let pair = pair().await;
    let slow = start(&pair.connection, call(WAIT, 0, "slow"));
    until(|| pair.handler.running() == 1).await;
    assert_eq!(pair.connection.call(call(ECHO, 0, "fast")).await.unwrap(), "fast");
    pair.handler.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap(), "slow");
}

#[tokio::test(start_paused = true)]
async fn large_payloads_go_both_ways_and_small_calls_pass_them() {
    let slow = slow_pair().await;
    let payload: Vec<u8> = (0..20 << 20).map(|at: u32| (at / 7) as u8).collect();
    let began = Instant::now();
    let large = start(&slow.connection, call(ECHO, 1, payload.clone()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    for _ in 0..20 {
        let began = Instant::now();
        slow.connection.call(call(ECHO, 0, "small")).await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(20), "{:?} behind a large call", began.elapsed());
    }
    assert!(large.await.unwrap().unwrap() == payload);
    assert!(began.elapsed() > Duration::from_millis(600), "the wire carries 64 MiB/s");
    let pair = pair().await;
    let largest = pair.connection.call(call(MANY, 0, MESSAGE_BYTES_MAX.to_string())).await.unwrap();
    assert_eq!(largest.len(), MESSAGE_BYTES_MAX);
    let error = pair.connection.call(call(MANY, 0, (MESSAGE_BYTES_MAX + 1).to_string())).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Internal);
    let error = pair.connection.call(call(ECHO, 0, vec![0; MESSAGE_BYTES_MAX + 1])).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(Reason::TooLong { .. })), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_call_on_both_sides() {
    let pair = pair().await;
    let mut late = call(WAIT, 0, "x");
    late.deadline = Instant::now() + Duration::from_millis(300);
    let began = Instant::now();
    let error = pair.connection.call(late).await.unwrap_err();
    assert!(matches!(error, CallError::Unknown(Reason::Deadline)), "{error:?}");
    assert_eq!(began.elapsed().as_millis(), 300);
    until(|| pair.handler.running() == 0).await;
    assert!(began.elapsed() < Duration::from_millis(350));
    assert_eq!(pair.connection.call(call(ECHO, 0, "after")).await.unwrap(), "after");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_stops_the_handler() {
    let pair = pair().await;
    let dropped = start(&pair.connection, call(WAIT, 0, "x"));
    until(|| pair.handler.running() == 1).await;
    dropped.abort();
    let began = Instant::now();
    until(|| pair.handler.running() == 0).await;
    assert!(began.elapsed() < Duration::from_secs(1), "long before its deadline");
    assert_eq!(pair.connection.call(call(ECHO, 0, "after")).await.unwrap(), "after");
}

#[tokio::test(start_paused = true)]
async fn a_large_call_dropped_while_it_is_sent_never_reaches_the_handler() {
    let pair = slow_pair().await;
    let began = Instant::now();
    let dropped = start(&pair.connection, call(ECHO, 1, vec![9; 20 << 20]));
    tokio::time::sleep(Duration::from_millis(100)).await;
    dropped.abort();
    let _ = dropped.await;
    assert_eq!(pair.connection.call(call(ECHO, 1, vec![1; 1 << 20])).await.unwrap().len(), 1 << 20);
    assert_eq!(pair.handler.begun(), [1]);
    assert!(began.elapsed() < Duration::from_millis(250), "what was left of it is not sent");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_tells_what_was_sent() {
    // One call is being handled, one waits behind another whose bytes nobody reads.
    let server = ServerOptions { calls_max: 2, ..ServerOptions::default() };
    let pair = pair_with(server, ClientOptions::default()).await;
    let handled = start(&pair.connection, call(WAIT, 0, "a"));
    let also = start(&pair.connection, call(WAIT, 0, "b"));
    until(|| pair.handler.running() == 2).await;
    let stuck = start(&pair.connection, call(ECHO, 1, vec![1; 1 << 20]));
    let behind = start(&pair.connection, call(ECHO, 1, "d"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    pair.server.abort();
    for sent in [handled, also] {
        let error = sent.await.unwrap().unwrap_err();
        assert!(matches!(error, CallError::Unknown(Reason::Connection(_))), "{error:?}");
    }
    for unsent in [stuck, behind] {
        let error = unsent.await.unwrap().unwrap_err();
        assert!(matches!(error, CallError::NotSent(Reason::Connection(_))), "{error:?}");
    }
    let error = pair.connection.call(call(ECHO, 0, "later")).await.unwrap_err();
    assert!(error.is_not_sent(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_calls_end_and_refuses_new_ones() {
    let pair = pair().await;
    let under_way = start(&pair.connection, call(WAIT, 0, "x"));
    until(|| pair.handler.running() == 1).await;
    pair.stop.send_replace(true);
    until(|| pair.connection.ended().is_some()).await;
    let error = pair.connection.call(call(ECHO, 0, "new")).await.unwrap_err();
    assert!(error.is_not_sent(), "{error:?}");
    pair.handler.gate.add_permits(1);
    assert_eq!(under_way.await.unwrap().unwrap(), "x");
    let began = Instant::now();
    assert!(pair.server.await.unwrap().is_ok());
    pair.client.await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(100), "nobody waits for the end of the drain");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever() {
    let pair = pair().await;
    let under_way = start(&pair.connection, call(WAIT, 0, "x"));
    until(|| pair.handler.running() == 1).await;
    pair.stop.send_replace(true);
    assert!(pair.server.await.unwrap().is_ok());
    assert_eq!(pair.handler.running(), 0);
    let error = under_way.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Unknown(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_handles_ends_cleanly() {
    let pair = pair().await;
    pair.connection.call(call(ECHO, 0, "x")).await.unwrap();
    drop(pair.connection);
    assert!(pair.server.await.unwrap().is_ok());
    assert_eq!(pair.client.await.unwrap().to_string(), "the connection ended without a goodbye");
}
