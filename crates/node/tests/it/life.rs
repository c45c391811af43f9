//! Starting, stopping, and being killed.

use crate::fixture::*;
use lavandin_node::{BatchIds, Change, Node, RequireCollection};
use lavandin_types::ErrorCode;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names the directory of a child that writes until it is killed.
const CHILD_DIR: &str = "LAVANDIN_NODE_TEST_DIR";

#[tokio::test(flavor = "multi_thread")]
async fn one_node_a_directory() {
    let (dir, node) = world().await;
    let second = Node::open(options(dir.path())).await.map(drop);
    let refused = second.expect_err("the directory is in use");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    require(&node, "c").await;
    change(&node, "c", one(1, [1.0, 0.0])).await;
    node.shutdown().await.unwrap();
    drop(node);
    let node = open(dir.path()).await;
    assert_eq!(int_ids(&node, "c").await, [1]);
    node.shutdown().await.unwrap();
}

/// Without a shutdown the threads end by themselves; until they have, nobody else gets the directory.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_dropped_lets_go_of_its_directory() {
    let (dir, node) = world().await;
    require(&node, "c").await;
    change(&node, "c", one(1, [1.0, 0.0])).await;
    drop(node);
    let deadline = Instant::now() + PATIENCE;
    let node = loop {
        match Node::open(options(dir.path())).await {
            Ok(node) => break node,
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
                assert!(Instant::now() < deadline, "{error}");
            }
        }
    };
    assert_eq!(int_ids(&node, "c").await, [1]);
    node.shutdown().await.unwrap();
}

/// It would come back empty, as if nothing had ever been written.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_copy_of_records_is_missed() {
    let (dir, node) = world().await;
    require(&node, "c").await;
    change(&node, "c", one(1, [1.0, 0.0])).await;
    node.shutdown().await.unwrap();
    drop(node);
    let (copy, backup) = (dir.path().join("groups/1"), dir.path().join("backup"));
    std::fs::rename(&copy, &backup).unwrap();
    let refused = Node::open(options(dir.path())).await.map(drop).expect_err("its files are gone");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.to_string().contains("groups/1"), "{refused}");
    std::fs::rename(&backup, &copy).unwrap();
    let node = open(dir.path()).await;
    assert_eq!(int_ids(&node, "c").await, [1]);
    node.shutdown().await.unwrap();
    drop(node);
    // Whoever makes an empty folder does without what it held.
    std::fs::remove_dir_all(&copy).unwrap();
    std::fs::create_dir(&copy).unwrap();
    let node = open(dir.path()).await;
    assert!(int_ids(&node, "c").await.is_empty());
    change(&node, "c", one(2, [1.0, 0.0])).await;
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_shutdown_calls_answer_unavailable() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    change(&node, "c", one(1, [1.0, 0.0])).await;
    assert!(node.ready().is_ok());
    let (a, b) = tokio::join!(node.shutdown(), node.shutdown());
    a.unwrap();
    b.unwrap();
    assert_eq!(refuse(&node, "c", one(2, [1.0, 0.0])).await, ErrorCode::Unavailable);
    assert_eq!(code(node.flush(&context(), DB, "c").await), ErrorCode::Unavailable);
    assert_eq!(code(node.create_database(&context(), "x", false).await), ErrorCode::Unavailable);
    assert_eq!(code(build(&node, "c", "HNSW-L2").await), ErrorCode::Unavailable);
    assert_eq!(code(node.ready()), ErrorCode::Unavailable);
    node.shutdown().await.unwrap();
}

