//! From nothing to a group.

use crate::group::{Group, PATIENCE, database, first_voters, form, node, nodes, wait};
use lavandin_consensus::Start;
use lavandin_types::ErrorCode;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn the_first_voters_form_one_group_in_any_order() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 1, 3]] {
        let mut group = Group::new(1);
        for number in order {
            group.start(number, first_voters(1..=3)).await;
        }
        group.leader().await;
        for number in 1..=3 {
            assert_eq!(group.on(number).status().voters, [node(1), node(2), node(3)]);
        }
        group.on(3).propose(form(1)).await.unwrap();
        group.settle().await;
        group.stop().await;
    }
}

/// The same start is given to all, again and again, by whoever manages them.
#[tokio::test(start_paused = true)]
async fn founding_again_is_harmless() {
    let mut group = Group::founded(2, 3).await;
    for number in [1, 2, 3, 1] {
        group.kill(number).await;
        group.start(number, first_voters(1..=3)).await;
        group.on(number).propose_within(database(&format!("db{number}")), PATIENCE).await.unwrap();
    }
    assert_eq!(group.on(1).catalogue().databases().len(), 3);
    group.settle().await;
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn most_of_the_first_voters_suffice_and_fewer_do_not() {
    let mut group = Group::new(3);
    group.start(1, first_voters(1..=3)).await;
    let refused = group.on(1).propose_within(form(1), Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.to_string().contains("waits for n2, n3 of the first voters"), "{refused}");
    group.start(3, first_voters(1..=3)).await;
    assert_eq!(group.leader().await, 1);
    assert_eq!(group.on(3).status().voters, [node(1), node(3)]);
    group.on(3).propose(form(1)).await.unwrap();

    // The one that was missing is then added, as any other.
    group.start(2, first_voters(1..=3)).await;
    group.on(3).add_learner(node(2), &crate::group::address(2), PATIENCE).await.unwrap();
    group.on(2).set_voters(&nodes(1..=3), PATIENCE).await.unwrap();
    group.settle().await;
    assert_eq!(group.on(1).status().degraded, None);
    group.stop().await;
}

/// The first of the list lost its disk: it must not begin again while the others go on.
#[tokio::test(start_paused = true)]
async fn a_wiped_founder_founds_nothing() {
    let mut group = Group::founded(4, 3).await;
    group.on(2).propose(database("kept")).await.unwrap();
    group.wipe(1).await;
    group.start(1, first_voters(1..=3)).await;
    group.on(2).propose_within(database("more"), PATIENCE).await.unwrap();
    let reason = wait("the obstacle", || group.on(1).status().degraded).await;
    assert!(
        reason.contains("already belongs to a group") || reason.contains("metadata that is gone"),
        "{reason}"
    );
    assert_eq!(group.on(1).status().voters, []);
    let refused = group.on(1).propose_within(form(9), Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert_eq!(group.on(1).catalogue().cluster(), None);
    group.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_to_be_waits_and_says_so() {
    let mut group = Group::new(5);
    group.start(4, Start::Join).await;
    let status = group.on(4).status();
    assert_eq!((status.leader, status.voters), (None, vec![]));
    assert!(status.degraded.unwrap().contains("waits for a metadata leader to add it"));
    let refused = group.on(4).propose_within(form(1), Duration::from_secs(1)).await.unwrap_err();
    assert!(refused.to_string().contains("waits for a metadata leader to add it"), "{refused}");
    group.stop().await;
}

/// One node, then three: what a node alone holds becomes the group's.
#[tokio::test(start_paused = true)]
async fn a_node_alone_grows_into_a_group() {
    let mut group = Group::new(6);
    group.start(1, Start::Alone).await;
    group.on(1).propose(form(1)).await.unwrap();
    group.on(1).propose(database("old")).await.unwrap();
    group.kill(1).await;
    group.restart(1).await;
    for number in [2, 3] {
        group.start(number, Start::Join).await;
        group.on(1).add_learner(node(number), &crate::group::address(number), PATIENCE).await.unwrap();
    }
    assert_eq!(group.on(1).status().learners, [node(2), node(3)]);
    group.on(1).set_voters(&nodes(1..=3), PATIENCE).await.unwrap();
    group.kill(1).await;
    group.on(2).propose_within(database("new"), PATIENCE).await.unwrap();
    group.restart(1).await;
    group.settle().await;
    assert_eq!(group.on(1).catalogue().databases().len(), 2);
    group.stop().await;
}
