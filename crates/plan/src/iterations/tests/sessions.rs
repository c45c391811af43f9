//! What sessions do, from the first batch to the last, through failures and restarts.

use super::fixture::{Logged, OWNER, create, definition, grant_of, iteration_id, places, shuffled};
use crate::ShardRows;
use crate::iterations::{Create, Grant, InProgress, OpenGrant, Outcome, Owner, Request, Step};
use crate::order::Order;
use std::collections::BTreeSet;

const ID: u64 = 1;

fn complete(logged: &mut Logged, indices: &[u64]) -> u64 {
    logged.count(Request::Complete { iteration: iteration_id(ID), indices: indices.to_vec() })
}

#[test]
fn an_epoch_in_order_with_a_short_last_batch() {
    let mut logged = Logged::new();
    let iteration = logged.create(create(ID, 0, 0));
    let mut seen = Vec::new();
    loop {
        let batch = logged.batch(iteration, 0, 7, 0);
        assert!(seen.len() == 98 && batch.len() == 2 || batch.len() == 7 || batch.is_empty());
        if batch.is_empty() {
            break;
        }
        assert_eq!(complete(&mut logged, &batch), batch.len() as u64);
        seen.extend(batch);
    }
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!(
        (progress.completed, progress.in_progress, progress.current, progress.total),
        (100, 0, 100, 100)
    );
    assert!(progress.finished);
    logged.check_replay();
}

#[test]
fn the_published_clients_order_comes_through() {
    let mut logged = Logged::new();
    let definition = definition(shuffled(1, 2), None);
    let iteration = logged.create(Create { definition, ..create(ID, 0, 0) });
    assert_eq!(logged.batch(iteration, 0, 12, 0), [23, 96, 26, 90, 22, 94, 24, 97, 27, 21, 93, 20]);
}

#[test]
fn ranks_share_the_blocks_as_they_come() {
    let mut logged = Logged::new();
    let iteration = logged.create(create(ID, 0, 0));
    logged.create(create(ID, 1, 0));
    assert_eq!(logged.batch(iteration, 0, 10, 0), (0..10).collect::<Vec<_>>());
    assert_eq!(logged.batch(iteration, 1, 10, 0), (10..20).collect::<Vec<_>>());
    assert_eq!(logged.batch(iteration, 1, 10, 0), (20..30).collect::<Vec<_>>());
    assert_eq!(logged.batch(iteration, 0, 10, 0), (30..40).collect::<Vec<_>>());
}

#[test]
fn ranks_of_a_replication_group_see_the_same_stream() {
    let mut logged = Logged::new();
    let definition = definition(shuffled(3, 2), Some(vec![vec![0, 1], vec![2, 3]]));
    let iteration = logged.create(Create { definition, ..create(ID, 0, 0) });
    let mut streams = vec![Vec::new(); 4];
    for round in 0..20 {
        for (rank, stream) in streams.iter_mut().enumerate() {
            stream.extend(logged.batch(iteration, rank as u32, 3 + rank * round % 4, 0));
        }
    }
    assert_eq!(streams[0], streams[1]);
    assert_eq!(streams[2], streams[3]);
    let all: BTreeSet<_> = streams[0].iter().chain(&streams[2]).collect();
    assert_eq!((all.len(), streams[0].len() + streams[2].len()), (100, 100));
    logged.check_replay();
}

#[test]
fn filtered_samples_never_come_back_and_failed_ones_by_a_pushback_alone() {
    let mut logged = Logged::new();
    let definition = definition(Order::Sequential, Some(vec![vec![0, 1]]));
    let iteration = logged.create(Create { definition, ..create(ID, 0, 0) });
    for rank in 0..2 {
        let mut walk = logged.walk(iteration, rank);
        let samples = logged.gather(&mut walk, iteration, 10);
        let grant = Grant {
            filtered: places(&samples[..3]),
            failed: places(&samples[3..4]),
            ..grant_of(iteration, rank, &walk, &samples[4..])
        };
        logged.run(Request::Grant(Box::new(grant))).unwrap();
    }
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.filtered, progress.failed, progress.in_progress), (3, 1, 6));
    assert_eq!(logged.count(Request::Pushback { iteration }), 7);
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.filtered, progress.failed, progress.in_progress), (3, 0, 0));
    assert_eq!(logged.batch(iteration, 0, 3, 0), [3, 4, 5]);
    logged.check_replay();
}

