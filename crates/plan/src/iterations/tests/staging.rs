//! Several requests staged before any is applied, and everything that is refused.

use super::fixture::{Logged, OWNER, create, dataset_id, grant_of, iteration_id, place, places, shuffled};
use crate::iterations::{
    Create, Grant, IterationLimits, Outcome, Owner, Places, RankStatus, Rejection, Request, Step, Walk,
};
use lavandin_types::ErrorCode;

const ID: u64 = 1;

/// An iteration with one rank that has a block of 10 samples, and another with the next.
fn begun() -> Logged {
    let mut logged = Logged::new();
    let iteration = iteration_id(ID);
    logged.create(create(ID, 0, 0));
    for block in 0..2 {
        logged.run(Request::TakeBlock { iteration, group: block, block }).unwrap();
    }
    logged
}

fn grant(logged: &Logged, rank: u32, number: u64, offsets: std::ops::Range<u32>) -> Grant {
    let samples = offsets.map(|offset| place(rank, offset)).collect();
    Grant { number, samples, ..grant_of(iteration_id(ID), rank, &logged.walk(iteration_id(ID), rank), &[]) }
}

fn stage(logged: &mut Logged, grant: Grant) -> Result<(), Rejection> {
    logged.stage(Request::Grant(Box::new(grant)))
}

#[test]
fn grants_of_two_ranks_and_of_one_rank_in_a_row_are_staged_together() {
    let mut logged = begun();
    for (rank, number, offsets) in [(0, 0, 0..4), (1, 0, 0..4), (0, 1, 4..8), (0, 2, 8..10)] {
        let grant = grant(&logged, rank, number, offsets);
        stage(&mut logged, grant).unwrap();
    }
    let outcomes = logged.commit();
    assert_eq!(outcomes, [4, 4, 4, 2].map(Outcome::Count));
    assert_eq!(logged.reader().progress(iteration_id(ID)).unwrap().in_progress, 14);
    assert_eq!(logged.reader().rank(iteration_id(ID), 0).unwrap().next, 3);
    logged.check_replay();
}

#[test]
fn what_is_applied_is_not_staged_any_more_whatever_else_is() {
    let mut logged = begun();
    for (rank, number, offsets) in [(0, 0, 0..4), (1, 0, 0..4)] {
        let grant = grant(&logged, rank, number, offsets);
        stage(&mut logged, grant).unwrap();
    }
    // The other copies have the first one only.
    logged.commit_first(1);
    let second = grant(&logged, 0, 1, 4..8);
    stage(&mut logged, second).expect("the rank's next batch");
    logged
        .stage(Request::Return { iteration: iteration_id(ID), rank: 0, number: 0, owner: Owner::NOBODY })
        .unwrap();
    logged.commit_first(2);
    let third = grant(&logged, 1, 1, 4..8);
    stage(&mut logged, third).expect("nothing of that rank comes back");
    logged.commit_first(1);
    let samples = places(&[]);
    let again = Grant { generation: 1, number: 2, samples, ..grant(&logged, 0, 2, 0..0) };
    stage(&mut logged, again).expect("what was returned is there");
    logged.stage(Request::TakeBlock { iteration: iteration_id(ID), group: 0, block: 2 }).unwrap();
    logged.commit_first(2);
    logged
        .stage(Request::TakeBlock { iteration: iteration_id(ID), group: 0, block: 3 })
        .expect("one after the other");
    logged.commit();
    logged.check_replay();
}

#[test]
fn staged_samples_are_not_granted_again() {
    let mut logged = begun();
    let first = grant(&logged, 0, 0, 0..4);
    stage(&mut logged, first.clone()).unwrap();
    let of_another = Grant { owner: Owner { ticket: 1, ..OWNER }, ..first };
    let refused = stage(&mut logged, of_another).unwrap_err();
    assert!(matches!(refused, Rejection::Conflict { expected: 0, found: 1, .. }), "{refused}");
    assert_eq!(refused.code(), ErrorCode::Overloaded);
    let overlapping = grant(&logged, 0, 1, 3..5);
    let refused = stage(&mut logged, overlapping.clone()).unwrap_err();
    assert_eq!(refused, Rejection::AlreadyTaken { rank: 0, place: place(0, 3) });
    logged.commit();
    assert_eq!(
        stage(&mut logged, overlapping).unwrap_err(),
        Rejection::AlreadyTaken { rank: 0, place: place(0, 3) }
    );
    logged.check_replay();
}

#[test]
fn a_sample_is_named_once_in_a_grant() {
    let mut logged = begun();
    let filtered: Places = [place(0, 3)].into_iter().collect();
    let twice = Grant { filtered, ..grant(&logged, 0, 0, 0..4) };
    let refused = stage(&mut logged, twice).unwrap_err();
    assert_eq!(refused, Rejection::AlreadyTaken { rank: 0, place: place(0, 3) });
}

