//! Append-only storage that one writer extends while any number of readers look at it, without locks.
//!
//! What it is for: everything a growing segment keeps per row (vectors, codes, ids, field columns). `AppendWriter` is
//! the only way to add rows; it is not `Clone` and adds through `&mut self`, so the type system allows one writer at a
//! time. `AppendRows` is a cheap handle for readers; it sees every row that was added before its `len()` was read.
//! `AppendBlobs` (in `blobs`) does the same for byte strings.
//!
//! How it works:
//! 1. Rows live in chunks: the first holds 64 rows, each later one as many as all before it. A row never moves, so
//!    references stay valid for as long as a handle lives, and an empty store owns no chunk at all.
//! 2. The writer fills memory beyond the published length, which no reader touches, then publishes the new length
//!    with `Release`. Readers load it with `Acquire`; that orders both the elements and the chunk pointers.
//! 3. Memory is returned when the last handle goes.
//!
//! Invariants: elements below the published length are initialised and never written again; a chunk pointer that is
//! not null never changes; only the writer stores to either. Deliberately absent: removal and update.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::Deref;
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

mod blobs;

pub use blobs::{AppendBlobs, AppendBlobsWriter};

/// Rows of the first chunk.
pub const FIRST_CHUNK_ROWS: usize = 64;
/// Chunks double, so this many hold 2^45 rows: more than memory does.
const CHUNKS_MAX: usize = 40;
/// Chunks start on a cache line, which wide loads like.
const CHUNK_ALIGN: usize = 64;

/// What may be a row's element: plain data that any thread may read.
pub trait Element: Copy + Send + Sync + 'static {}

impl<T: Copy + Send + Sync + 'static> Element for T {}

/// The reading side. Cloning shares the rows.
pub struct AppendRows<T: Element> {
    shared: Arc<Shared<T>>,
}

/// The writing side; also reads, through `Deref`.
pub struct AppendWriter<T: Element> {
    rows: AppendRows<T>,
}

struct Shared<T: Element> {
    /// Elements of one row.
    width: usize,
    /// Published rows.
    len: AtomicUsize,
    chunks: [AtomicPtr<T>; CHUNKS_MAX],
}

impl<T: Element> AppendWriter<T> {
    /// An empty store whose rows have `width` elements (at least one).
    pub fn new(width: usize) -> Self {
        Self { rows: AppendRows { shared: Arc::new(Shared::new(width)) } }
    }

    /// A handle for readers.
    pub fn reader(&self) -> AppendRows<T> {
        self.rows.clone()
    }

    /// Adds whole rows, visible to readers all at once when it returns; gives the first one's number. Panics where
    /// `elements` is no multiple of the width, or beyond 2^32 - 1 rows.
    pub fn push_rows(&mut self, elements: &[T]) -> u32 {
        let shared = &*self.rows.shared;
        assert!(elements.len().is_multiple_of(shared.width), "a row is incomplete");
        let first = shared.len.load(Ordering::Relaxed);
        let end = first + elements.len() / shared.width;
        assert!(u32::try_from(end).is_ok(), "rows are numbered with 32 bits");
        let mut row = first;
        let mut rest = elements;
        while row < end {
            let place = Place::of(row);
            let count = (place.chunk_rows() - place.offset).min(end - row);
            let (now, later) = rest.split_at(count * shared.width);
            shared.write(&place, now);
            row += count;
            rest = later;
        }
        shared.len.store(end, Ordering::Release);
        first as u32
    }
}

impl<T: Element> Deref for AppendWriter<T> {
    type Target = AppendRows<T>;

    fn deref(&self) -> &AppendRows<T> {
        &self.rows
    }
}

impl<T: Element> AppendRows<T> {
    /// Elements of one row.
    pub fn width(&self) -> usize {
        self.shared.width
    }

    /// Rows that can be read now; never shrinks.
    pub fn len(&self) -> u32 {
        // `push_rows` keeps the count within 32 bits.
        self.shared.len.load(Ordering::Acquire) as u32
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One row's elements. Panics at and beyond `len()`.
    #[inline]
    pub fn row(&self, row: u32) -> &[T] {
        let row = row as usize;
        assert!(row < self.shared.len.load(Ordering::Acquire), "row beyond the published length");
        // SAFETY: the row is below the published length.
        unsafe { self.shared.published(&Place::of(row), 1) }
    }

    /// The first element of a row: the whole of it where the width is one. Panics at and beyond `len()`.
    #[inline]
    pub fn value(&self, row: u32) -> T {
        self.row(row)[0]
    }

    /// The first `len` rows, chunk by chunk: each chunk's first row and the elements of its rows. Panics where `len`
    /// exceeds `len()`. Chunks of stores with equal `len` have equal borders, whatever their widths.
    pub fn chunks(&self, len: u32) -> impl Iterator<Item = (u32, &[T])> {
        let end = len as usize;
        assert!(end <= self.shared.len.load(Ordering::Acquire), "rows beyond the published length");
        let mut row = 0;
        std::iter::from_fn(move || {
            if row >= end {
                return None;
            }
            let place = Place::of(row);
            let count = place.chunk_rows().min(end - row);
            let first = row;
            row += count;
            // SAFETY: the rows `first..first + count` lie in this chunk and below the published length.
            Some((first as u32, unsafe { self.shared.published(&place, count) }))
        })
    }

    /// Bytes of the allocated chunks.
    pub fn memory_bytes(&self) -> usize {
        self.shared.memory_bytes()
    }
}

impl<T: Element> Clone for AppendRows<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// Where a row lives.
struct Place {
    chunk: usize,
    /// Row within the chunk.
    offset: usize,
}

impl Place {
    #[inline]
    fn of(row: usize) -> Self {
        match (row / FIRST_CHUNK_ROWS).checked_ilog2() {
            None => Self { chunk: 0, offset: row },
            Some(doublings) => {
                Self { chunk: doublings as usize + 1, offset: row - (FIRST_CHUNK_ROWS << doublings) }
            }
        }
    }

