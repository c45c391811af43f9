//! The replication protocol of a shard group as a model that is checked exhaustively within bounds.
//!
//! What it is for: the protocol's claims (an acknowledged write is on every in-sync copy, no two writes share a place,
//! a read under a lease is fresh) are checked here for *every* order of messages, losses, suspicions, kills and lost
//! disks that fits the bounds, apart from the code that implements them. Each rule of the protocol can be left out
//! ([`Mistake`]), and the checker then shows the shortest sequence that breaks a claim: that is why the rule exists.
//!
//! | Module | What |
//! |---|---|
//! | `log` | entries and logs of a few bytes |
//! | `state` | the whole system as one flat value |
//! | `config` | bounds, and rules that may be left out |
//! | `action` | the names of steps, for traces |
//! | `step` | which steps a state allows, and what they do: one file each for metadata, primaries, copies, faults |
//! | `invariant` | what must hold in a state and across a step |
//! | `checker` | the breadth-first search over all states |
//!
//! How it stays small without leaving behaviour out:
//!
//! - Messages are never removed, only forgotten once no receiver could accept them. A message that is delivered late,
//!   twice, out of order or never is then the same message. What a primary sends is any record of its log at any
//!   time to anybody whom it ever addressed in its epoch, so there are no cursors and no nacks: an answer with a fork point only
//!   moves the cursor, and every position is tried here anyway. What is checked is the copy's rule of acceptance.
//! - There are no clocks. Whoever may be suspected is suspected at any time. A lease may be valid as long as the
//!   metadata is in the holder's epoch, and is over when another epoch begins: that is what the waiting time buys.
//! - The promises about acknowledged writes are checked for every write that any primary ever counted as committed,
//!   whether it still had a lease to answer with or not: safety of writes must not rest on clocks.
//! - Metadata is one atomic register. Commands of the metadata leader itself happen at any time. A primary's
//!   `ShrinkGroup` changes nothing at the primary until it is learnt, so it is a command that happens at any time too;
//!   only `GrowGroup` has to be a message.
//!
//! Absent on purpose: liveness, clocks' rates, snapshots, follower reads, several groups, an old disk image that is
//! put back. docs/reliability.md has the bounds that were searched, and says what they mean.

mod action;
mod checker;
mod config;
mod invariant;
mod log;
mod state;
mod step;

pub use action::Action;
pub use checker::{Counterexample, Report, check};
pub use config::{Config, Mistake};
pub use invariant::Invariant;
pub use state::State;
