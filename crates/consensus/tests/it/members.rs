//! Members that come, go, move and are replaced.

use crate::group::{Group, PATIENCE, address, database, first_voters, node, nodes, wait};
use lavandin_cluster::Command;
use lavandin_consensus::{MESSAGE_BYTES_MAX, MetadataError, Start};
use lavandin_types::{ElementType, ErrorCode};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_dead_voter_is_replaced() {
    let mut group = Group::founded(30, 3).await;
    group.wipe(3).await;
    group.start(4, Start::Join).await;
    group.on(2).add_learner(node(4), &address(4), PATIENCE).await.unwrap();
    group.on(4).set_voters(&nodes([1, 2, 4]), PATIENCE).await.unwrap();
    group.on(1).remove(node(3), PATIENCE).await.unwrap();
    group.settle().await;
    let leader = group.leader().await;
    let status = group.on(leader).status();
    assert_eq!((status.voters, status.learners), (vec![node(1), node(2), node(4)], vec![]));
    assert_eq!(status.degraded, None);
    // The new one counts: with one of the old ones gone it carries the group.
    group.kill(2).await;
    group.on(4).propose_within(database("carried"), PATIENCE).await.unwrap();
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wiped_voter_is_refused_under_its_old_number() {
    let mut group = Group::founded(31, 3).await;
    group.on(1).propose(database("kept")).await.unwrap();
    let leader = group.leader().await;
    let wiped = (1..=3).find(|number| *number != leader).unwrap();
    let third = (1..=3).find(|number| *number != leader && *number != wiped).unwrap();
    group.wipe(wiped).await;
    group.start(wiped, Start::Join).await;
    let reason = wait("the refusal", || {
        group.on(wiped).status().degraded.filter(|reason| reason.contains("metadata that is gone"))
    })
    .await;
    assert!(reason.contains(&format!("node {}", node(wiped))), "{reason}");
    let error = group.on(leader).add_learner(node(wiped), &address(wiped), PATIENCE).await.unwrap_err();
    assert!(matches!(error, MetadataError::Members { .. }), "{error}");
    assert!(error.to_string().contains("let it join as a new node"), "{error}");

    // It counts for nothing: with the third gone there is no majority, though two of three processes run.
    group.kill(third).await;
    let none = group.on(leader).propose_within(database("lost"), Duration::from_secs(8)).await.unwrap_err();
    assert!(matches!(none.code(), ErrorCode::Unavailable | ErrorCode::DeadlineExceeded), "{none}");
    assert_eq!(group.on(wiped).status().last_log_index, None);
    group.restart(third).await;
    group.on(third).propose_within(database("found"), PATIENCE).await.unwrap();
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_who_was_away_for_long_gets_a_snapshot() {
    let mut group = Group::new(32);
    group.snapshot_every = 20;
    for number in 1..=3 {
        group.start(number, first_voters(1..=3)).await;
    }
    group.leader().await;
    group.on(1).propose(crate::group::form(1)).await.unwrap();
    group.kill(3).await;
    for number in 0..150 {
        group.on(1).propose_within(database(&format!("db{number}")), PATIENCE).await.unwrap();
        // Until it has failed once more to reach the one that is away, the leader keeps the log for it.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    group.restart(3).await;
    // And one that never was there.
    group.start(4, Start::Join).await;
    group.on(2).add_learner(node(4), &address(4), PATIENCE).await.unwrap();
    group.settle().await;
    for number in [3, 4] {
        assert!(group.on(number).status().snapshot_index >= Some(100), "{:?}", group.on(number).status());
        assert_eq!(group.on(number).catalogue().databases().len(), 150);
    }
    // What it was sent is on its disk.
    group.kill(4).await;
    group.restart(4).await;
    group.settle().await;
    group.stop().await;
}

/// More than fits one message, in the log and in a snapshot.
#[tokio::test(start_paused = true)]
async fn large_commands_travel_in_bounded_messages() {
    let mut group = Group::new(33);
    group.snapshot_every = 1_000;
    group.start(1, Start::Alone).await;
    group.on(1).propose(crate::group::form(1)).await.unwrap();
    group.on(1).propose(database("db")).await.unwrap();
    let commands = (0..2_000).map(|number| Command::CreateCollection {
        database: "db".to_owned(),
        name: format!("c{number}"),
        dim: 8,
        element: ElementType::F32,
        description: Some("d".repeat(500)),
        drop_if_exists: false,
    });
    for done in futures_util::future::join_all(commands.map(|command| group.on(1).propose(command))).await {
        done.unwrap();
    }
    group.start(2, Start::Join).await;
    group.on(1).add_learner(node(2), &address(2), PATIENCE).await.unwrap();
    group.settle().await;
    assert!(group.on(2).status().snapshot_index.is_some());
    // Refused by the catalogue, which is after they were logged.
    group.kill(2).await;
    for _ in 0..20 {
        let long = Command::CreateDatabase { name: "x".repeat(300_000), drop_if_exists: false };
        assert_eq!(group.on(1).propose(long).await.unwrap_err().code(), ErrorCode::InvalidArgument);
    }
    group.restart(2).await;
    group.settle().await;
    let longest = group.net.longest_request();
    assert!(longest > 1 << 20, "the snapshot was to need several messages, the longest had {longest} bytes");
    assert!(longest < 2 << 20, "{longest}");

    let huge = Command::CreateDatabase { name: "x".repeat(MESSAGE_BYTES_MAX), drop_if_exists: false };
    let refused = group.on(2).propose(huge).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::PayloadTooLarge, "{refused}");
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_moves_tells_its_new_address() {
    let mut group = Group::founded(34, 3).await;
    let leader = group.leader().await;
    let moved = (1..=3).find(|number| *number != leader).unwrap();
    let other = (1..=3).find(|number| *number != leader && *number != moved).unwrap();
    let metadata = group.on(moved).clone();
    group.net.unplug(&address(moved));
    group.net.plug("elsewhere:8", node(moved), metadata.clone());
    // An address at which another node answers is refused.
    let error = metadata.add_learner(node(moved), &address(other), Duration::from_secs(5)).await.unwrap_err();
    assert!(error.to_string().contains("answers there"), "{error}");
    metadata.add_learner(node(moved), "elsewhere:8", PATIENCE).await.unwrap();
    group.kill(other).await;
    group.on(leader).propose_within(database("moved"), PATIENCE).await.unwrap();
    let now = group.leader().await;
    assert_ne!(now, moved);
    let known = group.on(now).status().peers.into_iter().find(|peer| peer.node == node(moved)).unwrap();
    assert_eq!((known.address.as_str(), known.voter), ("elsewhere:8", true));
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_refused_with_a_sentence() {
    let mut group = Group::founded(35, 3).await;
    let refused = |error: MetadataError| {
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
        error.to_string()
    };
    let error = group.on(1).set_voters(&nodes([1, 2, 9]), PATIENCE).await.unwrap_err();
    assert!(refused(error).contains("node n9 is not a member"));
    let error = group.on(1).set_voters(&nodes([]), PATIENCE).await.unwrap_err();
    assert!(refused(error).contains("1 to 7 voters"));
    // A learner that is down would be a voter down.
    group.start(4, Start::Join).await;
    group.on(1).add_learner(node(4), &address(4), PATIENCE).await.unwrap();
    group.kill(4).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let error = group.on(1).set_voters(&nodes([1, 2, 4]), Duration::from_secs(8)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
    assert!(error.to_string().contains("node n4 does not answer"), "{error}");
    let error = group.on(1).add_learner(node(5), &address(5), Duration::from_secs(5)).await.unwrap_err();
    assert!(error.to_string().contains("node n5 is not at node5:7"), "{error}");
    // Members of another cluster are not taken over.
    group.start(6, Start::Alone).await;
    group.on(6).propose(crate::group::form(77)).await.unwrap();
    let error = group.on(1).add_learner(node(6), &address(6), PATIENCE).await.unwrap_err();
    assert!(refused(error).contains("belongs to another cluster"));
    let error = group.on(6).remove(node(6), PATIENCE).await.unwrap_err();
    assert!(refused(error).contains("only voter"));
    group.stop().await;
}

/// Down to one voter, the leader itself out, and up again to five.
#[tokio::test(start_paused = true)]
async fn the_voters_may_be_any_of_the_members() {
    let mut group = Group::founded(36, 3).await;
    let leader = group.leader().await;
    let survivor = (1..=3).find(|number| *number != leader).unwrap();
    group.on(leader).set_voters(&nodes([survivor]), PATIENCE).await.unwrap();
    wait("the only voter to lead", || group.on(survivor).quorum_lease(Instant::now()).then_some(())).await;
    group.on(leader).propose_within(database("one"), PATIENCE).await.unwrap();
    for number in [4, 5] {
        group.start(number, Start::Join).await;
        group.on(leader).add_learner(node(number), &address(number), PATIENCE).await.unwrap();
    }
    group.on(5).set_voters(&nodes(1..=5), PATIENCE).await.unwrap();
    group.settle().await;
    let status = group.on(2).leader_status(PATIENCE).await;
    assert_eq!(status.leader, Some(status.node));
    assert_eq!((status.voters.len(), status.peers.len(), status.degraded), (5, 4, None));
    assert!(
        status.peers.iter().all(|peer| peer.lag == Some(0) && peer.silent_for.is_some()),
        "{:?}",
        status.peers
    );
    group.stop().await;
}
