//! Peers that stop without a word.

use crate::rig::{ECHO, WAIT, call, pair, pair_over, start, until};
use lavandin_peer::{CallError, ClientOptions, ConnectionError, Reason, ServerOptions};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream, copy, duplex, split};
use tokio::sync::watch;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn an_idle_connection_lives() {
    let pair = pair().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(pair.connection.call(call(ECHO, 0, "x")).await.unwrap(), "x");
    assert!(!pair.server.is_finished());
}

/// A pipe whose directions can be cut without its ends noticing, as a stopped process or a lost cable does.
fn cuttable() -> (DuplexStream, DuplexStream, [watch::Sender<bool>; 2]) {
    let ((near, near_wire), (far, far_wire)) = (duplex(64 << 10), duplex(64 << 10));
    let ((near_read, near_write), (far_read, far_write)) = (split(near_wire), split(far_wire));
    let carry = |mut from: tokio::io::ReadHalf<DuplexStream>, mut to: tokio::io::WriteHalf<DuplexStream>| {
        let (cut, mut is_cut) = watch::channel(false);
        tokio::spawn(async move {
            let over = tokio::select! {
                cut = is_cut.wait_for(|cut| *cut) => cut.is_err(),
                _ = copy(&mut from, &mut to) => true,
            };
            if over {
                let _ = to.shutdown().await;
                return;
            }
            // Holds both ends open and carries nothing.
            let _ends = (from, to);
            std::future::pending::<()>().await;
        });
        cut
    };
    let cuts = [carry(near_read, far_write), carry(far_read, near_write)];
    (near, far, cuts)
}

#[tokio::test(start_paused = true)]
async fn a_cut_in_either_direction_is_noticed_within_the_time_set() {
    for cut_at in [&[0][..], &[1], &[0, 1]] {
        let (near, far, cuts) = cuttable();
        let pair = pair_over(near, far, ServerOptions::default(), ClientOptions::default()).await;
        let waiting = start(&pair.connection, call(WAIT, 0, "x"));
        until(|| pair.handler.running() == 1).await;
        tokio::time::sleep(Duration::from_secs(7)).await;
        let began = Instant::now();
        for at in cut_at {
            cuts[*at].send_replace(true);
        }
        let error = waiting.await.unwrap().unwrap_err();
        assert!(matches!(error, CallError::Unknown(Reason::Connection(_))), "{error:?}");
        let took = began.elapsed();
        assert!(took <= Duration::from_millis(1300), "{took:?} with {cut_at:?} cut");
        let silent = |error: &ConnectionError| matches!(error, ConnectionError::Silent { silent_ms: 1000 });
        let client = pair.client.await.unwrap();
        if cut_at.contains(&1) {
            assert!(silent(&client), "{client:?}");
        }
        let server = pair.server.await.unwrap().unwrap_err();
        if cut_at.contains(&0) {
            assert!(silent(&server), "{server:?}");
        }
        assert_eq!(pair.handler.running(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_takes_no_answers_is_dead_even_while_nothing_is_read_from_it() {
    let (near, far, cuts) = cuttable();
    let options = ServerOptions { calls_max: 2, ..ServerOptions::default() };
    let pair = pair_over(near, far, options, ClientOptions::default()).await;
    for _ in 0..5 {
        drop(start(&pair.connection, call(WAIT, 0, vec![1; 300 << 10])));
    }
    until(|| pair.handler.running() == 2).await;
    // No room is left, so nothing is read; the answers find nobody who takes them.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for cut in &cuts {
        cut.send_replace(true);
    }
    pair.handler.gate.add_permits(2);
    let began = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(60), pair.server).await;
    let error = ended.expect("the connection is given up").unwrap().unwrap_err();
    assert!(matches!(error, ConnectionError::Silent { .. }), "{error:?}");
    assert!(began.elapsed() <= Duration::from_millis(2300), "{:?}", began.elapsed());
}
