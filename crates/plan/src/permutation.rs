//! A keyed permutation of `0..count` in O(1) memory: the item at any place, without the places before it.
//!
//! 1. A number below `count` is a pair: its low `bits` bits, about half of them, and the rest, below `high`. There are at
//!    most 2√`count` more pairs than `count`.
//! 2. Rounds take turns: one half is hashed with the round's key and added to the other, modulo the other's size. Each
//!    round can be undone, so all of them together permute the pairs (a Feistel network of unequal halves).
//! 3. A pair that is no number below `count` is sent through the rounds again until it is one. As a permutation's cycles
//!    come back to where they began, that ends, nearly always at once.
//!
//! Source: Black and Rogaway, *Ciphers with Arbitrary Finite Domains*, CT-RSA 2002. The keys are no secret: this is for
//! mixing. Frozen: a saved cursor means places of these very permutations, so a better one is a new kind of order.
//! Driven by `order`.

/// Four pairs of rounds mix large counts as well as more do; the tests fail with two.
const ROUND_PAIRS: u32 = 4;
/// Halves of a few items leave some arrangements likelier than others for longer: of five items 14 % with four pairs.
const ROUND_PAIRS_SMALL: u32 = 12;
const SMALL: u64 = 256;
/// Odd and without a pattern: the fractional parts of the golden ratio, and of √2 and √3.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
const FIRST: u64 = 0x6A09_E667_F3BC_C909;
const SECOND: u64 = 0xBB67_AE85_84CA_A73B;

/// A permutation of the numbers below a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permutation {
    count: u64,
    key: u64,
    high: u64,
    bits: u32,
    round_pairs: u32,
}

impl Permutation {
    /// Of at most 2⁴⁸ items; `key` comes from [`derive_key`].
    pub(crate) fn new(count: u64, key: u64) -> Self {
        debug_assert!(count <= 1 << 48);
        let bits = count.max(1).ilog2().div_ceil(2);
        let round_pairs = if count < SMALL { ROUND_PAIRS_SMALL } else { ROUND_PAIRS };
        Self { count, key, high: count.div_ceil(1 << bits), bits, round_pairs }
    }

    /// The item at a place, which is below the count.
    #[inline]
    pub(crate) fn at(&self, place: u64) -> u64 {
        debug_assert!(place < self.count);
        let mut item = place;
        loop {
            item = self.rounds(item);
            if item < self.count {
                return item;
            }
        }
    }

    #[inline]
    fn rounds(&self, pair: u64) -> u64 {
        let mask = (1 << self.bits) - 1;
        let (mut high, mut low) = (pair >> self.bits, pair & mask);
        let mut key = self.key;
        for _ in 0..self.round_pairs {
            high = high.wrapping_add(below(self.high, hash(low.wrapping_add(key))));
            // Takes the size off again unless that wraps round.
            high = high.min(high.wrapping_sub(self.high));
            key = key.wrapping_add(GOLDEN);
            low = low.wrapping_add(hash(high.wrapping_add(key)) >> 32) & mask;
            key = key.wrapping_add(GOLDEN);
        }
        high << self.bits | low
    }
}

/// A hash as a number below `count`, by its highest bits.
#[inline]
fn below(count: u64, hash: u64) -> u64 {
    (u128::from(count).wrapping_mul(u128::from(hash)) >> 64) as u64
}

/// Mixed well in its upper half, which is all that is used.
#[inline]
fn hash(x: u64) -> u64 {
    let x = x.wrapping_mul(FIRST);
    (x ^ (x >> 32)).wrapping_mul(SECOND)
}

/// One key from several numbers. Each bit of each of them moves about half of the key's.
pub(crate) fn derive_key(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |key: u64, part| finish(key.wrapping_add(GOLDEN) ^ part))
}

/// The finaliser of Steele, Lea and Flood's SplitMix64 (OOPSLA 2014), which is one to one.
fn finish(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
