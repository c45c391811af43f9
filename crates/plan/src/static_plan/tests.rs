use super::*;
use crate::{LavenderShuffle, Order, ShardRows};
use proptest::prelude::*;

fn global(samples: u32) -> EpochOrder {
    Order::Global { seed: 1, epoch: 0 }.prepare(&ShardRows::new(vec![samples])).unwrap()
}

fn sequential(samples: u32) -> EpochOrder {
    Order::Sequential.prepare(&ShardRows::new(vec![samples])).unwrap()
}

fn layout(world_size: u32, batch: u32, ending: Ending) -> Layout {
    Layout::new(world_size, batch, ending).unwrap()
}

/// Per step and lane.
fn batches(plan: &mut StaticPlan) -> Vec<Vec<Vec<u64>>> {
    let ranks = 0..plan.layout().lanes();
    (0..plan.steps())
        .map(|step| ranks.clone().map(|rank| plan.batch(rank, step).unwrap()).collect())
        .collect()
}

#[test]
fn endings() {
    let run = |samples, world_size, batch, ending| {
        let mut plan = StaticPlan::new(sequential(samples), layout(world_size, batch, ending), 0);
        let all = batches(&mut plan);
        assert_eq!(plan.batch(0, plan.steps()), Some(vec![]));
        assert_eq!(plan.batch(0, u64::MAX), Some(vec![]));
        assert_eq!(plan.batch(world_size, 0), None);
        (all, plan.repeated(), plan.left_out())
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

#[test]
fn groups_see_the_same() {
    let groups = Layout::replicated(&[vec![5, 0], vec![3]], 2, Ending::Balanced).unwrap();
    let mut plan = StaticPlan::new(global(10), groups, 0);
    assert_eq!(plan.steps(), 3);
    for step in 0..3 {
        assert_eq!(plan.batch(0, step), plan.batch(5, step));
        assert_ne!(plan.batch(0, step), plan.batch(3, step));
        assert_eq!(plan.batch(1, step), None);
    }
}

#[test]
fn wrong_layouts() {
    let ending = Ending::Balanced;
    assert_eq!(Layout::new(0, 1, ending), Err(LayoutError::NoRanks));
    assert_eq!(Layout::new(1, 0, ending), Err(LayoutError::EmptyBatch));
    assert_eq!(Layout::new(u32::MAX, 1, ending), Err(LayoutError::TooManyRanks));
    assert_eq!(Layout::replicated(&[], 1, ending), Err(LayoutError::NoRanks));
    assert_eq!(Layout::replicated(&[vec![0], vec![]], 1, ending), Err(LayoutError::EmptyGroup { group: 1 }));
    assert_eq!(
        Layout::replicated(&[vec![0], vec![1, 0]], 1, ending),
        Err(LayoutError::RankTwice { rank: 0 })
    );
}

/// As large as it gets: no sum overflows.
#[test]
fn largest() {
    let rows = ShardRows::new(vec![1 << 31; 1 << 17]);
    for ending in [Ending::Balanced, Ending::Pad, Ending::Drop] {
        let order = Order::Global { seed: 1, epoch: 0 }.prepare(&rows).unwrap();
        let whole = layout(layout::RANKS_MAX, u32::MAX, ending);
        let plan = StaticPlan::new(order, whole, (1 << 48) - 5);
        assert!(plan.steps() <= 1);
        assert_eq!(plan.place(u64::MAX), if ending == Ending::Drop { (1 << 48) - 5 } else { 1 << 48 });
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

/// A world of up to nine ranks, some of them in groups, and a batch size.
fn worlds() -> impl Strategy<Value = (Vec<Vec<u32>>, u32)> {
    let sizes = prop::collection::vec(1..4_u32, 1..10).prop_map(|sizes| {
        let mut ranks = 0..9;
        let groups = sizes.into_iter().map(|size| ranks.by_ref().take(size as usize).collect());
        groups.filter(|group: &Vec<u32>| !group.is_empty()).collect()
    });
    let each = (1..10_u32).prop_map(|world_size| (0..world_size).map(|rank| vec![rank]).collect());
    (prop_oneof![sizes, each], prop_oneof![Just(1), 1..8_u32, 100..300_u32])
}

proptest! {
    #[test]
    fn each_sample_once_in_equal_steps(
        order in orders(), rows in layouts_of_rows(), (groups, batch) in worlds(), ending in endings_of(),
    ) {
        let total = rows.total();
        let lanes = groups.len() as u64;
        let layout = Layout::replicated(&groups, batch, ending).unwrap();
        let mut plan = StaticPlan::new(order.prepare(&rows).unwrap(), layout, 0);
        let mut given = Vec::new();
        for step in 0..plan.steps() {
            for group in &groups {
                let samples = plan.batch(group[0], step).unwrap();
                for rank in &group[1..] {
                    prop_assert_eq!(&plan.batch(*rank, step).unwrap(), &samples);
                }
                prop_assert!(!samples.is_empty() && samples.len() as u32 <= batch);
                if ending != Ending::Balanced {
                    prop_assert_eq!(samples.len() as u32, batch);
                }
                given.extend(samples);
            }
        }
        prop_assert_eq!(given.len() as u64, total + plan.repeated() - plan.left_out());
        let mut distinct = given.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct.len() as u64, total - plan.left_out());
        match ending {
            Ending::Balanced if batch > 1 && total >= lanes => prop_assert_eq!(plan.repeated(), 0),
            Ending::Balanced => prop_assert!(plan.repeated() < lanes),
            Ending::Pad => prop_assert!(plan.repeated() < lanes * u64::from(batch)),
            Ending::Drop => prop_assert!(plan.left_out() < lanes * u64::from(batch)),
        }
        prop_assert!(ending == Ending::Drop || plan.left_out() == 0);
        // In the order's own order, whatever the world.
        let order = plan.order();
        let in_order = (0..order.blocks()).flat_map(|number| order.block(number).indices(0).collect::<Vec<_>>());
        let in_order: Vec<u64> = in_order.collect();
        prop_assert!(given.iter().eq(in_order.iter().cycle().take(given.len())));
    }

    #[test]
    fn resumes_anywhere(
        order in orders(), rows in layouts_of_rows(), (groups, batch) in worlds(), ending in endings_of(), at: u64,
    ) {
        let layout = Layout::replicated(&groups, batch, ending).unwrap();
        let order = order.prepare(&rows).unwrap();
        let mut whole = StaticPlan::new(order.clone(), layout.clone(), 0);
        let done = at % (whole.steps() + 1);
        let mut rest = StaticPlan::new(order, layout, whole.place(done));
        prop_assert_eq!(rest.steps(), whole.steps() - done);
        prop_assert_eq!(rest.left_out(), whole.left_out());
        prop_assert!(rest.repeated() == whole.repeated() || rest.steps() == 0);
        for step in 0..rest.steps() {
            prop_assert_eq!(rest.place(step), whole.place(done + step));
            for group in &groups {
                prop_assert_eq!(rest.batch(group[0], step), whole.batch(group[0], done + step));
            }
        }
    }

    /// With as many samples to a global batch, another world gets the same ones at each step, mid-epoch too.
    #[test]
    fn worlds_may_change(
        order in orders(), rows in layouts_of_rows(), few in 1..5_u32, times in 1..5_u32, batch in 1..9_u32, at: u64,
    ) {
        let order = order.prepare(&rows).unwrap();
        let before = layout(few, batch * times, Ending::Pad);
        let after = layout(few * times, batch, Ending::Pad);
        let mut before = StaticPlan::new(order.clone(), before, 0);
        let done = at % (before.steps() + 1);
        let mut after = StaticPlan::new(order, after, before.place(done));
        prop_assert_eq!(after.steps(), before.steps() - done);
        for (step, lanes) in batches(&mut after).into_iter().enumerate() {
            let other = (0..few).flat_map(|rank| before.batch(rank, done + step as u64).unwrap());
            prop_assert_eq!(lanes.concat(), other.collect::<Vec<_>>());
        }
    }

    /// A cursor of any layout goes on in any other: what is left is given once.
    #[test]
    fn layouts_may_change(
        order in orders(), rows in layouts_of_rows(), (first, batch) in worlds(), (second, other) in worlds(), at: u64,
    ) {
        let order = order.prepare(&rows).unwrap();
        let first = Layout::replicated(&first, batch, Ending::Balanced).unwrap();
        let second = Layout::replicated(&second, other, Ending::Balanced).unwrap();
        let mut before = StaticPlan::new(order.clone(), first, 0);
        let done = at % (before.steps() + 1);
        let mut after = StaticPlan::new(order, second, before.place(done));
        let mut given: Vec<u64> = batches_of_lanes(&mut before, done);
        given.truncate(before.place(done) as usize);
        let steps = after.steps();
        given.extend(batches_of_lanes(&mut after, steps));
        given.truncate(rows.total() as usize);
        given.sort_unstable();
        prop_assert!(given.into_iter().eq(0..rows.total()));
    }
}

/// The samples of the first steps, lane after lane.
fn batches_of_lanes(plan: &mut StaticPlan, steps: u64) -> Vec<u64> {
    let mut given = Vec::new();
    for step in 0..steps {
        let mut last = None;
        for rank in 0..9 {
            let lane = plan.layout().lane(rank);
            if lane.is_some() && lane != last {
                given.extend(plan.batch(rank, step).unwrap());
                last = lane;
            }
        }
    }
    given
}
