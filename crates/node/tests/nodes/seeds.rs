//! Many seeds, none of which may go wrong.

use crate::network::lock;
use crate::run::{Report, run};
use crate::{number, runtime};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

const SEEDS: u64 = 30;
/// Most of a seed's time is waiting.
const AT_ONCE: u64 = 10;
/// After so many failures the rest is not run.
const FAILURES_MAX: usize = 5;

/// A long run tells now and then how far it is.
const TELL_EVERY: u64 = 100;

/// Panics of any thread: what clients see may hide one.
fn count_panics() -> Arc<Mutex<Vec<String>>> {
    let panics: Arc<Mutex<Vec<String>>> = Arc::default();
    let (kept, before) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        if std::thread::current().name() != Some(lavandin_node::OPENING_THREAD) {
            lock(&kept).push(info.to_string());
        }
    }));
    panics
}

/// Runs the seeds from `first` to `last`, so many at once; what they did, and those that failed.
async fn run_all(first: u64, last: u64, at_once: u64) -> (Report, Vec<u64>) {
    let next = Arc::new(AtomicU64::new(first));
    let outcome: Arc<Mutex<(Report, Vec<u64>)>> = Arc::default();
    let mut lanes = JoinSet::new();
    for _ in 0..at_once.min(last - first) {
        let (next, outcome) = (Arc::clone(&next), Arc::clone(&outcome));
        lanes.spawn(async move {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= last || lock(&outcome).1.len() >= FAILURES_MAX {
                    return;
                }
                let report = run(seed, |member| member).await;
                if (seed + 1 - first).is_multiple_of(TELL_EVERY) {
                    println!("seed {seed} is done");
                }
                let mut outcome = lock(&outcome);
                match report {
                    Ok(report) => outcome.0.add(&report),
                    Err(failure) => {
                        eprintln!("{failure}");
                        outcome.1.push(seed);
                    }
                }
            }
        });
    }
    while lanes.join_next().await.is_some() {}
    lock(&outcome).clone()
}

#[test]
fn no_seed_goes_wrong() {
    let panics = count_panics();
    let one = number("LAVANDIN_NODE_SEED");
    let first = one.or(number("LAVANDIN_NODE_FROM")).unwrap_or(0);
    let seeds = if one.is_some() { 1 } else { number("LAVANDIN_NODE_SEEDS").unwrap_or(SEEDS) };
    let at_once = number("LAVANDIN_NODE_AT_ONCE").unwrap_or(AT_ONCE);
    let (report, failed) = runtime().block_on(run_all(first, first + seeds, at_once));
    println!("{seeds} seeds from {first}: {report:?}; failed: {failed:?}");
    let panics = lock(&panics).clone();
    assert!(failed.is_empty() && panics.is_empty(), "failed: {failed:?}, panics: {panics:?}");
    // What the seeds are to exercise does happen, if not in each of them.
    let exercised = report.acknowledged > seeds * 50
        && report.reads > seeds * 20
        && report.epochs > seeds * 2
        && report.trained > seeds;
    assert!(seeds < SEEDS || exercised, "{report:?}");
}

impl Report {
    fn add(&mut self, one: &Self) {
        self.acknowledged += one.acknowledged;
        self.reads += one.reads;
        self.starts += one.starts;
        self.epochs += one.epochs;
        self.trained += one.trained;
        self.healed = self.healed.max(one.healed);
    }
}
