//! A training job of one rank: it takes batches through whatever node answers, completes them, and begins another epoch at
//! the end. What it was told is done must not come again, and nothing may be left out. In some epochs its share is fixed: then
//! its batches are the planned ones, whether it asks for what comes next or for steps by their numbers.

use crate::cluster::Cluster;
use crate::member::Life;
use crate::random::Random;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::ipc::reader::StreamReader;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lavandin_feed::ipc::INDEX_COLUMN;
use lavandin_node::{
    Batch, BatchFormat, CallContext, Ending, IterationOptions, IterationRequest, NewShardsetRequest,
    NextOptions, NextOutcome, Node, NodeError, PlainColumn, ShareOptions, ShuffleOptions, write_parquet,
};
use lavandin_types::{DatasetId, ErrorCode, IterationId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const FILES: i64 = 6;
const ROWS: i64 = 10;
const BATCH: u32 = 3;
/// One attempt at one node.
const ATTEMPT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
const BETWEEN: Duration = Duration::from_millis(10);
/// How long nodes may deny what there is.
const UNKNOWN_MAX: Duration = Duration::from_secs(15);
/// How often another node is asked although the last one answered, in percent.
const CHANGES: u64 = 5;

/// How an epoch is shared out, and asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shares {
    AsAsked,
    Fixed,
    FixedByStep,
}

pub(crate) struct Trainer {
    cluster: Arc<Cluster>,
    random: Random,
    /// The files, which all nodes have.
    data: TempDir,
    at: Option<(usize, Arc<Life>)>,
    epochs: Arc<AtomicU64>,
}

