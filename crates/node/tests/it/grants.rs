//! Batches handed out, lost on their way, and restarts: nothing that was acknowledged is served again, and nothing is
//! lost.

use crate::fixture::*;
use crate::shards::*;
use lavandin_node::{IterationOptions, Node, NodeOptions, OrderKind};
use lavandin_types::IterationId;
use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const CHILD_DIR: &str = "LAVANDIN_NODE_TEST_ITERATION_DIR";
const FILES: usize = 12;
const ROWS: i64 = 50;
const SAMPLES: u64 = 600;
const BATCH: u32 = 6;

fn global() -> IterationOptions {
    IterationOptions { order: OrderKind::Global { seed: 4, epoch: 2 }, ..batches_of(BATCH) }
}

/// A node that writes a checkpoint after every few operations.
async fn open_busy(dir: &Path) -> Arc<Node> {
    open_with(NodeOptions { log_bytes_max: 2_000, ..options(dir) }).await
}

async fn begun(node: &Node, dir: &Path) -> IterationId {
    let data = dir.join("data");
    write_shards(&data, FILES, ROWS);
    let shards = dataset_over(node, "resumed", &data).await;
    iterate(node, shards, global()).await
}

fn indices(got: Got) -> Vec<u64> {
    match got {
        Got::Batch { indices, .. } => indices,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_is_lost_comes_again_in_its_place() {
    let (dir, node) = world().await;
    let iteration = begun(&node, dir.path()).await;
    let whole = {
        let shards_of = node.iteration(&context(), iteration).await.unwrap();
        let again = lavandin_node::IterationRequest {
            dataset: shards_of.dataset.to_string(),
            shardsets: Vec::new(),
            options: global(),
            rank: 0,
            world_size: None,
            threshold_ms: 0,
        };
        let reference = node.create_iteration(&context(), again).await.unwrap().id;
        take_all(&node, reference, 0).await.concat()
    };
    let mut seen = Vec::new();
    for turn in 0_u32.. {
        let (got, mut delivery) = call(&node, iteration, 0, turn % 2 == 0).await;
        if got == Got::End {
            break;
        }
        // Every third answer is lost with its connection.
        if turn % 3 == 1 {
            drop(delivery);
            continue;
        }
        delivery.done();
        seen.extend(indices(got));
    }
    assert_eq!(seen, whole);
    node.shutdown().await.unwrap();
}

/// What comes back was all that there was: until it is there, the next call waits and does not find the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_last_batch_is_not_the_end() {
    let (dir, node) = world().await;
    let data = dir.path().join("data");
    write_shards(&data, 1, 5);
    let shards = dataset_over(&node, "short", &data).await;
    let iteration = iterate(&node, shards, batches_of(10)).await;
    for _ in 0..100 {
        let (got, delivery) = call(&node, iteration, 0, false).await;
        assert_eq!(indices(got), [0, 1, 2, 3, 4]);
        drop(delivery);
    }
    assert_eq!(take_all(&node, iteration, 0).await, [[0, 1, 2, 3, 4]]);
    node.shutdown().await.unwrap();
}

/// Restarts with grants in every state, from a checkpoint, from the log, and from both.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_serves_again_what_was_not_delivered_and_nothing_else() {
    let (dir, node) = world().await;
    let iteration = begun(&node, dir.path()).await;
    require(&node, "c").await;
    let mut node = node;
    let mut delivered: Vec<u64> = Vec::new();
    for round in 0..6 {
        let mut lost = Vec::new();
        for batch in 0..7 {
            let (got, mut delivery) = call(&node, iteration, 0, false).await;
            match batch {
                // The deliveries of those before are logged with this grant; its own answer never leaves.
                6 => lost.push((indices(got), delivery)),
                _ => {
                    delivery.done();
                    let indices = indices(got);
                    if batch % 2 == 0 {
                        node.complete(&context(), iteration, indices.clone()).await.unwrap();
                    }
                    delivered.extend(indices);
                }
            }
            if batch == 3 && round % 3 != 0 {
                node.checkpoint(&context(), DB, "c").await.unwrap();
            }
        }
        if round % 3 == 2 {
            node.checkpoint(&context(), DB, "c").await.unwrap();
        }
        node.shutdown().await.unwrap();
        let lost: Vec<Vec<u64>> = lost.into_iter().map(|(indices, _)| indices).collect();
        drop(node);
        node = open(dir.path()).await;
        let progress = node.progress(&context(), iteration).await.unwrap();
        assert_eq!(progress.current, delivered.len() as u64, "what was not delivered was given back");
        let first = take(&node, iteration, 0).await.unwrap();
        assert_eq!(vec![first.clone()], lost, "it comes first");
        delivered.extend(first);
    }
    delivered.extend(take_all(&node, iteration, 0).await.concat());
    assert_eq!(delivered.len() as u64, SAMPLES, "nothing twice");
    assert_eq!(delivered.iter().copied().collect::<BTreeSet<_>>().len() as u64, SAMPLES, "nothing lost");
    node.complete(&context(), iteration, delivered).await.unwrap();
    assert_eq!(node.progress(&context(), iteration).await.unwrap().completed, SAMPLES);
    node.shutdown().await.unwrap();
}

