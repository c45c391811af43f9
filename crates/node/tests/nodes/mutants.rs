//! Deliberate mistakes of whole nodes, each of which some seed must show.
//!
//! `cargo test --release -p lavandin-node --test nodes --features mutations`. The pure simulation finds eighteen
//! (`crates/sim`); here a few show that the checks see through whole nodes.

use crate::run::run;
use crate::{network, number, runtime};
use lavandin_group::replication::Mutation;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

const SEEDS_MAX: u64 = 100;
const AT_ONCE: u64 = 10;

/// Mistakes that a usual cluster shows within minutes. Others need a moment that is rare where disks are as fast as here.
const CAUGHT: [Mutation; 3] =
    [Mutation::DropTailOnPromotion, Mutation::RequestsNotReplicated, Mutation::NoBarrier];

/// A seed that shows the mistake, and what it shows.
async fn caught(mutation: Mutation) -> Option<(u64, String)> {
    let next = Arc::new(AtomicU64::new(number("LAVANDIN_NODE_FROM").unwrap_or(0)));
    let last = next.load(Ordering::Relaxed) + SEEDS_MAX;
    let found: Arc<Mutex<Option<(u64, String)>>> = Arc::default();
    let mut lanes = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (next, found) = (Arc::clone(&next), Arc::clone(&found));
        lanes.spawn(async move {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= last || network::lock(&found).is_some() {
                    return;
                }
                if let Err(failure) = run(seed, |member| member.with_mutation(Some(mutation))).await {
                    let first = failure.violations.first().cloned().unwrap_or_default();
                    *network::lock(&found) = Some((seed, first));
                }
            }
        });
    }
    while lanes.join_next().await.is_some() {}
    network::lock(&found).clone()
}

#[test]
fn mistakes_are_found() {
    let mut missed = Vec::new();
    for mutation in CAUGHT {
        match runtime().block_on(caught(mutation)) {
            Some((seed, violation)) => println!("{mutation:?}: seed {seed}: {violation}"),
            None => missed.push(mutation),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
