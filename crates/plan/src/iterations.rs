//! Iterations: who was handed which samples of a dataset, and what became of them. A consumer of a group's log.
//!
//! The order of an iteration is cut into blocks (`order`). A *replication group* (ranks that receive identical streams; a
//! rank alone where there are none) takes the next block as a whole when it runs out; its ranks walk the group's blocks
//! in order and skip what they have taken. A *grant* gives a rank the samples of one batch. So no cursor is stored, and
//! pushing back means forgetting that something was taken: it is found again at its old place.
//!
//! Where shares are fixed (static mode) each group has blocks of its own from the beginning (`lane_blocks`).
//!
//! A sample is *remaining*; or *in progress*: taken by a rank, not settled; or *settled*: completed, filtered or failed.
//! Ranks of one group take the same sample each for itself; the first of them to settle it settles it for all.
//!
//! Invariants
//! - completed + filtered + failed + in progress + remaining = samples of the dataset, at every moment.
//! - A sample is never granted twice to a rank unless it was returned or pushed back in between, which only happens to
//!   samples in progress: one that is settled stays with its rank.
//! - State is a function of the operations alone: replay gives equal checkpoint bytes. Times come with requests.
//! - Operations name samples by *place* (block and offset in it). Which sample that is says the order, whose kinds are
//!   frozen for that reason.
//!
//! Driven by `node`, which composes this consumer with others behind one log: one thread calls `prepare`, `apply`,
//! `discard_pending`; any number read through an [`IterationsReader`]. Deliberately absent: reading samples, filtering,
//! batches (all of that is a session's, which walks, decides and asks for a grant), clocks, expiry.

mod batches;
mod block_cache;
mod bytes;
mod checkpoint;
mod definition;
mod entry;
mod error;
mod grant;
mod join;
mod lane_blocks;
mod limits;
mod machine;
mod op;
mod outline;
mod owner;
mod pending;
mod places;
mod prepare;
mod progress;
mod question;
mod rank;
mod reader;
mod request;
mod sets;
mod state;
mod walk;

pub use definition::{Definition, ShardsetVersion};
pub use error::{Contested, Rejection};
pub use lane_blocks::FixedShares;
pub use limits::IterationLimits;
pub use machine::{Iterations, OpenGrant};
pub use outline::{IterationInfo, Outline};
pub use owner::Owner;
pub use places::{Place, Places};
pub use progress::{IN_PROGRESS_LISTED_MAX, InProgress, Progress};
pub use question::{Question, Reply};
pub use rank::Taken;
pub use reader::{IterationsReader, RankStatus};
pub use request::{Create, Grant, Join, Outcome, Request};
pub use walk::{Found, Look, Sample, Step, Walk};

#[cfg(test)]
mod tests;
