//! One copy of a replicated group: the log of its records, the requests it has answered, its checkpoints; the protocol
//! between the copies of a group; and the trait of whatever consumes the log.
//!
//! - `group_copy`: one copy. A primary stages requests and logs them with one write and one sync; a follower takes the
//!   same bytes from it; both apply what is committed;
//! - `replication`: who may acknowledge what, as pure decisions about positions (docs/decisions/0013);
//! - `replica`: a copy driven by those decisions, which leaves only sends, proposals and waiting to `node`;
//! - `consumer`: what stands behind the log.
//!
//! Invariants: sequence numbers are dense from 1; a record's bytes are made once, by the primary, and each names the hash
//! of the one before; nothing is applied before it is durable here and committed, and nothing is answered before it is
//! applied; what is applied is never taken back; after a failed write or sync nothing more is accepted; a start finds
//! what was acknowledged or says what is lost, and tells the consumer of a checkpoint only once the log is known to go
//! on from there. Deliberately absent: clocks (time is an argument), sockets, async, and where the group's view comes
//! from.

mod checkpoint;
mod consumer;
mod epoch_table;
mod error;
mod group_copy;
mod log;
mod log_check;
mod multiset_hash;
mod position;
mod promise;
mod record;
mod replica;
pub mod replication;

mod request_table;
mod shipment;
mod snapshot;
mod survey;
mod tail;

pub use checkpoint::CheckpointHeader;
pub use consumer::Consumer;
pub use epoch_table::EpochTable;
pub use error::GroupError;
pub use group_copy::{Accepted, GroupCopy, GroupOptions, Outcomes, Recovery, Staged};
pub use log_check::{LogCheck, check_checkpoints};
pub use multiset_hash::MultisetHash;
pub use position::Position;
pub use record::{OP_BYTES_MAX, RECORD_HEADER_BYTES, Record};

pub use replica::{Output, Replica, StageError};
pub use shipment::Shipment;
pub use snapshot::Snapshot;
