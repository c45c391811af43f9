//! Bytes on their way out as a list of segments: small parts gather in one buffer, large ones stay where they are.
//!
//! A blob of more than `COPY_MAX` bytes is kept as a reference to its Arrow buffer, so a batch of images is not copied
//! to be framed. Lengths that come before what they count are left open (`begin`) and filled in later (`end`).
//! Driven by `lavender` and `ipc`. Deliberately absent: the formats themselves.

use bytes::Bytes;

/// Blobs up to this size are copied: below it, a segment of its own (40 bytes here, an entry of a vectored write,
/// a count of references) costs more than the copy.
pub(crate) const COPY_MAX: usize = 4096;

/// An open length; see [`SegmentWriter::begin`].
#[must_use]
pub(crate) struct Mark {
    /// Where the four bytes of the length stand in `small`.
    at: usize,
    /// The whole length when the content began.
    start: usize,
}

/// A part is longer than its 32-bit length can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// A list of segments under construction.
#[derive(Default)]
pub(crate) struct SegmentWriter {
    small: Vec<u8>,
    /// Blobs, and how many bytes of `small` come before each.
    blobs: Vec<(usize, Bytes)>,
    blob_bytes: usize,
}

impl SegmentWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { small: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Bytes written so far, blobs included.
    pub(crate) fn len(&self) -> usize {
        self.small.len() + self.blob_bytes
    }

    /// The buffer for small parts; what is appended comes after everything written so far.
    pub(crate) fn small(&mut self) -> &mut Vec<u8> {
        &mut self.small
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    /// Appends a blob without copying it.
    pub(crate) fn put_shared(&mut self, blob: Bytes) {
        self.blob_bytes += blob.len();
        self.blobs.push((self.small.len(), blob));
    }

    /// Leaves room for a big-endian 32-bit length of what is written from here to [`Self::end`].
    pub(crate) fn begin(&mut self) -> Mark {
        let at = self.small.len();
        self.small.extend_from_slice(&[0; 4]);
        Mark { at, start: self.len() }
    }

    pub(crate) fn end(&mut self, mark: Mark) -> Result<(), TooLong> {
        let length = u32::try_from(self.len() - mark.start).map_err(|_| TooLong)?;
        self.small[mark.at..mark.at + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// The segments in order; none is empty.
    pub(crate) fn finish(self) -> Vec<Bytes> {
        let small = Bytes::from(self.small);
        let mut segments = Vec::with_capacity(self.blobs.len() * 2 + 1);
        let mut from = 0;
        for (at, blob) in self.blobs {
            segments.push(small.slice(from..at));
            segments.push(blob);
            from = at;
        }
        segments.push(small.slice(from..));
        segments.retain(|segment| !segment.is_empty());
        segments
    }
}

#[cfg(test)]
mod tests;
