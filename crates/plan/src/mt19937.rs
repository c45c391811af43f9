//! The generator and the shuffle behind numpy's `RandomState(seed).shuffle(list)`, bit for bit.
//!
//! Needed because a published client's users know their order by its seed. Nothing else in here draws from it: our own
//! orders come from `permutation`. Source: Matsumoto and Nishimura, *Mersenne Twister*, ACM TOMACS 8 (1998); the seeding of
//! their 2002 revision; the shuffle draws by masking and rejecting. Driven by `order`.

const WORDS: usize = 624;
/// The distance of the two words that make a new one.
const MIDDLE: usize = 397;

/// MT19937 with 32-bit draws.
pub(crate) struct Mt19937 {
    words: [u32; WORDS],
    next: usize,
}

impl Mt19937 {
    /// What `RandomState(seed)` starts with for an integer.
    pub(crate) fn new(seed: u32) -> Self {
        let mut words = [0; WORDS];
        let mut word = seed;
        for (i, place) in (1_u32..).zip(&mut words) {
            *place = word;
            word = 1_812_433_253_u32.wrapping_mul(word ^ (word >> 30)).wrapping_add(i);
        }
        Self { words, next: WORDS }
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.next == WORDS {
            self.renew();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C_5680;
        y ^= (y << 15) & 0xEFC6_0000;
        y ^ (y >> 18)
    }

    fn renew(&mut self) {
        for i in 0..WORDS {
            let y = (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % WORDS] & 0x7FFF_FFFF);
            let odd = if y & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.words[i] = self.words[(i + MIDDLE) % WORDS] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// A number from 0 to `max`, both included; no draw is spent on 0.
    fn up_to(&mut self, max: u32) -> u32 {
        let Some(bits) = max.checked_ilog2() else { return 0 };
        let mask = u32::MAX >> (31 - bits);
        loop {
            let drawn = self.next_u32() & mask;
            if drawn <= max {
                return drawn;
            }
        }
    }

    /// Shuffles as numpy shuffles a list: from the last item down, each with one at or before it. Of more than 2³² items,
    /// for which numpy draws differently, only the first 2³² would move; `order` refuses such blocks long before.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        for last in (1..count).rev() {
            let other = self.up_to(last);
            items.swap(last as usize, other as usize);
        }
    }
}

#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
mod tests;
