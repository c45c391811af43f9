//! The search: breadth first over all states, so that the first sequence found that breaks a promise is a shortest one.
//!
//! 1. The frontier (every state at one depth) is kept in chunks; each thread takes one, and frees it when it is done.
//! 2. It makes the successors, checks the promises, and enters the successor's fingerprint with its parent's in a table
//!    of [`SHARDS`] locked parts. New ones make the next frontier.
//! 3. The search ends when a frontier is empty (every state was seen), or at the first depth with a broken promise.
//! 4. The trace is walked back through the parents' fingerprints and then forward again by the steps that lead there.
//!
//! Fingerprints have 64 bits: among 50 million states the chance that any two collide, and a state is missed, is below
//! 1 in 10,000. Memory is 20 to 40 bytes for a state that was seen, and 217 more for one of the frontier.

use crate::action::Action;
use crate::config::Config;
use crate::invariant::{self, Invariant};
use crate::state::State;
use crate::step::successors;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;

const SHARDS: usize = 256;
/// States that a thread takes from the frontier at a time.
const CHUNK: usize = 1024;

/// What a search found.
pub struct Report {
    /// Different states.
    pub states: usize,
    /// Steps to the farthest state.
    pub depth: usize,
    /// False if it stopped at the limit on states, or at a counterexample.
    pub exhaustive: bool,
    /// How often each kind of step was taken, by [`Action::kind`].
    pub taken: [u64; Action::KINDS],
    pub counterexample: Option<Counterexample>,
}

/// A shortest sequence of steps that breaks a promise.
pub struct Counterexample {
    pub invariant: Invariant,
    pub steps: Vec<Action>,
    /// Where it ends.
    pub state: State,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is broken after {} steps:", self.invariant, self.steps.len())?;
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}. {step}", index + 1)?;
        }
        write!(f, "{}", self.state)
    }
}

/// Searches every state that the configuration allows, on `threads` threads, or stops after the depth at which there
/// are more than `states_max`.
pub fn check(config: &Config, threads: usize, states_max: usize) -> Report {
    config.assert_fits();
    let initial = State::initial(config);
    let search = Search { config, seen: (0..SHARDS).map(|_| Mutex::default()).collect() };
    search.enter(initial.fingerprint(), 0);
    let mut report =
        Report { states: 1, depth: 0, exhaustive: false, taken: [0; Action::KINDS], counterexample: None };
    let mut frontier = vec![vec![initial]];
    while report.states <= states_max {
        let level = search.expand(frontier, threads);
        for (sum, taken) in report.taken.iter_mut().zip(level.taken) {
            *sum += taken;
        }
        report.states += level.found.iter().map(Vec::len).sum::<usize>();
        if let Some((invariant, last)) = level.broken {
            report.depth += 1;
            report.counterexample = Some(search.trace(initial, last, invariant));
            return report;
        }
        if level.found.is_empty() {
            report.exhaustive = true;
            return report;
        }
        report.depth += 1;
        frontier = level.found;
    }
    report
}

/// What one thread, or all of them, found at one depth.
#[derive(Default)]
struct Level {
    /// In chunks of at most [`CHUNK`].
    found: Vec<Vec<State>>,
    taken: [u64; Action::KINDS],
    broken: Option<(Invariant, State)>,
}

impl Level {
    fn add(&mut self, state: State) {
        match self.found.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(state),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(state);
                self.found.push(chunk);
            }
        }
    }

    fn merge(&mut self, mut other: Self) {
        self.found.append(&mut other.found);
        for (sum, taken) in self.taken.iter_mut().zip(other.taken) {
            *sum += taken;
        }
        self.broken = self.broken.take().or(other.broken);
    }
}

/// States by fingerprint, each with its parent's.
type Seen = HashMap<u64, u64, BuildHasherDefault<AlreadyHashed>>;

struct Search<'a> {
    config: &'a Config,
    seen: Vec<Mutex<Seen>>,
}

impl Search<'_> {
    fn shard(&self, fingerprint: u64) -> &Mutex<Seen> {
        // Not the lowest and highest bits: the tables use those.
        &self.seen[(fingerprint >> 32) as usize % SHARDS]
    }

    /// Whether the state is new.
    fn enter(&self, fingerprint: u64, parent: u64) -> bool {
        let mut seen = self.shard(fingerprint).lock().expect("no thread panics with the lock");
        match seen.entry(fingerprint) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(parent);
                true
            }
        }
    }

    fn expand(&self, frontier: Vec<Vec<State>>, threads: usize) -> Level {
        let frontier = Mutex::new(frontier);
        let mut level = Level::default();
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| self.expand_chunks(&frontier))).collect();
            for worker in workers {
                level.merge(worker.join().expect("a step of the model does not panic"));
            }
        });
        level
    }

    fn expand_chunks(&self, frontier: &Mutex<Vec<Vec<State>>>) -> Level {
        let mut level = Level::default();
        let mut steps = Vec::new();
        loop {
            let chunk = frontier.lock().expect("no thread panics with the lock").pop();
            let Some(chunk) = chunk else { return level };
            for state in &chunk {
                successors(self.config, state, &mut steps);
                self.enter_successors(state, &steps, &mut level);
            }
        }
    }

    fn enter_successors(&self, state: &State, steps: &[(Action, State)], level: &mut Level) {
        let parent = state.fingerprint();
        for (action, after) in steps {
            level.taken[action.kind()] += 1;
            let new = self.enter(after.fingerprint(), parent);
            // A promise about a step is checked on each step, also into a state that was seen before.
            if level.broken.is_none()
                && let Some(invariant) = invariant::violation(self.config, state, *action, after)
            {
                level.broken = Some((invariant, *after));
            }
            if new {
                level.add(*after);
            }
        }
    }

    /// The steps from the beginning to a state that was entered.
    fn trace(&self, initial: State, last: State, invariant: Invariant) -> Counterexample {
        let mut path = vec![last.fingerprint()];
        while let Some(&fingerprint) =
            path.last().filter(|fingerprint| **fingerprint != initial.fingerprint())
        {
            let seen = self.shard(fingerprint).lock().expect("no thread panics with the lock");
            path.push(seen[&fingerprint]);
        }
        let mut state = initial;
        let mut steps = Vec::new();
        let mut found = Vec::new();
        for fingerprint in path.into_iter().rev().skip(1) {
            successors(self.config, &state, &mut found);
            let step = found.iter().find(|(_, after)| after.fingerprint() == fingerprint);
            let (action, after) = step.expect("a parent leads to its child");
            steps.push(*action);
            state = *after;
        }
        Counterexample { invariant, steps, state }
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are hashed");
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}
