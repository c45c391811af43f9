//! What the tests of datasets share: directories of shard files, datasets over them, and a trainer that reads batches.

use crate::fixture::*;
use arrow::array::{AsArray, RecordBatch as Rows};
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use lavandin_feed::ipc::INDEX_COLUMN;
use lavandin_feed::lavender::{Value, decode};
use lavandin_node::{
    Batch, BatchFormat, Delivery, IterationOptions, IterationRequest, NewShardsetRequest, NextOptions,
    NextOutcome, Node, NodeError, PlainColumn, write_parquet,
};
use lavandin_types::{DatasetId, IterationId, ShardsetId};
use std::ops::Range;
use std::path::Path;

/// A dataset with one shardset.
#[derive(Clone, Copy)]
pub(crate) struct Shards {
    pub dataset: DatasetId,
    pub shardset: ShardsetId,
}

pub(crate) fn name(number: usize) -> String {
    format!("shard.{number:05}.parquet")
}

/// A shard file with the samples `id`, `text` of these ids.
pub(crate) fn write_shard(path: &Path, ids: Range<i64>) {
    let texts = ids.clone().map(|id| format!("sample {id}")).collect();
    let columns = vec![("id", PlainColumn::Integers(ids.collect())), ("text", PlainColumn::Texts(texts))];
    write_parquet(path, columns).expect("the shard file is written");
}

/// So many shard files of so many samples each; sample `n` has id `n`.
pub(crate) fn write_shards(dir: &Path, files: usize, rows: i64) {
    std::fs::create_dir_all(dir).expect("the directory is made");
    for number in 0..files {
        let first = number as i64 * rows;
        write_shard(&dir.join(name(number)), first..first + rows);
    }
}

pub(crate) fn location(dir: &Path) -> String {
    format!("file://{}", dir.display())
}

/// A dataset over a directory, synced.
pub(crate) async fn dataset_over(node: &Node, name: &str, dir: &Path) -> Shards {
    let dataset = node.create_dataset(&context(), name, "id").await.expect("the dataset is created").id;
    let shardset = add_shardset(node, dataset, dir).await.expect("the shardset is created");
    wait_for_sync(node, shardset).await;
    Shards { dataset, shardset }
}

pub(crate) async fn add_shardset(
    node: &Node,
    dataset: DatasetId,
    dir: &Path,
) -> Result<ShardsetId, NodeError> {
    let request = NewShardsetRequest { location: location(dir), columns: Vec::new() };
    node.create_shardset(&context(), dataset, request).await.map(|(_, shardset)| shardset)
}

/// Waits for the end of a sync that must go well.
pub(crate) async fn wait_for_sync(node: &Node, shardset: ShardsetId) {
    let ended = async {
        loop {
            let status = node.sync_status(shardset).await.expect("a sync was begun");
            assert_eq!(status.error, None);
            if status.status == "completed" {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the sync has ended");
}

pub(crate) async fn resync(node: &Node, shards: Shards) {
    node.sync_shardset(&context(), (shards.dataset, shards.shardset), false).await.expect("the sync begins");
    wait_for_sync(node, shards.shardset).await;
}

pub(crate) fn batches_of(batch_size: u32) -> IterationOptions {
    IterationOptions { batch_size, ..IterationOptions::default() }
}

pub(crate) fn request(shards: Shards, options: IterationOptions, rank: u32) -> IterationRequest {
    IterationRequest {
        dataset: shards.dataset.to_string(),
        shardsets: Vec::new(),
        options,
        rank,
        world_size: None,
        threshold_ms: 10_000,
    }
}

/// An iteration of one rank.
pub(crate) async fn iterate(node: &Node, shards: Shards, options: IterationOptions) -> IterationId {
    node.create_iteration(&context(), request(shards, options, 0)).await.expect("it begins").id
}

/// What a rank got.
#[derive(Debug, PartialEq)]
pub(crate) enum Got {
    Batch { indices: Vec<u64>, ids: Vec<i64>, current: u64 },
    Failure(String),
    End,
}

/// A call for the next batch whose answer has not left yet.
pub(crate) async fn call(node: &Node, iteration: IterationId, rank: u32, arrow: bool) -> (Got, Delivery) {
    let format = if arrow { BatchFormat::Arrow } else { BatchFormat::Lavender };
    let options = NextOptions { format, batches: 1, ..NextOptions::default() };
    match node.next_batch(&context(), iteration, rank, options).await.expect("a batch or the end") {
        NextOutcome::End => (Got::End, Delivery::default()),
        NextOutcome::Failed(failure) => (Got::Failure(failure.message), Delivery::default()),
        NextOutcome::Batch(Batch { segments, current, delivery, .. }) => {
            let whole = Bytes::from(segments.concat());
            let (indices, ids) = if arrow { read_arrow(&whole) } else { read_lavender(&whole) };
            (Got::Batch { indices, ids, current }, delivery)
        }
    }
}

/// The next batch, delivered.
pub(crate) async fn next(node: &Node, iteration: IterationId, rank: u32) -> Got {
    let (got, mut delivery) = call(node, iteration, rank, false).await;
    delivery.done();
    got
}

/// The indices of the next batch, delivered; `None` at the end.
pub(crate) async fn take(node: &Node, iteration: IterationId, rank: u32) -> Option<Vec<u64>> {
    match next(node, iteration, rank).await {
        Got::Batch { indices, ids, .. } => {
            let expected: Vec<u64> = ids.iter().map(|id| *id as u64).collect();
            assert_eq!(indices, expected, "sample n has id n");
            Some(indices)
        }
        Got::End => None,
        Got::Failure(message) => panic!("{message}"),
    }
}

/// All batches that are left to a rank.
pub(crate) async fn take_all(node: &Node, iteration: IterationId, rank: u32) -> Vec<Vec<u64>> {
    let mut all = Vec::new();
    while let Some(batch) = take(node, iteration, rank).await {
        all.push(batch);
    }
    all
}

pub(crate) fn sorted(batches: &[Vec<u64>]) -> Vec<u64> {
    let mut all: Vec<u64> = batches.iter().flatten().copied().collect();
    all.sort_unstable();
    all
}

fn read_lavender(bytes: &Bytes) -> (Vec<u64>, Vec<i64>) {
    let sample = decode(bytes).expect("a batch in the Lavender layout");
    let indices = sample.indices().expect("it tells its indices");
    let id = |value: &Value| match value {
        Value::Int(id) => *id,
        other => panic!("{other:?} is no id"),
    };
    let ids = match sample.get("id").expect("every sample has an id") {
        Value::List(values) => values.iter().map(id).collect(),
        single => vec![id(single)],
    };
    (indices, ids)
}

fn read_arrow(bytes: &[u8]) -> (Vec<u64>, Vec<i64>) {
    let reader = StreamReader::try_new(bytes, None).expect("an Arrow stream");
    let batches: Vec<Rows> = reader.collect::<Result<_, _>>().expect("its batches");
    let column = |name: &str| -> Vec<i64> {
        let of = |rows: &Rows| {
            let column = rows.column_by_name(name).unwrap_or_else(|| panic!("{:?}", rows.schema()));
            let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Int64).expect("integers");
            column.as_primitive::<Int64Type>().iter().flatten().collect::<Vec<_>>()
        };
        batches.iter().flat_map(of).collect()
    };
    let indices = column(INDEX_COLUMN).into_iter().map(|index| index as u64);
    (indices.collect(), column("id"))
}
