//! Leaders that die, are cut off, or are slow.

use crate::group::{Group, PATIENCE, database, form, node, wait};
use crate::net::Weather;
use lavandin_cluster::{Command, Reply};
use lavandin_types::{ElementType, ErrorCode};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn any_member_takes_commands_and_sees_what_it_did() {
    let group = Group::founded(10, 3).await;
    for number in 1..=3 {
        let name = format!("db{number}");
        let reply = group.on(number).propose(database(&name)).await.unwrap();
        assert_eq!(reply, Reply::Database { created: true, dropped: vec![] });
        assert!(
            group.on(number).catalogue().database(&name).is_ok(),
            "node {number} does not see its own write"
        );
        let refused = group.on(number).propose(form(43)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::AlreadyExists, "{refused}");
    }
    group.settle().await;
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_death_of_any_one_of_three_costs_seconds_and_nothing_else() {
    let mut group = Group::founded(11, 3).await;
    for round in 0..6 {
        let leader = group.leader().await;
        let before = database(&format!("before{round}"));
        group.on(leader).propose(before).await.unwrap();
        group.kill(leader).await;
        let (survivor, metadata) = group.running().next().unwrap();
        let killed = Instant::now();
        metadata.propose_within(database(&format!("after{round}")), PATIENCE).await.unwrap();
        let pause = killed.elapsed();
        assert!(pause < Duration::from_secs(5), "{pause:?} until node {survivor} could write again");
        assert_eq!(metadata.catalogue().databases().len(), 2 * (round + 1));
        let reason = wait("the loss to be noticed", || {
            let leading = group.running().find(|(_, metadata)| metadata.quorum_lease(Instant::now()))?;
            leading.1.status().degraded
        })
        .await;
        assert!(reason.contains(&format!("voter {} has not answered", node(leader))), "{reason}");
        group.restart(leader).await;
    }
    group.settle().await;
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_minority_says_that_it_is_one_and_loses_nothing() {
    let mut group = Group::founded(12, 3).await;
    let leader = group.leader().await;
    let others: Vec<u64> = (1..=3).filter(|number| *number != leader).collect();
    group.net.part(&[leader], &others);
    let old = group.on(leader).clone();
    let late = old.propose_within(database("doubtful"), Duration::from_secs(8)).await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::DeadlineExceeded, "{late}");
    let cut_off = old.read_barrier(Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(cut_off.code(), ErrorCode::Unavailable, "{cut_off}");
    assert!(!old.quorum_lease(Instant::now()));
    assert!(old.status().degraded.is_some());
    let seen = group.on(others[0]).leader_status(Duration::from_secs(1)).await;
    assert!(seen.degraded.is_some(), "{seen:?}");
    group.on(others[0]).propose_within(database("sure"), PATIENCE).await.unwrap();
    group.net.heal();
    group.settle().await;
    assert!(group.on(leader).catalogue().database("sure").is_ok());

    // Without most of them nobody leads; the status tells.
    group.kill(others[0]).await;
    group.kill(others[1]).await;
    let alone = group.on(leader).propose_within(database("x"), Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(alone.code(), ErrorCode::Unavailable | ErrorCode::DeadlineExceeded), "{alone}");
    group.restart(others[0]).await;
    group.on(leader).propose_within(database("x"), PATIENCE).await.unwrap();
    group.stop().await;
}

/// It hears the others and they hear it, but one of them is cut off and back again: terms must not rise for it.
#[tokio::test(start_paused = true)]
async fn who_comes_back_disturbs_nobody() {
    let group = Group::founded(13, 3).await;
    let leader = group.leader().await;
    let term = group.on(leader).status().term;
    let follower = (1..=3).find(|number| *number != leader).unwrap();
    let others: Vec<u64> = (1..=3).filter(|number| *number != follower).collect();
    group.net.part(&[follower], &others);
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        group.on(leader).propose(database("again")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    group.net.heal();
    group.on(follower).read_barrier(PATIENCE).await.unwrap();
    group.settle().await;
    assert_eq!((group.leader().await, group.on(leader).status().term), (leader, term));
    group.stop().await;
}

/// Its heartbeats arrive and no answer does: without a limit it would be followed for ever and commit nothing.
#[tokio::test(start_paused = true)]
async fn a_leader_that_hears_nobody_is_replaced() {
    let group = Group::founded(14, 3).await;
    let leader = group.leader().await;
    let others: Vec<u64> = (1..=3).filter(|number| *number != leader).collect();
    for other in &others {
        group.net.cut(*other, leader);
    }
    // What the leader has to send, and sends again, must not keep the others waiting either.
    let old = group.on(leader).clone();
    let pending = tokio::spawn(async move { old.propose_within(database("pending"), PATIENCE).await });
    let cut = Instant::now();
    group.on(others[0]).propose_within(database("through"), PATIENCE).await.unwrap();
    assert!(cut.elapsed() < Duration::from_secs(10), "{:?}", cut.elapsed());
    assert!(!group.on(leader).quorum_lease(Instant::now()));
    group.net.heal();
    pending.await.unwrap().unwrap();
    group.settle().await;
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn leadership_and_its_lease_are_told() {
    let mut group = Group::founded(15, 3).await;
    let leader = group.leader().await;
    let told = *group.on(leader).leadership().borrow();
    let told = told.unwrap();
    assert_eq!(told.term, group.on(leader).status().term);
    assert!(told.since <= Instant::now());
    for (number, metadata) in group.running().filter(|(number, _)| *number != leader) {
        assert_eq!(*metadata.leadership().borrow(), None, "node {number}");
        assert!(!metadata.quorum_lease(Instant::now()));
    }
    assert!(!group.on(leader).quorum_lease(Instant::now() + Duration::from_millis(1_500)));
    let killed = Instant::now();
    group.kill(leader).await;
    let next = group.leader().await;
    let told = group.on(next).leadership().borrow().unwrap();
    assert!(told.since > killed, "a new leader's time begins with it");
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn all_may_die_and_come_back() {
    let mut group = Group::founded(16, 3).await;
    for number in 0..20 {
        group.on(1).propose(database(&format!("db{number}"))).await.unwrap();
    }
    for number in 1..=3 {
        group.kill(number).await;
    }
    for number in 1..=3 {
        group.restart(number).await;
    }
    group.on(2).read_barrier(PATIENCE).await.unwrap();
    assert_eq!(group.on(2).catalogue().databases().len(), 20);
    group.settle().await;
    group.stop().await;
}

/// A compare-and-set from every member at once, over a network that loses, delays and repeats.
#[tokio::test(start_paused = true)]
async fn of_those_who_race_one_wins() {
    let group = Group::founded(17, 5).await;
    group.on(1).propose(database("db")).await.unwrap();
    group.net.set_weather(Weather { lost: 20, doubled: 50, delay_max_ms: 20 });
    for round in 0..10 {
        let command = Command::CreateCollection {
            database: "db".to_owned(),
            name: format!("c{round}"),
            dim: 0,
            element: ElementType::F32,
            description: None,
            drop_if_exists: false,
        };
        let Reply::Collection { info, .. } = group.on(1).propose_within(command, PATIENCE).await.unwrap()
        else {
            panic!()
        };
        let racers = (1..=5).map(|number| {
            let command = Command::FixDimension { collection: info.id, dim: 100 + number as u32 };
            let racer = group.on(number);
            async move { (number, racer.propose_within(command, PATIENCE).await) }
        });
        let results = futures_util::future::join_all(racers).await;
        let won: Vec<u64> =
            results.iter().filter(|(_, result)| result.is_ok()).map(|(node, _)| *node).collect();
        let [winner] = won[..] else { panic!("{won:?} won: {results:?}") };
        group.on(2).read_barrier(PATIENCE).await.unwrap();
        let catalogue = group.on(2).catalogue();
        assert_eq!(catalogue.collection("db", &format!("c{round}")).unwrap().dim, 100 + winner as u32);
    }
    group.settle().await;
    group.stop().await;
}
