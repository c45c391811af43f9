use super::*;
use crate::frame::Lane;
use bytes::Bytes;
use std::sync::Arc;
use tokio::io::{DuplexStream, duplex};

const KEY: [u8; 32] = [7; 32];
const SIGN_EVERY: Duration = Duration::from_secs(3600);

fn message(call: u64, lane: u64, bytes: usize) -> Outgoing<()> {
    let header = Header { lane: Lane::new(lane), ..Header::new(Kind::Request, call) };
    Outgoing { header, deadline_ms: 0, payload: Bytes::from(vec![call as u8; bytes]), ticket: () }
}

fn send(outlet: &Outlet<()>, message: Outgoing<()>) {
    outlet.push(message);
    outlet.send();
}

/// The first messages that arrive, as lane, call and bytes.
async fn arrive(stream: DuplexStream, count: usize) -> Vec<(u64, u64, usize)> {
    let liveness = Liveness { sign_every: SIGN_EVERY, dead_after: SIGN_EVERY };
    let mut inlet = Inlet::new(stream, Opener::new(KEY), liveness);
    let mut arrived = Vec::new();
    while arrived.len() < count {
        let frame = inlet.frame().await.expect("frames are as they were sent").expect("they do not end yet");
        if let Some(Event::Message(header, payload)) = inlet.push(frame).expect("they make messages") {
            assert!(payload.iter().all(|byte| *byte == header.call as u8));
            arrived.push((header.lane.get(), header.call, payload.len()));
        }
    }
    arrived
}

#[tokio::test]
async fn a_small_message_needs_no_task() {
    let (near, far) = duplex(4 << 10);
    let outlet = Outlet::new();
    *outlet.pen() = Some(Pen::new(near, Sealer::new(KEY)));
    send(&outlet, message(1, 0, 500));
    send(&outlet, message(2, 5, 500));
    assert_eq!(arrive(far, 2).await, [(0, 1, 500), (5, 2, 500)]);
}

#[tokio::test]
async fn what_is_not_taken_at_once_is_left_to_the_task() {
    let (near, far) = duplex(100);
    let outlet = Outlet::new();
    *outlet.pen() = Some(Pen::new(near, Sealer::new(KEY)));
    (1..=3).for_each(|call| send(&outlet, message(call, 1, 5000)));
    let writing = async { while outlet.move_pen(None).await.expect("the stream is open") == Moved::On {} };
    let (arrived, ()) = tokio::join!(arrive(far, 3), writing);
    assert_eq!(arrived, [(1, 1, 5000), (1, 2, 5000), (1, 3, 5000)]);
}

#[tokio::test]
async fn a_failure_that_a_sender_meets_ends_the_connection() {
    let (near, far) = duplex(100);
    let outlet = Outlet::new();
    *outlet.pen() = Some(Pen::new(near, Sealer::new(KEY)));
    drop(far);
    send(&outlet, message(1, 0, 5));
    outlet.move_pen(None).await.expect_err("nobody reads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn senders_on_several_threads_keep_their_order() {
    const LANES: u64 = 4;
    const EACH: u64 = 2000;
    let (near, far) = duplex(2 << 10);
    let outlet = Arc::new(Outlet::new());
    let writer = Arc::clone(&outlet);
    let writing = tokio::spawn(async move { writer.write(near, Sealer::new(KEY), SIGN_EVERY, None).await });
    for lane in 1..=LANES {
        let outlet = Arc::clone(&outlet);
        tokio::spawn(async move {
            for call in 0..EACH {
                let bytes = if call % 500 == 0 { 3 * FRAME_PAYLOAD_BYTES_MAX } else { 20 };
                send(&outlet, message(call, lane, bytes));
                if call % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    let arrived = arrive(far, (LANES * EACH) as usize).await;
    for lane in 1..=LANES {
        let calls: Vec<u64> = arrived.iter().filter(|one| one.0 == lane).map(|one| one.1).collect();
        assert_eq!(calls, Vec::from_iter(0..EACH));
    }
    writing.abort();
}

/// Whoever else writes puts the sign off, and not beyond the time set.
#[tokio::test(start_paused = true)]
async fn a_sign_of_life_comes_in_time_though_others_write() {
    let (near, far) = duplex(64 << 10);
    let (outlet, sign_every) = (Arc::new(Outlet::new()), Duration::from_millis(250));
    let writer = Arc::clone(&outlet);
    let writing = tokio::spawn(async move { writer.write(near, Sealer::new(KEY), sign_every, None).await });
    let liveness = Liveness { sign_every, dead_after: Duration::from_millis(260) };
    let mut inlet = Inlet::new(far, Opener::new(KEY), liveness);
    let reading = tokio::spawn(async move {
        let (mut messages, mut signs) = (0, 0);
        while messages < 20 || signs < 5 {
            let frame = inlet.frame().await.expect("it is never silent for longer").expect("it does not end");
            match inlet.push(frame).expect("they make messages") {
                Some(Event::Alive) => signs += 1,
                _ => messages += 1,
            }
        }
        signs
    });
    for call in 0..20 {
        let pause_ms = if call % 5 == 0 { 400 } else { 60 };
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        send(&outlet, message(call, 0, 5));
    }
    // One for each long pause, and one afterwards.
    assert_eq!(reading.await.expect("it heard all"), 5);
    writing.abort();
}
