//! What sync learns of a shard file, in one pass over its rows: chunks, columns with types, statistics, uids.
//!
//! Driven by `node`'s sync, one call a file, in parallel. The first file decides the kinds of the statistics, and its
//! types are those that others must go with ([`merge_columns`] says how). Deliberately absent: listing, fingerprints,
//! anything kept between files.
//!
//! Invariant: memory is that of a chunk, the statistics' bounds, and 16 bytes a row for the uids.

use crate::format::{Chunk, ColumnSpec, Format, FormatError, ReaderPlan, ShardReader};
use crate::format::{cells_are_json, guarded, merge_columns, scan_file};
use crate::statistics::{ColumnObserver, ColumnStatistics, StatisticsKind};
use crate::uid_index::{UidColumn, UidIndexBuilder};
use arrow::array::RecordBatch;
use bytes::Bytes;
use std::collections::HashMap;
use std::path::Path;

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct InspectOptions<'a> {
    /// The columns that were declared; empty: all that the file has, or those of `earlier`.
    pub declared: &'a [ColumnSpec],
    /// The columns that earlier files of the shardset settled on; empty for the first.
    pub earlier: &'a [ColumnSpec],
    /// The column that names samples. It is read even if it is not declared.
    pub uid_column: Option<&'a str>,
    /// The kinds of statistics that the first file has decided.
    pub kinds: &'a [(String, StatisticsKind)],
}

/// What a file was found to be.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub bytes: u64,
    pub rows: u32,
    pub chunks: Vec<Chunk>,
    /// The columns with settled types: those of `earlier` that also hold this file's. A uid column that is not
    /// declared comes last.
    pub columns: Vec<ColumnSpec>,
    /// In the order of the columns; columns of types without statistics are left out.
    pub statistics: Vec<(String, ColumnStatistics)>,
    /// Bytes of a `UidIndex`, if a uid column was named.
    pub uid_index: Option<Vec<u8>>,
    /// The index of a tar's members, for [`ReaderPlan::index`].
    pub member_index: Option<Vec<u8>>,
}

/// Where a format's scan hands each chunk.
pub(crate) type ChunkSink<'a> = dyn FnMut(Chunk, RecordBatch) -> Result<(), FormatError> + 'a;

/// What a format's scan finds besides rows.
pub(crate) struct Scanned {
    pub columns: Vec<ColumnSpec>,
    pub index: Option<Vec<u8>>,
}

/// Reads a file once, all rows of it.
pub fn inspect(path: &Path, format: Format, options: &InspectOptions<'_>) -> Result<Inspection, FormatError> {
    let file = path.display().to_string();
    guarded(&file, || inspect_file(path, &file, format, options))
}

fn inspect_file(
    path: &Path,
    file: &str,
    format: Format,
    options: &InspectOptions<'_>,
) -> Result<Inspection, FormatError> {
    let wanted = wanted_columns(options);
    let mut observer = Observer::new(file, options, wanted.len());
    let mut chunks = Vec::new();
    let (bytes, scanned) = scan_file(path, format, &wanted, &mut |chunk, batch| {
        chunks.push(chunk);
        observer.observe(&batch)
    })?;
    let mut columns = scanned.columns;
    let uid =
        options.uid_column.map(|uid| columns.iter().find(|column| column.name == uid).cloned().ok_or(uid));
    let uid = uid.transpose().map_err(|uid| {
        FormatError::missing_column(file, uid, columns.iter().map(|column| column.name.as_str()))
    })?;
    if !options.earlier.is_empty() {
        let mut settled = options.earlier.to_vec();
        merge_columns(format, &mut settled, &columns, file)?;
        columns = settled;
    }
    let plan = ReaderPlan {
        columns: uid.into_iter().collect(),
        chunks: chunks.into(),
        bytes,
        index: scanned.index.clone().map(Bytes::from),
    };
    let rows = observer.rows;
    let statistics = observer.statistics(&columns);
    let uid_index = match options.uid_column {
        Some(_) => Some(uid_index(path, format, &plan, observer.uids)?),
        None => None,
    };
    Ok(Inspection {
        bytes,
        rows,
        chunks: plan.chunks.to_vec(),
        columns,
        statistics,
        uid_index,
        member_index: scanned.index,
    })
}

/// The declared columns, else those of earlier files; with the uid column. Empty: all of the file. What is not
/// declared has the type that this file gives it: whether that goes with the earlier one is decided after the scan.
fn wanted_columns(options: &InspectOptions<'_>) -> Vec<ColumnSpec> {
    let mut wanted = match options.declared {
        [] => options.earlier.iter().map(|column| ColumnSpec::new(&column.name, "")).collect(),
        declared => declared.to_vec(),
    };
    if let Some(uid) = options.uid_column.filter(|_| !wanted.is_empty())
        && wanted.iter().all(|column| column.name != uid)
    {
        wanted.push(ColumnSpec::new(uid, ""));
    }
    wanted
}