/// Deliveries are logged a moment later; a shutdown does not wait for that moment, and does not forget them either.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_just_before_a_shutdown_is_remembered() {
    let (dir, node) = world().await;
    let iteration = begun(&node, dir.path()).await;
    let first = take(&node, iteration, 0).await.unwrap();
    node.shutdown().await.unwrap();
    drop(node);
    let node = open(dir.path()).await;
    assert_eq!(node.progress(&context(), iteration).await.unwrap().current, first.len() as u64);
    let second = take(&node, iteration, 0).await.unwrap();
    assert!(first.iter().all(|index| !second.contains(index)), "{first:?} {second:?}");
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_on_the_way_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = open_busy(dir.path()).await;
    let iteration = begun(&node, dir.path()).await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        for _ in 0..4 {
            let batch = take(&node, iteration, 0).await.unwrap();
            node.complete(&context(), iteration, batch.clone()).await.unwrap();
            seen.extend(batch);
        }
        node.shutdown().await.unwrap();
        drop(node);
        node = open_busy(dir.path()).await;
    }
    let rest = take_all(&node, iteration, 0).await;
    seen.extend(rest.concat());
    seen.sort_unstable();
    assert_eq!(seen, (0..SAMPLES).collect::<Vec<_>>());
    assert_eq!(node.iterations(&context(), None).await.unwrap().len(), 1);
    node.shutdown().await.unwrap();
}

/// The child of the test below: iterates, a batch for each line on stdin, and says on stdout what was acknowledged as
/// done.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_iterates_until_it_is_killed() {
    let Some(dir) = env::var_os(CHILD_DIR) else { return };
    let node = open_busy(Path::new(&dir)).await;
    let iteration = node.iterations(&context(), None).await.unwrap()[0].id;
    let mut allowed = std::io::stdin().lines();
    while let Some(batch) = take(&node, iteration, 0).await {
        allowed.next();
        node.complete(&context(), iteration, batch.clone()).await.unwrap();
        for index in batch {
            println!("done {index}");
        }
    }
}

/// Ends the child however the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn iterate_until_killed(dir: &Path, samples: usize) -> Vec<u64> {
    let mut command = Command::new(env::current_exe().expect("the test's own path"));
    command.args(["--exact", "grants::child_that_iterates_until_it_is_killed", "--nocapture"]);
    command.env(CHILD_DIR, dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Killed(command.spawn().expect("the child starts"));
    // A few batches more than are waited for, so that it is killed at work and has not done everything before.
    let batches = samples.div_ceil(BATCH as usize) + 3;
    let mut stdin = child.0.stdin.take().expect("its input is piped");
    stdin.write_all("go on\n".repeat(batches).as_bytes()).expect("the child reads");
    let lines = BufReader::new(child.0.stdout.take().expect("its output is piped")).lines();
    let done = lines.filter_map(|line| line.expect("text").strip_prefix("done ")?.parse().ok());
    let done = done.take(samples).collect();
    drop(child);
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_before_a_kill_is_not_served_again() {
    let dir = tempfile::tempdir().unwrap();
    let node = open_busy(dir.path()).await;
    let iteration = begun(&node, dir.path()).await;
    node.shutdown().await.unwrap();
    drop(node);
    let mut done = BTreeSet::new();
    for samples in [1, 60, 150] {
        let path = dir.path().to_owned();
        let more = tokio::task::spawn_blocking(move || iterate_until_killed(&path, samples)).await.unwrap();
        assert_eq!(more.len(), samples, "the child ended before it was killed");
        for index in more {
            assert!(done.insert(index), "{index} was done, and served again");
        }
    }
    let node = open_busy(dir.path()).await;
    let completed = node.progress(&context(), iteration).await.unwrap().completed;
    assert!(completed >= done.len() as u64);
    // What was in progress at the kills and delivered is the trainer's; a pushback says that it is gone.
    node.pushback(&context(), iteration).await.unwrap();
    let rest = take_all(&node, iteration, 0).await.concat();
    assert_eq!(rest.len() as u64, SAMPLES - completed, "nothing is lost");
    assert!(rest.iter().all(|index| !done.contains(index)), "what was done is not served again");
    node.shutdown().await.unwrap();
}
