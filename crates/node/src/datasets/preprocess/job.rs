//! The work of a preprocessing task: file by file, batch by batch.
//!
//! Files are independent, so that several threads take them one after another; the first failure ends all. Each thread
//! holds one batch and what the file's writer keeps (`feed::parquet_writer`). Blocks; runs on a blocking thread.

use crate::datasets::preprocess::scratch::Scratch;
use crate::datasets::preview::left_join::LeftJoin;
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::tasks::Progress;
use crate::error::NodeError;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use lavandin_feed::location::Location;
use lavandin_feed::parquet_writer::{ParquetWriteError, ParquetWriter, WrittenFile};
use lavandin_feed::python::{BatchReply, Entry};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) struct Job {
    pub(super) runtime: Arc<DatasetRuntime>,
    pub(super) progress: Arc<Progress>,
    pub(super) join: LeftJoin,
    pub(super) export: Export,
    pub(super) target: Location,
    /// Files at the target that stay as they are.
    pub(super) existing: HashSet<String>,
    pub(super) scratch: Scratch,
    pub(super) batch_size: u64,
    pub(super) drop_last: bool,
}

/// What is written of a batch.
pub(super) struct Export {
    pub(super) columns: Vec<String>,
    pub(super) uid_column: String,
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    next: AtomicU32,
    failure: Mutex<Option<NodeError>>,
    /// The columns of a file that was written.
    schema: Mutex<Option<SchemaRef>>,
    /// Files without a batch.
    empty: Mutex<Vec<u32>>,
}

impl Job {
    pub(super) fn run(self) -> Result<(), NodeError> {
        let files = self.join.files();
        self.progress.step("processing", u64::from(files));
        let shared = Shared::default();
        let threads = u32::try_from(self.runtime.threads).unwrap_or(u32::MAX).clamp(1, files.max(1));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.take_files(&shared));
            }
        });
        let Shared { failure, schema, empty, .. } = shared;
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let schema = schema.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut empty = empty.into_inner().unwrap_or_else(PoisonError::into_inner);
        empty.sort_unstable();
        empty.into_iter().try_for_each(|file| self.write_empty(file, schema.as_ref()))
    }

    fn take_files(&self, shared: &Shared) {
        loop {
            let file = shared.next.fetch_add(1, Ordering::Relaxed);
            if file >= self.join.files() || lock(&shared.failure).is_some() {
                return;
            }
            if self.existing.contains(&name_of(file)) {
                self.progress.advance();
                continue;
            }
            match self.write_file(file, shared) {
                Ok(Some(written)) => {
                    lock(&shared.schema).get_or_insert(written.schema);
                    self.progress.advance();
                }
                Ok(None) => lock(&shared.empty).push(file),
                Err(error) => {
                    lock(&shared.failure).get_or_insert(error);
                }
            }
        }
    }

    /// Processes a file; `None` if it has no batch, or another file has failed.
    fn write_file(&self, file: u32, shared: &Shared) -> Result<Option<WrittenFile>, NodeError> {
        let samples = self.join.samples_of(file);
        let batches = batches(samples.clone(), self.batch_size, self.drop_last);
        let path = self.scratch.file(&name_of(file));
        let mut writer = None;
        for batch in batches {
            if self.progress.is_cancelled() {
                return Err(NodeError::Refused("the task was aborted".to_owned()));
            }
            if lock(&shared.failure).is_some() {
                return Ok(None);
            }
            let rows = self.make(batch.clone()).map_err(|message| {
                let (first, last, row) = (batch.start, batch.end - 1, batch.start - samples.start);
                NodeError::Refused(format!(
                    "Failed to process samples {first} to {last} (shard {file} from row {row} on): {message}"
                ))
            })?;
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(ParquetWriter::create(&path).map_err(|error| self.write_failed(&error))?),
            };
            writer.write(&rows).map_err(|error| self.write_failed(&error))?;
        }
        let Some(writer) = writer else { return Ok(None) };
        self.put(file, writer).map(Some)
    }

    /// A file without rows, so that those after it keep their indices.
    fn write_empty(&self, file: u32, schema: Option<&SchemaRef>) -> Result<(), NodeError> {
        let schema = schema.ok_or_else(|| {
            NodeError::Refused(format!(
                "shard {file} has no batch to write, and no other file of this run says which columns it would have; use \
                 a smaller batch_size, drop_last false or overwrite true"
            ))
        })?;
        let mut writer = ParquetWriter::create(&self.scratch.file(&name_of(file)))
            .map_err(|error| self.write_failed(&error))?;
        writer
            .write(&RecordBatch::new_empty(Arc::clone(schema)))
            .map_err(|error| self.write_failed(&error))?;
        self.put(file, writer)?;
        self.progress.advance();
        Ok(())
    }

    /// Closes a file and copies it to the target.
    fn put(&self, file: u32, writer: ParquetWriter) -> Result<WrittenFile, NodeError> {
        let name = name_of(file);
        let path = self.scratch.file(&name);
        let written = writer.finish().map_err(|error| self.write_failed(&error))?;
        let target = self.target.join(&name)?;
        self.runtime.handle.block_on(self.runtime.stores.put(&target, &path))?;
        std::fs::remove_file(&path).map_err(|error| self.scratch.failed(&error))?;
        Ok(written)
    }

    /// What is exported of a batch of samples. The error is for people.
    fn make(&self, samples: Range<u64>) -> Result<RecordBatch, String> {
        let rows = self.join.read(&self.runtime, samples).map_err(|error| error.to_string())?;
        match self.join.process(&self.runtime, &rows)? {
            Some(reply) => self.export.of_reply(&rows, reply),
            None => self.export.of_rows(&rows),
        }
    }

    fn write_failed(&self, error: &ParquetWriteError) -> NodeError {
        NodeError::Refused(error.to_string())
    }
}

