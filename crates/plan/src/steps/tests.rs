use super::*;
use crate::{EpochOrder, LavenderShuffle, Order, ShardRows};
use proptest::prelude::*;

fn sequential(samples: u32) -> EpochOrder {
    Order::Sequential.prepare(&ShardRows::new(vec![samples])).unwrap()
}

fn layout(lanes: u32, batch: u32, ending: Ending) -> Layout {
    Layout { lanes: NonZeroU32::new(lanes).unwrap(), batch: NonZeroU32::new(batch).unwrap(), ending }
}

/// Steps over an order: samples instead of places.
struct Plan {
    in_order: Vec<u64>,
    steps: Steps,
}

impl Plan {
    fn new(order: &EpochOrder, layout: Layout, first: u64) -> Self {
        let of_block = |number| order.block(number).indices(0).collect::<Vec<_>>();
        let in_order = (0..order.blocks()).flat_map(of_block).collect();
        Self { in_order, steps: Steps::new(layout, order.total(), first) }
    }

    fn batch(&self, lane: u32, step: u64) -> Vec<u64> {
        let total = self.in_order.len() as u64;
        self.steps.places(lane, step).map(|place| self.in_order[(place % total) as usize]).collect()
    }

    /// Per step and lane.
    fn batches(&self) -> Vec<Vec<Vec<u64>>> {
        let lanes = 0..self.steps.layout().lanes.get();
        (0..self.steps.count())
            .map(|step| lanes.clone().map(|lane| self.batch(lane, step)).collect())
            .collect()
    }

    /// The samples of the first steps, lane after lane.
    fn first(&self, steps: u64) -> Vec<u64> {
        self.batches().into_iter().take(steps as usize).flatten().flatten().collect()
    }
}

#[test]
fn endings() {
    let run = |samples, world_size, batch, ending| {
        let plan = Plan::new(&sequential(samples), layout(world_size, batch, ending), 0);
        let all = plan.batches();
        assert_eq!(plan.batch(0, plan.steps.count()), []);
        assert_eq!(plan.batch(0, u64::MAX), []);
        (all, plan.steps.repeated(), plan.steps.left_out())
    };
    use Ending::{Balanced, Drop, Pad};
    // Shared out evenly.
    assert_eq!(
        run(9, 2, 3, Balanced),
        (vec![vec![vec![0, 1, 2], vec![3, 4, 5]], vec![vec![6], vec![7, 8]]], 0, 0)
    );
    // The last global batch would be a single sample.
    assert_eq!(run(7, 2, 3, Balanced), (vec![vec![vec![0, 1], vec![2, 3, 4]], vec![vec![5], vec![6]]], 0, 0));
    // Batches of one cannot be made smaller.
    assert_eq!(run(3, 2, 1, Balanced), (vec![vec![vec![0], vec![1]], vec![vec![2], vec![0]]], 1, 0));
    // More ranks than samples.
    assert_eq!(run(2, 3, 4, Balanced), (vec![vec![vec![0], vec![1], vec![0]]], 1, 0));
    assert_eq!(
        run(7, 2, 3, Pad),
        (vec![vec![vec![0, 1, 2], vec![3, 4, 5]], vec![vec![6, 0, 1], vec![2, 3, 4]]], 5, 0)
    );
    assert_eq!(run(2, 1, 5, Pad), (vec![vec![vec![0, 1, 0, 1, 0]]], 3, 0));
    assert_eq!(run(7, 2, 3, Drop), (vec![vec![vec![0, 1, 2], vec![3, 4, 5]]], 0, 1));
    assert_eq!(run(2, 3, 1, Drop), (vec![], 0, 2));
    for ending in [Balanced, Pad, Drop] {
        assert_eq!(run(0, 3, 2, ending), (vec![], 0, 0));
        assert_eq!(run(6, 2, 3, ending).0, [[vec![0, 1, 2], vec![3, 4, 5]]]);
    }
}

/// As large as it gets: no sum overflows.
#[test]
fn largest() {
    let rows = ShardRows::new(vec![1 << 31; 1 << 17]);
    for ending in [Ending::Balanced, Ending::Pad, Ending::Drop] {
        let steps = Steps::new(layout(u32::MAX, u32::MAX >> 1, ending), rows.total(), (1 << 48) - 5);
        assert!(steps.count() <= 1 && steps.samples_of(7, 0..u64::MAX) <= u64::from(u32::MAX));
        assert_eq!(steps.place(u64::MAX), if ending == Ending::Drop { (1 << 48) - 5 } else { 1 << 48 });
    }
}

fn endings_of() -> impl Strategy<Value = Ending> {
    prop_oneof![Just(Ending::Balanced), Just(Ending::Pad), Just(Ending::Drop)]
}

fn orders() -> impl Strategy<Value = Order> {
    let seeds = (any::<u32>(), 0..3_u64, 1..5_u32);
    (seeds, 0..5).prop_map(|((seed, epoch, size), kind)| match kind {
        0 => Order::Sequential,
        1 => Order::Lavender { shuffle: None },
        2 => Order::Lavender { shuffle: Some(LavenderShuffle { seed, block_shards: size }) },
        3 => Order::Windowed { seed: seed.into(), epoch, window_shards: size },
        _ => Order::Global { seed: seed.into(), epoch },
    })
}