#[test]
fn outcomes_without_a_batch_spend_no_number() {
    let mut logged = Logged::new();
    let iteration = logged.create(create(ID, 0, 0));
    let mut walk = logged.walk(iteration, 0);
    let samples = logged.gather(&mut walk, iteration, 5);
    let grant = Grant { filtered: places(&samples), ..grant_of(iteration, 0, &walk, &[]) };
    assert_eq!(logged.count(Request::Grant(Box::new(grant))), 0);
    assert_eq!(logged.reader().rank(iteration, 0).unwrap().next, 0);
    assert!(logged.iterations.reader().open_grants().is_empty());
    assert_eq!(logged.batch(iteration, 0, 2, 0), [5, 6]);
}

#[test]
fn a_failure_spends_a_number_and_is_no_batch() {
    let mut logged = Logged::new();
    let iteration = logged.create(create(ID, 0, 0));
    let mut walk = logged.walk(iteration, 0);
    let samples = logged.gather(&mut walk, iteration, 5);
    let grant = Grant { failed: places(&samples), ..grant_of(iteration, 0, &walk, &[]) };
    logged.stage(Request::Grant(Box::new(grant))).unwrap();
    // Staged numbers count for what comes next.
    let samples = logged.gather_more(&mut walk, 2);
    let next = Grant { number: 1, ..grant_of(iteration, 0, &walk, &samples) };
    logged.stage(Request::Grant(Box::new(next))).unwrap();
    logged.commit();
    assert_eq!(logged.reader().rank(iteration, 0).unwrap().next, 2);
    assert_eq!(logged.reader().rank(iteration, 0).unwrap().open, [(1, OWNER)]);
    logged.check_replay();
}

/// An answer in doubt had arrived after all.
#[test]
fn who_completes_what_was_returned_is_believed() {
    let mut logged = Logged::new();
    let iteration = logged.create(create(ID, 0, 0));
    assert_eq!(logged.batch(iteration, 0, 4, 0), [0, 1, 2, 3]);
    logged.restart();
    assert_eq!(logged.count(Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY }), 4);
    let stale = logged.walk(iteration, 0);
    assert_eq!(logged.reader().completable(iteration, &[1, 3, 4, 99]).unwrap(), [1, 3]);
    logged.stage(Request::Complete { iteration, indices: vec![1, 3, 4] }).unwrap();
    let mut walk = logged.walk(iteration, 0);
    let samples = [0, 1].map(|_| match logged.step(&mut walk) {
        Step::Sample(sample) => sample,
        step => panic!("{step:?}"),
    });
    let early = grant_of(iteration, 0, &stale, &samples);
    assert!(logged.stage(Request::Grant(Box::new(early))).is_err(), "one of its samples is being completed");
    assert_eq!(logged.commit(), [Outcome::Count(2)]);
    logged.restart();
    assert_eq!(logged.batch(iteration, 0, 4, 0), [0, 2, 4, 5]);
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.completed, progress.in_progress, progress.current), (2, 4, 6));
    logged.check_replay();
}

#[test]
fn pushback_keeps_the_order_and_spares_what_is_done() {
    for groups in [None, Some(vec![vec![0]])] {
        let mut logged = Logged::new();
        let definition = definition(shuffled(1, 2), groups);
        let iteration = logged.create(Create { definition, ..create(ID, 0, 0) });
        let first: Vec<u64> = (0..4).flat_map(|_| logged.batch(iteration, 0, 6, 0)).collect();
        // Nothing is done: all of it comes again.
        assert_eq!(logged.count(Request::Pushback { iteration }), 24);
        let again: Vec<u64> = (0..4).flat_map(|_| logged.batch(iteration, 0, 6, 0)).collect();
        assert_eq!(again, first);
        // The second batch and a sample of the first block's last are done.
        complete(&mut logged, &first[6..12]);
        complete(&mut logged, &first[21..22]);
        assert_eq!(logged.count(Request::Pushback { iteration }), 17);
        let expected: Vec<u64> =
            first[..6].iter().chain(&first[12..21]).chain(&first[22..]).copied().collect();
        assert_eq!(logged.batch(iteration, 0, 17, 0), expected);
        assert_eq!(complete(&mut logged, &first), 17, "what was done is not done again");
        logged.check_replay();
    }
}

