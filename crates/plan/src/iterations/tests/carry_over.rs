//! A session with a categorizer: samples wait in a bucket for each category until a batch of it is full. What waits is
//! granted to nobody, so that a restart, wherever it happens, finds it again by walking, in order.

use super::fixture::{Logged, create, definition, grant_of, iteration_id, places, shuffled};
use crate::iterations::{Create, Grant, Request, Sample, Step, Walk};
use crate::order::Order;
use lavandin_types::IterationId;
use std::collections::BTreeMap;

const BATCH: usize = 4;
const CATEGORIES: u64 = 3;

fn category(sample: &Sample) -> u64 {
    sample.index % CATEGORIES
}

fn is_filtered(sample: &Sample) -> bool {
    sample.index % 10 == 7
}

struct Session {
    walk: Walk,
    number: u64,
    buckets: BTreeMap<u64, Vec<Sample>>,
    filtered: Vec<Sample>,
}

impl Session {
    fn begin(logged: &Logged, iteration: IterationId) -> Self {
        let walk = logged.walk(iteration, 0);
        Self { number: walk.number(), walk, buckets: BTreeMap::new(), filtered: Vec::new() }
    }

    /// The next batch, granted; at the end what is left of each bucket.
    fn next(&mut self, logged: &mut Logged, iteration: IterationId) -> Option<Vec<u64>> {
        loop {
            let full = self.buckets.iter().find(|(_, bucket)| bucket.len() == BATCH).map(|(name, _)| *name);
            if let Some(name) = full {
                return Some(self.grant(logged, iteration, name));
            }
            match logged.step(&mut self.walk) {
                Step::Sample(sample) if is_filtered(&sample) => self.filtered.push(sample),
                Step::Sample(sample) => self.buckets.entry(category(&sample)).or_default().push(sample),
                Step::TakeBlock { group, block } => {
                    logged.run(Request::TakeBlock { iteration, group, block }).expect("the next block");
                }
                Step::End => {
                    let (name, _) = self.buckets.first_key_value()?;
                    return Some(self.grant(logged, iteration, *name));
                }
                Step::Stale => panic!("nothing came back"),
            }
        }
    }

    fn grant(&mut self, logged: &mut Logged, iteration: IterationId, name: u64) -> Vec<u64> {
        let batch = self.buckets.remove(&name).expect("a bucket of that name");
        let filtered = places(&std::mem::take(&mut self.filtered));
        let grant = Grant { number: self.number, filtered, ..grant_of(iteration, 0, &self.walk, &batch) };
        logged.run(Request::Grant(Box::new(grant))).expect("the next grant");
        self.number += 1;
        batch.iter().map(|sample| sample.index).collect()
    }
}

/// All batches of an epoch, with a restart after every few of them.
fn epoch(order: Order, restart_after: usize) -> Vec<Vec<u64>> {
    let mut logged = Logged::new();
    let iteration = iteration_id(1);
    logged.create(Create { definition: definition(order, None), ..create(1, 0, 0) });
    let mut batches = Vec::new();
    let mut session = Session::begin(&logged, iteration);
    while let Some(batch) = session.next(&mut logged, iteration) {
        assert!(batch.iter().all(|index| index % CATEGORIES == batch[0] % CATEGORIES), "{batch:?}");
        logged.count(Request::Complete { iteration, indices: batch.clone() });
        batches.push(batch);
        if batches.len() % restart_after == 0 {
            logged.restart();
            session = Session::begin(&logged, iteration);
        }
    }
    let progress = logged.reader().progress(iteration).expect("it is there");
    assert_eq!((progress.completed, progress.filtered, progress.in_progress), (90, 10, 0));
    assert!(progress.finished);
    logged.check_replay();
    batches
}

#[test]
fn what_a_categorizer_carries_over_is_never_lost() {
    for order in [Order::Sequential, shuffled(1, 2), Order::Global { seed: 3, epoch: 0 }] {
        let undisturbed = epoch(order, usize::MAX);
        let mut all: Vec<u64> = undisturbed.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).filter(|index| index % 10 != 7).collect::<Vec<_>>());
        for restart_after in 1..6 {
            assert_eq!(epoch(order, restart_after), undisturbed, "a restart after each {restart_after}");
        }
    }
}
