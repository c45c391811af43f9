//! Whole nodes in one process, with the metadata's consensus, threads, logs and the protocol between peers, under faults
//! that come from a seed (docs/decisions/0023).
//!
//! The network and the copies' disks are in memory; time is real, and so is the interleaving of threads. A seed fixes
//! the cluster's shape, the faults and what clients ask for, so that a seed that failed may have to be run more than
//! once to fail again.
//!
//! `LAVANDIN_NODE_SEEDS=2000` runs so many, from `LAVANDIN_NODE_FROM` on; `LAVANDIN_NODE_SEED=x` runs one;
//! `LAVANDIN_NODE_AT_ONCE` says how many at a time. It is a binary of its own because it wants the machine for itself.

mod clients;
mod cluster;
mod disk;
#[cfg(not(feature = "mutations"))]
mod full_disk;
mod history;
mod member;
#[cfg(feature = "mutations")]
mod mutants;
mod network;
mod random;
mod run;
mod schedule;
#[cfg(not(feature = "mutations"))]
mod seeds;
mod trainer;

/// What a variable of the environment says.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

fn runtime() -> tokio::runtime::Runtime {
    let builder = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    builder.expect("the system starts threads")
}
