//! Making one file of a job: the samples of a file of the main shardset, read in file order, joined so that every row stays,
//! put through the collater and the preprocessors batch by batch, and written to the location whole. Blocks.

use crate::datasets::preprocess::PreprocessRequest;
use crate::datasets::preprocess::export::Export;
use crate::datasets::preprocess::scratch::Scratch;
use crate::datasets::preview::left_join::LeftJoin;
use crate::datasets::runtime::DatasetRuntime;
use crate::error::NodeError;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use lavandin_cluster::{DatasetInfo, JobInfo};
use lavandin_feed::location::Location;
use lavandin_feed::parquet_writer::{ParquetWriteError, ParquetWriter};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;

/// What is to be made of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// All of it.
    Rows,
    /// Only which columns it has; nothing is written.
    Columns,
    /// A file without rows, so that those after it keep their indices.
    NoRows { columns: Columns },
}

/// Columns as nodes tell them: an Arrow IPC stream without batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Columns(Vec<u8>);

impl Columns {
    fn of(schema: &SchemaRef) -> Result<Self, NodeError> {
        let written = StreamWriter::try_new(Vec::new(), schema).and_then(StreamWriter::into_inner);
        written.map(Self).map_err(|error| NodeError::Refused(format!("columns cannot be told: {error}")))
    }

