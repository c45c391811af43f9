//! The words every other crate shares: ids, epochs, sequence numbers, metrics, index modes, field values,
//! selections of rows and the closed list of error codes.
//!
//! Invariants: no I/O, no clocks, no async; nothing here depends on another crate of the workspace. Every number
//! that reaches a disk or a wire has an explicit width and little-endian bytes. Deliberately absent: request and
//! reply shapes (`wire`), record bytes (`group`).

mod element;
mod error_code;
mod fields;
mod id;
mod index_mode;
mod metric;
mod record_id;
mod selection;
mod text_id;

pub use element::ElementType;
pub use error_code::ErrorCode;
pub use fields::{
    ArrayRef, DEPTH_MAX, FieldsBuilder, FieldsError, FieldsRef, FieldsWriter, Kind, ValueRef, write_str,
    write_value,
};
pub use id::{
    ClusterId, CollectionId, GroupId, NodeId, PrimaryEpoch, RecordHash, RequestId, SchemaVersion, SegmentId,
    SequenceNumber, StoreId,
};
pub use index_mode::{BuildParameters, IndexFamily, IndexMode, IndexModeError, Quantizer};
pub use metric::Metric;
pub use record_id::{RecordId, RecordIdRef};
pub use selection::Selection;
pub use text_id::{ColumnId, DatasetId, IterationId, KeyId, ShardFileId, ShardsetId, TextIdError};
