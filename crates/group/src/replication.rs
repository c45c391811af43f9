//! Primary-backup replication of a group's log (docs/decisions/0013): who may acknowledge what, as decisions about
//! positions. No record's bytes, no sockets, no clock: time is an argument, in milliseconds of one node's monotonic clock.
//!
//! - `view`: what the metadata says of the group: primary, in-sync set, joiner, at which epoch and version;
//! - `replicator`: one copy's role by its view, and everything that it is told;
//! - `primary`: the acknowledgement rule, who is waited for, whose removal and admission is proposed;
//! - `peer`: what the primary knows of one other copy, and what is on its way there;
//! - `follower`: whom a follower obeys and what it answers;
//! - `message`: what copies say to each other, and its bytes (docs/formats/replication.md);
//! - `options`: timings and bounds.
//!
//! Invariants: a write is acknowledged only when every copy that could be promoted has it on its disk; a copy obeys one
//! epoch at a time and never an earlier one again; what the primary learns from an acknowledgement of another epoch or
//! another incarnation is nothing.

mod follower;
mod message;
mod options;
mod peer;
mod primary;
mod replicator;
mod view;

pub use message::{Append, Content, Heartbeat, Message, Status};
#[cfg(any(test, feature = "mutations"))]
pub use options::Mutation;
pub use options::ReplicationOptions;
pub(crate) use options::mutated;
pub use primary::{Proposal, Refusal};
pub use replicator::{Action, LogState, Replicator};
pub use view::{Revision, View};