    fn schema(&self) -> Result<SchemaRef, NodeError> {
        let read = StreamReader::try_new(self.0.as_slice(), None);
        let schema = read.map(|reader| reader.schema());
        schema.map_err(|error| NodeError::Invalid(format!("what was sent are no columns: {error}")))
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Made {
    /// Written, or looked at; with these columns.
    Done { columns: Columns },
    /// It has no batch, so there are no columns and there is no file.
    Empty {},
    /// User code failed, or gave what cannot be written: it would elsewhere as well.
    Failed { reason: String },
    /// This node cannot; another one may, or this one later.
    Unable { reason: String },
    /// Nobody wants it any more.
    Unwanted {},
}

impl From<NodeError> for Made {
    fn from(error: NodeError) -> Self {
        Self::Unable { reason: error.to_string() }
    }
}

/// How a node makes the files of a job.
pub(super) struct FileMaker {
    join: LeftJoin,
    export: Export,
    target: Location,
    scratch: Scratch,
    batch_size: u64,
    drop_last: bool,
}

impl FileMaker {
    /// Reads the manifests, and the first file of each shardset.
    pub(super) fn open(
        runtime: &DatasetRuntime,
        (dataset, job): (&DatasetInfo, &JobInfo),
        data_dir: &Path,
    ) -> Result<Self, NodeError> {
        let request = PreprocessRequest::of(job)?;
        let join = LeftJoin::open_sources(runtime, dataset, &job.sources, request.options())?;
        let uid_column = dataset.uid_column_name.clone();
        Ok(Self {
            join,
            target: Location::parse(&request.location)?,
            scratch: Scratch::new(data_dir)?,
            batch_size: u64::from(request.batch_size),
            drop_last: request.drop_last,
            export: Export { columns: request.export_columns, uid_column },
        })
    }

    /// Files of the main shardset.
    pub(super) fn files(&self) -> u32 {
        self.join.files()
    }

    /// Whether something is left of a file to be written.
    pub(super) fn has_batches(&self, file: u32) -> bool {
        let samples = self.join.samples_of(file);
        let count = samples.end - samples.start;
        if self.drop_last { count >= self.batch_size } else { count > 0 }
    }

    /// Makes a part of a file; ends early once it is not wanted any more.
    pub(super) fn make(
        &self,
        runtime: &DatasetRuntime,
        (file, part): (u32, &Part),
        is_wanted: &dyn Fn() -> bool,
    ) -> Made {
        let made = match part {
            Part::NoRows { columns } => self.write_no_rows(runtime, file, columns),
            Part::Rows | Part::Columns if !self.has_batches(file) => return Made::Empty {},
            Part::Rows => self.write_rows(runtime, file, is_wanted),
            Part::Columns => self.first_columns(runtime, file),
        };
        let made = made.unwrap_or_else(|unmade| unmade);
        if !matches!(made, Made::Done { .. }) {
            // What is half written is of no use, and a disk that is full would stay so.
            drop(std::fs::remove_file(self.scratch.file(&self.name_of(file))));
        }
        // What goes wrong while a node stops, or a job is aborted, is nobody's fault.
        match made {
            Made::Failed { .. } | Made::Unable { .. } if !is_wanted() => Made::Unwanted {},
            made => made,
        }
    }

    /// The file that is made of a file of the main shardset.
    pub(super) fn name_of(&self, file: u32) -> String {
        name_of(file, self.join.files())
    }

    fn write_rows(
        &self,
        runtime: &DatasetRuntime,
        file: u32,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Made, Made> {
        let mut writer = ParquetWriter::create(&self.scratch.file(&self.name_of(file))).map_err(unwritten)?;
        for batch in batches(self.join.samples_of(file), self.batch_size, self.drop_last) {
            if !is_wanted() {
                return Err(Made::Unwanted {});
            }
            let rows = self.process(runtime, file, batch)?;
            writer.write(&rows).map_err(unwritten)?;
        }
        // A run that is over must not write over what comes after it.
        if !is_wanted() {
            return Err(Made::Unwanted {});
        }
        self.put(runtime, file, writer)
    }

    fn write_no_rows(&self, runtime: &DatasetRuntime, file: u32, columns: &Columns) -> Result<Made, Made> {
        let mut writer = ParquetWriter::create(&self.scratch.file(&self.name_of(file))).map_err(unwritten)?;
        writer.write(&RecordBatch::new_empty(columns.schema()?)).map_err(unwritten)?;
        self.put(runtime, file, writer)
    }

    fn first_columns(&self, runtime: &DatasetRuntime, file: u32) -> Result<Made, Made> {
        let samples = self.join.samples_of(file);
        let Some(first) = batches(samples, self.batch_size, self.drop_last).into_iter().next() else {
            return Ok(Made::Empty {});
        };
        let rows = self.process(runtime, file, first)?;
        Ok(Made::Done { columns: Columns::of(rows.schema_ref())? })
    }

    /// What is exported of a batch of samples.
    fn process(&self, runtime: &DatasetRuntime, file: u32, batch: Range<u64>) -> Result<RecordBatch, Made> {
        let tell = |message: String| {
            let (first, last) = (batch.start, batch.end - 1);
            let row = batch.start - self.join.samples_of(file).start;
            format!("Failed to process samples {first} to {last} (shard {file} from row {row} on): {message}")
        };
        let rows = self.join.read(runtime, batch.clone());
        let rows = rows.map_err(|error| Made::Unable { reason: tell(error.to_string()) })?;
        let exported = match self.join.process(runtime, &rows) {
            Ok(Some(reply)) => self.export.of_reply(&rows, reply),
            Ok(None) => self.export.of_rows(&rows),
            Err(message) => Err(message),
        };
        exported.map_err(|message| Made::Failed { reason: tell(message) })
    }

    /// Closes a file and copies it to the target, durable.
    fn put(&self, runtime: &DatasetRuntime, file: u32, writer: ParquetWriter) -> Result<Made, Made> {
        let name = self.name_of(file);
        let path = self.scratch.file(&name);
        let written = writer.finish().map_err(unwritten)?;
        let target = self.target.join(&name).map_err(NodeError::from)?;
        runtime.handle.block_on(runtime.stores.put(&target, &path)).map_err(NodeError::from)?;
        std::fs::remove_file(&path).map_err(|error| self.scratch.failed(&error))?;
        Ok(Made::Done { columns: Columns::of(&written.schema)? })
    }
}

fn unwritten(error: ParquetWriteError) -> Made {
    let reason = error.to_string();
    match error {
        // This node's disk.
        ParquetWriteError::Io { .. } | ParquetWriteError::Failed { .. } => Made::Unable { reason },
        ParquetWriteError::MixedTypes { .. }
        | ParquetWriteError::DoesNotFit { .. }
        | ParquetWriteError::MissingColumn { .. } => Made::Failed { reason },
    }
}

/// The file that is made of one of so many. Five digits, and more where there are more files, so that names sort as indices do.
pub(super) fn name_of(file: u32, files: u32) -> String {
    let digits = files.saturating_sub(1).max(1).ilog10() as usize + 1;
    format!("shard.{file:0width$}.parquet", width = digits.max(5))
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    #[test]
    fn columns_come_as_they_were_told() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Float32, true)));
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("embedding", list, true),
        ]));
        let told = serde_json::to_vec(&Columns::of(&schema).unwrap()).unwrap();
        let heard: Columns = serde_json::from_slice(&told).unwrap();
        assert_eq!(heard.schema().unwrap(), schema);
        for end in 0..heard.0.len().min(64) {
            assert!(Columns(heard.0[..end].to_vec()).schema().is_err(), "{end}");
        }
    }
}
