//! The bundled data: WordNet glosses, their embeddings, and queries with theirs (see sample/NOTICE).

use super::progress::Progress;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use half::f16;
use lavandin_node::{BatchIds, CallContext, Change, Node, RecordBatch, RequireCollection, VectorBatch};
use lavandin_types::{BuildParameters, ElementType, IndexMode, RecordId};
use lavandin_wire::FieldObject;
use serde::Deserialize;
use std::time::Duration;

pub(super) const DATABASE: &str = "quickstart";
pub(super) const COLLECTION: &str = "wordnet";
pub(super) const INDEX_MODE: &str = "HNSW-COS";
const DIM: usize = 384;
const ROW_BYTES: usize = DIM * 2;
const BATCH: usize = 100;

const RECORDS: &str = include_str!("../../sample/wordnet.jsonl");
const VECTORS: &[u8] = include_bytes!("../../sample/wordnet.f16");
const QUERIES: &str = include_str!("../../sample/wordnet-queries.jsonl");
const QUERY_VECTORS: &[u8] = include_bytes!("../../sample/wordnet-queries.f16");

/// A query of the tour.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    pub(super) text: String,
    pub(super) r#where: Option<String>,
    #[serde(skip)]
    pub(super) vector: Vec<f32>,
}

/// A record as the bundled file has it.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) lemma: String,
    pub(super) pos: String,
    pub(super) lex: String,
    pub(super) text: String,
}

/// A context with time enough for a slow machine.
pub(super) fn context() -> CallContext {
    CallContext::new(Duration::from_secs(300))
}

/// All records, in the file's order.
pub(super) fn records() -> Result<Vec<Record>> {
    let parse = |line| serde_json::from_str(line).context("a record of the bundled sample");
    RECORDS.lines().map(parse).collect()
}

/// Loads the sample unless it is there, whole and indexed.
pub(super) async fn ensure(node: &Node) -> Result<()> {
    let lines: Vec<&str> = RECORDS.lines().collect();
    ensure!(
        VECTORS.len() == lines.len() * ROW_BYTES,
        "the bundled sample's vectors and records differ in number"
    );
    let found = node.collection_statistics(&context(), DATABASE, COLLECTION).await;
    if let (Ok(found), Ok(info)) = (found, node.collection(DATABASE, COLLECTION).await)
        && found.live == lines.len() as u64
        && info.index.is_some()
    {
        println!("Found {} records of an earlier start.", found.live);
        return Ok(());
    }
    node.create_database(&context(), DATABASE, false).await?;
    let wanted = RequireCollection {
        dim: DIM as u32,
        element: Some(ElementType::F32),
        description: Some("WordNet glosses with sentence embeddings".to_owned()),
        drop_if_exists: true,
    };
    node.require_collection(&context(), DATABASE, COLLECTION, wanted).await?;
    let progress = Progress::new("Loading WordNet glosses", lines.len());
    let mut done = 0;
    for batch in lines.chunks(BATCH) {
        progress.show(done);
        let vectors = Bytes::from_static(&VECTORS[done * ROW_BYTES..(done + batch.len()) * ROW_BYTES]);
        node.change(&context(), DATABASE, COLLECTION, Change::Add(batch_of(batch, vectors)?)).await?;
        done += batch.len();
    }
    progress.finish();
    let progress = Progress::new("Building the index     ", lines.len());
    progress.show(0);
    let mode = IndexMode::parse(INDEX_MODE)?;
    node.build_index(&context(), DATABASE, COLLECTION, mode, BuildParameters::default(), Vec::new()).await?;
    progress.finish();
    Ok(())
}

fn batch_of(lines: &[&str], vectors: Bytes) -> Result<RecordBatch> {
    let mut ids = Vec::with_capacity(lines.len());
    let mut fields = Vec::new();
    for line in lines {
        let named: Record = serde_json::from_str(line).context("a record of the bundled sample")?;
        let object: FieldObject = serde_json::from_str(line).context("a record of the bundled sample")?;
        ids.push(RecordId::from(named.id.as_str()));
        fields.push(1);
        fields.extend_from_slice(&object.0);
    }
    let vectors = VectorBatch { element: ElementType::F16, dim: DIM as u32, bytes: vectors };
    Ok(RecordBatch { ids: BatchIds::Mixed(ids), vectors, fields: Some(Bytes::from(fields)), places: None })
}

/// The tour's queries.
pub(super) fn queries() -> Result<Vec<Query>> {
    let (rows, _) = QUERY_VECTORS.as_chunks::<ROW_BYTES>();
    let lines = QUERIES.lines().zip(rows);
    lines
        .map(|(line, row)| {
            let mut query: Query = serde_json::from_str(line).context("a query of the bundled sample")?;
            let (halves, _) = row.as_chunks::<2>();
            query.vector = halves.iter().map(|half| f16::from_le_bytes(*half).to_f32()).collect();
            Ok(query)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_whole() {
        let lines: Vec<&str> = RECORDS.lines().collect();
        assert!(lines.len() >= 2000);
        assert_eq!(VECTORS.len(), lines.len() * ROW_BYTES);
        let batch = batch_of(&lines, Bytes::from_static(VECTORS)).unwrap();
        assert_eq!(batch.ids.len(), lines.len());
        let queries = queries().unwrap();
        assert_eq!(queries.len(), QUERIES.lines().count());
        assert_eq!(QUERY_VECTORS.len(), queries.len() * ROW_BYTES);
        assert!(queries.iter().any(|query| query.r#where.is_some()));
        for query in queries {
            let norm: f32 = query.vector.iter().map(|x| x * x).sum();
            assert!((norm - 1.0).abs() < 0.01, "{}: {norm}", query.text);
        }
    }
}
