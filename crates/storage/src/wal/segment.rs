//! Reading one segment file from its start, in bounded memory.

use super::frame::{
    ALIGNMENT, FRAME_HEADER_BYTES, FrameHead, Head, Mark, Place, SEGMENT_HEADER_BYTES, SEGMENT_VERSION,
    SegmentHeaderError, check_segment_header, mark_candidates, padding,
};
use crate::{Directory, File, StorageError};
use lavandin_types::SequenceNumber;

/// What is read at once, unless a frame is larger.
const WINDOW_BYTES: usize = 1 << 20;

/// A segment file being read: its header first, then item by item. `position` is where the next item begins; all
/// before it was valid.
pub(super) struct SegmentReader {
    pub(super) path: String,
    pub(super) first: SequenceNumber,
    pub(super) position: u64,
    /// The sequence number that the next frame must have.
    pub(super) next: SequenceNumber,
    /// Nothing is read from here on.
    pub(super) end: u64,
    pub(super) file: Box<dyn File>,
    window: Window,
}

/// What stands at a position of a segment.
pub(super) enum Item {
    /// Its payload can be had until the next item is read.
    Frame(FrameHead),
    Mark(Mark),
    End,
    /// Neither of these, and why.
    Invalid(&'static str),
}

impl SegmentReader {
    pub(super) fn open(
        directory: &dyn Directory,
        path: String,
        first: SequenceNumber,
    ) -> Result<Self, StorageError> {
        let file = directory.open(&path)?;
        let end = file.len()?;
        let window = Window::default();
        Ok(Self { path, first, position: 0, next: first, end, file, window })
    }

    /// Reads the file's header. `Ok(false)` if it is no valid header.
    pub(super) fn read_header(&mut self) -> Result<bool, StorageError> {
        if self.end < SEGMENT_HEADER_BYTES as u64 {
            return Ok(false);
        }
        let header = self.window.chunk(&*self.file, 0, self.end)?;
        match check_segment_header(header, self.first) {
            Ok(()) => {
                self.position = SEGMENT_HEADER_BYTES as u64;
                Ok(true)
            }
            Err(SegmentHeaderError::Invalid) => Ok(false),
            Err(SegmentHeaderError::Version(found)) => {
                Err(StorageError::Version { file: self.path.clone(), found, supported: SEGMENT_VERSION })
            }
        }
    }

    /// The item at `position`, which moves behind it unless it is the end or invalid.
    pub(super) fn next_item(&mut self) -> Result<Item, StorageError> {
        let remaining = self.end - self.position;
        if remaining == 0 {
            return Ok(Item::End);
        }
        if remaining < FRAME_HEADER_BYTES as u64 {
            return Ok(Item::Invalid("the file ends within a frame header"));
        }
        let place = Place { segment: self.first, offset: self.position };
        let header = self.window.chunk(&*self.file, self.position, self.end)?;
        match Head::decode(header, place) {
            None => Ok(Item::Invalid("no frame begins here")),
            Some(Head::Mark(mark)) if mark.last.get() == self.next.get() - 1 => {
                self.position += FRAME_HEADER_BYTES as u64;
                Ok(Item::Mark(mark))
            }
            Some(Head::Frame(head)) if head.sequence == self.next => self.frame(head, remaining),
            Some(_) => Ok(Item::Invalid("a frame is out of sequence")),
        }
    }

    fn frame(&mut self, head: FrameHead, remaining: u64) -> Result<Item, StorageError> {
        if head.frame_bytes() > remaining {
            return Ok(Item::Invalid("the file ends within a frame"));
        }
        let start = self.position;
        let length = head.bytes as usize;
        let total = FRAME_HEADER_BYTES + length + padding(length);
        let frame = self.window.bytes(&*self.file, start, total, self.end)?;
        if frame[FRAME_HEADER_BYTES + length..].iter().any(|byte| *byte != 0) {
            return Ok(Item::Invalid("padding is not zero"));
        }
        self.position += total as u64;
        self.next = self.next.next();
        Ok(Item::Frame(head))
    }

    /// The payload of the frame just read.
    pub(super) fn payload(&self, head: &FrameHead) -> &[u8] {
        let start = (self.position - head.frame_bytes() - self.window.start) as usize + FRAME_HEADER_BYTES;
        &self.window.buffer[start..start + head.bytes as usize]
    }

    /// Takes back the frame just read, which the caller found invalid.
    pub(super) fn unread(&mut self, head: &FrameHead) {
        self.position -= head.frame_bytes();
        self.next = head.sequence;
    }

    /// Whether a mark that holds stands anywhere behind `position`: then all before that was written as a whole.
    pub(super) fn has_mark_ahead(&mut self, power_cycle: Option<u128>) -> Result<bool, StorageError> {
        let mut start = self.position.next_multiple_of(ALIGNMENT as u64);
        while self.end.saturating_sub(start) >= FRAME_HEADER_BYTES as u64 {
            let length = (self.end - start).min(WINDOW_BYTES as u64) as usize;
            let bytes = self.window.bytes(&*self.file, start, length, self.end)?;
            for candidate in mark_candidates(bytes) {
                let place = Place { segment: self.first, offset: start + candidate as u64 };
                let header = bytes[candidate..].first_chunk();
                if let Some(Head::Mark(mark)) = header.and_then(|header| Head::decode(header, place))
                    && mark.holds_in(power_cycle)
                {
                    return Ok(true);
                }
            }
            // Windows overlap by a header, so that none is missed on their border.
            start += (length - FRAME_HEADER_BYTES + ALIGNMENT) as u64 / ALIGNMENT as u64 * ALIGNMENT as u64;
        }
        Ok(false)
    }

    pub(super) fn damaged(&self, what: &'static str) -> StorageError {
        StorageError::damaged(&self.path, self.position, what)
    }
}

/// A moving part of a file in memory.
#[derive(Default)]
struct Window {
    buffer: Vec<u8>,
    /// Where the buffer's first byte stands in the file.
    start: u64,
    filled: usize,
}

impl Window {
    /// `length` bytes at `offset`; the caller made sure that they end at or before `end`.
    fn bytes(
        &mut self,
        file: &dyn File,
        offset: u64,
        length: usize,
        end: u64,
    ) -> Result<&[u8], StorageError> {
        let within = self.within(offset);
        if within.is_none_or(|within| self.filled - within < length) {
            self.fill(file, offset, length, end)?;
        }
        let within = (offset - self.start) as usize;
        Ok(&self.buffer[within..within + length])
    }

    fn chunk<const N: usize>(
        &mut self,
        file: &dyn File,
        offset: u64,
        end: u64,
    ) -> Result<&[u8; N], StorageError> {
        let bytes = self.bytes(file, offset, N, end)?;
        Ok(bytes.first_chunk().expect("the length asked for is N"))
    }

    /// Where `offset` is in the buffer, if it is.
    fn within(&self, offset: u64) -> Option<usize> {
        let within = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        (within <= self.filled).then_some(within)
    }

    /// Moves the window to `offset`, keeping what it has of it.
    fn fill(&mut self, file: &dyn File, offset: u64, length: usize, end: u64) -> Result<(), StorageError> {
        let available = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let wanted = length.max(WINDOW_BYTES).min(available);
        let kept = match self.within(offset) {
            Some(within) => {
                self.buffer.copy_within(within..self.filled, 0);
                self.filled - within
            }
            None => 0,
        };
        (self.start, self.filled) = (offset, kept);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        if kept < wanted {
            file.read_at(offset + kept as u64, &mut self.buffer[kept..wanted])?;
            self.filled = wanted;
        }
        Ok(())
    }
}
