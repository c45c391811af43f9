//! Samples by place: from chunks of files to the columns of one batch, joined and filtered.
//!
//! 1. `plan` says which samples, `node` where they are: a [`Place`] for each, in the batch's order.
//! 2. [`Chunks::read`] gets every chunk that is needed once, from the cache or a file; a chunk that fails costs the
//!    samples in it, not the batch.
//! 3. For each joined shardset the uid index gives a place or none; [`inner_join`] says which samples stay.
//! 4. [`JoinPlan::gather`] picks the rows: one record batch, main columns first.
//! 5. [`filter_min_max`] is the built-in filter, over a column of it.
//!
//! Invariants: chunks are only read, a batch is always new arrays (or slices); values of string and binary views are
//! referred to, never copied, and what such a batch refers to stays alive with it. Deliberately absent: reading
//! (`format`), the order (`plan`), looking up uids (`uid_index`), user code (`python`).

mod chunks;
mod join;
mod min_max;
mod null;
mod pick;

pub use chunks::{Chunks, Place};
pub use join::{JoinPlan, JoinedColumns, PartRows, Split, inner_join};
pub use min_max::{MinMax, filter_min_max};
pub use null::{NULL_KEY, NullAs};

use arrow::datatypes::DataType;
use lavandin_types::ErrorCode;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    #[error("row {row} of chunk {chunk} of file {file} is wanted, which has {rows}")]
    NoRow { file: u32, chunk: u32, row: u32, rows: usize },
    #[error("chunk {chunk} of file {file} was not read")]
    NotRead { file: u32, chunk: u32 },
    #[error("column {column} is {found} in one file and {wanted} in another")]
    Type { column: String, wanted: DataType, found: DataType },
    #[error("{places} places in a part of a batch of {samples} samples")]
    Count { places: usize, samples: usize },
    #[error("column {column} cannot be gathered: {reason}")]
    Gather { column: String, reason: String },
}

impl RowsError {
    pub fn code(&self) -> ErrorCode {
        match self {
            // The file is not what it was when it was indexed.
            Self::NoRow { .. } | Self::Type { .. } => ErrorCode::DataCorrupt,
            Self::NotRead { .. } | Self::Count { .. } => ErrorCode::Internal,
            Self::Gather { .. } => ErrorCode::InvalidArgument,
        }
    }
}
