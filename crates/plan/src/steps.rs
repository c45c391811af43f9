//! Fixed shares: which places of an order a lane gets at a step, whatever the others do.
//!
//! 1. A *lane* is a rank, or a replication group, whose ranks see the same samples. `batch` samples for each lane are a
//!    *global batch*.
//! 2. Step by step, the next global batch is cut from the order's places; each lane gets a run of it. So the order of
//!    samples over all lanes does not depend on how many lanes a global batch is cut for.
//! 3. All lanes have equally many steps. What is left at the end of the epoch is treated as [`Ending`] says, and
//!    [`Steps::repeated`] and [`Steps::left_out`] state what that costs.
//!
//! Places are counted on where samples are repeated: the place after the order's last is the order's first once more.
//! Steps may begin at any place, so that the cursor of one layout goes on in another. Driven by `iterations`.
//! Deliberately absent: filters (steps count places before them), leases, what was delivered.

use std::num::NonZeroU32;
use std::ops::Range;

/// What becomes of the last samples of an epoch, too few for a whole global batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Each sample is given once. The last global batch is smaller, shared out evenly: lanes differ by at most a sample. If
    /// it had fewer samples than there are lanes, the one before gives it some. Only where that cannot be (with
    /// batches of one, or fewer samples than lanes) samples from the epoch's start fill the lanes without one.
    #[default]
    Balanced,
    /// All batches are whole; the last ones are filled up with samples from the epoch's start.
    Pad,
    /// All batches are whole; the last samples are left out.
    Drop,
}

/// Lanes, samples of a batch of one lane, and how the epoch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub lanes: NonZeroU32,
    pub batch: NonZeroU32,
    pub ending: Ending,
}

impl Layout {
    /// The samples that all lanes get at one step.
    pub fn global_batch(&self) -> u64 {
        u64::from(self.batch.get()) * u64::from(self.lanes.get())
    }
}

/// Who gets what, from a place on to the end of the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    layout: Layout,
    /// Places of the order.
    total: u64,
    first: u64,
    count: u64,
}

impl Steps {
    /// The steps of what is left of an order of `total` places from the place `first` on: 0, or a cursor's.
    pub fn new(layout: Layout, total: u64, first: u64) -> Self {
        let first = first.min(total);
        let left = total - first;
        let (full, rest) = (left / layout.global_batch(), left % layout.global_batch());
        let count = full + u64::from(rest > 0 && layout.ending != Ending::Drop);
        Self { layout, total, first, count }
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The number of steps, the same for each lane. 0 if there is not a sample left to give.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many samples all lanes get together.
    pub fn samples(&self) -> u64 {
        self.end() - self.first
    }

    /// How many samples some lane gets that another got before, so that all lanes have equally many steps.
    pub fn repeated(&self) -> u64 {
        self.end().saturating_sub(self.total)
    }

    /// How many samples no lane gets.
    pub fn left_out(&self) -> u64 {
        self.total.saturating_sub(self.end())
    }

    /// The first place of a step, of the end if it is beyond the last: where a cursor points after the step before. Not
    /// beyond the epoch's last place, though samples may be repeated there.
    pub fn place(&self, step: u64) -> u64 {
        self.boundary(step).min(self.total)
    }

    /// The places that a lane, which is one of the layout's, gets at a step, in order; none beyond the last step.
    pub fn places(&self, lane: u32, step: u64) -> Range<u64> {
        let (start, end) = (self.boundary(step), self.boundary(step.saturating_add(1)));
        let (lanes, samples) = (u128::from(self.layout.lanes.get()), u128::from(end - start));
        let share = |lane: u32| start + (samples * u128::from(lane) / lanes) as u64;
        share(lane)..share(lane + 1)
    }

    /// How many samples a lane gets at the steps of a range.
    pub fn samples_of(&self, lane: u32, steps: Range<u64>) -> u64 {
        // All steps but the last two are whole.
        let whole = self.count.saturating_sub(2);
        let (start, end) = (steps.start.min(self.count), steps.end.min(self.count));
        let of_whole = end.min(whole).saturating_sub(start.min(whole)) * u64::from(self.layout.batch.get());
        let of_step = |step| {
            let places = self.places(lane, step);
            places.end - places.start
        };
        of_whole + (start.max(whole)..end).map(of_step).sum::<u64>()
    }

    fn end(&self) -> u64 {
        self.boundary(self.count)
    }

    /// Where a step's places begin, counted on.
    fn boundary(&self, step: u64) -> u64 {
        let (global, lanes) = (self.layout.global_batch(), u64::from(self.layout.lanes.get()));
        let full = |steps: u64| self.first + steps * global;
        if step < self.count.saturating_sub(1) || self.layout.ending != Ending::Balanced {
            return full(step.min(self.count));
        }
        // The end of the epoch, unless the last step would leave a lane without a sample.
        let Some(last) = self.count.checked_sub(1) else { return self.first };
        let short = lanes.saturating_sub(self.total - full(last));
        let from_before = if last > 0 && self.layout.batch.get() > 1 { short } else { 0 };
        if step == last { full(last) - from_before } else { self.total + short - from_before }
    }
}

#[cfg(test)]
mod tests;
