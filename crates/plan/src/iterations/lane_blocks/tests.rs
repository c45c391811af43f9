use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Blocks hold each lane's places in order, and each place is found again.
    #[test]
    fn blocks_are_the_steps_of_their_lane(
        total in 0..50_000_u64,
        lanes in 1..6_u32,
        batch in prop_oneof![1..9_u32, 1000..20_000_u32],
        ending in prop_oneof![Just(Ending::Balanced), Just(Ending::Pad), Just(Ending::Drop)],
        first in 0..300_u64,
    ) {
        let few = |number| NonZeroU32::new(number).unwrap();
        let shares = FixedShares { lanes: few(lanes), ending, first };
        let blocks = LaneBlocks::new(shares, few(batch), total).unwrap();
        let steps = blocks.steps().clone();
        prop_assert_eq!((0..blocks.count()).map(|block| blocks.places(block).count() as u64).sum::<u64>(), steps.samples());
        for lane in 0..lanes {
            let planned: Vec<u64> = (0..steps.count()).flat_map(|step| steps.places(lane, step)).collect();
            let walked: Vec<u64> = blocks.of_lane(lane).flat_map(|block| blocks.places(block)).collect();
            prop_assert_eq!(walked, planned);
            for step in [0, 1, steps.count() / 2, steps.count().saturating_sub(2), steps.count().saturating_sub(1)] {
                let Some((block, offsets)) = blocks.block_at(lane, step) else {
                    prop_assert!(step >= steps.count());
                    continue;
                };
                let places: Vec<u64> = blocks.places(block).collect();
                let of_step = &places[offsets.start as usize..offsets.end as usize];
                prop_assert!(of_step.iter().copied().eq(steps.places(lane, step)));
                for offset in [offsets.start, offsets.end - 1] {
                    prop_assert_eq!(blocks.step_at(Place { block, offset: offset as u32 }), step);
                }
            }
        }
        prop_assert_eq!(blocks.block_at(0, steps.count()), None);
        prop_assert_eq!(blocks.block_at(lanes, 0), None);
    }
}

#[test]
fn more_blocks_than_can_be_kept_are_refused() {
    let one = NonZeroU32::MIN;
    let shares = FixedShares { lanes: one, ending: Ending::Pad, first: 0 };
    let most = u64::from(LANE_BLOCKS_MAX) * LANE_BLOCK_SAMPLES;
    assert_eq!(LaneBlocks::new(shares, one, most).unwrap().count(), LANE_BLOCKS_MAX);
    assert_eq!(LaneBlocks::new(shares, one, most + 1), None);
}
