//! What is made ahead stays within its bounds, whoever iterates and whoever has gone.

use crate::datasets::{IterationOptions, IterationRequest, NewShardsetRequest, NextOptions, NextOutcome};
use crate::node::Node;
use crate::options::{CallContext, NodeOptions};
use crate::shard_writer::{PlainColumn, write_parquet};
use lavandin_storage::Durability;
use lavandin_types::{DatasetId, IterationId};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const MEMORY: u64 = 4 << 20;
const TEXT_BYTES: usize = 2 << 10;
const BATCH: u32 = 64;
const FILES: usize = 80;
/// A batch may keep the chunk that it is made from, so files of one batch tell what each takes.
const ROWS: usize = BATCH as usize;

fn context() -> CallContext {
    CallContext::new(PATIENCE)
}

async fn open(dir: &Path) -> Arc<Node> {
    let mut options = NodeOptions { durability: Durability::Os, threads: 2, ..NodeOptions::new(dir) };
    options.datasets.memory_bytes_max = MEMORY;
    Node::open(options).await.expect("the node opens")
}

/// 10 MiB of samples.
async fn dataset(node: &Node, dir: &Path) -> DatasetId {
    std::fs::create_dir_all(dir).expect("the directory is made");
    for file in 0..FILES {
        let ids: Vec<i64> = (0..ROWS).map(|row| (file * ROWS + row) as i64).collect();
        let texts = ids.iter().map(|id| format!("{id:TEXT_BYTES$}")).collect();
        let columns = vec![("id", PlainColumn::Integers(ids)), ("text", PlainColumn::Texts(texts))];
        write_parquet(&dir.join(format!("{file}.parquet")), columns).expect("the file is written");
    }
    let dataset = node.create_dataset(&context(), "large", "id").await.expect("the dataset is created").id;
    let request = NewShardsetRequest { location: format!("file://{}", dir.display()), columns: Vec::new() };
    node.create_shardset(&context(), dataset, request).await.expect("the shardset is created");
    dataset
}

async fn iterate(node: &Node, dataset: DatasetId) -> IterationId {
    let request = IterationRequest {
        dataset: dataset.to_string(),
        shardsets: Vec::new(),
        options: IterationOptions { batch_size: BATCH, ..IterationOptions::default() },
        rank: 0,
        world_size: None,
        threshold_ms: 0,
    };
    node.create_iteration(&context(), request).await.expect("the iteration begins").id
}

/// The samples of the next batch; 0 at the end.
async fn take(node: &Node, iteration: IterationId) -> u32 {
    match node.next_batch(&context(), iteration, 0, NextOptions::default()).await.expect("a batch") {
        NextOutcome::Batch(mut batch) => {
            batch.delivery.done();
            BATCH
        }
        NextOutcome::End => 0,
        NextOutcome::Failed(failure) => panic!("{}", failure.message),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_made_ahead_stay_within_the_budget() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = open(dir.path()).await;
    let dataset = dataset(&node, &dir.path().join("data")).await;
    let mut iterations = Vec::new();
    for _ in 0..8 {
        iterations.push(iterate(&node, dataset).await);
    }
    // Each session may hold one batch that it began when there was room, or that it needs to go on at all.
    let batch = u64::from(BATCH) * (TEXT_BYTES as u64 + 200);
    let bound = MEMORY * 4 / 10 + iterations.len() as u64 * batch;
    assert!(bound < iterations.len() as u64 * (1 << 20), "less than the sessions' own bounds together");
    let held = || node.datasets.ready_bytes.held();
    let (mut samples, mut most) = (0, 0);
    loop {
        let mut taken = 0;
        for iteration in &iterations {
            taken += take(&node, *iteration).await;
            most = most.max(held());
        }
        samples += taken;
        if taken == 0 {
            break;
        }
    }
    assert_eq!(samples as usize, iterations.len() * FILES * ROWS, "everybody got everything");
    assert!(most <= bound, "{most} bytes made ahead; the bound is {bound}");
    assert!(most >= batch, "batches are made ahead at all");
    assert_eq!(held(), 0, "nothing is left of what was taken");
    assert!(node.datasets.chunks.stats().held_bytes <= MEMORY * 6 / 10);
    node.shutdown().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_end_give_their_memory_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = open(dir.path()).await;
    let dataset = dataset(&node, &dir.path().join("data")).await;
    let iteration = iterate(&node, dataset).await;
    take(&node, iteration).await;
    let deadline = Instant::now() + PATIENCE;
    while node.datasets.ready_bytes.held() == 0 {
        assert!(Instant::now() < deadline, "nothing is made ahead");
        tokio::task::yield_now().await;
    }
    node.delete_dataset(&context(), dataset).await.expect("the dataset is deleted");
    while node.datasets.ready_bytes.held() > 0 {
        assert!(Instant::now() < deadline, "{} bytes are held by nobody", node.datasets.ready_bytes.held());
        tokio::task::yield_now().await;
    }
    node.shutdown().await.expect("it stops");
}
