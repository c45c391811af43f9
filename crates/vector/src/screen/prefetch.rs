//! Asking the processor for memory before it is needed. Only hints: they change no result and cannot fault.

use crate::block::{Block, Elements};

const LINE: usize = 64;

/// Asks for the elements of one row.
#[inline]
pub(super) fn row(block: &Block<'_>, index: usize) {
    match block.elements {
        Elements::F32(values) => prefetch_bytes(&values[index * block.dim..(index + 1) * block.dim]),
        Elements::F16(values) => prefetch_bytes(&values[index * block.dim..(index + 1) * block.dim]),
    }
}

/// Asks for all cache lines of a slice.
#[inline]
pub(crate) fn prefetch_bytes<T: bytemuck::Pod>(values: &[T]) {
    let bytes: &[u8] = bytemuck::cast_slice(values);
    for line in bytes.chunks(LINE) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint on an address within the slice.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}