#[test]
fn samples_of_other_groups_and_beyond_the_block_are_refused() {
    let mut logged = begun();
    for place in [place(1, 0), place(0, 10), place(2, 0), place(10, 0), place(u32::MAX, u32::MAX - 1)] {
        let foreign = Grant { samples: [place].into_iter().collect(), ..grant(&logged, 0, 0, 0..1) };
        assert_eq!(stage(&mut logged, foreign).unwrap_err(), Rejection::NotOwned { place });
    }
}

#[test]
fn a_block_that_is_being_taken_can_be_granted_from() {
    let mut logged = begun();
    let iteration = iteration_id(ID);
    let early = Grant { samples: [place(2, 5)].into_iter().collect(), ..grant(&logged, 0, 0, 0..1) };
    logged.stage(Request::TakeBlock { iteration, group: 0, block: 2 }).unwrap();
    stage(&mut logged, early).unwrap();
    logged.commit();
    logged.check_replay();
}

#[test]
fn of_two_that_take_a_block_one_must_read_again() {
    let mut logged = begun();
    let iteration = iteration_id(ID);
    logged.stage(Request::TakeBlock { iteration, group: 0, block: 2 }).unwrap();
    let refused = logged.stage(Request::TakeBlock { iteration, group: 1, block: 2 }).unwrap_err();
    assert!(matches!(refused, Rejection::Conflict { expected: 2, found: 3, .. }), "{refused}");
    logged.commit();
    for block in 3..10 {
        logged.run(Request::TakeBlock { iteration, group: 1, block }).unwrap();
    }
    let refused = logged.run(Request::TakeBlock { iteration, group: 1, block: 10 }).unwrap_err();
    assert_eq!(refused, Rejection::NoMoreBlocks { blocks: 10 });
}

#[test]
fn a_pushback_after_a_staged_grant_takes_it_back() {
    let mut logged = begun();
    let first = grant(&logged, 0, 0, 0..4);
    stage(&mut logged, first).unwrap();
    logged.stage(Request::Pushback { iteration: iteration_id(ID) }).unwrap();
    assert_eq!(logged.commit(), [Outcome::Count(4), Outcome::Count(4)]);
    assert_eq!(logged.batch(iteration_id(ID), 0, 4, 0), [0, 1, 2, 3]);
    logged.check_replay();
}

#[test]
fn a_grant_after_a_staged_pushback_must_read_again() {
    let mut logged = begun();
    let first = grant(&logged, 0, 0, 0..4);
    stage(&mut logged, first).unwrap();
    logged.commit();
    let second = grant(&logged, 0, 1, 4..8);
    logged.stage(Request::Pushback { iteration: iteration_id(ID) }).unwrap();
    let refused = stage(&mut logged, second.clone()).unwrap_err();
    assert!(matches!(refused, Rejection::Conflict { .. }), "{refused}");
    logged.commit();
    // It is also refused later: what was pushed back comes first.
    let refused = stage(&mut logged, second).unwrap_err();
    assert!(matches!(refused, Rejection::Conflict { expected: 0, found: 1, .. }), "{refused}");
}

#[test]
fn a_grant_after_a_staged_return_must_read_again() {
    let mut logged = begun();
    let iteration = iteration_id(ID);
    let (first, second) = (grant(&logged, 0, 0, 0..4), grant(&logged, 0, 1, 4..8));
    let other = grant(&logged, 1, 0, 0..4);
    stage(&mut logged, first).unwrap();
    logged.commit();
    logged.stage(Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY }).unwrap();
    assert!(matches!(stage(&mut logged, second), Err(Rejection::Conflict { .. })));
    stage(&mut logged, other).expect("the other rank is not concerned");
    let again =
        logged.stage(Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY }).unwrap_err();
    assert_eq!(again, Rejection::NotOpen { rank: 0, number: 0 });
    logged.commit();
    logged.check_replay();
}

#[test]
fn what_a_staged_completion_settles_is_not_granted_again() {
    let mut logged = begun();
    let iteration = iteration_id(ID);
    let first = grant(&logged, 0, 0, 0..4);
    stage(&mut logged, first).unwrap();
    logged.stage(Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY }).unwrap();
    // Its answer had arrived after all.
    logged.stage(Request::Complete { iteration, indices: vec![2] }).unwrap();
    logged.commit_first(2);
    let again = grant(&logged, 0, 1, 0..4);
    let refused = stage(&mut logged, again).unwrap_err();
    assert!(matches!(refused, Rejection::Conflict { expected: 1, .. }), "{refused}");
    let other = grant(&logged, 1, 0, 0..4);
    stage(&mut logged, other).expect("the other rank is not concerned");
    logged.commit();
    assert_eq!(logged.batch(iteration, 0, 4, 0), [0, 1, 3, 4]);
    logged.check_replay();
}