#[test]
fn pushback_after_everything_was_granted() {
    let mut logged = Logged::new();
    let iteration = logged.create(create(ID, 0, 0));
    let all = logged.batch(iteration, 0, 1000, 0);
    complete(&mut logged, &all[..60]);
    assert!(logged.reader().progress(iteration).unwrap().finished);
    assert_eq!(logged.count(Request::Pushback { iteration }), 40);
    assert!(!logged.reader().progress(iteration).unwrap().finished);
    assert_eq!(logged.batch(iteration, 0, 1000, 0), all[60..]);
    complete(&mut logged, &all);
    // Now all is settled, the sets are gone, and nothing can come back.
    assert_eq!(logged.count(Request::Pushback { iteration }), 0);
    assert_eq!(logged.step(&mut logged.walk(iteration, 0)), Step::End);
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.completed, progress.finished), (100, true));
    logged.restart();
    assert_eq!(logged.reader().progress(iteration).unwrap(), progress);
    logged.check_replay();
}

#[test]
fn a_settled_iteration_keeps_only_numbers() {
    let mut logged = Logged::new();
    let rows = ShardRows::new(vec![1000; 100]);
    let definition = definition(Order::Global { seed: 5, epoch: 0 }, None);
    let iteration = logged.create(Create { rows, definition, ..create(ID, 0, 0) });
    let created = logged.checkpoint().len();
    let indices = logged.batch(iteration, 0, 100_000, 0);
    let half: Vec<u64> = indices.iter().copied().step_by(2).collect();
    complete(&mut logged, &half);
    let before = logged.checkpoint().len();
    complete(&mut logged, &indices);
    let after = logged.checkpoint().len();
    assert!(before > created + 10_000 && after < created + 50, "{created} {before} {after}");
}

#[test]
fn grants_whose_answers_never_left_are_returned_after_a_restart() {
    let mut logged = Logged::new();
    let iteration = logged.create(create(ID, 0, 0));
    let batches: Vec<_> = (0..4).map(|_| logged.batch(iteration, 0, 5, 0)).collect();
    logged.run(Request::Delivered { iteration, grants: vec![(0, 0)] }).unwrap();
    // The client got the second one too and finished two samples of it, but the word of its delivery was lost.
    complete(&mut logged, &batches[1][..2]);
    logged.restart();
    let open = logged.iterations.reader().open_grants();
    let expected = [1, 2, 3].map(|number| OpenGrant { iteration, rank: 0, number, owner: OWNER });
    assert_eq!(open, expected);
    let mut returned = 0;
    for OpenGrant { iteration, rank, number, .. } in open {
        returned += logged.count(Request::Return { iteration, rank, number, owner: Owner::NOBODY });
    }
    assert_eq!(returned, 13);
    assert!(logged.iterations.reader().open_grants().is_empty());
    let rest: Vec<u64> = batches[1][2..].iter().chain(&batches[2]).chain(&batches[3]).copied().collect();
    assert_eq!(logged.batch(iteration, 0, 13, 0), rest);
    assert_eq!(logged.reader().rank(iteration, 0).unwrap().next, 5, "numbers are not used again");
    logged.check_replay();
}

#[test]
fn a_walk_is_stale_once_something_comes_back() {
    let mut logged = Logged::new();
    let iteration = logged.create(create(ID, 0, 0));
    logged.create(create(ID, 1, 0));
    let mut others = logged.walk(iteration, 1);
    logged.batch(iteration, 0, 5, 0);
    let mut walk = logged.walk(iteration, 0);
    assert_eq!(logged.gather(&mut walk, iteration, 5).len(), 5);
    logged.run(Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY }).unwrap();
    assert_eq!(logged.step(&mut walk), Step::Stale);
    assert_eq!(logged.gather(&mut others, iteration, 1).len(), 1, "the other rank's walk goes on");
    let mut again = logged.walk(iteration, 0);
    assert!(matches!(logged.step(&mut again), Step::Sample(sample) if sample.index == 0));
}

#[test]
fn empty_shard_files_are_passed_over() {
    let mut logged = Logged::new();
    let rows = ShardRows::new(vec![0, 0, 3, 0, 2, 0]);
    let iteration = logged.create(Create { rows, ..create(ID, 0, 0) });
    assert_eq!(logged.batch(iteration, 0, 100, 0), [0, 1, 2, 3, 4]);
    assert_eq!(logged.step(&mut logged.walk(iteration, 0)), Step::End);
    assert!(logged.reader().progress(iteration).unwrap().finished);
}

