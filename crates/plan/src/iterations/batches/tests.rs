use super::*;
use crate::iterations::places::Place;

fn batch(number: u64, delivered: bool, samples: impl Iterator<Item = u32>) -> Batch {
    let samples = samples.map(|offset| Place { block: 0, offset }).collect();
    Batch { number, granted_ms: 10 * number, delivered, owner: Owner::NOBODY, samples: Arc::new(samples) }
}

#[test]
fn a_batch_is_open_until_it_is_delivered_or_taken_out() {
    let mut batches = Batches::default();
    (3..7).for_each(|number| batches.push(batch(number, false, 0..1)));
    assert!(batches.deliver(4) && !batches.deliver(4) && !batches.deliver(9));
    assert!(batches.remove_open(4).is_none(), "delivered");
    assert_eq!(batches.remove_open(5).map(|batch| batch.number), Some(5));
    assert!(batches.is_open(3) && !batches.is_open(4) && !batches.is_open(5));
    assert_eq!((batches.open(), batches.len()), (2, 3));
    assert_eq!(batches.open_numbers().map(|(number, _)| number).collect::<Vec<_>>(), [3, 6]);
    batches.clear();
    assert_eq!((batches.open(), batches.len()), (0, 0));
}

#[test]
fn the_oldest_delivered_batches_are_forgotten_and_open_ones_never() {
    let mut batches = Batches::default();
    batches.push(batch(0, false, 0..1));
    (1..=KEPT_MAX as u64).for_each(|number| batches.push(batch(number, true, 0..1)));
    assert_eq!(batches.forget_one(), None);
    batches.push(batch(300, true, 0..1));
    assert_eq!(batches.forget_one().map(|batch| batch.number), Some(1));
    assert_eq!((batches.forget_one(), batches.forgotten_ms), (None, Some(10)));
    assert!(batches.is_open(0));
}

#[test]
fn scattered_samples_leave_room_for_fewer_batches() {
    let mut batches = Batches::default();
    // Every second offset: no two of them are neighbours.
    let scattered = |number| batch(number, true, (0..8_000).step_by(2));
    let bytes = scattered(0).samples.bytes();
    (0..8).for_each(|number| batches.push(scattered(number)));
    let forgotten = std::iter::from_fn(|| batches.forget_one()).count();
    assert_eq!(batches.len(), KEPT_BYTES_MAX / bytes);
    assert_eq!(forgotten + batches.len(), 8);
}
