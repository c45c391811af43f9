//! Who gets which iteration.

use super::fixture::{Logged, create, dataset_id, iteration_id};
use crate::iterations::{Create, IterationLimits, Join, Rejection, Request};
use lavandin_types::ErrorCode;

fn with_world(id: u64, rank: u32, now_ms: u64, world_size: u32) -> Create {
    let create = create(id, rank, now_ms);
    Create { join: Join { world_size: Some(world_size), ..create.join }, ..create }
}

/// The rank takes and is granted everything that is left to it.
fn run_dry(logged: &mut Logged, id: u64, rank: u32) -> usize {
    std::iter::from_fn(|| Some(logged.batch(iteration_id(id), rank, 7, 0)).filter(|batch| !batch.is_empty()))
        .map(|batch| batch.len())
        .sum()
}

#[test]
fn a_second_epoch_gets_a_new_iteration() {
    let mut logged = Logged::new();
    assert_eq!(logged.create(create(1, 0, 0)), iteration_id(1));
    assert_eq!(run_dry(&mut logged, 1, 0), 100);
    assert_eq!(logged.create(create(2, 0, 500)), iteration_id(2));
    assert_eq!(run_dry(&mut logged, 2, 0), 100, "the second epoch is not empty");
    logged.check_replay();
}

#[test]
fn a_second_epoch_of_two_ranks_is_one_iteration_too() {
    let mut logged = Logged::new();
    for epoch in 0..2 {
        assert_eq!(logged.create(create(10 * epoch, 0, epoch)), iteration_id(10 * epoch));
        assert_eq!(logged.create(create(10 * epoch + 1, 1, epoch)), iteration_id(10 * epoch));
        let samples = run_dry(&mut logged, 10 * epoch, 0) + run_dry(&mut logged, 10 * epoch, 1);
        assert_eq!(samples, 100);
    }
}

#[test]
fn two_ranks_join() {
    let mut logged = Logged::new();
    assert_eq!(logged.create(create(1, 0, 0)), iteration_id(1));
    assert_eq!(logged.create(create(2, 1, 9_999)), iteration_id(1));
    assert!(logged.reader().rank(iteration_id(1), 1).unwrap().joined);
    assert!(logged.reader().outline(iteration_id(2)).is_err());
    assert_eq!([1, 2].map(|id| logged.reader().rank_count(iteration_id(id))), [2, 0]);
    logged.check_replay();
}

#[test]
fn two_ranks_whose_wishes_are_staged_together_join() {
    let mut logged = Logged::new();
    for (id, rank) in [(1, 0), (2, 1), (3, 0)] {
        logged.stage(Request::Create(Box::new(create(id, rank, 0)))).unwrap();
    }
    logged.commit();
    let ids: Vec<_> = logged.reader().list(None).iter().map(|info| info.id).collect();
    assert_eq!(ids, [iteration_id(3), iteration_id(1)], "rank 0 was there, so its second wish is a new one");
    logged.check_replay();
}

#[test]
fn a_restarted_rank_gets_a_new_iteration_and_the_others_follow() {
    let mut logged = Logged::new();
    for rank in 0..2 {
        logged.create(create(1, rank, 0));
        logged.batch(iteration_id(1), rank, 5, 0);
    }
    assert_eq!(logged.create(create(2, 0, 100)), iteration_id(2));
    assert_eq!(logged.create(create(3, 1, 200)), iteration_id(2));
}

#[test]
fn a_retried_creation_leaves_the_first_one_behind() {
    let mut logged = Logged::new();
    logged.create(create(1, 0, 0));
    // The answer was lost; the client asks again. Nothing was granted of the first.
    assert_eq!(logged.create(create(2, 0, 10)), iteration_id(2));
    assert_eq!(logged.create(create(3, 1, 20)), iteration_id(2), "the others join the newer one");
}

#[test]
fn an_iteration_that_has_begun_comes_before_one_that_has_not() {
    let mut logged = Logged::new();
    logged.create(create(1, 0, 0));
    logged.batch(iteration_id(1), 0, 5, 0);
    logged.create(create(2, 0, 10));
    assert_eq!(logged.create(create(3, 1, 20)), iteration_id(1));
}

#[test]
fn the_threshold_has_passed() {
    let mut logged = Logged::new();
    logged.create(create(1, 0, 1_000));
    assert_eq!(logged.create(create(2, 1, 11_000)), iteration_id(2));
    let impatient = create(3, 2, 11_000);
    let impatient = Create { join: Join { threshold_ms: 0, ..impatient.join }, ..impatient };
    assert_eq!(logged.create(impatient), iteration_id(3));
}

#[test]
fn a_clock_that_went_back_does_not_part_the_ranks() {
    let mut logged = Logged::new();
    logged.create(create(1, 0, 5_000));
    assert_eq!(logged.create(create(2, 1, 1_000)), iteration_id(1));
}

#[test]
fn the_world_is_full() {
    let mut logged = Logged::new();
    for rank in 0..2 {
        assert_eq!(logged.create(with_world(1, rank, 0, 2)), iteration_id(1));
    }
    // Rank 5 is a stranger to this job: another one with the same configuration.
    assert_eq!(logged.create(with_world(2, 5, 0, 2)), iteration_id(2));
}

