//! The best `k` of a stream of rows, and the merging of such lists.
//!
//! Order: smaller distance first, then smaller row; distances by `total_cmp`. Both are packed into one integer key, so
//! that the order is total, the same on every copy of a group, and one comparison.

use std::collections::BinaryHeap;

/// A row and its distance from the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    pub distance: f32,
    pub row: u32,
}

impl Neighbor {
    /// Sorts as (distance, row).
    #[inline]
    fn key(self) -> u64 {
        u64::from(ordered(self.distance)) << 32 | u64::from(self.row)
    }

    #[inline]
    fn from_key(key: u64) -> Self {
        Self { distance: unordered((key >> 32) as u32), row: key as u32 }
    }
}

/// Collects the best `k`.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    /// Worst on top.
    heap: BinaryHeap<u64>,
}

impl TopK {
    pub fn new(k: usize) -> Self {
        // A caller may ask for far more than there is.
        Self { k, heap: BinaryHeap::with_capacity(k.min(1024)) }
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }

    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Whether there are `k`.
    pub fn is_full(&self) -> bool {
        self.heap.len() >= self.k
    }

    /// No row at a larger distance would be taken: the worst distance held, infinite until there are `k`.
    #[inline]
    pub fn limit(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.is_full() => Neighbor::from_key(*worst).distance,
            None if self.k == 0 => f32::NEG_INFINITY,
            _ => f32::INFINITY,
        }
    }

    /// Takes the row if it is among the best so far; whether it did.
    #[inline]
    pub fn offer(&mut self, distance: f32, row: u32) -> bool {
        let key = Neighbor { distance, row }.key();
        if !self.is_full() {
            self.heap.push(key);
            return true;
        }
        match self.heap.peek_mut() {
            Some(mut worst) if key < *worst => {
                *worst = key;
                true
            }
            _ => false,
        }
    }

    /// Best first.
    pub fn into_sorted(self) -> Vec<Neighbor> {
        let mut keys = self.heap.into_vec();
        keys.sort_unstable();
        keys.into_iter().map(Neighbor::from_key).collect()
    }
}

/// The best `k` of several lists that have no row in common.
pub fn merge<'a>(k: usize, lists: impl IntoIterator<Item = &'a [Neighbor]>) -> Vec<Neighbor> {
    let mut best = TopK::new(k);
    for neighbor in lists.into_iter().flatten() {
        best.offer(neighbor.distance, neighbor.row);
    }
    best.into_sorted()
}

/// Bits that sort as `total_cmp` does.
#[inline]
fn ordered(distance: f32) -> u32 {
    let bits = distance.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

#[inline]
fn unordered(bits: u32) -> f32 {
    f32::from_bits(if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits })
}

#[cfg(test)]
mod tests;