/// Fewer samples than ranks, empty shard files, and blocks of more than one run.
fn layouts_of_rows() -> impl Strategy<Value = ShardRows> {
    prop_oneof![
        4 => prop::collection::vec(0..12_u32, 0..20),
        1 => prop::collection::vec(0..12_000_u32, 0..6),
    ]
    .prop_map(ShardRows::new)
}

/// Lanes and a batch size.
fn worlds() -> impl Strategy<Value = (u32, u32)> {
    (1..10_u32, prop_oneof![Just(1), 1..8_u32, 100..300_u32])
}

proptest! {
    #[test]
    fn each_sample_once_in_equal_steps(
        order in orders(), rows in layouts_of_rows(), (lanes, batch) in worlds(), ending in endings_of(),
    ) {
        let total = rows.total();
        let plan = Plan::new(&order.prepare(&rows).unwrap(), layout(lanes, batch, ending), 0);
        let mut given = Vec::new();
        for samples in plan.batches().into_iter().flatten() {
            prop_assert!(!samples.is_empty() && samples.len() as u32 <= batch);
            if ending != Ending::Balanced {
                prop_assert_eq!(samples.len() as u32, batch);
            }
            given.extend(samples);
        }
        let (steps, lanes) = (&plan.steps, u64::from(lanes));
        prop_assert_eq!(given.len() as u64, steps.samples());
        prop_assert_eq!(given.len() as u64, total + steps.repeated() - steps.left_out());
        let mut distinct = given.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct.len() as u64, total - steps.left_out());
        match ending {
            Ending::Balanced if batch > 1 && total >= lanes => prop_assert_eq!(steps.repeated(), 0),
            Ending::Balanced => prop_assert!(steps.repeated() < lanes),
            Ending::Pad => prop_assert!(steps.repeated() < lanes * u64::from(batch)),
            Ending::Drop => prop_assert!(steps.left_out() < lanes * u64::from(batch)),
        }
        prop_assert!(ending == Ending::Drop || steps.left_out() == 0);
        // In the order's own order, whatever the world.
        prop_assert!(given.iter().eq(plan.in_order.iter().cycle().take(given.len())));
    }

    #[test]
    fn samples_of_steps(rows in 0..3000_u64, (lanes, batch) in worlds(), ending in endings_of(), from: u64, to: u64) {
        let steps = Steps::new(layout(lanes, batch, ending), rows, 0);
        let (from, to) = (from % (steps.count() + 2), to % (steps.count() + 2));
        for lane in 0..lanes {
            let counted = (from..to).map(|step| steps.places(lane, step)).map(|places| places.end - places.start);
            prop_assert_eq!(steps.samples_of(lane, from..to), counted.sum::<u64>());
        }
    }

    #[test]
    fn resumes_anywhere(
        order in orders(), rows in layouts_of_rows(), (lanes, batch) in worlds(), ending in endings_of(), at: u64,
    ) {
        let order = order.prepare(&rows).unwrap();
        let whole = Plan::new(&order, layout(lanes, batch, ending), 0);
        let done = at % (whole.steps.count() + 1);
        let rest = Plan::new(&order, layout(lanes, batch, ending), whole.steps.place(done));
        prop_assert_eq!(rest.steps.count(), whole.steps.count() - done);
        prop_assert_eq!(rest.steps.left_out(), whole.steps.left_out());
        prop_assert!(rest.steps.repeated() == whole.steps.repeated() || rest.steps.count() == 0);
        for step in 0..rest.steps.count() {
            prop_assert_eq!(rest.steps.place(step), whole.steps.place(done + step));
            for lane in 0..lanes {
                prop_assert_eq!(rest.batch(lane, step), whole.batch(lane, done + step));
            }
        }
    }

    /// With as many samples to a global batch, another world gets the same ones at each step, mid-epoch too.
    #[test]
    fn worlds_may_change(
        order in orders(), rows in layouts_of_rows(), few in 1..5_u32, times in 1..5_u32, batch in 1..9_u32, at: u64,
    ) {
        let order = order.prepare(&rows).unwrap();
        let before = Plan::new(&order, layout(few, batch * times, Ending::Pad), 0);
        let done = at % (before.steps.count() + 1);
        let after = Plan::new(&order, layout(few * times, batch, Ending::Pad), before.steps.place(done));
        prop_assert_eq!(after.steps.count(), before.steps.count() - done);
        for (step, lanes) in after.batches().into_iter().enumerate() {
            let other = (0..few).flat_map(|lane| before.batch(lane, done + step as u64));
            prop_assert_eq!(lanes.concat(), other.collect::<Vec<_>>());
        }
    }

    /// A cursor of any layout goes on in any other: what is left is given once.
    #[test]
    fn layouts_may_change(
        order in orders(), rows in layouts_of_rows(), first in worlds(), second in worlds(), at: u64,
    ) {
        let order = order.prepare(&rows).unwrap();
        let layout = |(lanes, batch)| layout(lanes, batch, Ending::Balanced);
        let before = Plan::new(&order, layout(first), 0);
        let done = at % (before.steps.count() + 1);
        let after = Plan::new(&order, layout(second), before.steps.place(done));
        let mut given = before.first(done);
        given.truncate(before.steps.place(done) as usize);
        given.extend(after.first(u64::MAX));
        given.truncate(rows.total() as usize);
        given.sort_unstable();
        prop_assert!(given.into_iter().eq(0..rows.total()));
    }
}
