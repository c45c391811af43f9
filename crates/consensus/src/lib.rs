//! The replicated metadata: `cluster`'s catalogue behind a Raft log. The only crate that names openraft and redb.
//!
//! A command that [`Metadata::propose`] answered is on the disks of most voters (two synced phases on each) and applied
//! here; readers take the catalogue as an immutable value and never wait. Every node of a cluster is a member: a voter,
//! or a learner that only follows. A node alone is a cluster with one voter: the same code, which elects itself in
//! milliseconds because nobody else could object.
//!
//! - `metadata`: the handle that the rest of the program sees: founding, proposing and reading through any member,
//!   changes of members, what a peer may ask;
//! - `status`: how it stands; `transport`: what carries messages; `message`: their bytes (docs/formats/metadata-peers.md);
//! - `network`: the consensus library's calls, over the transport;
//! - `state_machine`: applies entries to the catalogue, publishes it, makes snapshots;
//! - `log_store`: openraft's log storage over `store`, with a queue of writes;
//! - `store`: votes, entries and snapshots in one redb file; `row`: their bytes (docs/formats/metadata.md);
//! - `directory`: the identity of that file, without which a voter may not return.
//!
//! Invariants: nothing of openraft or redb appears in the public API, nor in the stored and sent bytes; every stored row
//! and every message carries a checksum; a failed write stops the store for good, it must be opened again; no message,
//! however damaged, makes a member panic, and none that is meant for another directory is obeyed.
//!
//! `node` drives it, on a runtime where no long work delays it. Deliberately absent: decisions (they are in
//! `cluster`), records of collections, sockets and keys, and who should vote.

mod directory;
mod error;
mod log_store;
mod message;
mod metadata;
mod network;
mod raft_types;
mod row;
mod state_machine;
mod status;
mod store;
mod transport;

pub use directory::DirectoryId;
pub use error::MetadataError;
pub use metadata::{Leadership, Metadata, MetadataOptions, OPENING_THREAD, Start};
pub use status::{MetadataStatus, PeerStatus};
pub use transport::{MESSAGE_BYTES_MAX, Transport, TransportError};
