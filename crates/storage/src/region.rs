//! A whole immutable file as bytes, shared and sliced without copies.

use memmap2::Mmap;
use std::fmt;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// The alignment of a region's first byte, for vector loads and casts to wider elements.
const ALIGNMENT: usize = 64;

/// Bytes of a file, mapped or in memory. Clones and slices share them and keep them alive. A region made of a whole
/// file begins at an address that 64 divides.
#[derive(Clone)]
pub struct Region {
    bytes: NonNull<u8>,
    len: usize,
    /// Keeps `bytes` valid; never read.
    _owner: Arc<Owner>,
}

enum Owner {
    Mapped { _map: Mmap },
    Memory { _bytes: Vec<u8> },
}

// SAFETY: `bytes` points into memory that `_owner` keeps alive and that nobody writes while a region of it lives.
unsafe impl Send for Region {}
// SAFETY: as above; shared reads of immutable bytes.
unsafe impl Sync for Region {}

impl Region {
    /// A region in memory with a copy of `bytes`.
    pub fn copied_from(bytes: &[u8]) -> Self {
        let mut owner = vec![0_u8; bytes.len() + ALIGNMENT];
        let start = owner.as_ptr().align_offset(ALIGNMENT);
        let target = &mut owner[start..start + bytes.len()];
        target.copy_from_slice(bytes);
        let pointer = NonNull::from(&mut *target).cast();
        Self { bytes: pointer, len: bytes.len(), _owner: Arc::new(Owner::Memory { _bytes: owner }) }
    }

    /// A region over a mapped file. Pages are aligned far above 64 bytes.
    pub(crate) fn mapped(map: Mmap) -> Self {
        let pointer = NonNull::from(&map[..]).cast();
        Self { bytes: pointer, len: map.len(), _owner: Arc::new(Owner::Mapped { _map: map }) }
    }

    /// A part of these bytes, sharing them. Panics if `range` is not within them, as slicing does.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let part = &self[range];
        Self { bytes: NonNull::from(part).cast(), len: part.len(), _owner: Arc::clone(&self._owner) }
    }
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `bytes` and `len` were taken from a slice of the owner's memory, which does not move (a heap block
        // or a mapping), is initialised, lives as long as `self`, and is not written meanwhile (`Directory::map`).
        unsafe { slice::from_raw_parts(self.bytes.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({} bytes)", self.len)
    }
}
