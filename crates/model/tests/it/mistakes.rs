//! Every rule of the protocol is there for a reason: with the rule left out the checker finds a sequence of steps that
//! breaks a promise. `--nocapture` prints each shortest one.
//!
//! Some rules stand behind another one that suffices alone. Then leaving out either changes nothing within bounds in
//! which leaving out both breaks a promise: that is shown too.

use crate::{quiet, with};
use lavandin_model::Invariant::{self, *};
use lavandin_model::Mistake::{self, *};
use lavandin_model::{Config, check};

const STATES_MAX: usize = 5_000_000;

/// So that of several shortest sequences it is always the same one that is found.
const THREADS: usize = 1;

/// Bounds in which everything may happen.
fn busy() -> Config {
    Config { writes: 2, epochs: 3, restarts: 1, replacements: 1, changes: 3, ..quiet() }
}

/// A promise is broken, and the shortest sequence has so many steps.
fn assert_found(config: &Config, mistakes: &[Mistake], expected: (Invariant, usize)) {
    let report = check(&with(config, mistakes), THREADS, STATES_MAX);
    let Some(found) = report.counterexample else {
        panic!("{mistakes:?}: nothing found in {} states to depth {}", report.states, report.depth);
    };
    println!("{mistakes:?}: {found}");
    assert_eq!((found.invariant, found.steps.len()), expected, "{mistakes:?}: {found}");
}

fn assert_harmless(config: &Config, mistakes: &[Mistake]) {
    let report = check(&with(config, mistakes), THREADS, STATES_MAX);
    if let Some(found) = report.counterexample {
        panic!("{mistakes:?}: {found}");
    }
    println!("{mistakes:?}: nothing in {} states, depth {}", report.states, report.depth);
    assert!(report.exhaustive, "{mistakes:?}: more than {STATES_MAX} states");
}

#[test]
fn each_rule_left_out_is_missed() {
    let found = [
        (CountsShrinkAtOnce, DurableAtEveryCopy, 3),
        (PromotesStaleCopy, DurableAtEveryCopy, 1),
        (PromotesInSameEpoch, LeaseReadsAreFresh, 3),
        (AcceptsOldEpoch, DurableAtEveryCopy, 7),
        (JoinerNotRequired, DurableAtEveryCopy, 7),
        (ComparesNothing, DurableAtEveryCopy, 8),
        (CountsAckOfOldEpoch, DurableAtEveryCopy, 6),
        (ForgetsJoiner, DurableAtEveryCopy, 8),
        (CountsAckOfOldIncarnation, DurableAtEveryCopy, 7),
        (KeepsEpochAtRestart, DurableAtEveryCopy, 6),
        (CommitsUnsynced, DurableAtEveryCopy, 2),
        (AcksUnsynced, DurableAtEveryCopy, 4),
        (AcksWholeLog, DurableAtEveryCopy, 7),
        (CommitsBeyondAppend, CommittedIsKept, 6),
        (TruncatesAtEndOfAppend, DurableAtEveryCopy, 5),
        (IgnoresPredecessor, CommittedIsKept, 7),
        (CountsForkPoint, DurableAtEveryCopy, 4),
        (DropsTailAtPromotion, OneRecordPerPlace, 3),
        (ServesBeforeBarrier, LeaseReadsAreFresh, 2),
        (LeaseOutlivesPromotion, LeaseReadsAreFresh, 3),
        (ForgetsPendingRequests, RequestsAppliedOnce, 5),
        (GrowsBehind, DurableAtEveryCopy, 5),
    ];
    for (mistake, invariant, steps) in found {
        assert_found(&busy(), &[mistake], (invariant, steps));
    }
    let elsewhere = [
        GrowsBeforeBarrier,
        GrowsAnyIncarnation,
        JoinerRegistersUnseen,
        NewDiskPromisesNothing,
        AcceptsOldIncarnation,
        CountsAckOfLaterIncarnation,
        ForgetsPromiseAtRestart,
    ];
    for mistake in Mistake::ALL {
        let listed = found.iter().any(|(known, ..)| *known == mistake) || elsewhere.contains(&mistake);
        assert!(listed, "{mistake:?} is not tested");
    }
}

/// d: the incarnation that metadata compares stands behind the version, which rises when a joiner registers again.
#[test]
fn the_incarnation_of_a_joiner_is_compared_twice() {
    let config = Config { writes: 1, epochs: 2, replacements: 1, changes: 3, ..quiet() };
    assert_harmless(&config, &[GrowsAnyIncarnation]);
    assert_harmless(&config, &[JoinerRegistersUnseen]);
    assert_found(&config, &[GrowsAnyIncarnation, JoinerRegistersUnseen], (DurableAtEveryCopy, 6));
}

/// k: a new disk's promise, the incarnation in appends and the incarnation in acknowledgements each suffice.
#[test]
fn a_lost_promise_is_guarded_three_times() {
    let config = Config { writes: 1, epochs: 3, replacements: 1, changes: 3, ..quiet() };
    let all = [NewDiskPromisesNothing, AcceptsOldIncarnation, CountsAckOfLaterIncarnation];
    for kept in 0..all.len() {
        let mut mistakes = all.to_vec();
        mistakes.remove(kept);
        assert_harmless(&config, &mistakes);
    }
    assert_found(&config, &all, (DurableAtEveryCopy, 14));
}

/// A durable promise and the incarnation in appends each suffice after a kill.
#[test]
fn a_forgotten_promise_is_guarded_twice() {
    let config = Config { writes: 1, epochs: 3, restarts: 1, changes: 2, ..quiet() };
    assert_harmless(&config, &[ForgetsPromiseAtRestart]);
    assert_harmless(&config, &[AcceptsOldIncarnation]);
    assert_found(&config, &[ForgetsPromiseAtRestart, AcceptsOldIncarnation], (DurableAtEveryCopy, 6));
}

/// A joiner that has all up to a commit point may be admitted, but only by a primary whose commit point is up to date.
#[test]
fn a_restarted_primary_knows_no_commit_point() {
    let config = Config { replicas: 3, writes: 1, epochs: 2, restarts: 1, changes: 3, ..quiet() };
    assert_found(&config, &[GrowsBeforeBarrier], (DurableAtEveryCopy, 11));
}

/// Promises about conduct fail when they should.
#[test]
fn conduct_is_checked() {
    let found = [
        (PromotesStaleCopy, PromotesInSyncOnly),
        (PromotesInSameEpoch, EpochsRise),
        (AcceptsOldEpoch, PromisesRise),
        (ForgetsPromiseAtRestart, PromisesRise),
        (JoinerNotRequired, CountsEveryCopy),
        (CommitsUnsynced, CommitPointsRise),
    ];
    for (mistake, invariant) in found {
        let config = Config { outcomes_only: false, mistakes: vec![mistake], ..busy() };
        let report = check(&config, THREADS, STATES_MAX);
        let found = report.counterexample.map(|found| found.invariant);
        assert_eq!(found, Some(invariant), "{mistake:?}");
    }
}
