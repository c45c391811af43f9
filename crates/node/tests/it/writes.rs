//! Changes: what they do, what they refuse, and retries.

use crate::fixture::*;
use lavandin_node::{BatchIds, Change, Limits, Node, Outcome, RequireCollection};
use lavandin_types::{BuildParameters, ElementType, ErrorCode, RecordId, RequestId};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn records_are_added_replaced_deleted_restored_and_removed() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    assert_eq!(change(&node, "c", Change::Compact).await, Outcome::Count(0), "nothing was ever written");
    let two = batch(BatchIds::Ints(vec![1, 2]), 2, &[1.0, 0.0, 0.0, 1.0]);
    assert_eq!(change(&node, "c", Change::Add(two.clone())).await, Outcome::Count(2));
    assert_eq!(refuse(&node, "c", Change::Add(two)).await, ErrorCode::InvalidArgument);
    let moved = batch(BatchIds::Ints(vec![2, 3]), 2, &[5.0, 0.0, 0.0, 3.0]);
    assert_eq!(change(&node, "c", Change::Upsert(moved)).await, Outcome::Count(2));
    assert_eq!(search(&node, "c", queries(&[1.0, 0.0], 2, 3)).await, [[2, 1, 3]]);
    let second = || vec![RecordId::Int(2), RecordId::Int(77)];
    assert_eq!(change(&node, "c", Change::Delete(second())).await, Outcome::Count(1));
    assert_eq!(search(&node, "c", queries(&[1.0, 0.0], 2, 3)).await, [[1, 3]]);
    assert_eq!(node.deleted_ids(&context(), DB, "c").await.unwrap(), [RecordId::Int(2)]);
    assert!(!node.id_exists(&context(), DB, "c", RecordId::Int(2)).await.unwrap());
    assert_eq!(change(&node, "c", Change::Restore(second())).await, Outcome::Count(1));
    assert!(node.id_exists(&context(), DB, "c", RecordId::Int(2)).await.unwrap());
    change(&node, "c", Change::Delete(second())).await;
    assert_eq!(change(&node, "c", Change::Compact).await, Outcome::Count(1));
    assert_eq!(change(&node, "c", Change::Restore(second())).await, Outcome::Count(0));
    let statistics = crate::fixture::statistics(&node, "c").await;
    assert_eq!((statistics.live, statistics.deleted, statistics.dim), (2, 0, 2));
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn allotted_ids_are_distinct_and_complete() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    let write = |task: u32| {
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for step in 0..20 {
                let count = 1 + (task + step) % 3;
                let vectors = vec![1.0; count as usize * 2];
                let added = Change::Add(batch(BatchIds::Assigned { count }, 2, &vectors));
                match change(&node, "c", added).await {
                    Outcome::Assigned { start, count: got } if got == count => {
                        mine.extend(start..start + u64::from(count));
                    }
                    other => panic!("asked for {count} ids, got {other:?}"),
                }
            }
            mine
        })
    };
    let mut allotted = Vec::new();
    for task in (0..16).map(write).collect::<Vec<_>>() {
        allotted.extend(task.await.unwrap());
    }
    allotted.sort_unstable();
    assert!(allotted.iter().copied().eq(0..allotted.len() as u64), "every id once, none left out");
    assert_eq!(int_ids(&node, "c").await, allotted);
    assert_eq!(statistics(&node, "c").await.next_id(), allotted.len() as u64);
    node.shutdown().await.unwrap();
}

/// Each of these is refused for a reason of its own, and the next batch may have another dimension.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_first_batch_fixes_no_dimension() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { collection_vectors_max: 3, batch_vectors_max: 5, ..Limits::default() };
    let node = Node::open(lavandin_node::NodeOptions { limits, ..options(dir.path()) }).await.unwrap();
    node.create_database(&context(), DB, false).await.unwrap();
    let f16 = RequireCollection { element: Some(ElementType::F16), ..RequireCollection::default() };
    require_with(&node, "c", f16).await;
    node.build_index(&context(), DB, "c", mode("FLAT-COS"), BuildParameters::default(), Vec::new())
        .await
        .unwrap();
    let ints = |ids: &[u64]| BatchIds::Ints(ids.to_vec());
    let refused = [
        ("repeated id", batch(ints(&[1, 1]), 3, &[1.0; 6])),
        ("not a number", batch(ints(&[1]), 3, &[1.0, f32::NAN, 1.0])),
        ("too few vectors", batch(ints(&[1, 2]), 3, &[1.0; 3])),
        ("beyond float16", batch(ints(&[1]), 3, &[1e6; 3])),
        ("zero under cosine", batch(ints(&[1]), 3, &[0.0; 3])),
        ("too many for the collection", batch(ints(&[1, 2, 3, 4]), 3, &[1.0; 12])),
        ("too many for a request", batch(BatchIds::Range { start: 0, count: 6 }, 3, &[1.0; 18])),
        ("none", batch(ints(&[]), 3, &[])),
        ("no dimension", batch(ints(&[1]), 0, &[])),
    ];
    for (why, batch) in refused {
        for change in [Change::Add(batch.clone()), Change::Upsert(batch)] {
            assert_eq!(refuse(&node, "c", change).await, ErrorCode::InvalidArgument, "{why}");
            assert_eq!(node.collection(DB, "c").await.unwrap().dim, 0, "{why}");
        }
    }
    change(&node, "c", one(1, [1.0, 0.0])).await;
    assert_eq!(node.collection(DB, "c").await.unwrap().dim, 2);
    let other = batch(ints(&[2]), 3, &[1.0; 3]);
    assert_eq!(refuse(&node, "c", Change::Add(other)).await, ErrorCode::InvalidArgument);
    assert_eq!(int_ids(&node, "c").await, [1]);
    node.shutdown().await.unwrap();
}

