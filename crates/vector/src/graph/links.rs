//! Links under construction: rows of neighbours that several threads read and extend at once.
//!
//! ```text
//! row = u32 state (bit 31: locked by a writer; bits 30..0: count), then `room` neighbours
//! ```
//!
//! Every word is atomic. A writer locks its row; readers never wait: they read the count, then that many neighbours,
//! and may see some from before a change and some from after it. That is harmless, because every word of a row that
//! was ever counted is the number of a row of the graph, and a walk needs good neighbours, not a consistent set of them.
//! The count is stored with release ordering after the neighbours and loaded with acquire ordering before them, so that
//! a counted word is never one that was not written yet (it would be 0, which is a row too).
//!
//! Invariant: at most one row is locked by a thread at a time, hence no deadlock.

use std::sync::atomic::{AtomicU32, Ordering};

use super::walk;

const LOCKED: u32 = 1 << 31;

/// Neighbours of every row, at most `room` each.
pub(super) struct Links {
    words: Box<[AtomicU32]>,
    rows: u32,
    room: usize,
}

/// A locked row; unlocked when dropped.
pub(super) struct LockedRow<'a> {
    state: &'a AtomicU32,
    neighbours: &'a [AtomicU32],
    count: u32,
}

impl Links {
    pub(super) fn new(rows: u32, room: usize) -> Self {
        let words = std::iter::repeat_with(|| AtomicU32::new(0)).take(rows as usize * (room + 1)).collect();
        Self { words, rows, room }
    }

    pub(super) fn room(&self) -> usize {
        self.room
    }

    fn row(&self, row: u32) -> (&AtomicU32, &[AtomicU32]) {
        let start = row as usize * (self.room + 1);
        (&self.words[start], &self.words[start + 1..start + 1 + self.room])
    }

    /// How many neighbours a row has.
    pub(super) fn count(&self, row: u32) -> usize {
        (self.row(row).0.load(Ordering::Acquire) & !LOCKED) as usize
    }

    /// Waits for other writers of the row. They hold it for one pruning at most, tens of microseconds.
    pub(super) fn lock(&self, row: u32) -> LockedRow<'_> {
        let (state, neighbours) = self.row(row);
        let mut spins = 0u32;
        loop {
            let count = state.load(Ordering::Relaxed) & !LOCKED;
            let locked =
                state.compare_exchange_weak(count, count | LOCKED, Ordering::Acquire, Ordering::Relaxed);
            if locked.is_ok() {
                return LockedRow { state, neighbours, count };
            }
            spins += 1;
            if spins.is_multiple_of(64) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

impl LockedRow<'_> {
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.neighbours[..self.count as usize].iter().map(|word| word.load(Ordering::Relaxed))
    }

    /// Adds a neighbour if there is room.
    pub(super) fn push(&mut self, neighbour: u32) -> bool {
        let Some(word) = self.neighbours.get(self.count as usize) else {
            return false;
        };
        word.store(neighbour, Ordering::Relaxed);
        self.count += 1;
        true
    }

    /// Replaces all neighbours; more than there is room for are cut off.
    pub(super) fn replace(&mut self, neighbours: &[u32]) {
        self.count = 0;
        for (word, neighbour) in self.neighbours.iter().zip(neighbours) {
            word.store(*neighbour, Ordering::Relaxed);
            self.count += 1;
        }
    }
}

impl Drop for LockedRow<'_> {
    fn drop(&mut self) {
        self.state.store(self.count, Ordering::Release);
    }
}

impl walk::Links for Links {
    fn rows(&self) -> u32 {
        self.rows
    }

    #[inline(always)]
    fn neighbours<'a>(&'a self, row: u32, buffer: &'a mut Vec<u32>) -> &'a [u32] {
        let (state, neighbours) = self.row(row);
        let count = state.load(Ordering::Acquire) & !LOCKED;
        buffer.clear();
        buffer.extend(neighbours[..count as usize].iter().map(|word| word.load(Ordering::Relaxed)));
        buffer
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        let start = row as usize * (self.room + 1);
        prefetch_words(&self.words[start..start + 1 + self.room]);
    }
}

/// Asks for the cache lines of some words.
#[inline(always)]
fn prefetch_words(words: &[AtomicU32]) {
    for word in words.iter().step_by(16) {
        let word: *const AtomicU32 = word;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint on the address of a word.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(word.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = word;
    }
}

#[cfg(test)]
mod tests;