impl Export {
    /// The columns to write of what user code made.
    pub(super) fn of_reply(&self, rows: &RecordBatch, reply: BatchReply) -> Result<RecordBatch, String> {
        let mut columns = Vec::with_capacity(reply.entries.len());
        for (key, entry) in reply.entries {
            let (field, array) = match entry {
                Entry::Column(name) => {
                    column(rows, &name).ok_or("user code named a column that is not in its batch")?
                }
                Entry::Array(field, array) => (field, array),
                Entry::Item(_) => return Err("user code's values came in another form".to_owned()),
            };
            columns.push((key, field, array));
        }
        self.pick(rows, columns)
    }

    /// The columns to write where there is no user code.
    pub(super) fn of_rows(&self, rows: &RecordBatch) -> Result<RecordBatch, String> {
        let fields = rows.schema_ref().fields().iter().zip(rows.columns());
        self.pick(
            rows,
            fields
                .map(|(field, array)| (field.name().clone(), Arc::clone(field), Arc::clone(array)))
                .collect(),
        )
    }

    /// The wanted ones of a batch's columns, in the batch's order, and the uid column: that of the samples if user code
    /// left it out, for a batch has one element for each of them.
    fn pick(
        &self,
        rows: &RecordBatch,
        columns: Vec<(String, FieldRef, ArrayRef)>,
    ) -> Result<RecordBatch, String> {
        let has: HashMap<&str, ()> = columns.iter().map(|(key, ..)| (key.as_str(), ())).collect();
        if let Some(missing) =
            self.columns.iter().find(|name| !has.contains_key(name.as_str()) && **name != self.uid_column)
        {
            let names: Vec<_> = columns.iter().map(|(key, ..)| key.as_str()).collect();
            return Err(format!("there is no {missing:?} to export, the batch has [{}]", names.join(", ")));
        }
        let own_uid = match has.contains_key(self.uid_column.as_str()) {
            true => None,
            false => Some(column(rows, &self.uid_column).ok_or("the samples have no uid column")?),
        };
        let is_wanted = |key: &String| *key == self.uid_column || self.columns.contains(key);
        let wanted = columns.into_iter().filter(|(key, ..)| is_wanted(key));
        let wanted = wanted.chain(own_uid.map(|(field, array)| (self.uid_column.clone(), field, array)));
        let (fields, arrays): (Vec<_>, Vec<_>) = wanted
            .map(|(key, field, array)| (Field::clone(&field).with_name(key).with_nullable(true), array))
            .unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error| error.to_string())
    }
}

fn column(rows: &RecordBatch, name: &str) -> Option<(FieldRef, ArrayRef)> {
    let place = rows.schema_ref().index_of(name).ok()?;
    Some((Arc::clone(&rows.schema_ref().fields()[place]), Arc::clone(rows.column(place))))
}

/// The file that is made of a file of the main shardset.
pub(super) fn name_of(file: u32) -> String {
    format!("shard.{file:05}.parquet")
}

/// A file's samples in batches; with `drop_last` the last one is left out unless it is full.
pub(super) fn batches(samples: Range<u64>, size: u64, drop_last: bool) -> Vec<Range<u64>> {
    let mut batches = Vec::new();
    let mut start = samples.start;
    while start < samples.end {
        let end = start.saturating_add(size).min(samples.end);
        if !drop_last || end - start == size {
            batches.push(start..end);
        }
        start = end;
    }
    batches
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