impl Trainer {
    pub(crate) fn new(cluster: &Arc<Cluster>, random: Random, epochs: &Arc<AtomicU64>) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        for file in 0..FILES {
            let ids = PlainColumn::Integers((file * ROWS..(file + 1) * ROWS).collect());
            let path = data.path().join(format!("{file}.parquet"));
            write_parquet(&path, vec![("id", ids)]).expect("a shard file");
        }
        Self { cluster: Arc::clone(cluster), random, data, at: None, epochs: Arc::clone(epochs) }
    }

    pub(crate) async fn run(mut self) {
        let Some(dataset) = self.dataset().await else { return };
        while !self.cluster.is_over() {
            let shares =
                [Shares::AsAsked, Shares::Fixed, Shares::FixedByStep][self.random.range(0..3) as usize];
            let Some(iteration) = self.begin(dataset, shares).await else { return };
            if !self.epoch(iteration, shares).await {
                return;
            }
            self.epochs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A synced dataset. `None` once all is over.
    async fn dataset(&mut self) -> Option<DatasetId> {
        let location = format!("file://{}", self.data.path().display());
        self.insist(|node| {
            let location = location.clone();
            synced(node, location).boxed()
        })
        .await
    }

    async fn begin(&mut self, dataset: DatasetId, shares: Shares) -> Option<IterationId> {
        let shuffle = ShuffleOptions { seed: self.random.range(0..1 << 20) as u32, block_shards: 2 };
        let is_fixed = shares != Shares::AsAsked;
        let request = IterationRequest {
            dataset: dataset.to_string(),
            shardsets: Vec::new(),
            options: IterationOptions {
                // In the order of the files it is plain what each step has.
                shuffle: (!is_fixed).then_some(shuffle),
                shares: is_fixed.then_some(ShareOptions { ending: Ending::Balanced, cursor: None }),
                batch_size: BATCH,
                ..IterationOptions::default()
            },
            rank: 0,
            world_size: Some(1),
            threshold_ms: 0,
        };
        self.insist(|node| {
            let request = request.clone();
            async move { node.create_iteration(&context(), request).await.map(|made| made.id) }.boxed()
        })
        .await
    }

    /// Goes through an iteration; false once all is over.
    async fn epoch(&mut self, iteration: IterationId, shares: Shares) -> bool {
        let mut done: BTreeSet<u64> = BTreeSet::new();
        for turn in 0_u64.. {
            let step = (shares == Shares::FixedByStep).then_some(turn);
            let options =
                NextOptions { format: BatchFormat::Arrow, batches: 1, step, ..NextOptions::default() };
            let next = |node: Arc<Node>| {
                async move { node.next_batch(&context(), iteration, 0, options).await }.boxed()
            };
            let Some(next) = self.insist(next).await else { return false };
            let indices = match next {
                NextOutcome::Batch(Batch { segments, mut delivery, .. }) => {
                    delivery.done();
                    indices(&segments.concat())
                }
                NextOutcome::Failed(failure) => {
                    self.cluster.history.violate(format!("a batch failed: {}", failure.message));
                    return false;
                }
                NextOutcome::End => break,
            };
            let planned = || turn * u64::from(BATCH)..(turn + 1) * u64::from(BATCH);
            if shares != Shares::AsAsked && !indices.iter().copied().eq(planned()) {
                let text = format!("step {turn} of {iteration} ({shares:?}) is {indices:?}");
                self.cluster.history.violate(text);
            }
            if let Some(again) = indices.iter().find(|index| done.contains(index)) {
                let text = format!("sample {again} of {iteration} came again, and was acknowledged as done");
                self.cluster.history.violate(text);
            }
            let complete = |node: Arc<Node>| {
                let indices = indices.clone();
                async move { node.complete(&context(), iteration, indices).await }.boxed()
            };
            if self.insist(complete).await.is_none() {
                return false;
            }
            done.extend(&indices);
            if !self.look(iteration, &done).await {
                return false;
            }
            tokio::time::sleep(BETWEEN).await;
        }
        let missing: Vec<u64> = (0..(FILES * ROWS) as u64).filter(|index| !done.contains(index)).collect();
        if !missing.is_empty() {
            self.cluster.history.violate(format!("samples {missing:?} of {iteration} were never handed out"));
        }
        true
    }

    /// The numbers of the iteration add up, and what was acknowledged is among them.
    async fn look(&mut self, iteration: IterationId, done: &BTreeSet<u64>) -> bool {
        let ask = |node: Arc<Node>| async move { node.progress(&context(), iteration).await }.boxed();
        let Some(progress) = self.insist(ask).await else { return false };
        let settled = progress.completed + progress.filtered + progress.failed;
        let adds_up = settled + progress.in_progress.len() as u64 == progress.current
            && progress.current <= progress.total
            && progress.completed >= done.len() as u64;
        if !adds_up {
            let text = format!("{} samples of {iteration} are done, and it says {progress:?}", done.len());
            self.cluster.history.violate(text);
        }
        true
    }

    /// Asks one node after the other until one answers; `None` once all is over.
    async fn insist<T>(
        &mut self,
        call: impl Fn(Arc<Node>) -> BoxFuture<'static, Result<T, NodeError>>,
    ) -> Option<T> {
        let mut unknown_since = None;
        loop {
            if self.at.is_none() || self.random.range(0..100) < CHANGES {
                self.at = self.cluster.any_life(&mut self.random);
            }
            if let Some((node, life)) = self.at.clone() {
                match life.ask(call(Arc::clone(&life.node))).await {
                    Some(Ok(answer)) => return Some(answer),
                    Some(Err(error)) if error.code() == ErrorCode::NotFound => {
                        // A node whose disk was lost is an empty one until the cluster has taken it in again.
                        let since: &mut Instant = unknown_since.get_or_insert_with(Instant::now);
                        if since.elapsed() > UNKNOWN_MAX {
                            self.cluster.history.violate(format!("node {node} knows nothing of it: {error}"));
                            return None;
                        }
                        self.at = None;
                    }
                    Some(Err(error)) if is_wrong(&error) => {
                        self.cluster.history.violate(format!("node {node} refused what is right: {error}"));
                        return None;
                    }
                    Some(Err(_)) | None => self.at = None,
                }
            }
            if self.cluster.is_over() {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The dataset, made and synced.
async fn synced(node: Arc<Node>, location: String) -> Result<DatasetId, NodeError> {
    let dataset = match node.dataset_by_name("training").await {
        Ok(found) => found.id,
        // A node alone whose disk was lost would be a cluster of its own with it.
        Err(error) if error.code() == ErrorCode::NotFound && !node.databases().await?.is_empty() => {
            node.create_dataset(&context(), "training", "id").await?.id
        }
        Err(error) => return Err(error),
    };
    let info = node.dataset(dataset).await?;
    match info.shardsets.first() {
        Some(shardset) if shardset.manifest.is_some() => return Ok(dataset),
        // One sync at a time, others are refused.
        Some(shardset) => drop(node.sync_shardset(&context(), (dataset, shardset.id), false).await),
        None => {
            let request = NewShardsetRequest { location, columns: Vec::new() };
            drop(node.create_shardset(&context(), dataset, request).await?);
        }
    }
    Err(NodeError::Unavailable("it is not synced yet".to_owned()))
}

fn context() -> CallContext {
    CallContext::new(ATTEMPT)
}

/// Whether the request itself is refused.
fn is_wrong(error: &NodeError) -> bool {
    matches!(error, NodeError::Iteration(_)) && error.code() != ErrorCode::Overloaded
}

fn indices(stream: &[u8]) -> Vec<u64> {
    let reader = StreamReader::try_new(stream, None).expect("an Arrow stream");
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().expect("its batches");
    let of = |rows: &RecordBatch| {
        let column = rows.column_by_name(INDEX_COLUMN).expect("the indices");
        let column = arrow::compute::cast(column, &DataType::Int64).expect("integers");
        column.as_primitive::<Int64Type>().iter().flatten().map(|index| index as u64).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}
