//! Searches that end: no state within the bounds breaks a promise. The counts are asserted, so that a change of the
//! model is a change of this table and of docs/reliability.md.

use crate::{THREADS, is_slow, quiet};
use lavandin_model::{Action, Config, check};
use std::time::Instant;

/// A search that is expected to end with so many states, so many steps from the first.
struct Search {
    name: &'static str,
    config: Config,
    states: usize,
    depth: usize,
}

fn searches() -> Vec<Search> {
    let quiet = quiet();
    let search = |name, states, depth, config| Search { name, config, states, depth };
    vec![
        search(
            "two nodes",
            389_682,
            26,
            Config { nodes: 2, writes: 2, epochs: 4, restarts: 1, changes: 3, ..quiet.clone() },
        ),
        search(
            "kill",
            936_672,
            26,
            Config { writes: 2, epochs: 3, restarts: 1, changes: 2, ..quiet.clone() },
        ),
        search(
            "kill and joiners",
            888_598,
            27,
            Config { writes: 1, epochs: 3, restarts: 1, changes: 3, ..quiet.clone() },
        ),
        search(
            "kill and lost disk",
            505_552,
            24,
            Config { writes: 1, epochs: 3, restarts: 1, replacements: 1, changes: 2, ..quiet.clone() },
        ),
        search("joiners", 74_105, 22, Config { writes: 1, epochs: 2, changes: 4, ..quiet.clone() }),
        search("three copies", 215_141, 20, Config { replicas: 3, writes: 2, epochs: 3, ..quiet.clone() }),
        search(
            "three copies, kill",
            689_909,
            25,
            Config { replicas: 3, writes: 1, epochs: 3, restarts: 1, ..quiet.clone() },
        ),
        search(
            "three copies, shrink and kill",
            422_497,
            21,
            Config { replicas: 3, writes: 1, epochs: 2, restarts: 1, changes: 1, ..quiet.clone() },
        ),
        search(
            "three copies, joiners",
            201_596,
            21,
            Config { replicas: 3, writes: 1, epochs: 2, changes: 2, ..quiet },
        ),
    ]
}

/// Tens of millions of states; behind LAVANDIN_SLOW_TESTS=1.
fn slow_searches() -> Vec<Search> {
    let three = Config { replicas: 3, writes: 1, ..quiet() };
    let search = |name, states, depth, config| Search { name, config, states, depth };
    vec![
        search(
            "three copies, shrink, kill, promotions",
            7_335_621,
            28,
            Config { epochs: 3, restarts: 1, changes: 1, ..three.clone() },
        ),
        search(
            "three copies, kill, joiners",
            4_689_959,
            25,
            Config { epochs: 2, restarts: 1, changes: 3, ..three.clone() },
        ),
        search(
            "three copies, kill and lost disk",
            5_162_054,
            26,
            Config { epochs: 2, restarts: 1, replacements: 1, changes: 2, ..three },
        ),
        search(
            "two copies, everything",
            31_169_985,
            34,
            Config { writes: 2, epochs: 3, restarts: 1, replacements: 1, changes: 3, ..quiet() },
        ),
    ]
}

/// Runs searches one after the other, prints the table of docs/reliability.md, and says which kinds of steps occurred.
fn run(searches: Vec<Search>) -> [u64; Action::KINDS] {
    let mut taken = [0; Action::KINDS];
    for Search { name, config, states, depth } in searches {
        let started = Instant::now();
        let report = check(&config, THREADS, STATES_MAX);
        if let Some(found) = &report.counterexample {
            panic!("{name}: {found}");
        }
        println!("{name}: {} states, depth {}, {:.1?}", report.states, report.depth, started.elapsed());
        assert!(report.exhaustive, "{name}: more than {STATES_MAX} states");
        assert_eq!((report.states, report.depth), (states, depth), "{name}: states and depth");
        for (sum, count) in taken.iter_mut().zip(report.taken) {
            *sum += count;
        }
    }
    taken
}

/// More than any search here has, and less than 4 GB.
const STATES_MAX: usize = 60_000_000;

#[test]
fn no_promise_is_broken_within_the_bounds() {
    let taken = run(searches());
    // A model that is stuck breaks nothing: every step that needs no mistake must have happened.
    for (kind, count) in Action::SOUND_KINDS.iter().zip(taken) {
        assert!(count > 0, "no step of the kind {kind:?} was ever taken");
    }
}

#[test]
fn no_promise_is_broken_within_larger_bounds() {
    if is_slow() {
        run(slow_searches());
    }
}

#[test]
fn threads_do_not_change_what_is_found() {
    let config = Config { writes: 1, epochs: 2, changes: 3, ..quiet() };
    let (one, two) = (check(&config, 1, STATES_MAX), check(&config, 2, STATES_MAX));
    assert_eq!((one.states, one.depth, one.taken), (two.states, two.depth, two.taken));
    assert_eq!((one.states, one.depth), (25_914, 19));
}

#[test]
fn a_search_that_reaches_its_limit_says_so() {
    let config = Config { writes: 1, epochs: 2, changes: 3, ..quiet() };
    let report = check(&config, THREADS, 1_000);
    assert!(!report.exhaustive && report.states > 1_000 && report.counterexample.is_none());
}
