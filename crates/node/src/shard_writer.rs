//! Writing a shard file of plain columns, for callers without Arrow. The quickstart makes its sample's files with it.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use lavandin_feed::parquet_writer::{ParquetWriteError, ParquetWriter};
use std::path::Path;
use std::sync::Arc;

/// The values of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlainColumn {
    Texts(Vec<String>),
    Integers(Vec<i64>),
}

impl PlainColumn {
    fn array(self) -> ArrayRef {
        match self {
            Self::Texts(texts) => Arc::new(StringArray::from(texts)),
            Self::Integers(numbers) => Arc::new(Int64Array::from(numbers)),
        }
    }
}

/// Writes columns of one length as a parquet file, over one that is there. Blocks; the file is not synced.
pub fn write_parquet(path: &Path, columns: Vec<(&str, PlainColumn)>) -> Result<(), ParquetWriteError> {
    let columns = columns.into_iter().map(|(name, column)| (name, column.array()));
    let rows = RecordBatch::try_from_iter(columns).map_err(|error| ParquetWriteError::Failed {
        file: path.display().to_string(),
        detail: error.to_string(),
    })?;
    let mut writer = ParquetWriter::create(path)?;
    writer.write(&rows)?;
    writer.finish().map(drop)
}
