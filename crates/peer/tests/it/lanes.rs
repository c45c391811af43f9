//! The order of calls.

use crate::rig::{ECHO, PASS, WAIT, call, pair, start, until};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn calls_of_a_lane_are_handled_one_after_the_other_and_lanes_beside_each_other() {
    let pair = pair().await;
    let calls: Vec<_> = [(1, 10), (1, 11), (2, 20), (1, 12), (2, 21)]
        .into_iter()
        .map(|(lane, name)| start(&pair.connection, call(WAIT, lane, vec![name])))
        .collect();
    until(|| pair.handler.running() == 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(pair.handler.begun(), [10, 20]);
    pair.handler.gate.add_permits(5);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let begun = pair.handler.begun();
    let of = |lane: u8| begun.iter().copied().filter(|name| name / 10 == lane).collect::<Vec<_>>();
    assert_eq!((of(1), of(2)), (vec![10, 11, 12], vec![20, 21]));
}

#[tokio::test(start_paused = true)]
async fn a_small_call_does_not_overtake_a_large_one_of_its_lane() {
    let pair = pair().await;
    let mut calls = vec![start(&pair.connection, call(ECHO, 1, vec![1; 3 << 20]))];
    calls.push(start(&pair.connection, call(ECHO, 1, vec![2])));
    calls.push(start(&pair.connection, call(ECHO, 0, vec![3])));
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(pair.handler.begun(), [3, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_drops_its_turn_lets_the_lane_go_on() {
    let pair = pair().await;
    let calls: Vec<_> = (1..=50).map(|name| start(&pair.connection, call(PASS, 1, vec![name]))).collect();
    until(|| pair.handler.running() == 50).await;
    assert_eq!(pair.handler.begun(), (1..=50).collect::<Vec<u8>>());
    pair.handler.gate.add_permits(50);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gives_up_before_its_turn_keeps_the_order() {
    let pair = pair().await;
    let first = start(&pair.connection, call(WAIT, 1, vec![1]));
    until(|| pair.handler.running() == 1).await;
    let dropped = start(&pair.connection, call(WAIT, 1, vec![2]));
    let mut late = call(WAIT, 1, vec![3]);
    late.deadline = Instant::now() + Duration::from_millis(20);
    let late = start(&pair.connection, late);
    let last = start(&pair.connection, call(ECHO, 1, vec![4]));
    tokio::time::sleep(Duration::from_millis(10)).await;
    dropped.abort();
    assert!(late.await.unwrap().is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(pair.handler.begun(), [1], "the last waits for the first, not only for those between");
    pair.handler.gate.add_permits(1);
    first.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    assert_eq!(pair.handler.begun(), [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_lanes_come_and_go() {
    let pair = pair().await;
    for lane in 1..3000 {
        pair.connection.call(call(ECHO, lane, "x")).await.unwrap();
    }
    assert_eq!(pair.handler.begun().len(), 2999);
}
