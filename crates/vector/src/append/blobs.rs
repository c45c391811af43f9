//! Append-only byte strings, numbered from 0, under the same rules as `AppendRows`.
//!
//! A string lies in one chunk; where it does not fit the rest of a chunk, that rest stays unused.

use super::{AppendRows, AppendWriter, CHUNKS_MAX, Place, Shared, chunk_rows};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The reading side. Cloning shares the strings.
#[derive(Clone)]
pub struct AppendBlobs {
    bytes: Arc<Shared<u8>>,
    spans: AppendRows<Span>,
}

/// The writing side; also reads, through `Deref`.
pub struct AppendBlobsWriter {
    blobs: AppendBlobs,
    spans: AppendWriter<Span>,
    /// Where the next string may start.
    end: usize,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    len: usize,
}

impl AppendBlobsWriter {
    pub fn new() -> Self {
        let spans = AppendWriter::new(1);
        let blobs = AppendBlobs { bytes: Arc::new(Shared::new(1)), spans: spans.reader() };
        Self { blobs, spans, end: 0 }
    }

    /// A handle for readers.
    pub fn reader(&self) -> AppendBlobs {
        self.blobs.clone()
    }

    /// Adds one string; gives its number.
    pub fn push(&mut self, blob: &[u8]) -> u32 {
        let start = if blob.is_empty() { self.end } else { self.place(blob.len()) };
        if !blob.is_empty() {
            self.blobs.bytes.write(&Place::of(start), blob);
            self.end = start + blob.len();
            self.blobs.bytes.len.store(self.end, Ordering::Release);
        }
        self.spans.push_rows(&[Span { start, len: blob.len() }])
    }

    /// The first position from `end` on where `len` bytes lie in one chunk.
    fn place(&self, len: usize) -> usize {
        let here = Place::of(self.end);
        if here.chunk_rows() - here.offset >= len {
            return self.end;
        }
        let mut start = self.end - here.offset;
        for chunk in here.chunk..CHUNKS_MAX - 1 {
            start += chunk_rows(chunk);
            if chunk_rows(chunk + 1) >= len {
                return start;
            }
        }
        panic!("a string of {len} bytes exceeds memory");
    }
}

impl Default for AppendBlobsWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for AppendBlobsWriter {
    type Target = AppendBlobs;

    fn deref(&self) -> &AppendBlobs {
        &self.blobs
    }
}

impl AppendBlobs {
    /// Strings that can be read now; never shrinks.
    pub fn len(&self) -> u32 {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One string. Panics at and beyond `len()`.
    #[inline]
    pub fn get(&self, number: u32) -> &[u8] {
        let span = self.spans.value(number);
        if span.len == 0 {
            return &[];
        }
        // SAFETY: a span is published after its bytes, so reading the span acquired them; `place` keeps them in one
        // chunk.
        unsafe { self.bytes.published(&Place::of(span.start), span.len) }
    }

    /// Bytes of the allocated chunks.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.memory_bytes() + self.spans.memory_bytes()
    }
}
