//! Index builds beside everything else.

use crate::fixture::*;
use lavandin_cluster::{Command, IndexDefinition};
use lavandin_consensus::{Metadata, MetadataOptions};
use lavandin_node::{BatchIds, Change, Node, Which};
use lavandin_types::{BuildParameters, ErrorCode, NodeId, RecordId};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const DIM: usize = 16;

async fn fill(node: &Node, name: &str, rows: usize) -> Vec<f32> {
    require(node, name).await;
    let vectors = numbers(3, rows * DIM);
    let ids = BatchIds::Range { start: 0, count: rows as u32 };
    change(node, name, Change::Add(batch(ids, DIM as u32, &vectors))).await;
    vectors
}

/// Of the `k` nearest by an exact collection, how many the indexed one finds.
async fn recall(node: &Node, indexed: &str, exact: &str, k: usize) -> f64 {
    let asked = numbers(99, 50 * DIM);
    let found = search(node, indexed, queries(&asked, DIM, k)).await;
    let right = search(node, exact, queries(&asked, DIM, k)).await;
    let hits = |(a, b): (&Vec<u64>, &Vec<u64>)| a.iter().filter(|id| b.contains(id)).count();
    let total: usize = found.iter().zip(&right).map(hits).sum();
    total as f64 / (right.len() * k) as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_searches_go_on_during_a_build() {
    let (_dir, node) = world().await;
    let vectors = fill(&node, "graph", 6_000).await;
    fill(&node, "exact", 6_000).await;
    build(&node, "exact", "FLAT-L2").await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (writer, stop) = (Arc::clone(&node), Arc::clone(&done));
    // Writes until the build is done, at least a few; each write is found at once.
    let writing = tokio::spawn(async move {
        let mut next = 6_000;
        while next < 6_010 || !stop.load(Ordering::Acquire) && next < 8_000 {
            let vector: Vec<f32> = numbers(next, DIM).iter().map(|x| x + 5.0).collect();
            for name in ["graph", "exact"] {
                let added = batch(BatchIds::Ints(vec![next]), DIM as u32, &vector);
                change(&writer, name, Change::Add(added)).await;
                let all = statistics(&writer, name).await.live;
                assert_eq!(all, next + 1);
                let which = Which::Ids(vec![RecordId::Int(next)]);
                let found = writer.records(&context(), DB, name, which, true).await.unwrap();
                assert_eq!(found[0].vector, vector);
            }
            next += 1;
        }
        next
    });
    build(&node, "graph", "HNSW-L2").await.unwrap();
    let indexed = statistics(&node, "graph").await.indexed_rows;
    done.store(true, Ordering::Release);
    let written = writing.await.unwrap();
    assert!(indexed >= 6_000, "{indexed}");
    assert_eq!(statistics(&node, "graph").await.live, written);
    for row in [0, 1_234, 5_999] {
        let query = &vectors[row * DIM..][..DIM];
        assert_eq!(search(&node, "graph", queries(query, DIM, 1)).await, [[row as u64]]);
    }
    let recall = recall(&node, "graph", "exact", 10).await;
    assert!(recall >= 0.95, "{recall}");
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_and_removals_at_once_all_end() {
    let (_dir, node) = world().await;
    fill(&node, "c", 3_000).await;
    let start = |index: &'static str| {
        let node = Arc::clone(&node);
        tokio::spawn(async move { build(&node, "c", index).await })
    };
    let builds = ["HNSW-L2", "HNSW-COS", "HNSW-L2", "FLAT-L2", "HNSW-IP"].map(start);
    let removing = Arc::clone(&node);
    let removal = tokio::spawn(async move { removing.remove_index(&context(), DB, "c").await });
    for build in builds {
        build.await.unwrap().unwrap();
    }
    removal.await.unwrap().unwrap();
    // Whoever came last, the engine has what the catalogue says.
    build(&node, "c", "HNSW-L2").await.unwrap();
    assert_eq!(node.collection(DB, "c").await.unwrap().index, Some(mode("HNSW-L2")));
    assert_eq!(statistics(&node, "c").await.indexed_rows, 3_000);
    node.remove_index(&context(), DB, "c").await.unwrap();
    assert_eq!(node.collection(DB, "c").await.unwrap().index, None);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_collection_ends_the_wait_for_its_index() {
    let (_dir, node) = world().await;
    fill(&node, "c", 20_000).await;
    let building = Arc::clone(&node);
    let build = tokio::spawn(async move { build(&building, "c", "HNSW-L2").await });
    until("the graph is being built", || node.statistics().jobs.builds_started > 0).await;
    node.drop_collection(&context(), DB, "c").await.unwrap();
    // It ends now, not when the build does.
    let result = build.await.unwrap();
    assert!(result.is_ok() || code(result) == ErrorCode::NotFound);
    assert_eq!(node.statistics().open_collections, 0);
    node.shutdown().await.unwrap();
}

/// An index set on a collection while its first write is on the way reaches the engine, whoever is first.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_set_beside_the_first_write_counts() {
    let (_dir, node) = world().await;
    for round in 0..40 {
        let name = format!("c{round}");
        require(&node, &name).await;
        let (writer, of) = (Arc::clone(&node), name.clone());
        let writing = tokio::spawn(async move {
            let two = batch(BatchIds::Ints(vec![1, 2]), 2, &[1.0, 0.0, 9.0, 0.0]);
            change(&writer, &of, Change::Add(two)).await;
        });
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        build(&node, &name, "FLAT-L2").await.unwrap();
        writing.await.unwrap();
        // By inner product the other one would be nearest.
        assert_eq!(search(&node, &name, queries(&[1.0, 0.0], 2, 1)).await, [[1]], "round {round}");
    }
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_built_is_refused() {
    let (_dir, node) = world().await;
    require(&node, "c").await;
    assert_eq!(code(build(&node, "c", "HNSW-L2").await), ErrorCode::EmptyDatabase);
    assert_eq!(code(build(&node, "c", "IVF-L2").await), ErrorCode::NotImplemented);
    assert_eq!(code(build(&node, "d", "FLAT-L2").await), ErrorCode::NotFound);
    node.shutdown().await.unwrap();
}

async fn metadata(dir: &Path) -> Metadata {
    Metadata::open(MetadataOptions::new(dir.join("metadata"), NodeId::new(1)))
        .await
        .expect("the metadata opens")
}

/// A crash between catalogue and log: what the catalogue says is carried out at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_brings_the_log_in_line_with_the_catalogue() {
    let (dir, node) = world().await;
    for name in ["kept", "gone"] {
        require(&node, name).await;
        let two = batch(BatchIds::Ints(vec![1, 2]), 2, &[1.0, 0.0, 9.0, 0.0]);
        change(&node, name, Change::Add(two)).await;
    }
    assert_eq!(search(&node, "kept", queries(&[1.0, 0.0], 2, 1)).await, [[2]]);
    let collection = node.collection(DB, "kept").await.unwrap().id;
    node.shutdown().await.unwrap();
    drop(node);
    let catalogue = metadata(dir.path()).await;
    let build = BuildParameters::default();
    let index = IndexDefinition { mode: "FLAT-L2".to_owned(), build, other: Default::default() };
    catalogue.propose(Command::SetIndex { collection, index: Some(index) }).await.unwrap();
    let drop_gone = Command::DropCollection { database: DB.to_owned(), name: "gone".to_owned() };
    catalogue.propose(drop_gone).await.unwrap();
    catalogue.shutdown().await;
    let node = open(dir.path()).await;
    assert_eq!(search(&node, "kept", queries(&[1.0, 0.0], 2, 1)).await, [[1]]);
    assert_eq!(node.statistics().open_collections, 1);
    node.shutdown().await.unwrap();
}
