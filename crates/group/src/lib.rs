//! One copy of a replicated group: the log of its records, the requests it has answered, its checkpoints, and the
//! trait of whatever consumes the log.
//!
//! Driven by one thread of `node`: `stage` requests, `commit` them together (one write, one sync), answer. A record's
//! bytes are made once, here, at the primary; the same bytes are logged, replayed and later shipped.
//!
//! Invariants: sequence numbers are dense from 1; each record names the hash of the one before; nothing is applied
//! before it is durable, and nothing is answered before it is applied; after a failed write or sync nothing more is
//! accepted; a start finds what was acknowledged or says what is lost, and tells the consumer of a checkpoint only once
//! the log is known to go on from there. Deliberately absent: replicas (they will wait between `write_and_sync` and `apply_synced`), clocks, async.

mod checkpoint;
mod consumer;
mod epoch;
mod error;
mod group_copy;
mod multiset_hash;
mod record;
mod replay;
mod request_table;

pub use checkpoint::CheckpointHeader;
pub use consumer::Consumer;
pub use error::GroupError;
pub use group_copy::{GroupCopy, GroupOptions, Position, Recovery, Staged, Ticket};
pub use multiset_hash::MultisetHash;
pub use record::{OP_BYTES_MAX, RECORD_HEADER_BYTES, Record};
