//! Rebuilding a copy that is too far behind: the newest checkpoint of another copy and the files that it names go over
//! in pieces (docs/formats/snapshots.md).
//!
//! - `source` offers and serves, in sessions that hold the files;
//! - `receiver` fetches what it lacks into a folder of its own (`incoming`), throttled, and resumes what an earlier
//!   attempt left;
//! - `messages` is the bytes of both.
//!
//! Invariants: a file counts only after all of it was read against its checksum and synced, with its folder; the copy's
//! present files are not touched before the snapshot is installed; nothing that another node sends makes this one panic,
//! or write outside of the folder that is made for the snapshot. Deliberately absent: who fetches from whom and when
//! (`group`), sockets (`peer`), and installing (the group's thread).

mod error;
mod incoming;
mod messages;
mod receiver;
mod source;
mod throttle;

pub(crate) use error::SnapshotError;
pub(crate) use incoming::discard_unfinished;
pub(crate) use messages::{Offer, Request};
pub(crate) use receiver::{Fetched, Progress, Receiver, Standing};
pub(crate) use source::SnapshotSource;
pub(crate) use throttle::Throttle;

#[cfg(test)]
mod tests;
