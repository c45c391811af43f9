//! The manifest of a shardset: every shard file with what sync found of it (docs/formats/manifest.md). One immutable
//! checked file for each sync; the catalogue holds its version, hash and size.
//!
//! Driven by `node` (writes it after a sync, reads it when an iteration or a request needs the files). Invariants:
//! a manifest that decodes is whole, its files stand in the order of their indices, and each one's chunks add up to
//! its rows; no bytes make decoding panic, or reserve more than they themselves and
//! 16 KB a file. Absent: where it is stored.

pub(crate) mod codec;
mod encoding;

pub use codec::CodecError;

use crate::format::{Chunk, ColumnSpec, Format, ReaderPlan};
use crate::statistics::{ColumnStatistics, DatasetStatistics, StatisticsKind, merge_statistics};
use bytes::Bytes;
use lavandin_types::{ShardFileId, ShardsetId};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// One shard file.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardFile {
    pub id: ShardFileId,
    /// Its place in the shardset; that of its name among the names when it was found.
    pub index: u32,
    /// The name in its folder.
    pub name: String,
    /// Where it is, as a location text.
    pub location: String,
    pub format: Format,
    pub bytes: u64,
    pub rows: u32,
    pub created_at_s: u64,
    pub chunks: Arc<[Chunk]>,
    /// What its content and its version are told by; `node` writes and reads it.
    pub fingerprint: String,
    /// For each column of the manifest, in that order; `None` for a column without statistics.
    pub statistics: Vec<Option<ColumnStatistics>>,
    /// The names of its uid index and, for tars, of its member index, beside the manifest; empty without one.
    pub uid_index: String,
    pub member_index: String,
}

/// A shardset as of one sync.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub shardset: ShardsetId,
    pub version: u64,
    /// The columns that files are read with, and their types; a uid column that was not declared is among them.
    pub columns: Vec<ColumnSpec>,
    /// In the order of their indices.
    pub files: Vec<ShardFile>,
    /// Of all files, for each column; `None` for a column without statistics.
    pub statistics: Vec<Option<DatasetStatistics>>,
}

impl Manifest {
    /// A manifest of these files; merges their statistics.
    pub fn new(
        shardset: ShardsetId,
        version: u64,
        columns: Vec<ColumnSpec>,
        mut files: Vec<ShardFile>,
    ) -> Self {
        files.sort_by_key(|file| file.index);
        let of_column = |place: usize| {
            merge_statistics(
                files.iter().filter_map(move |file| file.statistics.get(place).and_then(Option::as_ref)),
            )
        };
        let statistics = (0..columns.len()).map(of_column).collect();
        Self { shardset, version, columns, files, statistics }
    }

    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        encoding::decode(bytes)
    }

    /// What the catalogue knows an encoded manifest by.
    pub fn hash(bytes: &[u8]) -> u128 {
        xxh3_128(bytes)
    }

    pub fn total_rows(&self) -> u64 {
        self.files.iter().map(|file| u64::from(file.rows)).sum()
    }

    /// The kinds of statistics that the files have settled on: for the inspection of further files.
    pub fn kinds(&self) -> Vec<(String, StatisticsKind)> {
        let kind = |(place, column): (usize, &ColumnSpec)| {
            let of_file = |file: &ShardFile| file.statistics.get(place)?.as_ref().map(ColumnStatistics::kind);
            Some((column.name.clone(), self.files.iter().find_map(of_file)?))
        };
        self.columns.iter().enumerate().filter_map(kind).collect()
    }
}

impl ShardFile {
    /// The plan to read `columns` of this file; `index`: the content of its member index, for tars.
    pub fn reader_plan(&self, columns: Vec<ColumnSpec>, index: Option<Bytes>) -> ReaderPlan {
        ReaderPlan { columns, chunks: Arc::clone(&self.chunks), bytes: self.bytes, index }
    }

    /// The statistics of an inspection in the order of `columns`.
    pub fn statistics_of(
        columns: &[ColumnSpec],
        found: Vec<(String, ColumnStatistics)>,
    ) -> Vec<Option<ColumnStatistics>> {
        let mut found = found;
        let mut of_column = |column: &ColumnSpec| {
            let place = found.iter().position(|(name, _)| *name == column.name)?;
            Some(found.swap_remove(place).1)
        };
        columns.iter().map(&mut of_column).collect()
    }
}

#[cfg(test)]
mod tests;
