//! Bytes that nobody wrote: decoders return nothing or something harmless, and never panic.

use super::fixture::{Logged, create, definition, grant_of, is_slow, iteration_id, places, shares, shuffled};
use crate::iterations::op::Op;
use crate::iterations::{
    Create, Definition, Grant, IterationLimits, Iterations, Outcome, Owner, Request, Walk,
};
use crate::order::Order;
use crate::steps::Ending;
use lavandin_types::IterationId;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Changes, inserts, removes or cuts a few bytes.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.insert(at, self.next() as u8),
                1 => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                3 => bytes[at] = bytes[at].wrapping_add(1),
                4 => bytes[at] = 0xFF,
                _ => bytes[at] ^= 1 << self.below(8),
            }
        }
    }
}

/// A life with every kind of operation in its log.
fn life() -> Logged {
    let mut logged = Logged::new();
    for (id, order) in [
        (1, shuffled(1, 2)),
        (2, Order::Global { seed: 1, epoch: 0 }),
        (3, Order::Windowed { seed: 3, epoch: 1, window_shards: 3 }),
        (4, Order::Sequential),
    ] {
        let groups = (id == 2).then(|| vec![vec![0, 1], vec![2]]);
        let shares = (id == 4).then(|| shares(3, Ending::Pad, 7));
        let definition = Definition { shares, ..definition(order, groups) };
        let iteration = logged.create(Create { definition, ..create(id, 0, 20_000 * id) });
        for rank in [0, 0, 1, 2] {
            let mut walk = logged.walk(iteration, rank);
            let samples = logged.gather(&mut walk, iteration, 8);
            if samples.is_empty() {
                continue;
            }
            let grant = Grant {
                filtered: places(&samples[..1]),
                failed: places(&samples[1..2]),
                delivered: vec![(0, 0)],
                ..grant_of(iteration, rank, &walk, &samples[2..])
            };
            logged.run(Request::Grant(Box::new(grant))).unwrap();
        }
        logged.run(Request::Complete { iteration, indices: (0..40).collect() }).unwrap();
        logged.run(Request::Return { iteration, rank: 0, number: 1, owner: Owner::NOBODY }).unwrap();
        logged.run(Request::Delivered { iteration, grants: vec![(1, 0)] }).unwrap();
    }
    logged.create(create(9, 0, 60_000));
    logged.create(create(9, 3, 60_000));
    logged.run(Request::Pushback { iteration: iteration_id(3) }).unwrap();
    logged
}

/// Uses everything that can be read of a state; its numbers add up.
fn visit(iterations: &Iterations) {
    let reader = iterations.reader();
    for info in reader.list(None) {
        let progress = reader.progress(info.id).expect("it is listed");
        let settled = progress.completed + progress.filtered + progress.failed;
        assert_eq!(settled + progress.in_progress, progress.current);
        assert!(progress.current <= progress.total, "{progress:?}");
        walk_all(iterations, info.id);
    }
    iterations.reader().open_grants();
}

fn walk_all(iterations: &Iterations, id: IterationId) {
    for rank in 0..3 {
        let (reader, Ok(status)) = (iterations.reader(), iterations.reader().rank(id, rank)) else {
            continue;
        };
        let outline = reader.outline(id).expect("it is listed");
        if let Ok(mut walk) = Walk::new(outline, rank, &status) {
            (0..200).for_each(|_| {
                walk.step(|look| reader.look(look)).expect("a known iteration and rank");
            });
        }
    }
}

/// Some damage makes rows of thousands of millions of samples, which is allowed, but takes long to walk.
fn is_small(iterations: &Iterations) -> bool {
    iterations.reader().list(None).iter().all(|info| info.total <= 100_000)
}

fn apply_all(iterations: &mut Iterations, ops: &[Vec<u8>]) {
    for op in ops {
        iterations.apply(op);
    }
}

/// Applies operations of which some were damaged: the state adds up, and comes back.
fn live_with_damage(ops: &[Vec<u8>]) {
    let mut iterations = Iterations::new(IterationLimits::default());
    apply_all(&mut iterations, ops);
    if !is_small(&iterations) {
        return;
    }
    visit(&iterations);
    let mut bytes = Vec::new();
    iterations.encode(&mut bytes);
    let again = Iterations::decode(IterationLimits::default(), &bytes).expect("what was encoded");
    let mut same = Vec::new();
    again.encode(&mut same);
    assert!(same == bytes);
}

