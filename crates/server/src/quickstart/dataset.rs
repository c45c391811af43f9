//! The sample as a dataset: parquet files in a directory, found and inspected by a sync.

use super::progress::Progress;
use super::sample::{Record, context, records};
use anyhow::{Context, Result, bail, ensure};
use lavandin_node::{DatasetInfo, NewShardsetRequest, Node, PlainColumn, write_parquet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(super) const DATASET: &str = "wordnet";
/// Shard files.
pub(super) const FILES: usize = 8;
const POLL: Duration = Duration::from_millis(20);

/// Rows of a shard file; the last one has fewer.
pub(super) fn rows_of_file(rows: usize) -> usize {
    rows.div_ceil(FILES).max(1)
}

/// Makes the dataset and its files unless they are there.
pub(super) async fn ensure(node: &Node, directory: &Path) -> Result<Arc<DatasetInfo>> {
    let directory = directory.join("shards");
    let records = records()?;
    let written = write_files(&directory, &records)?;
    let place = directory.to_str().with_context(|| format!("{} is not UTF-8", directory.display()))?;
    let location = format!("file://{place}");
    if let Ok(known) = node.dataset_by_name(DATASET).await {
        let is_whole = known.shardsets.iter().any(|shardset| {
            let samples = shardset.manifest.map(|manifest| manifest.total_samples);
            shardset.location == location && samples == Some(records.len() as u64)
        });
        if is_whole && written == 0 {
            println!("\nFound the dataset of an earlier start: {}", told(&known, &directory));
            return Ok(known);
        }
        // Cut short, or of another place.
        node.delete_dataset(&context(), known.id).await?;
    }
    let created = node.create_dataset(&context(), DATASET, "id").await?;
    let shardset = NewShardsetRequest { location, columns: Vec::new() };
    println!();
    let progress = Progress::new("Reading shard files    ", FILES);
    let (_, shardset) = node.create_shardset(&context(), created.id, shardset).await?;
    while let Some(status) = node.sync_status(shardset).await {
        match status.status.as_str() {
            "completed" => break,
            "failed" | "aborted" => {
                bail!("the sample's files cannot be synced: {}", status.error.unwrap_or_default())
            }
            _ => progress.show((status.current as usize).min(FILES)),
        }
        tokio::time::sleep(POLL).await;
    }
    progress.finish();
    let synced = node.dataset(created.id).await?;
    println!("Dataset {}", told(&synced, &directory));
    Ok(synced)
}

fn told(dataset: &DatasetInfo, directory: &Path) -> String {
    let manifest = dataset.shardsets.first().and_then(|shardset| shardset.manifest);
    let (files, samples) = manifest.map_or((0, 0), |manifest| (manifest.shard_count, manifest.total_samples));
    format!("{}, {samples} samples in {files} parquet files\n  {}", dataset.name, directory.display())
}

/// Writes the files that are not there; how many.
fn write_files(directory: &Path, records: &[Record]) -> Result<usize> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut written = 0;
    for (number, records) in records.chunks(rows_of_file(records.len())).enumerate() {
        let path = directory.join(format!("wordnet-{number:05}.parquet"));
        if path.exists() {
            continue;
        }
        // A reader finds it whole or not at all.
        let part: PathBuf = path.with_extension("part");
        write_parquet(&part, columns(records))?;
        std::fs::rename(&part, &path).with_context(|| format!("cannot write {}", path.display()))?;
        written += 1;
    }
    ensure!(records.len() >= FILES, "the bundled sample has fewer records than there are files");
    Ok(written)
}

/// The records' columns, and the length of each text, which a filter can look at.
fn columns(records: &[Record]) -> Vec<(&'static str, PlainColumn)> {
    let texts = |field: fn(&Record) -> &String| {
        PlainColumn::Texts(records.iter().map(|record| field(record).clone()).collect())
    };
    let lengths = records.iter().map(|record| record.text.chars().count() as i64);
    vec![
        ("id", texts(|record| &record.id)),
        ("lemma", texts(|record| &record.lemma)),
        ("pos", texts(|record| &record.pos)),
        ("lex", texts(|record| &record.lex)),
        ("text", texts(|record| &record.text)),
        ("length", PlainColumn::Integers(lengths.collect())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_once() {
        let directory = tempfile::tempdir().unwrap();
        let records = records().unwrap();
        assert_eq!(write_files(directory.path(), &records).unwrap(), FILES);
        assert_eq!(write_files(directory.path(), &records).unwrap(), 0);
        std::fs::remove_file(directory.path().join("wordnet-00003.parquet")).unwrap();
        assert_eq!(write_files(directory.path(), &records).unwrap(), 1);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), FILES);
    }

    #[test]
    fn every_column_has_a_value_for_every_record() {
        let records = records().unwrap();
        for (name, column) in columns(&records[..5]) {
            match column {
                PlainColumn::Texts(texts) => assert!(texts.len() == 5 && !texts[0].is_empty(), "{name}"),
                PlainColumn::Integers(lengths) => {
                    assert_eq!(lengths[4] as usize, records[4].text.chars().count());
                }
            }
        }
    }
}
