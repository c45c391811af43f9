//! Preprocessing jobs of a node alone, without user code: what lies where in the end, and that they outlive the node.

use crate::fixture::*;
use crate::shards::*;
use lavandin_node::{Node, PreprocessRequest, TaskStatus};
use lavandin_types::ErrorCode;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Files of ten samples, but for one of four.
const FILES: usize = 5;
const SHORT: usize = 3;

async fn set_up() -> (TempDir, Arc<Node>, Shards, PathBuf) {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, FILES, 10);
    write_shard(&data.join(name(SHORT)), 30..34);
    let shards = dataset_over(&node, "source", &data).await;
    let out = dir.path().join("out");
    (dir, node, shards, out)
}

fn wanted(out: &Path) -> PreprocessRequest {
    PreprocessRequest {
        location: location(out),
        shardsets: None,
        collater: None,
        preprocessors: Vec::new(),
        export_columns: vec!["text".to_owned()],
        batch_size: 5,
        overwrite: false,
        drop_last: false,
        register: false,
    }
}

async fn begin(node: &Node, shards: Shards, request: PreprocessRequest) -> String {
    node.preprocess(&context(), shards.dataset, request).await.expect("the job is begun")
}

async fn task(node: &Node, job: &str) -> Option<TaskStatus> {
    node.tasks().await.into_iter().find(|(name, _)| name == job).map(|(_, status)| status)
}

/// Waits for the end of a job; why it failed.
async fn end(node: &Node, job: &str) -> Option<String> {
    let ended = async {
        loop {
            match task(node, job).await {
                None => return None,
                Some(TaskStatus { error: Some(error), .. }) => return Some(error),
                Some(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the job has ended")
}

/// Rows of the files of the shardset at a place.
async fn registered(node: &Node, shards: Shards, out: &Path) -> Option<(u32, u64)> {
    let dataset = node.dataset(shards.dataset).await.expect("the dataset is there");
    let found = dataset.shardsets.iter().find(|shardset| shardset.location == location(out))?;
    found.manifest.map(|manifest| (manifest.shard_count, manifest.total_samples))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_becomes_a_shardset_where_that_is_asked_for() {
    let (_dir, node, shards, out) = set_up().await;
    let job = begin(&node, shards, wanted(&out)).await;
    assert_eq!((end(&node, &job).await, registered(&node, shards, &out).await), (None, None));
    // What is there stays, and becomes a shardset.
    let job = begin(&node, shards, PreprocessRequest { register: true, ..wanted(&out) }).await;
    assert_eq!(end(&node, &job).await, None);
    assert_eq!(registered(&node, shards, &out).await, Some((5, 44)));
    // Once more, with less in it.
    let less = PreprocessRequest { register: true, overwrite: true, drop_last: true, ..wanted(&out) };
    let job = begin(&node, shards, less.clone()).await;
    assert_eq!(end(&node, &job).await, None);
    assert_eq!(registered(&node, shards, &out).await, Some((5, 40)));
    let dataset = node.dataset(shards.dataset).await.unwrap();
    let all = dataset.shardsets.iter().map(|shardset| shardset.id.to_string()).collect();
    let itself = PreprocessRequest { shardsets: Some(all), ..less };
    let refused = node.preprocess(&context(), shards.dataset, itself).await;
    assert_eq!(code(refused), ErrorCode::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_rows_has_the_columns_of_the_others() {
    let (_dir, node, shards, out) = set_up().await;
    let short = PreprocessRequest { drop_last: true, ..wanted(&out) };
    let job = begin(&node, shards, short.clone()).await;
    assert_eq!(end(&node, &job).await, None);
    let made = std::fs::read(out.join(name(SHORT))).unwrap();
    // Where all others are there, they are asked which columns there are.
    std::fs::remove_file(out.join(name(SHORT))).unwrap();
    let job = begin(&node, shards, short.clone()).await;
    assert_eq!(end(&node, &job).await, None);
    assert_eq!(std::fs::read(out.join(name(SHORT))).unwrap(), made);
    // Where there is none, nobody knows.
    let other = PreprocessRequest { location: location(&out.join("none")), batch_size: 100, ..short };
    let job = begin(&node, shards, other).await;
    let error = end(&node, &job).await.expect("it fails");
    assert!(error.contains("shard 0 has no batch"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_the_node() {
    let (dir, node, shards, out) = set_up().await;
    let job = begin(&node, shards, PreprocessRequest { batch_size: 1, register: true, ..wanted(&out) }).await;
    node.shutdown().await.unwrap();
    drop(node);
    let node = open(dir.path()).await;
    assert_eq!(end(&node, &job).await, None);
    assert_eq!(registered(&node, shards, &out).await, Some((5, 44)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_until_it_is_begun_again() {
    let (dir, node, shards, out) = set_up().await;
    let wrong = PreprocessRequest { export_columns: vec!["texts".to_owned()], ..wanted(&out) };
    let job = begin(&node, shards, wrong).await;
    let error = end(&node, &job).await.expect("it fails");
    assert!(error.contains("there is no \"texts\" to export"), "{error}");
    node.shutdown().await.unwrap();
    drop(node);
    let node = open(dir.path()).await;
    assert_eq!(task(&node, &job).await.map(|status| status.status), Some("failed".to_owned()));
    assert!(node.abort_task(&job).await.unwrap() && !node.abort_task("another").await.unwrap());
    assert_eq!(begin(&node, shards, wanted(&out)).await, job);
    assert_eq!(end(&node, &job).await, None);
    // It goes with its dataset, whatever it does.
    begin(&node, shards, PreprocessRequest { overwrite: true, ..wanted(&out) }).await;
    node.delete_dataset(&context(), shards.dataset).await.unwrap();
    assert_eq!(task(&node, &job).await, None);
    let refused = node.preprocess(&context(), shards.dataset, wanted(&out)).await;
    assert_eq!(code(refused), ErrorCode::NotFound);
}
