use super::*;
use crate::groups::two_nodes::{Fault, HERE, THERE, TwoNodes, add, context};

fn any(_: &GroupCall) -> bool {
    true
}

/// A group that is led here, with another copy elsewhere; what each is told to write.
async fn world(here: &[u64], there: &[u64]) -> (TwoNodes, GroupId) {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("both", &[HERE, THERE]).await;
    for (node, ids) in [(HERE, here), (THERE, there)] {
        for id_of_record in ids {
            let change = add(&[*id_of_record]);
            let call = GroupCall::Change { collection: nodes.collection, change, reserved: None };
            let copy = nodes.copy(node, id);
            copy.execute(&context(), &nodes.metadata.catalogue(), call).await.expect("it is written");
        }
    }
    (nodes, id)
}

async fn verdict_of(nodes: &TwoNodes, id: GroupId) -> GroupVerdict {
    nodes.here.verify(&context(), id).await.expect("there is the group")
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_hold_the_same_are_the_same() {
    let (nodes, id) = world(&[1, 2, 3], &[1, 2, 3]).await;
    let found = verdict_of(&nodes, id).await;
    let told: Vec<_> = found.copies.iter().map(|copy| (copy.node, copy.verdict)).collect();
    assert_eq!(told, [(HERE.get(), Verdict::Primary), (THERE.get(), Verdict::Same)]);
    assert_eq!((found.group.as_str(), found.collections, found.records), ("both", 1, 3));
    assert!(!found.is_wrong());
    assert_eq!(found.copies[1].uri, "http://there");
    nodes.here.verify_own(Duration::from_secs(60)).await;
    assert_eq!(nodes.here.divergences.load(Ordering::Relaxed), 0);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_with_another_record_at_the_same_operation_differs() {
    let (nodes, id) = world(&[1, 2, 3], &[1, 2, 4]).await;
    let found = verdict_of(&nodes, id).await;
    assert!(found.is_wrong());
    let copy = &found.copies[1];
    assert_eq!((copy.verdict, copy.collections.join(",")), (Verdict::Differs, "db/c".to_owned()));
    // The hourly comparison is the primary's, and counts it.
    nodes.there.verify_own(Duration::from_secs(60)).await;
    assert_eq!(nodes.there.divergences.load(Ordering::Relaxed), 0);
    assert_eq!(nodes.copy(THERE, id).serving.damage(), None, "to ask is not to judge");
    nodes.here.verify_own(Duration::from_secs(60)).await;
    assert_eq!(nodes.here.divergences.load(Ordering::Relaxed), 1);
    // The primary is what callers see, so the other one is to be rebuilt.
    assert!(nodes.copy(THERE, id).serving.damage().is_some());
    assert_eq!(nodes.copy(HERE, id).serving.damage(), None);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_behind_or_silent_is_not_said_to_differ() {
    let (nodes, id) = world(&[1, 2, 3], &[1, 2]).await;
    let found = verdict_of(&nodes, id).await;
    assert_eq!(found.copies[1].verdict, Verdict::NotComparable);
    assert!(found.copies[1].reason.is_some() && !found.is_wrong());
    assert_eq!(nodes.wire.count(any), ROUNDS_MAX);
    (0..ROUNDS_MAX).for_each(|_| nodes.wire.add(any, Fault::NotSent));
    let found = verdict_of(&nodes, id).await;
    assert_eq!(found.copies[1].verdict, Verdict::Unreachable);
    assert!(!found.is_wrong());
    // One that answers at the second asking.
    let (same, id) = world(&[1], &[1]).await;
    same.wire.add(any, Fault::NotSent);
    assert_eq!(verdict_of(&same, id).await.copies[1].verdict, Verdict::Same);
    same.stop().await;
    nodes.stop().await;
}
