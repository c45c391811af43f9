use super::*;
use crate::datasets::iteration_groups::IterationGroups;
use crate::groups::two_nodes::{Fault, GroupCall, HERE, THERE, TwoNodes, context};
use lavandin_cluster::{Command, NewDataset};
use lavandin_plan::iterations::{
    Create, Definition, Grant, Join, Owner, Place, Places, Rejection, ShardsetVersion, Walk,
};
use lavandin_plan::{Order, ShardRows};
use lavandin_types::{DatasetId, IterationId, NodeId, ShardsetId};
use std::time::Duration;

const SAMPLES: u64 = 600;

fn is_change(call: &GroupCall) -> bool {
    matches!(call, GroupCall::Iterations(_))
}

fn definition() -> Definition {
    let shardset = ShardsetId::new(1_760_000_000_000, [1; 20]);
    Definition {
        config_hash: [9; 32],
        shardsets: vec![ShardsetVersion { shardset, manifest_version: 1, manifest_hash: 7 }],
        batch_size: 4,
        drop_last: false,
        order: Order::Sequential,
        replication_groups: None,
        shares: None,
        filters: None,
        categorizer: None,
        collater: None,
        preprocessors: None,
        settings: None,
    }
}

/// An iteration in a group that the other node leads, and the way to it from here.
async fn world() -> (TwoNodes, Arc<IterationGroups>, GroupId, IterationId) {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[THERE]).await;
    let dataset = DatasetId::new(1_760_000_000_000, [3; 20]);
    let new =
        NewDataset { id: dataset, name: "d".to_owned(), uid_column_name: "id".to_owned(), created_at_s: 1 };
    nodes.metadata.propose(Command::CreateDataset(new)).await.expect("the dataset is created");
    let (handle, patience) = (tokio::runtime::Handle::current(), Duration::from_secs(60));
    let groups = Arc::new(IterationGroups::new(Arc::clone(&nodes.here), handle, patience, false));
    let id = IterationId::new(1_760_000_000_001, [5; 20]);
    let rows = ShardRows::new(vec![SAMPLES as u32]);
    let join = Join { rank: 0, world_size: Some(1), threshold_ms: 0 };
    let create = Create { id, dataset, definition: definition(), rows, join, now_ms: 1 };
    // The catalogue gives datasets its first group, which has no copy here.
    groups.note_home(id, group);
    let created = groups.propose(&context(), group, Request::Create(Box::new(create))).await;
    assert_eq!(created.expect("it is created"), Outcome::Iteration { id, joined: false });
    let take = Request::TakeBlock { iteration: id, group: 0, block: 0 };
    groups.propose(&context(), group, take).await.expect("the first block");
    (nodes, groups, group, id)
}

fn grant(iteration: IterationId, number: u64) -> Request {
    let places: Places =
        (0..4).map(|offset| Place { block: 0, offset: 4 * number as u32 + offset }).collect();
    Request::Grant(Box::new(Grant {
        iteration,
        rank: 0,
        number,
        generation: 0,
        samples: places,
        filtered: Places::new(),
        failed: Places::new(),
        delivered: Vec::new(),
        now_ms: 2,
        owner: Owner { node: HERE, incarnation: 1, ticket: number + 1 },
    }))
}

/// Whatever is lost on the way, each grant is carried out once, and in its order.
#[tokio::test(flavor = "multi_thread")]
async fn grants_keep_their_order_and_happen_once_whatever_is_lost() {
    let (nodes, groups, group, iteration) = world().await;
    for fault in [Fault::LostAnswer, Fault::NotSent, Fault::LostRequest, Fault::LostAnswer] {
        nodes.wire.add(is_change, fault);
    }
    let queue = RequestQueue::new(Arc::clone(&groups), group);
    let pending: Vec<_> =
        (0..SAMPLES / 4).map(|number| queue.send(grant(iteration, number)).unwrap()).collect();
    for (number, pending) in pending.into_iter().enumerate() {
        let outcome = pending.outcome().await;
        assert!(matches!(outcome, Ok(Outcome::Count(_))), "{number}: {outcome:?}");
    }
    let progress = groups.progress(&context(), iteration).await.unwrap();
    assert_eq!((progress.in_progress, progress.current), (SAMPLES, SAMPLES));
    let calls = nodes.wire.count(is_change);
    assert!(calls < 2 + 4 + SAMPLES as usize / 4, "{calls} calls: what waits goes together");
    nodes.stop().await;
}

/// What another session granted meanwhile refuses the next of this one, and what follows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_comes_too_late_is_refused_and_so_is_what_follows() {
    let (nodes, groups, group, iteration) = world().await;
    let queue = RequestQueue::new(Arc::clone(&groups), group);
    queue.send(grant(iteration, 0)).unwrap().outcome().await.expect("the first one");
    let mut of_another = grant(iteration, 1);
    if let Request::Grant(grant) = &mut of_another {
        grant.owner = Owner { node: NodeId::new(9), incarnation: 1, ticket: 1 };
    }
    groups.propose(&context(), group, of_another).await.expect("it is faster");
    let late = [1, 2].map(|number| queue.send(grant(iteration, number)).unwrap());
    let [first, second] = late;
    let refused = |outcome| matches!(outcome, Err(NodeError::Iteration(Rejection::Conflict { .. })));
    assert!(refused(first.outcome().await));
    assert!(second.outcome().await.is_ok(), "its number is the next one, and nobody has its samples");
    let status = groups.rank(&context(), iteration, 0).await.unwrap();
    assert_eq!(status.open.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2]);
    nodes.stop().await;
}

/// Samples that are not waited for are no business of the log; unknown iterations are told.
#[tokio::test(flavor = "multi_thread")]
async fn completions_and_walks_go_through_the_wire() {
    let (nodes, groups, group, iteration) = world().await;
    groups.propose(&context(), group, grant(iteration, 0)).await.expect("the first one");
    let complete = |indices| Request::Complete { iteration, indices };
    let done = groups.propose(&context(), group, complete(vec![0, 2, 99])).await.unwrap();
    assert_eq!(done, Outcome::Count(2));
    let done = groups.propose(&context(), group, complete(vec![0, 99])).await.unwrap();
    assert_eq!(done, Outcome::Count(0));
    let outline = groups.outline(&context(), iteration).await.unwrap();
    let status = groups.rank(&context(), iteration, 0).await.unwrap();
    let walked = tokio::task::spawn_blocking({
        let groups = Arc::clone(&groups);
        move || {
            let mut walk = Walk::new(outline, 0, &status).unwrap();
            (0..3).map(|_| walk.step(|look| groups.look_blocking(look)).unwrap()).collect::<Vec<_>>()
        }
    });
    let places = walked.await.unwrap().into_iter().map(|step| match step {
        lavandin_plan::iterations::Step::Sample(sample) => sample.index,
        other => panic!("{other:?}"),
    });
    assert_eq!(places.collect::<Vec<_>>(), [4, 5, 6]);
    let unknown = IterationId::new(1, [1; 20]);
    groups.note_home(unknown, group);
    assert!(matches!(groups.info(&context(), unknown).await, Err(NodeError::IterationNotFound(_))));
    nodes.stop().await;
}