/// Everything that is told to be written before a shutdown is there after it, also what raced with it.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_a_shutdown_that_races_with_them() {
    let (dir, node) = world().await;
    require(&node, "c").await;
    let write = |task: u64| {
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for id in task * 10_000..(task + 1) * 10_000 {
                match node.change(&context(), DB, "c", one(id, [1.0, 0.0])).await {
                    Ok(_) => mine.push(id),
                    Err(error) => {
                        assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
                        break;
                    }
                }
            }
            mine
        })
    };
    let writers: Vec<_> = (0..4).map(write).collect();
    until("some are written", || node.statistics().records > 100).await;
    node.shutdown().await.unwrap();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    drop(node);
    let node = open(dir.path()).await;
    let there = int_ids(&node, "c").await;
    assert!(acknowledged.iter().all(|id| there.binary_search(id).is_ok()));
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_a_build() {
    let (dir, node) = world().await;
    require(&node, "c").await;
    let (rows, dim) = (60_000, 48);
    let ids = BatchIds::Range { start: 0, count: rows };
    let vectors = numbers(5, rows as usize * dim);
    change(&node, "c", Change::Add(batch(ids, dim as u32, &vectors))).await;
    let building = Arc::clone(&node);
    let build = tokio::spawn(async move { build(&building, "c", "HNSW-L2").await });
    until("the graph is being built", || node.statistics().jobs.build_rows_done > 0).await;
    let started = Instant::now();
    node.shutdown().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(code(build.await.unwrap()), ErrorCode::Unavailable);
    drop(node);
    let node = open(dir.path()).await;
    assert_eq!(statistics(&node, "c").await.live, u64::from(rows));
    // The index is the catalogue's still, so that the build starts again.
    until("the build starts again", || node.statistics().jobs.builds_started > 0).await;
    node.shutdown().await.unwrap();
}

/// The catalogue alone says which collections there are; where it is lost, records are not to be taken for dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_catalogue_does_not_drop_the_records() {
    let (dir, node) = world().await;
    require(&node, "c").await;
    change(&node, "c", one(1, [1.0, 0.0])).await;
    node.shutdown().await.unwrap();
    drop(node);
    let (metadata, aside) = (dir.path().join("metadata"), dir.path().join("aside"));
    std::fs::rename(&metadata, &aside).unwrap();
    assert!(Node::open(options(dir.path())).await.is_err());
    std::fs::remove_dir_all(&metadata).unwrap();
    std::fs::rename(&aside, &metadata).unwrap();
    let node = open(dir.path()).await;
    assert_eq!(int_ids(&node, "c").await, [1]);
    node.shutdown().await.unwrap();
}

/// The child of the test below: says on stdout what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_writes_until_it_is_killed() {
    let Some(dir) = env::var_os(CHILD_DIR) else { return };
    let node = open(Path::new(&dir)).await;
    node.create_database(&context(), DB, false).await.unwrap();
    require_with(&node, "c", RequireCollection { dim: 2, ..RequireCollection::default() }).await;
    let first = statistics(&node, "c").await.next_id();
    for id in first.. {
        change(&node, "c", one(id, [id as f32, 1.0])).await;
        if id % 50 == 49 {
            change(&node, "c", Change::Delete(vec![lavandin_types::RecordId::Int(id - 1)])).await;
            node.checkpoint(&context(), DB, "c").await.unwrap();
        }
        println!("acknowledged {id}");
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

fn write_until_killed(dir: &Path, writes: usize) -> Vec<u64> {
    let mut command = Command::new(env::current_exe().expect("the test's own path"));
    command.args(["--exact", "life::child_that_writes_until_it_is_killed", "--nocapture"]);
    let mut child =
        Killed(command.env(CHILD_DIR, dir).stdout(Stdio::piped()).spawn().expect("the child starts"));
    let lines = BufReader::new(child.0.stdout.take().expect("its output is piped")).lines();
    let acknowledged =
        lines.filter_map(|line| line.expect("text").strip_prefix("acknowledged ")?.parse().ok());
    acknowledged.take(writes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for writes in [1, 20, 130] {
        let path = dir.path().to_owned();
        let written = tokio::task::spawn_blocking(move || write_until_killed(&path, writes)).await.unwrap();
        assert_eq!(written.len(), writes, "the child ended before it was killed");
        acknowledged.extend(written);
        let node = open(dir.path()).await;
        let there = int_ids(&node, "c").await;
        for id in acknowledged.iter().filter(|id| *id % 50 != 48) {
            assert!(there.binary_search(id).is_ok(), "{id} of {} is missing", acknowledged.len());
        }
        // Deleted before the record after it was told to be written.
        for id in acknowledged.iter().filter(|id| *id % 50 == 49) {
            assert!(there.binary_search(&(id - 1)).is_err(), "{} is back", id - 1);
        }
        node.shutdown().await.unwrap();
    }
}