#[test]
fn a_finished_iteration_is_never_handed_out() {
    let mut logged = Logged::new();
    logged.create(create(1, 0, 0));
    run_dry(&mut logged, 1, 0);
    assert!(logged.reader().progress(iteration_id(1)).unwrap().finished);
    assert_eq!(logged.create(create(2, 1, 1)), iteration_id(2));
}

#[test]
fn a_late_rank_still_gets_the_stream_of_its_replication_group() {
    let mut logged = Logged::new();
    let replicated = |id, rank| {
        let mut create = create(id, rank, 0);
        create.definition.replication_groups = Some(vec![vec![0, 1], vec![2]]);
        create
    };
    logged.create(replicated(1, 0));
    let first = logged.batch(iteration_id(1), 0, 1000, 0);
    assert_eq!(first.len(), 100);
    let all = Request::Complete { iteration: iteration_id(1), indices: first.clone() };
    assert_eq!(logged.count(all), 100);
    assert!(logged.reader().progress(iteration_id(1)).unwrap().finished);
    assert_eq!(logged.create(replicated(2, 1)), iteration_id(1));
    assert_eq!(logged.batch(iteration_id(1), 1, 1000, 0), first);
    // The other group got none of the blocks; there is nothing for it.
    assert_eq!(logged.create(replicated(3, 2)), iteration_id(3));
    logged.check_replay();
}

#[test]
fn other_configurations_and_datasets_stay_apart() {
    let mut logged = Logged::new();
    logged.create(create(1, 0, 0));
    let mut other = create(2, 1, 0);
    other.definition.config_hash = [8; 32];
    assert_eq!(logged.create(other), iteration_id(2));
    let elsewhere = Create { dataset: dataset_id(1), ..create(3, 1, 0) };
    assert_eq!(logged.create(elsewhere), iteration_id(3));
    assert_eq!(logged.reader().list(Some(dataset_id(1))).len(), 1);
}

#[test]
fn wrong_wishes_are_refused() {
    let mut logged = Logged::new();
    let mut stranger = create(1, 9, 0);
    stranger.definition.replication_groups = Some(vec![vec![0, 1]]);
    let refused = logged.run(Request::Create(Box::new(stranger))).unwrap_err();
    assert_eq!(refused.to_string(), "Replication pg not found for rank 9");
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);

    let mut doubled = create(1, 0, 0);
    doubled.definition.replication_groups = Some(vec![vec![0, 1], vec![1]]);
    assert!(matches!(logged.run(Request::Create(Box::new(doubled))), Err(Rejection::Invalid(_))));

    let mut large = create(1, 0, 0);
    large.definition.filters = Some("x".repeat(2 << 20));
    let refused = logged.run(Request::Create(Box::new(large))).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::PayloadTooLarge);

    logged.create(create(1, 0, 0));
    let refused = logged.run(Request::Create(Box::new(create(1, 0, 0)))).unwrap_err();
    assert_eq!(refused, Rejection::Exists(iteration_id(1)));
    assert_eq!(logged.reader().list(None).len(), 1);
}

#[test]
fn the_oldest_finished_iteration_gives_way() {
    let limits = IterationLimits { iterations_max: 3, ..IterationLimits::default() };
    let mut logged = Logged::with_limits(limits);
    for id in 1..=3 {
        logged.create(create(id, 0, id));
    }
    run_dry(&mut logged, 2, 0);
    run_dry(&mut logged, 3, 0);
    logged.create(create(4, 0, 4));
    let ids = |logged: &Logged| -> Vec<_> { logged.reader().list(None).iter().map(|info| info.id).collect() };
    assert_eq!(ids(&logged), [4, 3, 1].map(iteration_id));
    // Staged together they must not both count on the same one.
    logged.stage(Request::Create(Box::new(create(5, 0, 5)))).unwrap();
    let refused = logged.stage(Request::Create(Box::new(create(6, 0, 6)))).unwrap_err();
    assert_eq!(refused, Rejection::TooManyIterations { limit: 3 });
    assert_eq!(refused.code(), ErrorCode::Overloaded);
    let gone = logged.stage(Request::Pushback { iteration: iteration_id(3) }).unwrap_err();
    assert_eq!(gone, Rejection::UnknownIteration(iteration_id(3)));
    logged.commit();
    assert_eq!(ids(&logged), [5, 4, 1].map(iteration_id));
    logged.check_replay();
}

#[test]
fn unfinished_iterations_give_way_when_they_are_idle() {
    let limits = IterationLimits { iterations_max: 2, idle_ms_min: 1_000, ..IterationLimits::default() };
    let mut logged = Logged::with_limits(limits);
    logged.create(create(1, 0, 0));
    logged.create(create(2, 0, 0));
    logged.batch(iteration_id(1), 0, 5, 700);
    let refused = logged.run(Request::Create(Box::new(create(3, 0, 900)))).unwrap_err();
    assert_eq!(refused, Rejection::TooManyIterations { limit: 2 });
    logged.create(create(3, 0, 1_000));
    assert!(logged.reader().outline(iteration_id(2)).is_err(), "the one that is idle for longest");
    assert!(logged.reader().outline(iteration_id(1)).is_ok());
    logged.check_replay();
}