#[test]
fn what_was_delivered_cannot_be_returned() {
    let mut logged = begun();
    let iteration = iteration_id(ID);
    let first = grant(&logged, 0, 0, 0..4);
    stage(&mut logged, first).unwrap();
    logged.commit();
    logged.stage(Request::Delivered { iteration, grants: vec![(0, 0), (0, 7), (5, 0)] }).unwrap();
    let not_open = Rejection::NotOpen { rank: 0, number: 0 };
    assert_eq!(
        logged.stage(Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY }).unwrap_err(),
        not_open
    );
    assert_eq!(logged.commit(), [Outcome::Count(1)]);
    assert_eq!(
        logged.stage(Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY }).unwrap_err(),
        not_open
    );
    assert!(!logged.reader().rank(iteration, 5).unwrap().joined, "a confirmation makes no rank");
    assert!(logged.iterations.reader().open_grants().is_empty());
}

#[test]
fn a_staged_grant_can_be_returned() {
    let mut logged = begun();
    let first = grant(&logged, 0, 0, 0..4);
    stage(&mut logged, first).unwrap();
    logged
        .stage(Request::Return { iteration: iteration_id(ID), rank: 0, number: 0, owner: Owner::NOBODY })
        .unwrap();
    assert_eq!(logged.commit(), [Outcome::Count(4), Outcome::Count(4)]);
    logged.check_replay();
}

#[test]
fn discarded_requests_leave_nothing() {
    let mut logged = begun();
    let before = logged.checkpoint();
    let first = grant(&logged, 0, 0, 0..4);
    stage(&mut logged, first.clone()).unwrap();
    logged.stage(Request::TakeBlock { iteration: iteration_id(ID), group: 0, block: 2 }).unwrap();
    logged.stage(Request::Create(Box::new(create(5, 0, 0)))).unwrap();
    logged.stage(Request::DropDataset { dataset: dataset_id(0) }).unwrap();
    logged.discard();
    assert_eq!(logged.checkpoint(), before);
    stage(&mut logged, first).expect("nothing is reserved");
    logged.run(Request::TakeBlock { iteration: iteration_id(ID), group: 0, block: 2 }).unwrap();
}

#[test]
fn an_iteration_that_is_being_created_can_be_used() {
    let mut logged = Logged::new();
    let iteration = iteration_id(ID);
    logged.stage(Request::Create(Box::new(create(ID, 0, 0)))).unwrap();
    logged.stage(Request::TakeBlock { iteration, group: 0, block: 0 }).unwrap();
    let samples = (0..3).map(|offset| place(0, offset)).collect();
    let first = Grant {
        iteration,
        rank: 0,
        number: 0,
        generation: 0,
        samples,
        filtered: Places::new(),
        failed: Places::new(),
        delivered: vec![],
        now_ms: 5,
        owner: OWNER,
    };
    stage(&mut logged, first).unwrap();
    logged.commit();
    assert_eq!(logged.reader().progress(iteration).unwrap().in_progress, 3);
    logged.check_replay();
}

#[test]
fn dropping_a_dataset_drops_its_iterations() {
    let mut logged = begun();
    let iteration = iteration_id(ID);
    logged.create(Create { dataset: dataset_id(1), ..create(2, 0, 0) });
    let mut walk = logged.walk(iteration, 0);
    logged.stage(Request::Create(Box::new(create(3, 5, 99_000)))).unwrap();
    logged.stage(Request::DropDataset { dataset: dataset_id(0) }).unwrap();
    let refused = logged.stage(Request::Complete { iteration, indices: vec![0] }).unwrap_err();
    assert_eq!(refused, Rejection::UnknownIteration(iteration));
    assert_eq!(refused.code(), ErrorCode::NotFound);
    logged.stage(Request::Create(Box::new(create(4, 1, 99_000)))).expect("a new one, not the dropped one");
    assert_eq!(logged.commit()[1], Outcome::Count(2));
    let ids: Vec<_> = logged.reader().list(None).iter().map(|info| info.id).collect();
    assert_eq!(ids, [iteration_id(4), iteration_id(2)]);
    assert!(logged.reader().progress(iteration).is_none());
    assert_eq!(logged.step(&mut walk), Step::Stale);
    logged.check_replay();
}

