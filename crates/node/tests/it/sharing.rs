//! Several ranks of one iteration: shares without overlap, replication groups, calls at once.

use crate::fixture::*;
use crate::shards::*;
use lavandin_node::{IterationOptions, Node, OrderKind};
use lavandin_types::IterationId;
use std::collections::BTreeSet;
use std::sync::Arc;

async fn ranks(node: &Node, shards: Shards, options: &IterationOptions, count: u32) -> IterationId {
    let mut ids = BTreeSet::new();
    for rank in 0..count {
        let request = request(shards, options.clone(), rank);
        ids.insert(node.create_iteration(&context(), request).await.expect("the iteration begins").id);
    }
    assert_eq!(ids.len(), 1, "all ranks join one iteration");
    *ids.first().expect("an iteration")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ranks_share_an_epoch_without_overlap() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 10, 20);
    let shards = dataset_over(&node, "shared", &data).await;
    for epoch in 0..2 {
        let options = IterationOptions { order: OrderKind::Sequential, ..batches_of(7) };
        let lavender = IterationOptions { order: OrderKind::Lavender, ..options.clone() };
        let options = if epoch == 0 { lavender } else { options };
        let iteration = ranks(&node, shards, &options, 2).await;
        let run = |rank| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { take_all(&node, iteration, rank).await })
        };
        let (first, second) = (run(0), run(1));
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        let mut all = first.concat();
        all.extend(second.concat());
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
        assert_eq!(node.progress(&context(), iteration).await.unwrap().current, 200);
    }
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rank_that_takes_turns_gets_its_share() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 10, 10);
    let shards = dataset_over(&node, "shared", &data).await;
    let iteration = ranks(&node, shards, &batches_of(10), 2).await;
    let mut shares = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        for (rank, share) in shares.iter_mut().enumerate() {
            share.push(take(&node, iteration, rank as u32).await.expect("a batch for each"));
        }
    }
    assert_eq!((take(&node, iteration, 0).await, take(&node, iteration, 1).await), (None, None));
    assert_eq!(sorted(&shares.concat()), (0..100).collect::<Vec<_>>());
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ranks_of_a_replication_group_get_the_same_batches() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 8, 10);
    let shards = dataset_over(&node, "replicated", &data).await;
    let groups = Some(vec![vec![0, 1], vec![2, 3]]);
    let options = IterationOptions { replication_groups: groups, ..batches_of(10) };
    let iteration = ranks(&node, shards, &options, 4).await;
    let mut streams = vec![Vec::new(); 4];
    let mut ended = BTreeSet::new();
    while ended.len() < 4 {
        for (rank, stream) in streams.iter_mut().enumerate() {
            match take(&node, iteration, rank as u32).await {
                Some(batch) => stream.push(batch),
                None => drop(ended.insert(rank)),
            }
        }
    }
    assert_eq!(streams[0], streams[1]);
    assert_eq!(streams[2], streams[3]);
    let mut all = streams[0].concat();
    all.extend(streams[2].concat());
    all.sort_unstable();
    assert_eq!(all, (0..80).collect::<Vec<_>>());
    let indices = (0..80).collect();
    node.complete(&context(), iteration, indices).await.unwrap();
    let progress = node.progress(&context(), iteration).await.unwrap();
    assert_eq!((progress.completed, progress.in_progress.len()), (80, 0), "each counts once");
    node.shutdown().await.unwrap();
}

/// What a client with several workers does.
#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_get_every_sample_once() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 10, 50);
    let shards = dataset_over(&node, "pressed", &data).await;
    let iteration = iterate(&node, shards, batches_of(3)).await;
    let worker = || {
        let node = Arc::clone(&node);
        tokio::spawn(async move { take_all(&node, iteration, 0).await })
    };
    let mut all = Vec::new();
    for worker in (0..8).map(|_| worker()).collect::<Vec<_>>() {
        all.extend(worker.await.unwrap().concat());
    }
    all.sort_unstable();
    assert_eq!(all, (0..500).collect::<Vec<_>>());
    node.shutdown().await.unwrap();
}
