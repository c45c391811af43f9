//! Reads that miss nothing.

use crate::group::{Group, PATIENCE, address, database, node};
use crate::net::Weather;
use lavandin_consensus::Start;
use lavandin_types::ErrorCode;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn behind_the_barrier_is_everything_that_was_answered_anywhere() {
    let mut group = Group::founded(20, 3).await;
    group.start(4, Start::Join).await;
    group.on(1).add_learner(node(4), &address(4), PATIENCE).await.unwrap();
    group.net.set_weather(Weather { lost: 30, doubled: 30, delay_max_ms: 30 });
    for round in 0..60 {
        let (writer, reader) = (1 + group.net.random(4), 1 + group.net.random(4));
        let name = format!("db{round}");
        group.on(writer).propose_within(database(&name), PATIENCE).await.unwrap();
        group.on(reader).read_barrier(PATIENCE).await.unwrap();
        let seen = group.on(reader).catalogue().database(&name).is_ok();
        assert!(seen, "node {reader} misses what node {writer} wrote");
    }
    group.stop().await;
}

/// Cut off with its old state, a node must not believe that a name does not exist.
#[tokio::test(start_paused = true)]
async fn who_is_cut_off_is_not_told_that_it_is_up_to_date() {
    let group = Group::founded(21, 3).await;
    for lonely in 1..=3 {
        let others: Vec<u64> = (1..=3).filter(|number| *number != lonely).collect();
        group.net.part(&[lonely], &others);
        group.on(others[0]).propose_within(database(&format!("db{lonely}")), PATIENCE).await.unwrap();
        let refused = group.on(lonely).read_barrier(Duration::from_secs(3)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        group.net.heal();
        group.on(lonely).read_barrier(PATIENCE).await.unwrap();
        assert!(group.on(lonely).catalogue().database(&format!("db{lonely}")).is_ok());
    }
    group.stop().await;
}