    #[inline]
    fn chunk_rows(&self) -> usize {
        chunk_rows(self.chunk)
    }
}

/// Rows of a chunk: 64, 64, 128, 256, ...
#[inline]
fn chunk_rows(chunk: usize) -> usize {
    FIRST_CHUNK_ROWS << chunk.saturating_sub(1)
}

impl<T: Element> Shared<T> {
    fn new(width: usize) -> Self {
        assert!(width > 0 && size_of::<T>() > 0, "a row holds something");
        let chunks = [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS_MAX];
        Self { width, len: AtomicUsize::new(0), chunks }
    }

    fn layout(&self, chunk: usize) -> Layout {
        let bytes = chunk_rows(chunk)
            .checked_mul(self.width)
            .and_then(|elements| elements.checked_mul(size_of::<T>()))
            .expect("a chunk's size fits the address space: it at most doubles what is already held");
        Layout::from_size_align(bytes, CHUNK_ALIGN.max(align_of::<T>()))
            .expect("the alignment is a power of two and the size is far below isize::MAX")
    }

    /// Copies elements to unpublished rows of one chunk, which is allocated at its first use. Only the one writer
    /// calls it, with rows at or beyond the published length.
    fn write(&self, place: &Place, elements: &[T]) {
        assert!(place.offset * self.width + elements.len() <= place.chunk_rows() * self.width);
        let mut chunk = self.chunks[place.chunk].load(Ordering::Relaxed);
        if chunk.is_null() {
            let layout = self.layout(place.chunk);
            // SAFETY: the layout's size is not zero: the width, the element and the chunk's rows are not.
            chunk = unsafe { alloc(layout) }.cast::<T>();
            if chunk.is_null() {
                handle_alloc_error(layout);
            }
            // Readers reach the pointer only after the `Release` store of a length beyond this chunk's start.
            self.chunks[place.chunk].store(chunk, Ordering::Relaxed);
        }
        // SAFETY: the target lies in the chunk's allocation (asserted above) and at or beyond the published length,
        // so no reference to it exists; there is one writer; `elements` cannot overlap it, being a reference.
        unsafe {
            let target = chunk.add(place.offset * self.width);
            ptr::copy_nonoverlapping(elements.as_ptr(), target, elements.len());
        }
    }

    /// `count` rows from `place` on, within one chunk.
    ///
    /// # Safety
    /// All of these rows are below a published length that this thread has loaded with `Acquire` (or stored), and
    /// were written (`AppendBlobs` skips some), and do not cross the chunk's end.
    #[inline]
    unsafe fn published(&self, place: &Place, count: usize) -> &[T] {
        // The pointer's store happened before the `Release` store of the length, which this thread acquired.
        let chunk = self.chunks[place.chunk].load(Ordering::Relaxed);
        debug_assert!(!chunk.is_null() && place.offset + count <= place.chunk_rows());
        // SAFETY: the caller vouches that the elements are initialised and published; such elements are never
        // written again, and the chunk lives as long as `self`.
        unsafe { slice::from_raw_parts(chunk.add(place.offset * self.width), count * self.width) }
    }

    fn memory_bytes(&self) -> usize {
        let held = |chunk: &usize| !self.chunks[*chunk].load(Ordering::Relaxed).is_null();
        (0..CHUNKS_MAX).filter(held).map(|chunk| self.layout(chunk).size()).sum()
    }
}

impl<T: Element> Drop for Shared<T> {
    fn drop(&mut self) {
        for chunk in 0..CHUNKS_MAX {
            let pointer = *self.chunks[chunk].get_mut();
            if !pointer.is_null() {
                // SAFETY: `write` allocated it with this very layout, and nobody else holds `self` any more. The
                // elements are `Copy`, so nothing needs to be dropped.
                unsafe { dealloc(pointer.cast::<u8>(), self.layout(chunk)) };
            }
        }
    }
}

#[cfg(test)]
mod tests;
