//! Static mode: the planned sequence, whatever comes back.

use super::fixture::{Logged, create, definition, grant_of, iteration_id, shares};
use crate::ShardRows;
use crate::iterations::{Create, Definition, IterationInfo, Owner, Rejection, Request, Step};
use crate::order::Order;
use crate::steps::Ending;
use lavandin_types::IterationId;

const ID: u64 = 1;

fn create_fixed(samples: u32, lanes: u32, ending: Ending, first: u64) -> Create {
    let definition =
        Definition { shares: Some(shares(lanes, ending, first)), ..definition(Order::Sequential, None) };
    Create { definition, rows: ShardRows::new(vec![samples]), ..create(ID, 0, 0) }
}

/// Batches of the steps, as sessions cut them.
fn step_batch(logged: &mut Logged, iteration: IterationId, rank: u32) -> Vec<u64> {
    let mut walk = logged.walk(iteration, rank);
    let outline = logged.reader().outline(iteration).unwrap();
    let mut samples = Vec::new();
    while let Step::Sample(sample) = logged.step(&mut walk) {
        let is_first =
            |first: &crate::iterations::Sample| outline.step_at(first.place) == outline.step_at(sample.place);
        if !samples.first().is_none_or(is_first) {
            break;
        }
        samples.push(sample);
    }
    if !samples.is_empty() {
        logged.run(Request::Grant(Box::new(grant_of(iteration, rank, &walk, &samples)))).unwrap();
    }
    samples.iter().map(|sample| sample.index).collect()
}

#[test]
fn each_rank_has_its_share_whoever_is_faster() {
    let mut logged = Logged::new();
    let iteration = logged.create(create_fixed(22, 2, Ending::Balanced, 0));
    let all = |logged: &mut Logged, rank| -> Vec<Vec<u64>> {
        std::iter::from_fn(|| Some(step_batch(logged, iteration, rank)).filter(|batch| !batch.is_empty()))
            .collect()
    };
    // Batches of 4; the last 6 samples are shared out.
    assert_eq!(all(&mut logged, 1), [vec![4, 5, 6, 7], vec![12, 13, 14, 15], vec![19, 20, 21]]);
    assert!(!logged.reader().progress(iteration).unwrap().finished, "rank 0 has its share yet");
    assert_eq!(all(&mut logged, 0), [vec![0, 1, 2, 3], vec![8, 9, 10, 11], vec![16, 17, 18]]);
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.finished, progress.in_progress, progress.total), (true, 22, 22));
    assert_eq!(logged.count(Request::Complete { iteration, indices: (0..22).collect() }), 22);
    logged.restart();
    logged.check_replay();
}

#[test]
fn nobody_takes_blocks_and_no_other_rank_comes() {
    let mut logged = Logged::new();
    let iteration = logged.create(create_fixed(22, 2, Ending::Balanced, 0));
    let taken = logged.run(Request::TakeBlock { iteration, group: 0, block: 2 });
    assert_eq!(taken, Err(Rejection::NoMoreBlocks { blocks: 2 }));
    assert_eq!(logged.reader().rank(iteration, 2), Err(Rejection::UnknownRank(2)));
}

#[test]
fn repeated_samples_have_numbers_of_their_own() {
    let mut logged = Logged::new();
    let iteration = logged.create(create_fixed(10, 2, Ending::Pad, 3));
    let outline = logged.reader().outline(iteration).unwrap();
    // Places 3 to 10 and one more.
    assert_eq!(step_batch(&mut logged, iteration, 0), [3, 4, 5, 6]);
    assert_eq!(step_batch(&mut logged, iteration, 1), [7, 8, 9, 10]);
    assert_eq!([9, 10, 11].map(|number| outline.row_of(number)), [Some(9), Some(0), None]);
    assert_eq!(logged.count(Request::Complete { iteration, indices: vec![0, 10] }), 1);
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.total, progress.completed, progress.in_progress), (8, 1, 7));
    let info: IterationInfo = outline.info();
    assert_eq!(info.total, 10, "of the dataset");
    assert_eq!(outline.samples_at(1, 0).unwrap().last().map(|sample| sample.index), Some(10));
    assert_eq!(outline.samples_at(1, 1), Some(Vec::new()));
    logged.restart();
    logged.check_replay();
}

