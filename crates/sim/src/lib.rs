//! A deterministic simulation of the cluster's cores: real copies of groups (`group`) on simulated disks, the real
//! catalogue and supervisor (`cluster`), and between them a network, clocks and machines that fail as a seed says.
//!
//! - `plan`: what a seed stands for: the shape of the cluster, its options, its faults;
//! - `world`: the events in their order; one thread, virtual milliseconds;
//! - `host`: a machine: disks that survive, a process that may not;
//! - `metadata`: the catalogue behind a service that delays, forgets to answer and changes its leader;
//! - `network`: delay, loss, duplication, order, cuts;
//! - `oracle`: what must be true of every run (I1-I6, I8, I11-I13, I16 of docs/decisions/0014);
//! - `group_state`: what the logs drive: `ledger`, made to show what went wrong, and the real iterations (`plan`).
//!
//! Equal plans run equally, to the last event: `run` of the seed that a failure names shows it again, with a trace.
//! Deliberately absent: threads, sockets and Raft (whole nodes are simulated elsewhere), wall-clock time.

mod group_state;
mod host;
mod ledger;
mod metadata;
mod network;
mod oracle;
mod plan;
mod random;
mod world;

pub use oracle::Violation;
#[cfg(feature = "mutations")]
pub use plan::Mutant;
pub use plan::{Plan, Shape};
pub use world::{Failure, Report, run};
