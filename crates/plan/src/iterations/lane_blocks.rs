//! Fixed shares as blocks: what makes an iteration of static mode one like others.
//!
//! Each lane (a replication group, or a rank where there are none) owns blocks of its own from the beginning: its samples
//! at some consecutive steps, in order. So its ranks walk them, are granted them, return them and push them back as in any
//! iteration, and which sample comes when is fixed for all failures and all others.
//!
//! Samples that are repeated to fill up the end are samples of their own: their number is their place, counted on from the
//! number of samples. So each is handed out once, and done once.

use crate::iterations::limits::{LANE_BLOCK_SAMPLES, LANE_BLOCKS_MAX, LANES_MAX};
use crate::iterations::places::Place;
use crate::steps::{Ending, Layout, Steps};
use std::num::NonZeroU32;
use std::ops::Range;

/// How samples are shared out where that is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedShares {
    /// Replication groups, or ranks where there are none.
    pub lanes: NonZeroU32,
    pub ending: Ending,
    /// The first place of the order: 0, or a cursor's.
    pub first: u64,
}

/// The blocks of all lanes: those of the first one, then those of the second, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneBlocks {
    steps: Steps,
    /// Steps of a block.
    stride: u64,
    /// Blocks of a lane.
    per_lane: u32,
}

impl LaneBlocks {
    /// `None` if there would be too many.
    pub(crate) fn new(shares: FixedShares, batch: NonZeroU32, total: u64) -> Option<Self> {
        let FixedShares { lanes, ending, first } = shares;
        let steps = Steps::new(Layout { lanes, batch, ending }, total, first);
        let stride = (LANE_BLOCK_SAMPLES / u64::from(batch.get())).max(1);
        let per_lane = steps.count().div_ceil(stride);
        let all = per_lane.checked_mul(u64::from(lanes.get()))?;
        let per_lane = u32::try_from(per_lane).ok()?;
        let fits = all <= u64::from(LANE_BLOCKS_MAX) && lanes.get() <= LANES_MAX;
        fits.then_some(Self { steps, stride, per_lane })
    }

    pub(crate) fn steps(&self) -> &Steps {
        &self.steps
    }

    pub(crate) fn count(&self) -> u32 {
        self.per_lane * self.steps.layout().lanes.get()
    }

    pub(crate) fn of_lane(&self, lane: u32) -> Range<u32> {
        lane * self.per_lane..(lane + 1) * self.per_lane
    }

    /// The lane and the steps of a block, which is below the count.
    fn steps_of(&self, block: u32) -> (u32, Range<u64>) {
        let start = u64::from(block % self.per_lane) * self.stride;
        (block / self.per_lane, start..start.saturating_add(self.stride).min(self.steps.count()))
    }

    /// The order's places of a block, step by step.
    pub(crate) fn places(&self, block: u32) -> impl Iterator<Item = u64> + '_ {
        let (lane, steps) = self.steps_of(block);
        steps.flat_map(move |step| self.steps.places(lane, step))
    }

    /// At which step a lane gets what is at a place of a block, which is below the count.
    pub(crate) fn step_at(&self, place: Place) -> u64 {
        let (lane, steps) = self.steps_of(place.block);
        let offset = u64::from(place.offset);
        let is_before = |step: u64| self.steps.samples_of(lane, steps.start..step + 1) <= offset;
        // All but the last two steps of an epoch are whole.
        let mut step = steps.start + offset / u64::from(self.steps.layout().batch.get());
        while step < steps.end && is_before(step) {
            step += 1;
        }
        step
    }

    /// The block in which a lane gets a step, and the offsets there. `None` beyond the last one.
    pub(crate) fn block_at(&self, lane: u32, step: u64) -> Option<(u32, Range<u64>)> {
        if step >= self.steps.count() || lane >= self.steps.layout().lanes.get() {
            return None;
        }
        let block = lane * self.per_lane + (step / self.stride) as u32;
        let first = step / self.stride * self.stride;
        let end = |steps: Range<u64>| self.steps.samples_of(lane, steps);
        Some((block, end(first..step)..end(first..step + 1)))
    }
}

#[cfg(test)]
mod tests;