/// Two first batches of different dimensions: one wins, the other leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn racing_first_batches_agree_on_one_dimension() {
    let (_dir, node) = world().await;
    for round in 0..20 {
        let name = format!("c{round}");
        require(&node, &name).await;
        let write = |dim: u32| {
            let (node, name) = (Arc::clone(&node), name.clone());
            let added = Change::Add(batch(BatchIds::Ints(vec![dim.into()]), dim, &vec![1.0; dim as usize]));
            tokio::spawn(async move { node.change(&context(), DB, &name, added).await })
        };
        let (two, three) = (write(2), write(3));
        let (two, three) = (two.await.unwrap(), three.await.unwrap());
        assert!(two.is_ok() != three.is_ok(), "{two:?}, {three:?}");
        let winner = if two.is_ok() { 2 } else { 3 };
        assert_eq!(node.collection(DB, &name).await.unwrap().dim, winner);
        assert_eq!(int_ids(&node, &name).await, [u64::from(winner)]);
    }
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_in_two_collections_names_two_changes() {
    let (_dir, node) = world().await;
    let named = context().with_request_id(RequestId::new(7));
    for name in ["c", "d"] {
        require(&node, name).await;
        let add = Change::Add(batch(BatchIds::Ints(vec![1]), 2, &[1.0; 2]));
        node.change(&named, DB, name, add).await.unwrap();
    }
    assert_eq!((int_ids(&node, "c").await, int_ids(&node, "d").await), (vec![1], vec![1]));
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_applied_once() {
    let (dir, node) = world().await;
    require(&node, "c").await;
    let named = context().with_request_id(RequestId::new(7));
    let add = || Change::Add(batch(BatchIds::Assigned { count: 2 }, 2, &[1.0; 4]));
    let retry = |node: &Arc<Node>| {
        let node = Arc::clone(node);
        let named = named.clone();
        tokio::spawn(async move { node.change(&named, DB, "c", add()).await })
    };
    let first = Outcome::Assigned { start: 0, count: 2 };
    for task in (0..8).map(|_| retry(&node)).collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap().unwrap(), first);
    }
    node.shutdown().await.unwrap();
    drop(node);
    let node = open(dir.path()).await;
    assert_eq!(retry(&node).await.unwrap().unwrap(), first);
    // Once more behind a checkpoint, which keeps the answers.
    node.checkpoint(&context(), DB, "c").await.unwrap();
    node.shutdown().await.unwrap();
    drop(node);
    let node = open(dir.path()).await;
    assert_eq!(retry(&node).await.unwrap().unwrap(), first);
    assert_eq!(int_ids(&node, "c").await, [0, 1]);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_deadline_changes_nothing() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    let late = node.change(&past(), DB, "c", one(1, [1.0, 0.0])).await;
    assert_eq!(code(late), ErrorCode::DeadlineExceeded);
    assert_eq!(node.collection(DB, "c").await.unwrap().dim, 0);
    change(&node, "c", one(2, [1.0, 0.0])).await;
    let late = node.change(&past(), DB, "c", one(3, [1.0, 0.0])).await;
    assert_eq!(code(late), ErrorCode::DeadlineExceeded);
    assert_eq!(code(node.drop_collection(&past(), DB, "c").await), ErrorCode::DeadlineExceeded);
    assert_eq!(code(node.create_database(&past(), "other", false).await), ErrorCode::DeadlineExceeded);
    assert_eq!(code(node.flush(&past(), DB, "c").await), ErrorCode::DeadlineExceeded);
    let search = node.search(&past(), DB, "c", queries(&[1.0, 0.0], 2, 1)).await;
    assert_eq!(code(search), ErrorCode::DeadlineExceeded);
    // Whatever was queued before it is done once this is answered.
    node.flush(&context(), DB, "c").await.unwrap();
    assert_eq!(int_ids(&node, "c").await, [2]);
    assert!(!node.database_exists("other").await.unwrap());
    node.shutdown().await.unwrap();
}
