//! Batches as an Arrow IPC stream: a schema, then any number of record batches, then the end.
//!
//! 1. [`StreamFormat`] is made once from the columns of an iteration: it knows the schema that is sent and its message.
//! 2. [`StreamFormat::batch`] makes one message of a batch, as segments: numbers and small values in one buffer, blobs
//!    larger than 4 KB as references to where they lie, so that they are never copied. A reader sees one data buffer a
//!    column, as compact as if it had been copied (`body`).
//! 3. The samples' indices are the last column, `_lavandin_index`; the batch's number is the message's metadata
//!    `lavandin.current`, since a response may hold several batches. Readers who need neither lose nothing.
//!
//! Dictionaries, runs and list views are sent as the values they stand for: a stream needs no dictionary messages, and
//! every reader understands it. Text and bytes go as views or, for readers that lack them, with offsets.
//! Driven by `node`. Deliberately absent: reading (Arrow's own reader does), compression, HTTP.

mod body;
mod message;
mod shape;

use crate::lavender::Tail;
use crate::lavender::segments::TooLong;
use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use body::Body;
use bytes::Bytes;
use lavandin_types::ErrorCode;
use std::sync::Arc;

/// The column of the samples' global indices, the last of every batch.
pub const INDEX_COLUMN: &str = "_lavandin_index";
/// Key of the batch's number in its message's metadata.
pub const CURRENT_KEY: &str = "lavandin.current";
/// What ends a stream.
pub const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// The media type of a stream.
pub const CONTENT_TYPE: &str = "application/vnd.apache.arrow.stream";

/// How text and bytes are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlobForm {
    /// `Utf8` and `LargeBinary`, which every reader knows.
    #[default]
    Offsets,
    /// `Utf8View` and `BinaryView`.
    Views,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpcError {
    #[error("column {column} of type {data_type} cannot be sent as Arrow")]
    Type { column: String, data_type: DataType },
    #[error("column {column} is longer than 2 GiB in one batch")]
    TooLong { column: String },
    #[error("the batch has other columns than the stream")]
    Schema,
    #[error("{indices} indices for {rows} rows")]
    Indices { indices: usize, rows: usize },
}

impl IpcError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Type { .. } => ErrorCode::InvalidArgument,
            Self::TooLong { .. } => ErrorCode::PayloadTooLarge,
            Self::Schema | Self::Indices { .. } => ErrorCode::Internal,
        }
    }
}

/// What all batches of a stream share.
#[derive(Clone, Debug)]
pub struct StreamFormat {
    columns: SchemaRef,
    sent: SchemaRef,
    schema_message: Bytes,
}

impl StreamFormat {
    /// The stream of batches with these columns.
    pub fn new(columns: &SchemaRef, form: BlobForm) -> Result<Self, IpcError> {
        let mut fields = Vec::with_capacity(columns.fields().len() + 1);
        for field in columns.fields() {
            let sent = shape::sent_type(field.data_type(), form, 0).ok_or_else(|| IpcError::Type {
                column: field.name().clone(),
                data_type: field.data_type().clone(),
            })?;
            fields.push(field.as_ref().clone().with_data_type(sent));
        }
        fields.push(Field::new(INDEX_COLUMN, DataType::UInt64, false));
        let sent = Arc::new(Schema::new(fields).with_metadata(columns.metadata().clone()));
        let schema_message = message::schema(&sent);
        Ok(Self { columns: Arc::clone(columns), sent, schema_message })
    }

    /// The columns that a reader gets.
    pub fn schema(&self) -> &SchemaRef {
        &self.sent
    }

    /// The first bytes of every stream.
    pub fn schema_message(&self) -> Bytes {
        self.schema_message.clone()
    }

    /// One batch, to be sent after the schema or another batch. The segments are to be sent one after another.
    pub fn batch(&self, batch: &RecordBatch, tail: Tail<'_>) -> Result<Vec<Bytes>, IpcError> {
        let rows = batch.num_rows();
        if tail.indices.len() != rows {
            return Err(IpcError::Indices { indices: tail.indices.len(), rows });
        }
        let same_types = || {
            let types = |schema: &SchemaRef| {
                schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>()
            };
            types(batch.schema_ref()) == types(&self.columns)
        };
        if !Arc::ptr_eq(batch.schema_ref(), &self.columns) && !same_types() {
            return Err(IpcError::Schema);
        }
        let mut body = Body::default();
        for (field, array) in self.sent.fields().iter().zip(batch.columns()) {
            body.write(array, field.data_type()).map_err(|error| match error {
                body::Refused::TooLong => IpcError::TooLong { column: field.name().clone() },
                body::Refused::Type(data_type) => IpcError::Type { column: field.name().clone(), data_type },
            })?;
        }
        body.write(&UInt64Array::from(tail.indices.to_vec()), &DataType::UInt64)
            .map_err(|_| IpcError::TooLong { column: INDEX_COLUMN.to_owned() })?;
        Ok(message::record_batch(body, rows, tail.current))
    }
}

impl From<TooLong> for body::Refused {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

#[cfg(test)]
mod tests;
