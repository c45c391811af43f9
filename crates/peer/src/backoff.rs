//! The pause between attempts to connect: it doubles up to a limit, and up to half of it is chance, so that nodes
//! that lost one peer together do not come back together.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
    state: u64,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, max: Duration, seed: u64) -> Self {
        Self { first, max, failures: 0, state: seed }
    }

    pub(crate) const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure.
    pub(crate) fn failed(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        let chance = self.chance() % (u64::try_from(half.as_nanos()).unwrap_or(u64::MAX - 1) + 1);
        whole - half + Duration::from_nanos(chance)
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    const fn chance(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests;
