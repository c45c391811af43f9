//! A list that one thread extends while others read it without waiting: for things that cannot be copied, such as a
//! field's name and column.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Chunks hold 4, 8, 16, ... items.
const FIRST_CHUNK_BITS: u32 = 2;
const CHUNKS: usize = 30;

pub(super) struct OnceList<T> {
    len: AtomicUsize,
    chunks: [OnceLock<Box<[OnceLock<T>]>>; CHUNKS],
}

impl<T> OnceList<T> {
    pub(super) fn new() -> Self {
        Self { len: AtomicUsize::new(0), chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        let (chunk, offset) = place(index);
        self.chunks.get(chunk)?.get()?.get(offset)?.get()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// Adds an item and gives its index. There must be one caller at a time.
    pub(super) fn push(&self, item: T) -> usize {
        let index = self.len.load(Ordering::Relaxed);
        let (chunk, offset) = place(index);
        let items = self.chunks[chunk].get_or_init(|| {
            (0..1usize << (chunk as u32 + FIRST_CHUNK_BITS)).map(|_| OnceLock::new()).collect()
        });
        let fresh = items[offset].set(item).is_ok();
        assert!(fresh, "two writers at one list");
        self.len.store(index + 1, Ordering::Release);
        index
    }
}

fn place(index: usize) -> (usize, usize) {
    let shifted = index + (1 << FIRST_CHUNK_BITS);
    let bits = shifted.ilog2();
    ((bits - FIRST_CHUNK_BITS) as usize, shifted - (1 << bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back() {
        let list = OnceList::new();
        assert!(list.get(0).is_none());
        for number in 0..1000 {
            assert_eq!(list.push(number), number);
        }
        assert_eq!(list.len(), 1000);
        assert!(list.iter().copied().eq(0..1000));
        assert!(list.get(1000).is_none());
    }
}
