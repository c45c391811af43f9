//! Epochs of one rank: batches, their ends, what cannot be read, completion, pushback.

use crate::fixture::*;
use crate::shards::*;
use lavandin_node::{IterationOptions, Node, OrderKind, ShuffleOptions};
use lavandin_types::{ErrorCode, IterationId};
use std::sync::Arc;
use tempfile::TempDir;

/// A node with a dataset of 5 shard files of 20 samples.
async fn hundred() -> (TempDir, Arc<Node>, Shards) {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 5, 20);
    let shards = dataset_over(&node, "hundred", &data).await;
    (dir, node, shards)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_in_both_layouts() {
    let (_dir, node, shards) = hundred().await;
    for arrow in [false, true] {
        let iteration = iterate(&node, shards, batches_of(30)).await;
        let mut seen = Vec::new();
        for number in 0..4 {
            let (got, mut delivery) = call(&node, iteration, 0, arrow).await;
            let Got::Batch { indices, ids, current } = got else { panic!("{got:?}") };
            assert_eq!((indices.len(), current), (if number < 3 { 30 } else { 10 }, number));
            assert_eq!(indices.iter().map(|index| *index as i64).collect::<Vec<_>>(), ids);
            seen.extend(indices);
            delivery.done();
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        for _ in 0..2 {
            assert_eq!(next(&node, iteration, 0).await, Got::End, "the end stays the end");
        }
    }
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layout_may_change_between_calls() {
    let (_dir, node, shards) = hundred().await;
    let iteration = iterate(&node, shards, batches_of(9)).await;
    let mut seen = Vec::new();
    for turn in 0.. {
        let (got, mut delivery) = call(&node, iteration, 0, turn % 2 == 1).await;
        delivery.done();
        match got {
            Got::Batch { indices, .. } => seen.extend(indices),
            Got::End => break,
            Got::Failure(message) => panic!("{message}"),
        }
    }
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn single_samples_and_whole_epochs() {
    let (_dir, node, shards) = hundred().await;
    let singles = iterate(&node, shards, batches_of(0)).await;
    let batches = take_all(&node, singles, 0).await;
    assert!(batches.iter().all(|batch| batch.len() == 1));
    assert_eq!(batches.concat(), (0..100).collect::<Vec<_>>());
    let whole = iterate(&node, shards, batches_of(1_000)).await;
    assert_eq!(take_all(&node, whole, 0).await, [(0..100).collect::<Vec<_>>()]);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_last_batch_is_left_out_where_that_is_wanted() {
    let (_dir, node, shards) = hundred().await;
    let dropping = IterationOptions { drop_last: true, ..batches_of(30) };
    let iteration = iterate(&node, shards, dropping).await;
    let batches = take_all(&node, iteration, 0).await;
    assert_eq!(batches.concat(), (0..90).collect::<Vec<_>>());
    let progress = node.progress(&context(), iteration).await.unwrap();
    assert_eq!((progress.filtered, progress.current, progress.total), (10, 100, 100));
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shuffles_are_the_same_each_time() {
    let (_dir, node, shards) = hundred().await;
    let lavender = ShuffleOptions { seed: 1, block_shards: 2 };
    let orders = [
        IterationOptions { shuffle: Some(lavender), ..batches_of(10) },
        IterationOptions { order: OrderKind::Global { seed: 1, epoch: 0 }, ..batches_of(10) },
        IterationOptions { order: OrderKind::Global { seed: 1, epoch: 1 }, ..batches_of(10) },
        IterationOptions {
            order: OrderKind::Windowed { seed: 1, epoch: 0, window_shards: 2 },
            ..batches_of(10)
        },
    ];
    let mut seen = Vec::new();
    for options in orders {
        let (first, second) =
            (iterate(&node, shards, options.clone()).await, iterate(&node, shards, options).await);
        assert_ne!(first, second, "a second epoch is an iteration of its own");
        let batches = take_all(&node, first, 0).await;
        assert_eq!(take_all(&node, second, 0).await, batches);
        assert_eq!(sorted(&batches), (0..100).collect::<Vec<_>>());
        assert!(!seen.contains(&batches), "other orders");
        seen.push(batches);
    }
    node.shutdown().await.unwrap();
}

async fn counts(node: &Node, iteration: IterationId) -> (u64, u64, usize) {
    let progress = node.progress(&context(), iteration).await.expect("it is there");
    assert!(progress.current <= progress.total);
    (progress.current, progress.completed, progress.in_progress.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn completion_and_pushback() {
    let (_dir, node, shards) = hundred().await;
    let iteration = iterate(&node, shards, batches_of(10)).await;
    let first = take(&node, iteration, 0).await.unwrap();
    let second = take(&node, iteration, 0).await.unwrap();
    node.complete(&context(), iteration, first[..4].to_vec()).await.unwrap();
    node.complete(&context(), iteration, vec![0, 1, 99, 5_000]).await.unwrap();
    assert_eq!(counts(&node, iteration).await, (20, 4, 16));
    node.pushback(&context(), iteration).await.unwrap();
    assert_eq!(counts(&node, iteration).await, (4, 4, 0));
    let rest: Vec<u64> = first[4..].iter().chain(&second).copied().chain(20..100).collect();
    let batches = take_all(&node, iteration, 0).await;
    assert_eq!(batches.concat(), rest, "what came back comes first, in the old order");
    assert!(batches[..9].iter().all(|batch| batch.len() == 10));
    node.complete(&context(), iteration, rest).await.unwrap();
    assert_eq!(counts(&node, iteration).await, (100, 100, 0));
    node.pushback(&context(), iteration).await.unwrap();
    assert_eq!(take(&node, iteration, 0).await, None, "what is done does not come back");
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushback_after_the_end_begins_again() {
    let (_dir, node, shards) = hundred().await;
    let iteration = iterate(&node, shards, batches_of(50)).await;
    let batches = take_all(&node, iteration, 0).await;
    node.complete(&context(), iteration, batches[1].clone()).await.unwrap();
    node.pushback(&context(), iteration).await.unwrap();
    assert_eq!(take_all(&node, iteration, 0).await, batches[..1]);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_clear_errors() {
    let (_dir, node, shards) = hundred().await;
    let unknown = IterationId::new(1, [1; 20]);
    assert_eq!(code(node.progress(&context(), unknown).await), ErrorCode::NotFound);
    assert_eq!(code(node.pushback(&context(), unknown).await), ErrorCode::NotFound);
    assert_eq!(code(node.complete(&context(), unknown, vec![1]).await), ErrorCode::NotFound);
    let replicated = IterationOptions { replication_groups: Some(vec![vec![0], vec![1]]), ..batches_of(1) };
    let iteration = iterate(&node, shards, replicated.clone()).await;
    let options = lavandin_node::NextOptions::default();
    let stranger = node.next_batch(&context(), iteration, 7, options).await.map(drop);
    assert_eq!(stranger.unwrap_err().to_string(), "Replication pg not found for rank 7");
    let stranger = node.create_iteration(&context(), request(shards, replicated, 7)).await;
    assert_eq!(code(stranger), ErrorCode::InvalidArgument);
    node.delete_dataset(&context(), shards.dataset).await.unwrap();
    assert_eq!(code(node.next_batch(&context(), iteration, 0, options).await.map(drop)), ErrorCode::NotFound);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_named_before_an_iteration_begins() {
    let (dir, node, shards) = hundred().await;
    let path = dir.path().join("data").join(name(3));
    let kept = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let refused = node.create_iteration(&context(), request(shards, batches_of(10), 0)).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("{} is missing", name(3))), "{refused}");
    std::fs::write(&path, &kept[..kept.len() - 1]).unwrap();
    let refused = node.create_iteration(&context(), request(shards, batches_of(10), 0)).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("{} was changed", name(3))), "{refused}");
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_under_way_fails_its_samples_alone() {
    let (dir, node, shards) = hundred().await;
    let iteration = iterate(&node, shards, batches_of(8)).await;
    std::fs::remove_file(dir.path().join("data").join(name(3))).unwrap();
    let (mut seen, mut messages) = (Vec::new(), Vec::new());
    loop {
        match next(&node, iteration, 0).await {
            Got::Batch { indices, .. } => seen.extend(indices),
            Got::Failure(message) => messages.push(message),
            Got::End => break,
        }
    }
    assert_eq!(seen, (0..60).chain(80..100).collect::<Vec<_>>());
    assert!((1..=20).contains(&messages.len()), "{messages:?}");
    for message in &messages {
        assert!(message.starts_with("Failed to read sample ") && message.contains(&name(3)), "{message}");
    }
    let progress = node.progress(&context(), iteration).await.unwrap();
    assert_eq!((progress.failed, progress.current), (20, 100));
    node.shutdown().await.unwrap();
}
