//! From shard files to batches: where files are, how they are read, joined, put through user code and encoded.
//!
//! Driven by `node`, which asks `plan` for the order: nothing here decides which sample comes next. Data stays
//! columnar from the file to the client. Invariants: cached data is never changed; blobs are never concatenated;
//! every buffer has a bound; a failing file or sample is an error that names it. tokio only in `location`.
//! Deliberately absent: iteration state, HTTP endpoints.

pub mod cache;
pub mod format;
pub mod inspect;
pub mod ipc;
pub mod lavender;
pub mod location;
pub mod manifest;
pub mod parquet_writer;
pub mod python;
pub mod rows;
pub mod statistics;
pub mod uid_index;
