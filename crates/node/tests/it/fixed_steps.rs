//! Static mode: each rank's share is fixed, whatever happens; steps are asked for by number, epochs go on at a cursor.

use crate::fixture::*;
use crate::shards::*;
use lavandin_node::{
    Batch, Ending, IterationOptions, IterationRequest, NextOptions, NextOutcome, Node, NodeOptions,
    OrderKind, ShareOptions,
};
use lavandin_types::{ErrorCode, IterationId};
use std::sync::Arc;
use tempfile::TempDir;

const SAMPLES: u64 = 110;

/// A node with a dataset of 11 shard files of 10 samples.
async fn set_up() -> (TempDir, Arc<Node>, Shards) {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 11, 10);
    let shards = dataset_over(&node, "steps", &data).await;
    (dir, node, shards)
}

fn fixed(batch_size: u32, ending: Ending, cursor: Option<String>) -> IterationOptions {
    let order = OrderKind::Global { seed: 5, epoch: 1 };
    IterationOptions { order, shares: Some(ShareOptions { ending, cursor }), ..batches_of(batch_size) }
}

async fn begin(
    node: &Node,
    shards: Shards,
    options: &IterationOptions,
    ranks: u32,
) -> Result<IterationId, lavandin_node::NodeError> {
    let request = IterationRequest { world_size: Some(ranks), ..request(shards, options.clone(), 0) };
    node.create_iteration(&context(), IterationRequest { threshold_ms: 0, ..request })
        .await
        .map(|info| info.id)
}

/// All batches of all ranks, step by step.
async fn sequence(node: &Node, iteration: IterationId, ranks: u32) -> Vec<Vec<Vec<u64>>> {
    let mut steps = Vec::new();
    loop {
        let mut step = Vec::new();
        for rank in 0..ranks {
            step.extend(take_numbers(node, iteration, rank).await);
        }
        assert!(step.is_empty() || step.len() == ranks as usize, "all ranks have equally many steps");
        if step.is_empty() {
            return steps;
        }
        steps.push(step);
    }
}

/// The next batch's numbers, delivered; `take` would compare them with ids, which repeated samples share with others.
async fn take_numbers(node: &Node, iteration: IterationId, rank: u32) -> Option<Vec<u64>> {
    match next(node, iteration, rank).await {
        Got::Batch { indices, ids, .. } => {
            assert!(indices.iter().zip(&ids).all(|(index, id)| *index >= SAMPLES || *index == *id as u64));
            Some(indices)
        }
        Got::End => None,
        Got::Failure(message) => panic!("{message}"),
    }
}

async fn batch_of(
    node: &Node,
    iteration: IterationId,
    rank: u32,
    step: u64,
) -> Result<Option<Batch>, ErrorCode> {
    let options = NextOptions { step: Some(step), ..NextOptions::default() };
    match node.next_batch(&context(), iteration, rank, options).await {
        Ok(NextOutcome::Batch(batch)) => Ok(Some(batch)),
        Ok(NextOutcome::End) => Ok(None),
        Ok(NextOutcome::Failed(failure)) => panic!("{}", failure.message),
        Err(error) => Err(error.code()),
    }
}