/// Whether the damaged checkpoint is a state. If so, it adds up, and what happens to it later does not end the process;
/// sets that contradict each other are found by the checkpoint's checksum, not here.
fn survives(bytes: &[u8], ops: &[Vec<u8>]) -> bool {
    let Some(mut iterations) = Iterations::decode(IterationLimits::default(), bytes) else { return false };
    if is_small(&iterations) {
        visit(&iterations);
        apply_all(&mut iterations, ops);
        for info in iterations.reader().list(None) {
            walk_all(&iterations, info.id);
            iterations.reader().progress(info.id);
        }
        iterations.encode(&mut Vec::new());
    }
    true
}

#[test]
fn random_bytes_are_no_operations_and_no_checkpoints() {
    let mut random = Random(1);
    for round in 0..100_000 {
        let length = random.below(200);
        let mut bytes = random.bytes(length);
        if round % 2 == 0 && length > 2 {
            // Past the kind and the version.
            (bytes[0], bytes[1]) = (64 + random.below(9) as u8, 1);
        }
        let _ = Op::decode(&bytes);
        let _ = Outcome::decode(&bytes);
        if length > 0 {
            bytes[0] = 1;
        }
        assert!(Iterations::decode(IterationLimits::default(), &bytes).is_none() || bytes.len() < 8);
    }
}

#[test]
fn operations_come_back_and_damaged_ones_do_no_harm() {
    let logged = life();
    let kinds: std::collections::BTreeSet<u8> = logged.log.iter().map(|op| op[0]).collect();
    assert_eq!(kinds, (64..=71).collect(), "all but the drop of a dataset");
    for bytes in &logged.log {
        let op = Op::decode(bytes).expect("just logged");
        let mut again = Vec::new();
        op.encode(&mut again);
        assert_eq!(&again, bytes);
        for length in 0..bytes.len() {
            assert_eq!(Op::decode(&bytes[..length]), None, "cut to {length} of {}", bytes.len());
        }
    }
    let mut random = Random(2);
    for _ in 0..if is_slow() { 20_000 } else { 300 } {
        let mut ops = logged.log.clone();
        for _ in 0..8 {
            let at = random.below(ops.len());
            random.damage(&mut ops[at]);
        }
        live_with_damage(&ops);
    }
}

#[test]
fn damaged_checkpoints_do_no_harm() {
    let logged = life();
    let bytes = logged.checkpoint();
    for length in 0..bytes.len() {
        assert!(Iterations::decode(IterationLimits::default(), &bytes[..length]).is_none());
    }
    let mut random = Random(3);
    let mut readable = 0;
    for _ in 0..if is_slow() { 200_000 } else { 3_000 } {
        let mut bytes = bytes.clone();
        random.damage(&mut bytes);
        readable += u32::from(survives(&bytes, &logged.log));
    }
    assert!(readable > 300, "{readable} were readable: the test should reach past the decoder");
}

/// Ways to change a byte: all bits, and single ones.
fn flips() -> Vec<u8> {
    let bits = if is_slow() { 0..8 } else { 0..1 };
    bits.map(|bit| 1 << bit).chain([0x80, 0xFF]).collect()
}

#[test]
fn every_changed_byte_of_a_checkpoint_is_found_or_harmless() {
    let logged = life();
    let bytes = logged.checkpoint();
    for (at, flip) in (0..bytes.len()).flat_map(|at| flips().into_iter().map(move |flip| (at, flip))) {
        let mut bytes = bytes.clone();
        bytes[at] ^= flip;
        survives(&bytes, &logged.log);
    }
}

#[test]
fn every_changed_byte_of_an_operation_is_harmless() {
    let logged = life();
    for (op, bytes) in logged.log.iter().enumerate() {
        for (at, flip) in (0..bytes.len()).flat_map(|at| flips().into_iter().map(move |flip| (at, flip))) {
            let mut ops = logged.log.clone();
            ops[op][at] ^= flip;
            live_with_damage(&ops);
        }
    }
}

#[test]
fn another_version_is_refused() {
    let logged = life();
    let mut bytes = logged.checkpoint();
    bytes[0] = 4;
    assert!(Iterations::decode(IterationLimits::default(), &bytes).is_none());
    let mut op = logged.log[0].clone();
    op[1] = 2;
    assert_eq!(Op::decode(&op), None);
    let mut iterations = Iterations::new(IterationLimits::default());
    assert_eq!(iterations.apply(&op), Outcome::Count(0));
}
