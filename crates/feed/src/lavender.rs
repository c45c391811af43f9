//! The binary sample layout of the Lavender client: columns to bytes and, for tests and clients, back.
//!
//! A batch is a list of keys and an item for each (docs/formats/lavender-batch.md has the layout and what each Arrow
//! type becomes). A column is the list of its cells; in a *single* sample (batch size 0) it is its only cell. Two keys
//! of the server's own come last: the samples' indices and the batch's number.
//!
//! Invariants: Arrow data is only read; blobs larger than 4 KB are not copied; decoders never trust a length. Driven by
//! `node`. Deliberately absent: user code (its items arrive encoded), HTTP, the choice of columns (`rows`).

pub(crate) mod blobs;
mod cells;
mod decode;
mod json;
mod nested;
mod preview;
pub(crate) mod segments;
mod sniff;
mod text;
pub(crate) mod time;

pub use decode::{DecodeError, NdArray, Sample, Value, decode, decode_item};
pub use preview::{PreviewFiles, preview_row};
pub use sniff::{Magic, sniff};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Field;
use bytes::Bytes;
use cells::{Style, column_cells};
use lavandin_types::ErrorCode;
use segments::{SegmentWriter, TooLong};
use text::{NonFinite, write_int, write_string};

/// Key of the indices of a batch's samples.
pub const INDICES_KEY: &str = "_lavender_data_indices";
/// Key of a batch's number.
pub const CURRENT_KEY: &str = "_lavender_data_current";

/// How lists are written. The client reads equal Python values from both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListForm {
    /// An item for each element, to the byte what the original server sends.
    #[default]
    Items,
    /// One JSON text for a column, list or dictionary without bytes in it: smaller, and the client, which reads items
    /// one by one in Python but JSON in C, is many times faster.
    Json,
}

/// The shape of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// One sample, each column its only row's cell (batch size 0).
    pub single: bool,
    pub lists: ListForm,
}

/// One key's value.
pub enum Source<'a> {
    /// A column of the batch. Its field says what nulls become ([`NullAs`]) and whether cells are JSON ([`CELLS`]).
    Column { field: &'a Field, array: &'a dyn Array },
    /// An item that user code's process has encoded.
    Encoded(Bytes),
}

/// What the server adds to a batch.
#[derive(Clone, Copy, Debug)]
pub struct Tail<'a> {
    /// The samples' global indices.
    pub indices: &'a [u64],
    /// The batch's number, from 0 for each rank.
    pub current: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("column {key} has {rows} rows in a batch of one sample")]
    NotSingle { key: String, rows: usize },
    #[error("the value of {key} is longer than 4 GiB, the layout's limit")]
    TooLong { key: String },
    #[error("the type of column {key} is nested more than 64 deep")]
    TooDeep { key: String },
    #[error("the item that user code returned for {key} has no known tag")]
    BadItem { key: String },
}

impl EncodeError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotSingle { .. } | Self::BadItem { .. } => ErrorCode::Internal,
            Self::TooLong { .. } => ErrorCode::PayloadTooLarge,
            Self::TooDeep { .. } => ErrorCode::InvalidArgument,
        }
    }
}

/// Encodes all columns of `batch`.
pub fn encode_batch(batch: &RecordBatch, tail: Tail<'_>, layout: Layout) -> Result<Vec<Bytes>, EncodeError> {
    let schema = batch.schema_ref();
    let sources: Vec<_> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, array)| (field.name().as_str(), Source::Column { field, array }))
        .collect();
    encode(&sources, tail, layout)
}

/// Encodes the keys in their order, then the tail. The segments are to be sent one after another.
pub fn encode(
    sources: &[(&str, Source<'_>)],
    tail: Tail<'_>,
    layout: Layout,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut out = SegmentWriter::with_capacity(estimate(sources));
    write_keys(sources, &mut out).map_err(|_| EncodeError::TooLong { key: "the list of keys".to_owned() })?;
    out.put(b"sa");
    for (key, source) in sources {
        let too_long = |_| EncodeError::TooLong { key: (*key).to_owned() };
        match source {
            Source::Column { field, array } => write_column(key, (field, *array), layout, &mut out)?,
            Source::Encoded(item) => {
                if !decode::has_known_tag(item) {
                    return Err(EncodeError::BadItem { key: (*key).to_owned() });
                }
                let mark = out.begin();
                out.put_shared(item.clone());
                out.end(mark).map_err(too_long)?;
            }
        }
    }
    write_tail(tail, &mut out).map_err(|_| EncodeError::TooLong { key: INDICES_KEY.to_owned() })?;
    Ok(out.finish())
}

fn write_keys(sources: &[(&str, Source<'_>)], out: &mut SegmentWriter) -> Result<(), TooLong> {
    let mark = out.begin();
    let keys = out.small();
    keys.push(b'[');
    for (key, _) in sources {
        write_string(key.as_bytes(), keys);
        keys.push(b',');
    }
    write_string(INDICES_KEY.as_bytes(), keys);
    keys.push(b',');
    write_string(CURRENT_KEY.as_bytes(), keys);
    keys.push(b']');
    out.end(mark)
}

fn write_column(
    key: &str,
    (field, array): (&Field, &dyn Array),
    layout: Layout,
    out: &mut SegmentWriter,
) -> Result<(), EncodeError> {
    let json_lists = layout.lists == ListForm::Json;
    let style = Style { json_lists, non_finite: NonFinite::Words, depth: 0 };
    let cells =
        column_cells(field, array, style).map_err(|_| EncodeError::TooDeep { key: key.to_owned() })?;
    let rows = array.len();
    let too_long = |_| EncodeError::TooLong { key: key.to_owned() };
    let mark = out.begin();
    if layout.single {
        if rows != 1 {
            return Err(EncodeError::NotSingle { key: key.to_owned(), rows });
        }
        cells.item(0, out).map_err(too_long)?;
    } else if json_lists && cells.is_json() {
        out.put(b"js");
        nested::json_list(cells.as_ref(), 0..rows, out.small());
    } else {
        out.put(b"ls");
        cells.items(0..rows, out).map_err(too_long)?;
    }
    out.end(mark).map_err(too_long)
}

/// The tail always has the original's form: the indices as a list of items, also for a single sample.
fn write_tail(tail: Tail<'_>, out: &mut SegmentWriter) -> Result<(), TooLong> {
    let mark = out.begin();
    out.put(b"ls");
    for index in tail.indices {
        write_number(*index, out)?;
    }
    out.end(mark)?;
    write_number(tail.current, out)
}

fn write_number(value: u64, out: &mut SegmentWriter) -> Result<(), TooLong> {
    let mark = out.begin();
    out.put(b"js");
    write_int(value, out.small());
    out.end(mark)
}

/// Bytes that the small parts will take, roughly: too little costs a copy when the buffer grows.
fn estimate(sources: &[(&str, Source<'_>)]) -> usize {
    let column = |array: &dyn Array| match blobs::Blobs::of(array) {
        Some(blobs) => (0..array.len()).map(|row| 16 + blobs.len(row).min(segments::COPY_MAX)).sum(),
        None => array.len() * 24,
    };
    let values = sources.iter().map(|(key, source)| match source {
        Source::Column { array, .. } => key.len() + 16 + column(*array),
        Source::Encoded(_) => key.len() + 16,
    });
    let total: usize = values.sum();
    total + 128
}

#[cfg(test)]
mod tests;
