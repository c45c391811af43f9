//! A fixed plan: which samples a rank gets at a step, whatever the others do.
//!
//! 1. Ranks that are to see the same samples form a replication group; each group, or each rank where there are none, is
//!    a *lane*. `batch` samples for each lane are a *global batch*.
//! 2. Step by step, the next global batch is cut from the order's places; each lane gets a run of it. So the order of
//!    samples over all lanes does not depend on how many lanes a global batch is cut for.
//! 3. All lanes have equally many steps. What is left at the end of the epoch is treated as [`Ending`] says, and
//!    [`StaticPlan::repeated`] and [`StaticPlan::left_out`] state what that costs.
//!
//! A plan may begin at any place: the cursor of one layout goes on in another. Driven by `node`. Deliberately absent:
//! filters (a plan counts places before them), leases, what was delivered.

mod layout;

pub use layout::{Ending, Layout, LayoutError};

use crate::{Block, EpochOrder};
use std::ops::Range;

/// Who gets what, from a place on to the end of the epoch.
#[derive(Clone, Debug)]
pub struct StaticPlan {
    order: EpochOrder,
    layout: Layout,
    first: u64,
    steps: u64,
    /// The block that the last batch ended in, and its first place: the next one begins there.
    held: Option<(u64, Block)>,
}

impl StaticPlan {
    /// The plan of what is left of an epoch from the place `first` on: 0, or a cursor's.
    pub fn new(order: EpochOrder, layout: Layout, first: u64) -> Self {
        let first = first.min(order.total());
        let left = order.total() - first;
        let (full, rest) = (left / layout.global_batch(), left % layout.global_batch());
        let steps = full + u64::from(rest > 0 && layout.ending() != Ending::Drop);
        Self { order, layout, first, steps, held: None }
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn order(&self) -> &EpochOrder {
        &self.order
    }

    /// The number of steps, the same for each rank. 0 if there is not a sample left to give.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many samples some lane gets that another got before, so that all lanes have equally many steps.
    pub fn repeated(&self) -> u64 {
        self.end().saturating_sub(self.order.total())
    }

    /// How many samples no lane gets.
    pub fn left_out(&self) -> u64 {
        self.order.total().saturating_sub(self.end())
    }

    /// The first place of a step, of the end if it is beyond the last: where a cursor points after the step before. Not
    /// beyond the epoch's last place, though samples may be repeated there.
    pub fn place(&self, step: u64) -> u64 {
        self.boundary(step).min(self.order.total())
    }

    /// The numbers of the samples that a rank gets at a step, in order; none beyond the last step. `None`: no such rank.
    /// Quick for steps that follow each other; another block costs what [`EpochOrder::block`] says.
    pub fn batch(&mut self, rank: u32, step: u64) -> Option<Vec<u64>> {
        let places = self.places(self.layout.lane(rank)?, step);
        Some(places.map(|place| self.index(place % self.order.total())).collect())
    }

    /// A lane's places at a step. From the order's total on they count on from its first place.
    fn places(&self, lane: u32, step: u64) -> Range<u64> {
        let (start, end) = (self.boundary(step), self.boundary(step.saturating_add(1)));
        let (lanes, samples) = (u128::from(self.layout.lanes()), u128::from(end - start));
        let share = |lane: u32| start + (samples * u128::from(lane) / lanes) as u64;
        share(lane)..share(lane + 1)
    }

    fn end(&self) -> u64 {
        self.boundary(self.steps)
    }

    /// Where a step's places begin, unwrapped.
    fn boundary(&self, step: u64) -> u64 {
        let (global, lanes) = (self.layout.global_batch(), u64::from(self.layout.lanes()));
        let full = |steps: u64| self.first + steps * global;
        if step < self.steps.saturating_sub(1) || self.layout.ending() != Ending::Balanced {
            return full(step.min(self.steps));
        }
        // The end of the epoch, unless the last step would leave a lane without a sample.
        let total = self.order.total();
        let Some(last) = self.steps.checked_sub(1) else { return self.first };
        let short = lanes.saturating_sub(total - full(last));
        let from_before = if last > 0 && self.layout.batch() > 1 { short } else { 0 };
        if step == last { full(last) - from_before } else { total + short - from_before }
    }

    /// The sample at a place, which is below the order's total.
    fn index(&mut self, place: u64) -> u64 {
        if let Some((start, block)) = &self.held
            && let Some(inside) = place.checked_sub(*start)
            && inside < block.len()
        {
            return block.index(inside);
        }
        let (number, inside) = self.order.block_at(place).expect("the place was taken modulo the total");
        let block = self.order.block(number);
        let index = block.index(inside);
        self.held = Some((place - inside, block));
        index
    }
}

#[cfg(test)]
mod tests;
