//! Bytes from peers that are damaged, cut short, for another, or from another than they say.

use crate::group::{Group, PATIENCE, address, database, node};
use crate::net::Sent;
use lavandin_consensus::{MESSAGE_BYTES_MAX, Start};
use lavandin_types::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where a reply says what it is, and what it says when nothing was done.
const KIND: usize = 9;
const FAILED: u8 = 7;
/// Where a request says what it is: behind version, checksum, node and directory.
const REQUEST_KIND: usize = 9 + 8 + 16;

/// One request of each kind that a group sends in its life: elections, appends, a snapshot, commands, reads, changes.
async fn requests() -> (Group, Vec<Sent>) {
    let mut group = Group::new(40);
    group.snapshot_every = 10;
    group.net.record();
    for number in 1..=3 {
        group.start(number, crate::group::first_voters(1..=3)).await;
    }
    group.leader().await;
    group.on(1).propose(crate::group::form(1)).await.unwrap();
    for number in 0..30 {
        group.on(2).propose(database(&format!("db{number}"))).await.unwrap();
        group.on(3).propose(database(&format!("db{number}"))).await.unwrap();
    }
    for number in 1..=3 {
        group.on(number).read_barrier(PATIENCE).await.unwrap();
    }
    let leader = group.leader().await;
    group.kill(leader).await;
    group.leader().await;
    group.restart(leader).await;
    group.start(4, Start::Join).await;
    for number in 1..=3 {
        group.on(number).add_learner(node(4), &address(4), PATIENCE).await.unwrap();
        group.on(number).set_voters(&crate::group::nodes(1..=3), PATIENCE).await.unwrap();
        group.on(number).remove(node(99), PATIENCE).await.unwrap();
    }
    group.settle().await;
    // The longest of each kind: appends with entries rather than heartbeats.
    let mut kinds: BTreeMap<u8, Sent> = BTreeMap::new();
    for sent in group.net.recorded() {
        let kind = sent.request[REQUEST_KIND];
        if kinds.get(&kind).is_none_or(|known| known.request.len() < sent.request.len()) {
            kinds.insert(kind, sent);
        }
    }
    assert_eq!(kinds.keys().copied().collect::<Vec<u8>>(), [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
    (group, kinds.into_values().collect())
}

#[tokio::test(start_paused = true)]
async fn damaged_requests_are_refused() {
    let (group, sent) = requests().await;
    let before = group.on(1).catalogue();
    for Sent { from, to, request } in &sent {
        let receiver = group.on(to.get());
        let lengths = (0..request.len()).step_by(1 + request.len() / 200);
        for length in lengths {
            let reply = receiver.handle(*from, &request[..length]).await;
            assert_eq!(reply[KIND], FAILED, "{length} bytes of {}", request.len());
        }
        for bit in (0..request.len() * 8).step_by(1 + request.len() * 8 / 400) {
            let mut damaged = request.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let reply = receiver.handle(*from, &damaged).await;
            assert_eq!(reply[KIND], FAILED, "bit {bit} of kind {}", request[REQUEST_KIND]);
        }
    }
    let long = vec![0; MESSAGE_BYTES_MAX + 1];
    assert_eq!(group.on(1).handle(node(2), &long).await[KIND], FAILED);
    group.settle().await;
    assert_eq!(group.on(1).catalogue(), before);
    group.stop().await;
}

/// What changes votes or the log is obeyed by the node and directory that it names, and from nobody but its sender.
#[tokio::test(start_paused = true)]
async fn requests_for_another_or_from_another_are_refused() {
    let (mut group, sent) = requests().await;
    // A node whose number the group knows and whose directory is another.
    group.wipe(4).await;
    group.start(4, Start::Join).await;
    for Sent { from, to, request } in &sent {
        let kind = request[REQUEST_KIND];
        for other in (1..=4).filter(|other| *other != to.get()) {
            let reply = group.on(other).handle(*from, request).await;
            assert_eq!(reply[KIND], FAILED, "node {other} took what was for {to}, kind {kind}");
        }
        if kind <= 5 {
            let reply = group.on(to.get()).handle(NodeId::new(77), request).await;
            assert_eq!(reply[KIND], FAILED, "kind {kind} from a stranger was obeyed");
        }
        if *to == node(4) && kind <= 5 {
            let reply = group.on(4).handle(*from, request).await;
            assert_eq!(reply[KIND], FAILED, "a wiped node obeyed kind {kind}");
        }
    }
    assert_eq!(group.on(4).status().last_log_index, None);
    tokio::time::sleep(Duration::from_secs(5)).await;
    group.on(1).propose_within(database("still"), PATIENCE).await.unwrap();
    group.stop().await;
}

/// Old messages of a former leader come late and again.
#[tokio::test(start_paused = true)]
async fn what_is_delivered_again_much_later_does_no_harm() {
    let (mut group, sent) = requests().await;
    let leader = group.leader().await;
    group.kill(leader).await;
    group.restart(leader).await;
    group.leader().await;
    group.on(2).propose_within(database("later"), PATIENCE).await.unwrap();
    for _ in 0..3 {
        for Sent { from, to, request } in &sent {
            let late = group.on(to.get()).clone();
            let (from, request) = (*from, request.clone());
            tokio::time::timeout(Duration::from_secs(40), async move { late.handle(from, &request).await })
                .await
                .unwrap();
        }
        group.on(3).propose_within(database("between"), PATIENCE).await.unwrap();
    }
    group.settle().await;
    assert_eq!(group.on(1).catalogue().databases().len(), 32);
    group.stop().await;
}