fn numbers(batch: &Batch) -> Vec<u64> {
    let whole = bytes::Bytes::from(batch.segments.concat());
    let sample = lavandin_feed::lavender::decode(&whole).expect("a batch in the Lavender layout");
    sample.indices().expect("it tells its indices")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_over_all_ranks_is_the_same_for_any_number_of_them() {
    let (_dir, node, shards) = set_up().await;
    let mut orders = Vec::new();
    for ranks in [1, 2, 4] {
        let iteration =
            begin(&node, shards, &fixed(12 / ranks, Ending::Balanced, None), ranks).await.unwrap();
        let steps = sequence(&node, iteration, ranks).await;
        assert_eq!(steps.len(), 10);
        assert_eq!(sorted(&steps.concat()), (0..SAMPLES).collect::<Vec<_>>());
        orders.push(steps.concat().concat());
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn endings() {
    let (_dir, node, shards) = set_up().await;
    let padded = begin(&node, shards, &fixed(6, Ending::Pad, None), 4).await.unwrap();
    let steps = sequence(&node, padded, 4).await;
    assert!(steps.iter().flatten().all(|batch| batch.len() == 6));
    assert_eq!(
        sorted(&steps.concat()),
        (0..SAMPLES + 10).collect::<Vec<_>>(),
        "10 repeated, under their own numbers"
    );
    let told = node.steps_info(&context(), padded, 5).await.unwrap();
    assert_eq!((told.steps, told.repeated, told.left_out, told.cursor.step), (5, 10, 0, 5));
    node.complete(&context(), padded, (0..SAMPLES + 10).collect()).await.unwrap();
    let progress = node.progress(&context(), padded).await.unwrap();
    assert_eq!((progress.completed, progress.total), (120, 120));
    let dropped = begin(&node, shards, &fixed(6, Ending::Drop, None), 4).await.unwrap();
    assert_eq!(sequence(&node, dropped, 4).await, steps[..4]);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_and_a_restart_change_nothing() {
    let (dir, node, shards) = set_up().await;
    let wanted = fixed(7, Ending::Balanced, None);
    let reference = begin(&node, shards, &wanted, 2).await.unwrap();
    let whole = sequence(&node, reference, 2).await;
    let iteration = begin(&node, shards, &wanted, 2).await.unwrap();
    node.shutdown().await.unwrap();
    drop(node);
    let mut found = vec![Vec::new(), Vec::new()];
    for turn in 0.. {
        // Few operations to a checkpoint, so that some of it is read from there.
        let node = open_with(NodeOptions { log_bytes_max: 1_000, ..options(dir.path()) }).await;
        for rank in 0..2_u32 {
            // An answer that is lost, and one that is taken.
            drop(call(&node, iteration, rank, false).await);
            found[rank as usize].extend(take_numbers(&node, iteration, rank).await);
        }
        node.shutdown().await.unwrap();
        if turn == whole.len() {
            break;
        }
    }
    for (rank, found) in found.into_iter().enumerate() {
        assert_eq!(found, whole.iter().map(|step| step[rank].clone()).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_by_number_come_as_often_as_they_are_asked_for() {
    let (_dir, node, shards) = set_up().await;
    let options = fixed(5, Ending::Balanced, None);
    let reference = begin(&node, shards, &options, 2).await.unwrap();
    let whole = sequence(&node, reference, 2).await;
    let iteration = begin(&node, shards, &options, 2).await.unwrap();
    let mut cursor = None;
    for (step, batches) in whole.iter().enumerate() {
        let mut bytes = None;
        for again in [false, false, true] {
            let mut batch = batch_of(&node, iteration, 1, step as u64).await.unwrap().unwrap();
            assert_eq!((numbers(&batch), batch.step), (batches[1].clone(), Some(step as u64)));
            assert_eq!(*bytes.get_or_insert_with(|| batch.segments.concat()), batch.segments.concat());
            // The first one is lost, the second is kept and acknowledged, the third is as good as another.
            if again {
                node.complete(&context(), iteration, numbers(&batch)).await.unwrap();
            }
            cursor = batch.cursor;
            if step % 2 == 0 {
                batch.delivery.done();
            }
        }
    }
    assert!(batch_of(&node, iteration, 1, whole.len() as u64).await.unwrap().is_none());
    assert_eq!(numbers(&batch_of(&node, iteration, 1, 0).await.unwrap().unwrap()), whole[0][1], "an old one");
    let told = node.steps_info(&context(), iteration, whole.len() as u64).await.unwrap();
    assert_eq!((Some(told.cursor), told.cursor.place), (cursor, SAMPLES));
    let progress = node.progress(&context(), iteration).await.unwrap();
    assert_eq!((progress.completed, progress.in_progress.len()), (55, 0), "and nothing of the other rank");

    // Who asks for a step has all before it, however many answers were in doubt.
    assert_eq!(numbers(&batch_of(&node, iteration, 0, 3).await.unwrap().unwrap()), whole[3][0]);
    assert_eq!(node.progress(&context(), iteration).await.unwrap().in_progress.len(), 20);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_the_same_whatever_part_of_it_was_granted_before() {
    let (_dir, node, shards) = set_up().await;
    let in_order = IterationOptions { order: OrderKind::Sequential, ..fixed(8, Ending::Balanced, None) };
    let iteration = begin(&node, shards, &in_order, 1).await.unwrap();
    let all: Vec<u64> = (0..8).collect();
    assert_eq!(take_numbers(&node, iteration, 0).await, Some(all.clone()));
    node.complete(&context(), iteration, vec![0, 1, 2]).await.unwrap();
    node.pushback(&context(), iteration).await.unwrap();
    // Three of it are done; whoever asks for the step gets all of it, as before.
    assert_eq!(numbers(&batch_of(&node, iteration, 0, 0).await.unwrap().unwrap()), all);
    assert_eq!(node.progress(&context(), iteration).await.unwrap().completed, 3);

    node.shutdown().await.unwrap();
}

/// What can be read of a step is its batch; a step of which nothing can be read says so as often as it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn samples_that_cannot_be_read_are_left_out_of_their_step() {
    let (dir, node, shards) = set_up().await;
    let in_order = IterationOptions { order: OrderKind::Sequential, ..fixed(8, Ending::Balanced, None) };
    let eights = begin(&node, shards, &in_order, 1).await.unwrap();
    let twos = IterationOptions { batch_size: 2, ..in_order };
    let twos = begin(&node, shards, &twos, 1).await.unwrap();
    std::fs::remove_file(dir.path().join("data").join(name(1))).unwrap();
    assert_eq!(numbers(&batch_of(&node, eights, 0, 0).await.unwrap().unwrap()), (0..8).collect::<Vec<_>>());
    for _ in 0..2 {
        assert_eq!(numbers(&batch_of(&node, eights, 0, 1).await.unwrap().unwrap()), [8, 9]);
    }
    assert_eq!(numbers(&batch_of(&node, eights, 0, 2).await.unwrap().unwrap()), [20, 21, 22, 23]);
    for _ in 0..2 {
        let options = NextOptions { step: Some(5), ..NextOptions::default() };
        let outcome = node.next_batch(&context(), twos, 0, options).await.unwrap();
        assert!(matches!(outcome, NextOutcome::Failed(failure) if failure.step == Some(5)));
    }
    assert_eq!(numbers(&batch_of(&node, twos, 0, 10).await.unwrap().unwrap()), [20, 21]);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn far_steps_and_other_iterations_have_clear_errors() {
    let (_dir, node, shards) = set_up().await;
    let iteration = begin(&node, shards, &fixed(1, Ending::Balanced, None), 1).await.unwrap();
    assert!(batch_of(&node, iteration, 0, 64).await.unwrap().is_some());
    let far = begin(&node, shards, &fixed(1, Ending::Balanced, None), 1).await.unwrap();
    assert_eq!(batch_of(&node, far, 0, 65).await.map(drop), Err(ErrorCode::InvalidArgument));
    assert_eq!(node.progress(&context(), far).await.unwrap().current, 0, "nothing was granted on the way");
    assert_eq!(batch_of(&node, far, 1, 0).await.map(drop), Err(ErrorCode::InvalidArgument));
    let dynamic = iterate(&node, shards, batches_of(4)).await;
    assert_eq!(batch_of(&node, dynamic, 0, 0).await.map(drop), Err(ErrorCode::InvalidArgument));
    assert_eq!(code(node.steps_info(&context(), dynamic, 0).await), ErrorCode::InvalidArgument);
    assert_eq!(code(node.steps_info(&context(), far, 111).await), ErrorCode::InvalidArgument);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_goes_on_at_a_cursor_with_other_ranks() {
    let (_dir, node, shards) = set_up().await;
    let whole = begin(&node, shards, &fixed(12, Ending::Balanced, None), 1).await.unwrap();
    let whole = sequence(&node, whole, 1).await;
    let first = begin(&node, shards, &fixed(6, Ending::Balanced, None), 2).await.unwrap();
    let mut cursor = node.steps_info(&context(), first, 3).await.unwrap().cursor;
    let mut done = 3;
    for (ranks, more) in [(4, 2), (1, 2), (3, 1)] {
        let options = fixed(12 / ranks, Ending::Balanced, Some(cursor.to_string()));
        let iteration = begin(&node, shards, &options, ranks).await.unwrap();
        assert_eq!(node.iteration(&context(), iteration).await.unwrap().options, options);
        let rest = sequence(&node, iteration, ranks).await;
        assert_eq!(rest.concat().concat(), whole[done..].concat().concat());
        cursor = node.steps_info(&context(), iteration, more).await.unwrap().cursor;
        done += more as usize;
        assert_eq!((cursor.step, cursor.place), (done as u64, 12 * done as u64));
    }
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shared_out_is_refused_with_the_reason() {
    let (dir, node, shards) = set_up().await;
    let refused = async |options: IterationOptions, ranks: Option<u32>| {
        let request = IterationRequest { world_size: ranks, ..request(shards, options, 0) };
        let error = node.create_iteration(&context(), request).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        error.to_string()
    };
    let plain = fixed(6, Ending::Balanced, None);
    assert!(refused(plain.clone(), None).await.contains("needs world_size"));
    assert!(refused(plain.clone(), Some(0)).await.contains("needs world_size"));
    assert!(
        refused(IterationOptions { drop_last: true, ..plain.clone() }, Some(1)).await.contains("\"drop\"")
    );
    let empty = IterationOptions { replication_groups: Some(vec![vec![0], vec![]]), ..plain.clone() };
    assert!(refused(empty, Some(1)).await.contains("a replication group has no ranks"));
    assert!(
        refused(fixed(6, Ending::Pad, Some("lvc1-7".to_owned())), Some(1))
            .await
            .contains("cursor is damaged")
    );
    let request_of_rank_2 = IterationRequest { world_size: Some(2), ..request(shards, plain.clone(), 2) };
    assert_eq!(code(node.create_iteration(&context(), request_of_rank_2).await), ErrorCode::InvalidArgument);

    let iteration = begin(&node, shards, &plain, 1).await.unwrap();
    let cursor = node.steps_info(&context(), iteration, 2).await.unwrap().cursor.to_string();
    let with = |order| IterationOptions { order, ..fixed(6, Ending::Balanced, Some(cursor.clone())) };
    let other_epoch = refused(with(OrderKind::Global { seed: 5, epoch: 2 }), Some(1)).await;
    assert!(other_epoch.contains("of epoch 1, not 2"), "{other_epoch}");
    assert!(refused(with(OrderKind::Sequential), Some(1)).await.contains("another order, seed or state"));
    // Another state of the dataset.
    write_shards(&dir.path().join("data"), 12, 10);
    resync(&node, shards).await;
    let other_state = refused(with(OrderKind::Global { seed: 5, epoch: 1 }), Some(1)).await;
    assert!(other_state.contains("another order, seed or state"), "{other_state}");
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ranks_of_a_group_get_the_same_steps() {
    let (_dir, node, shards) = set_up().await;
    let groups = Some(vec![vec![0, 3], vec![1]]);
    let options = IterationOptions { replication_groups: groups, ..fixed(8, Ending::Balanced, None) };
    let iteration = begin(&node, shards, &options, 3).await.unwrap();
    let all = [take_all(&node, iteration, 0).await, take_all(&node, iteration, 1).await];
    assert_eq!(take_all(&node, iteration, 3).await, all[0]);
    assert_eq!(sorted(&all.concat()), (0..SAMPLES).collect::<Vec<_>>());
    node.shutdown().await.unwrap();
}