/// Gathers statistics and uids from chunks as they come.
struct Observer<'a> {
    file: &'a str,
    options: &'a InspectOptions<'a>,
    columns: HashMap<String, ColumnObserver>,
    expected: usize,
    uids: UidIndexBuilder,
    rows: u32,
}

impl<'a> Observer<'a> {
    fn new(file: &'a str, options: &'a InspectOptions<'a>, expected: usize) -> Self {
        Self { file, options, columns: HashMap::new(), expected, uids: UidIndexBuilder::default(), rows: 0 }
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<(), FormatError> {
        let before = self.rows;
        let rows = u32::try_from(batch.num_rows()).ok().and_then(|rows| rows.checked_add(before));
        self.rows =
            rows.ok_or_else(|| FormatError::too_large(self.file, "it has more than 4,294,967,295 rows"))?;
        self.observe_uids(batch, before)?;
        let columns = self.expected.max(batch.num_columns());
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if !self.columns.contains_key(field.name()) {
                let kind =
                    self.options.kinds.iter().find(|(name, _)| name == field.name()).map(|(_, kind)| *kind);
                let mut observer = ColumnObserver::new(kind, columns);
                observer.add_missing(u64::from(before));
                self.columns.insert(field.name().clone(), observer);
            }
            if let Some(observer) = self.columns.get_mut(field.name()) {
                observer.observe(array, cells_are_json(field));
            }
        }
        Ok(())
    }

    fn observe_uids(&mut self, batch: &RecordBatch, before: u32) -> Result<(), FormatError> {
        let Some(name) = self.options.uid_column else { return Ok(()) };
        let Some(array) = batch.column_by_name(name) else {
            // A column that jsonl lines had not shown by here; the file as a whole may lack it.
            return Err(FormatError::missing_column(
                self.file,
                name,
                batch.schema_ref().fields().iter().map(|field| field.name().as_str()),
            ));
        };
        let uids = UidColumn::new(array).ok_or_else(|| {
            let detail =
                format!("column {name:?} of nested values as uids: declare one of strings or integers");
            FormatError::Unsupported { file: self.file.to_owned(), detail }
        })?;
        self.uids.add(&uids).map_err(|row| FormatError::MissingUid {
            file: self.file.to_owned(),
            column: name.to_owned(),
            row: u64::from(before) + row as u64,
        })
    }

    fn statistics(&mut self, columns: &[ColumnSpec]) -> Vec<(String, ColumnStatistics)> {
        let declared = |name: &str| {
            self.options.declared.is_empty() || self.options.declared.iter().any(|column| column.name == name)
        };
        let names: Vec<&String> =
            columns.iter().map(|column| &column.name).filter(|name| declared(name)).collect();
        let statistics = names.into_iter().filter_map(|name| {
            let statistics = self.columns.remove(name)?.finish()?;
            Some((name.clone(), statistics))
        });
        statistics.collect()
    }
}

/// The index's bytes, once no two rows have one uid. Rows of equal hashes are read again to compare the uids.
fn uid_index(
    path: &Path,
    format: Format,
    plan: &ReaderPlan,
    mut uids: UidIndexBuilder,
) -> Result<Vec<u8>, FormatError> {
    uids.sort();
    let mut known: Option<Suspects> = None;
    for rows in uids.suspects() {
        let suspects = match &mut known {
            Some(suspects) => suspects,
            None => known.insert(Suspects { reader: ShardReader::open(path, format, plan)?, chunk: None }),
        };
        let mut seen: HashMap<String, u32> = HashMap::new();
        for row in rows {
            let uid = suspects.uid(row)?;
            if let Some(first) = seen.insert(uid.clone(), row) {
                let file = path.display().to_string();
                return Err(FormatError::DoubledUid {
                    file,
                    uid,
                    first: u64::from(first),
                    second: u64::from(row),
                });
            }
        }
    }
    Ok(uids.finish())
}

/// Reads single uids again.
struct Suspects {
    reader: ShardReader,
    chunk: Option<(usize, RecordBatch)>,
}

impl Suspects {
    fn uid(&mut self, row: u32) -> Result<String, FormatError> {
        let mut before = 0;
        let chunks = self.reader.chunks().iter().enumerate();
        let place = chunks.map(|(place, chunk)| {
            before += chunk.rows;
            (place, before - chunk.rows)
        });
        let (place, first) = place.take_while(|(_, first)| *first <= row).last().unwrap_or((0, 0));
        if self.chunk.as_ref().is_none_or(|(held, _)| *held != place) {
            self.chunk = Some((place, self.reader.read_chunk(place)?));
        }
        let mut text = String::new();
        if let Some((_, batch)) = &self.chunk
            && let Some(uids) = UidColumn::new(batch.column(0))
        {
            uids.write((row - first) as usize, &mut text);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
