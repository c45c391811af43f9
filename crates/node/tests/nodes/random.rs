//! Random numbers of a seed (SplitMix64).

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x6e6f_6465_7320_6c76)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A stream of its own, for something beside.
    pub(crate) fn branch(&mut self) -> Self {
        Self(self.next())
    }

    /// A number in the range, its end excluded.
    pub(crate) fn range(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.range(0..length as u64) as usize
    }

    /// Whether something of that many in a thousand happens.
    pub(crate) fn per_mille(&mut self, chance: u64) -> bool {
        self.range(0..1000) < chance
    }
}