#[test]
fn a_dataset_without_samples_is_finished_at_once() {
    let mut logged = Logged::new();
    for order in [Order::Lavender { shuffle: None }, shuffled(1, 1), Order::Global { seed: 1, epoch: 1 }] {
        let id = logged.log.len() as u64;
        let definition = definition(order, None);
        let rows = ShardRows::new(Vec::new());
        let iteration = logged.create(Create { rows, definition, ..create(id, 0, 0) });
        assert_eq!(logged.step(&mut logged.walk(iteration, 0)), Step::End);
        let progress = logged.reader().progress(iteration).unwrap();
        assert_eq!((progress.total, progress.finished), (0, true));
    }
}

#[test]
fn progress_lists_what_is_in_progress_with_its_time() {
    let mut logged = Logged::new();
    let iteration = logged.create(create(ID, 0, 50));
    let first = logged.batch(iteration, 0, 3, 100);
    logged.batch(iteration, 7, 2, 200);
    complete(&mut logged, &first[1..]);
    let listed = logged.reader().progress(iteration).unwrap().listed;
    let expected = [(0, 0, 100), (10, 7, 200), (11, 7, 200)];
    assert_eq!(listed, expected.map(|(index, rank, started_ms)| InProgress { index, rank, started_ms }));
    assert_eq!(logged.reader().completable(iteration, &[0, 1, 11, 99, 5000]), Ok(vec![0, 11]));
}

#[test]
fn progress_lists_no_more_than_ten_thousand_and_counts_all() {
    let mut logged = Logged::new();
    let rows = ShardRows::new(vec![30_000; 1]);
    let iteration = logged.create(Create { rows, ..create(ID, 0, 0) });
    for time in 0..5 {
        logged.batch(iteration, 0, 5_000, time);
        logged.run(Request::Delivered { iteration, grants: vec![(0, time)] }).unwrap();
    }
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.in_progress, progress.listed.len()), (25_000, 10_000));
    assert_eq!((progress.listed[0].started_ms, progress.listed[9_999].started_ms), (3, 4), "the newest ones");
    let newest: Vec<u64> = (15_000..25_000).collect();
    complete(&mut logged, &newest);
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.in_progress, progress.listed.len()), (15_000, 10_000));
}

#[test]
fn old_batches_are_forgotten_but_not_their_samples() {
    let mut logged = Logged::new();
    let rows = ShardRows::new(vec![1_000; 1]);
    let iteration = logged.create(Create { rows, ..create(ID, 0, 0) });
    for time in 0..300 {
        logged.batch(iteration, 0, 2, time);
        logged.run(Request::Delivered { iteration, grants: vec![(0, time)] }).unwrap();
    }
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.in_progress, progress.listed.len()), (600, 600));
    let of = |index| progress.listed.iter().find(|one| one.index == index).unwrap().started_ms;
    assert_eq!(
        (of(599), of(88), of(87), of(0)),
        (299, 44, 43, 43),
        "of the first 44 the last one's time is known"
    );
    logged.check_replay();
}

#[test]
fn a_pushback_finds_what_old_batches_left_open() {
    for groups in [None, Some(vec![vec![0, 1]])] {
        let ranks = if groups.is_some() { 2 } else { 1 };
        let mut logged = Logged::new();
        let rows = ShardRows::new(vec![90; 10]);
        let definition = definition(shuffled(1, 3), groups);
        let iteration = logged.create(Create { rows, definition, ..create(ID, 0, 0) });
        let mut lost = Vec::new();
        for turn in 0..400 {
            for rank in 0..ranks {
                let batch = logged.batch(iteration, rank, 2, 0);
                logged.run(Request::Delivered { iteration, grants: vec![(rank, turn)] }).unwrap();
                // The first sample of every seventh batch is never completed, and the last batches late.
                let missing = usize::from(turn % 7 == 0);
                if rank == 0 {
                    lost.extend(&batch[..missing]);
                    complete(&mut logged, &batch[missing..]);
                }
            }
        }
        logged.check_replay();
        logged.restart();
        assert_eq!(logged.count(Request::Pushback { iteration }), lost.len() as u64);
        for rank in 0..ranks {
            assert_eq!(logged.batch(iteration, rank, lost.len(), 0), lost);
        }
        logged.check_replay();
    }
}