#[test]
fn strangers_are_refused() {
    let mut logged = begun();
    let iteration = iteration_id(77);
    for request in [
        Request::TakeBlock { iteration, group: 0, block: 0 },
        Request::Grant(Box::new(Grant { iteration, ..grant(&logged, 0, 0, 0..1) })),
        Request::Delivered { iteration, grants: vec![] },
        Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY },
        Request::Complete { iteration, indices: vec![] },
        Request::Pushback { iteration },
    ] {
        assert_eq!(logged.stage(request).unwrap_err(), Rejection::UnknownIteration(iteration));
    }
    let mut replicated = create(2, 0, 99_000);
    replicated.definition.replication_groups = Some(vec![vec![0, 1]]);
    let iteration = logged.create(replicated);
    let stranger = Grant { iteration, rank: 2, ..grant(&logged, 0, 0, 0..0) };
    assert_eq!(stage(&mut logged, stranger).unwrap_err(), Rejection::UnknownRank(2));
    let outline = logged.reader().outline(iteration).unwrap();
    let walk = Walk::new(outline, 2, &RankStatus::default());
    assert!(matches!(walk, Err(Rejection::UnknownRank(2))));
    assert_eq!(logged.reader().rank(iteration, 2), Err(Rejection::UnknownRank(2)));
    let foreign = Request::TakeBlock { iteration, group: 1, block: 0 };
    assert_eq!(logged.stage(foreign).unwrap_err(), Rejection::UnknownGroup(1));
}

#[test]
fn limits_hold() {
    let limits = IterationLimits {
        ranks_max: 2,
        request_samples_max: 5,
        open_grants_max: 3,
        ..IterationLimits::default()
    };
    let mut logged = Logged::with_limits(limits);
    let iteration = logged
        .create(Create { definition: super::fixture::definition(shuffled(1, 2), None), ..create(ID, 0, 0) });
    let mut walk = logged.walk(iteration, 0);
    let samples = logged.gather(&mut walk, iteration, 6);
    let many = grant_of(iteration, 0, &walk, &samples);
    assert_eq!(stage(&mut logged, many).unwrap_err(), Rejection::TooManySamples { count: 6, limit: 5 });
    let indices = (0..6).collect();
    let refused = logged.stage(Request::Complete { iteration, indices }).unwrap_err();
    assert_eq!(refused, Rejection::TooManySamples { count: 6, limit: 5 });

    for number in 0..3 {
        let one = Grant { number, ..grant_of(iteration, 0, &walk, &samples[number as usize..][..1]) };
        stage(&mut logged, one).unwrap();
    }
    let fourth = Grant { number: 3, ..grant_of(iteration, 0, &walk, &samples[3..4]) };
    let too_many = Rejection::TooManyOpenGrants { rank: 0, limit: 3 };
    assert_eq!(stage(&mut logged, fourth.clone()).unwrap_err(), too_many);
    logged.commit();
    assert_eq!(stage(&mut logged, fourth.clone()).unwrap_err(), too_many);
    let confirming = Grant { delivered: vec![(0, 1), (0, 1), (0, 9)], ..fourth };
    stage(&mut logged, confirming).expect("one of the three has left");

    logged
        .stage(Request::Create(Box::new(Create {
            definition: super::fixture::definition(shuffled(1, 2), None),
            ..create(8, 1, 0)
        })))
        .unwrap();
    let third = Grant { samples: Places::new(), rank: 2, number: 0, ..grant_of(iteration, 2, &walk, &[]) };
    assert_eq!(stage(&mut logged, third).unwrap_err(), Rejection::TooManyRanks { limit: 2 });
    assert_eq!(places(&samples).len(), 6);
}

#[test]
fn a_grant_that_is_asked_for_again_is_known() {
    let mut logged = begun();
    let iteration = iteration_id(ID);
    let owner = Owner { ticket: 7, ..OWNER };
    let first = Grant { owner, ..grant(&logged, 0, 0, 0..3) };
    stage(&mut logged, first.clone()).unwrap();
    assert_eq!(stage(&mut logged, first.clone()).unwrap_err(), Rejection::UnderWay { rank: 0, number: 0 });
    logged.commit();
    assert_eq!(stage(&mut logged, first.clone()).unwrap_err(), Rejection::Repeated { rank: 0, number: 0 });
    logged.restart();
    assert_eq!(stage(&mut logged, first.clone()).unwrap_err(), Rejection::Repeated { rank: 0, number: 0 });
    let of_another = Grant { owner: Owner { ticket: 8, ..OWNER }, ..first.clone() };
    assert!(matches!(stage(&mut logged, of_another), Err(Rejection::Conflict { .. })));
    logged.run(Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY }).unwrap();
    assert!(matches!(stage(&mut logged, first), Err(Rejection::Conflict { .. })), "it was given back");
}