/// A batch whose answer is in doubt comes again as it was, or not at all.
#[test]
fn a_batch_arrived_as_a_whole_or_not_at_all() {
    let mut logged = Logged::new();
    let iteration = logged.create(create_fixed(24, 1, Ending::Balanced, 0));
    assert_eq!(step_batch(&mut logged, iteration, 0), [0, 1, 2, 3]);
    assert_eq!(step_batch(&mut logged, iteration, 0), [4, 5, 6, 7]);
    assert_eq!(step_batch(&mut logged, iteration, 0), [8, 9, 10, 11]);
    for number in [2, 1, 0] {
        let returned = Request::Return { iteration, rank: 0, number, owner: Owner::NOBODY };
        assert_eq!(logged.count(returned), 4);
    }
    logged.restart();
    // Its client acknowledges one sample of the second, so it has that one whole.
    assert_eq!(logged.count(Request::Complete { iteration, indices: vec![5] }), 1);
    assert_eq!(logged.reader().progress(iteration).unwrap().in_progress, 3);
    assert_eq!(step_batch(&mut logged, iteration, 0), [0, 1, 2, 3]);
    assert_eq!(step_batch(&mut logged, iteration, 0), [8, 9, 10, 11]);
    assert_eq!(logged.count(Request::Complete { iteration, indices: vec![4, 5, 6, 7] }), 3);
    assert_eq!(logged.count(Request::Pushback { iteration }), 8);
    assert_eq!(step_batch(&mut logged, iteration, 0), [0, 1, 2, 3]);
    logged.restart();
    logged.check_replay();
}

/// The acknowledgement may also come before its node gives the batch back.
#[test]
fn a_batch_that_was_done_in_part_is_not_given_back() {
    let mut logged = Logged::new();
    let iteration = logged.create(create_fixed(24, 1, Ending::Balanced, 0));
    assert_eq!(step_batch(&mut logged, iteration, 0), [0, 1, 2, 3]);
    assert_eq!(step_batch(&mut logged, iteration, 0), [4, 5, 6, 7]);
    assert_eq!(logged.count(Request::Complete { iteration, indices: vec![5] }), 1);
    for (number, returned) in [(1, 0), (0, 4)] {
        let request = Request::Return { iteration, rank: 0, number, owner: Owner::NOBODY };
        assert_eq!(logged.count(request), returned);
    }
    logged.restart();
    assert_eq!(step_batch(&mut logged, iteration, 0), [0, 1, 2, 3]);
    assert_eq!(step_batch(&mut logged, iteration, 0), [8, 9, 10, 11]);
    assert_eq!(logged.count(Request::Complete { iteration, indices: vec![4, 6, 7] }), 3);
    logged.check_replay();
}

#[test]
fn a_pushback_finds_what_an_acknowledgement_reopened() {
    let mut logged = Logged::new();
    let iteration = logged.create(create_fixed(8, 1, Ending::Balanced, 0));
    assert_eq!(step_batch(&mut logged, iteration, 0), [0, 1, 2, 3]);
    logged.run(Request::Return { iteration, rank: 0, number: 0, owner: Owner::NOBODY }).unwrap();
    assert_eq!(logged.count(Request::Complete { iteration, indices: vec![1] }), 1);
    assert_eq!(logged.count(Request::Pushback { iteration }), 3);
    assert_eq!(step_batch(&mut logged, iteration, 0), [0, 2, 3]);
    assert_eq!(step_batch(&mut logged, iteration, 0), [4, 5, 6, 7]);
}

#[test]
fn an_epoch_without_a_step_is_over_at_once() {
    let mut logged = Logged::new();
    let iteration = logged.create(create_fixed(5, 2, Ending::Drop, 0));
    assert_eq!(step_batch(&mut logged, iteration, 1), Vec::<u64>::new());
    let progress = logged.reader().progress(iteration).unwrap();
    assert_eq!((progress.total, progress.finished), (0, true));
    assert_eq!(iteration, iteration_id(ID));
    logged.restart();
}
