use super::*;
use crate::iterations::tests::fixture::{
    Logged, create, definition, grant_of, iteration_id, places, shuffled,
};
use crate::iterations::{Create, Grant, Owner, Request};

/// One iteration with something of everything.
fn life() -> Logged {
    let mut logged = Logged::new();
    let iteration = iteration_id(1);
    let rows = ShardRows::new(vec![3, 0, 4]);
    let definition = definition(shuffled(1, 2), Some(vec![vec![0, 1], vec![2]]));
    logged.create(Create { rows, definition, ..create(1, 0, 500) });
    let mut walk = logged.walk(iteration, 0);
    let samples = logged.gather(&mut walk, iteration, 5);
    let grant = Grant {
        filtered: places(&samples[3..4]),
        failed: places(&samples[4..5]),
        now_ms: 600,
        ..grant_of(iteration, 0, &walk, &samples[..3])
    };
    logged.run(Request::Grant(Box::new(grant))).expect("a fresh walk's samples");
    let done = vec![samples[0].index];
    assert_eq!(logged.count(Request::Complete { iteration, indices: done }), 1);
    assert_eq!(logged.batch(iteration, 0, 2, 700).len(), 2);
    assert_eq!(logged.count(Request::Return { iteration, rank: 0, number: 1, owner: Owner::NOBODY }), 2);
    logged
}

fn decode(bytes: &[u8]) -> Option<Iterations> {
    Iterations::decode(IterationLimits::default(), bytes)
}

/// What version 1 wrote for that life, without owners; never edited.
const VERSION_1: &str = include_str!("../../../fixtures/iterations-1.hex");
/// What version 2 wrote for it, without numbers of returned batches; never edited.
const VERSION_2: &str = include_str!("../../../fixtures/iterations-2.hex");
/// What is written now; never edited.
const WRITTEN: &str = include_str!("../../../fixtures/iterations-3.hex");

fn bytes_of(text: &str) -> Vec<u8> {
    let text = text.trim_end();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_state_of_version_1_is_read() {
    let iterations = decode(&bytes_of(VERSION_1)).expect("a state of version 1");
    let open = iterations.reader().open_grants();
    assert!(!open.is_empty() && open.iter().all(|grant| grant.owner == Owner::NOBODY));
}

#[test]
fn a_state_of_version_2_is_read() {
    let iterations = decode(&bytes_of(VERSION_2)).expect("a state of version 2");
    let numbers = |iterations: &Iterations| -> Vec<u64> {
        let entry = iterations.find(iteration_id(1)).expect("it is there");
        let state = entry.state();
        state.groups.values().flat_map(|group| group.returned.values()).map(|back| back.number).collect()
    };
    assert_eq!(numbers(&iterations), [0, 0]);
    assert_eq!(numbers(&decode(&bytes_of(WRITTEN)).expect("what is written now")), [1, 1]);
}

#[test]
fn the_bytes_stay_as_they_are() {
    let bytes = life().checkpoint();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, WRITTEN.trim_end());
    let mut again = Vec::new();
    decode(&bytes).expect("just written").encode(&mut again);
    assert_eq!(again, bytes);
}

#[test]
fn nothing_follows_the_last_iteration() {
    let mut bytes = life().checkpoint();
    bytes.push(0);
    assert!(decode(&bytes).is_none());
}

/// The state of the one iteration, changed by a defect, written and read.
fn comes_back(change: impl FnOnce(&mut State)) -> bool {
    let logged = life();
    change(&mut logged.iterations.find(iteration_id(1)).expect("it is there").state());
    decode(&logged.checkpoint()).is_some()
}

#[test]
fn numbers_that_do_not_fit_each_other_are_refused() {
    assert!(comes_back(|_| {}));
    assert!(!comes_back(|state| state.counters.completed += 1), "more is done than any group has settled");
    assert!(!comes_back(|state| state.closed = true), "a group still has blocks");
    assert!(!comes_back(|state| state.next_block = 0), "a block is owned that nobody took");
    assert!(!comes_back(|state| state.next_block = 99), "there are no such blocks");
    let group =
        |state: &mut State, change: fn(&mut Group)| change(state.groups.get_mut(&0).expect("it has blocks"));
    assert!(!comes_back(|state| group(state, |group| group.samples = 1)), "it has taken more");
    assert!(!comes_back(|state| group(state, |group| group.samples = 8)), "there are 7");
    assert!(!comes_back(|state| group(state, |group| group.open.extend([7]))), "there is no such sample");
    assert!(!comes_back(|state| group(state, |group| group.settled += 1)));
    assert!(!comes_back(|state| state.ranks.get_mut(&0).expect("it joined").taken = 8));
    assert!(!comes_back(|state| group(state, |group| group.failed.clear())), "one sample failed");
    let back = |state: &mut State, change: fn(&mut Returned)| {
        let group = state.groups.get_mut(&0).expect("it has blocks");
        change(group.returned.values_mut().next().expect("a grant was returned"));
    };
    assert!(!comes_back(|state| back(state, |back| back.rank = 2)), "that rank is of another group");
    assert!(!comes_back(|state| back(state, |back| back.place.offset = 0)), "the rank has that one");
    assert!(!comes_back(|state| back(state, |back| back.length = 0)), "it is not in its block");
    let twice = |state: &mut State| {
        let owned = state.groups[&0].owned.clone();
        state.groups.insert(1, Group { owned, ..Group::default() });
    };
    assert!(!comes_back(twice), "groups share no blocks");
}
