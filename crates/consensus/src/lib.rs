//! The replicated metadata: `cluster`'s catalogue behind a Raft log. The only crate that names openraft and redb.
//!
//! A command that [`Metadata::propose`] answered is on disk (two synced phases) and applied; readers take the
//! catalogue as an immutable value and never wait. A node alone is a cluster with one voter: the same code, which
//! elects itself in milliseconds because nobody else could object.
//!
//! - `metadata`: the handle that the rest of the program sees;
//! - `state_machine`: applies entries to the catalogue, publishes it, makes snapshots;
//! - `log_store`: openraft's log storage over `store`;
//! - `store`: votes, entries and snapshots in one redb file; `row`: their bytes (docs/formats/metadata.md);
//! - `network`: refuses, while there is one voter.
//!
//! Invariants: nothing of openraft or redb appears in the public API, nor in the stored bytes; every stored row
//! carries a checksum; a failed write stops the store for good, it must be opened again.
//!
//! `node` drives it, on a runtime where no long work delays it. Deliberately absent: decisions (they are in
//! `cluster`), records of collections, and talking to other voters.

mod error;
mod log_store;
mod metadata;
mod network;
mod raft_types;
mod row;
mod state_machine;
mod store;

pub use error::MetadataError;
pub use metadata::{Metadata, MetadataOptions, MetadataStatus};

/// The log filter directive that keeps the consensus library to itself: what it calls information is of use only to
/// who debugs it. The binary puts it before the user's own directives.
pub const LOG_DIRECTIVE: &str = "openraft=error";
