//! What the tests share: a node on a directory of its own, small record batches, reads that tests compare.

use bytes::Bytes;
use lavandin_node::{
    BatchIds, CallContext, Change, CollectionStatistics, Durability, Node, NodeError, NodeOptions, Outcome,
    RecordBatch, RequireCollection, Search, VectorBatch, Which,
};
use lavandin_types::{BuildParameters, ElementType, ErrorCode, IndexMode, RecordId};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) const DB: &str = "db";
/// Far beyond what any wait of these tests takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn options(dir: &Path) -> NodeOptions {
    NodeOptions { durability: Durability::Os, threads: 2, ..NodeOptions::new(dir) }
}

pub(crate) async fn open(dir: &Path) -> Arc<Node> {
    open_with(options(dir)).await
}

/// Opens a directory that no node has. A process that another test is just starting has a copy of every open file,
/// the former node's lock among them, until its own program begins.
pub(crate) async fn open_with(options: NodeOptions) -> Arc<Node> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Node::open(options.clone()).await {
            Ok(node) => return node,
            Err(error) => {
                let is_locked = error.code() == ErrorCode::Unavailable && Instant::now() < deadline;
                assert!(is_locked, "the node does not open: {error}");
            }
        }
        tokio::task::yield_now().await;
    }
}

/// A new node with database `db`.
pub(crate) async fn world() -> (tempfile::TempDir, Arc<Node>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = open(dir.path()).await;
    node.create_database(&context(), DB, false).await.expect("the database is created");
    (dir, node)
}

pub(crate) fn context() -> CallContext {
    CallContext::new(PATIENCE)
}

pub(crate) fn past() -> CallContext {
    CallContext { deadline: Instant::now() - Duration::from_secs(1), ..context() }
}

pub(crate) fn mode(text: &str) -> IndexMode {
    IndexMode::parse(text).expect("a known mode")
}

/// Vectors of `dim` elements, one after the other.
pub(crate) fn batch(ids: BatchIds, dim: u32, numbers: &[f32]) -> RecordBatch {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let vectors = VectorBatch { element: ElementType::F32, dim, bytes: Bytes::from(bytes) };
    RecordBatch { ids, vectors, fields: None, places: None }
}

/// One record of dimension 2.
pub(crate) fn one(id: u64, vector: [f32; 2]) -> Change {
    Change::Add(batch(BatchIds::Ints(vec![id]), 2, &vector))
}

/// Numbers between -1 and 1 that look random and are the same each time.
pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) async fn require(node: &Node, name: &str) {
    require_with(node, name, RequireCollection::default()).await;
}

pub(crate) async fn require_with(node: &Node, name: &str, wanted: RequireCollection) {
    node.require_collection(&context(), DB, name, wanted).await.expect("the collection is there");
}

pub(crate) async fn change(node: &Node, name: &str, change: Change) -> Outcome {
    node.change(&context(), DB, name, change).await.expect("the change is taken")
}

pub(crate) async fn refuse(node: &Node, name: &str, refused: Change) -> ErrorCode {
    code(node.change(&context(), DB, name, refused).await)
}

pub(crate) async fn ids(node: &Node, name: &str) -> Vec<RecordId> {
    let records = node.records(&context(), DB, name, Which::All, false).await.expect("records are read");
    records.into_iter().map(|record| record.id).collect()
}

/// The ids of `ids` as numbers, sorted.
pub(crate) async fn int_ids(node: &Node, name: &str) -> Vec<u64> {
    let mut found: Vec<u64> = ids(node, name).await.iter().map(int).collect();
    found.sort_unstable();
    found
}

pub(crate) fn int(id: &RecordId) -> u64 {
    match id {
        RecordId::Int(value) => *value,
        RecordId::Str(text) => panic!("a string id, {text}"),
    }
}

pub(crate) fn queries(queries: &[f32], dim: usize, k: usize) -> Search {
    Search { queries: queries.to_vec(), count: queries.len() / dim, k, ..Search::default() }
}

/// The ids of each query's hits.
pub(crate) async fn search(node: &Node, name: &str, search: Search) -> Vec<Vec<u64>> {
    let reply = node.search(&context(), DB, name, search).await.expect("the search is answered");
    reply.results.iter().map(|hits| hits.iter().map(|hit| int(&hit.id)).collect()).collect()
}

pub(crate) async fn build(node: &Node, name: &str, index: &str) -> Result<(), NodeError> {
    node.build_index(&context(), DB, name, mode(index), BuildParameters::default(), Vec::new()).await
}

pub(crate) fn code<T: Debug>(result: Result<T, NodeError>) -> ErrorCode {
    result.expect_err("an error was expected").code()
}

pub(crate) async fn statistics(node: &Node, name: &str) -> CollectionStatistics {
    node.collection_statistics(&context(), DB, name).await.expect("the collection exists")
}

/// Asks until the answer is yes; fails the test when that takes too long.
pub(crate) async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::task::yield_now().await;
    }
}
