//! Reading a log from some frame on, beside its writer.

use super::FrameHead;
use super::segment::{Item, SegmentReader};
use crate::{Directory, StorageError};
use lavandin_types::SequenceNumber;
use std::collections::VecDeque;
use std::sync::Arc;

/// A frame as read. The header was verified, the payload against `head.hash` was not: that is the caller's.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub head: FrameHead,
    pub payload: &'a [u8],
}

/// A part of a segment that a reader may read.
pub(super) struct Span {
    pub(super) path: String,
    pub(super) first: SequenceNumber,
    pub(super) end: u64,
}

/// Reads frames in order up to where the log was written to when the reader was made. It holds one window of a file
/// in memory (1 MiB, or the largest frame so far). A segment that [`super::Wal::truncate_front`] removed before the
/// reader came to it is [`StorageError::NotFound`].
pub struct LogReader {
    directory: Arc<dyn Directory>,
    spans: VecDeque<Span>,
    current: Option<SegmentReader>,
    from: SequenceNumber,
}

impl LogReader {
    pub(super) fn new(directory: Arc<dyn Directory>, spans: VecDeque<Span>, from: SequenceNumber) -> Self {
        Self { directory, spans, current: None, from }
    }

    /// The next frame, or `None` behind the last one.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, StorageError> {
        let Some(head) = self.next_head()? else { return Ok(None) };
        Ok(self.current.as_ref().map(|reader| Frame { head, payload: reader.payload(&head) }))
    }

    fn next_head(&mut self) -> Result<Option<FrameHead>, StorageError> {
        loop {
            let reader = match &mut self.current {
                Some(reader) => reader,
                current => match self.spans.pop_front() {
                    Some(span) => current.insert(open(&*self.directory, span)?),
                    None => return Ok(None),
                },
            };
            match reader.next_item()? {
                Item::Frame(head) if head.sequence < self.from => {}
                Item::Frame(head) => return Ok(Some(head)),
                Item::Mark(_) => {}
                Item::End => self.current = None,
                Item::Invalid(what) => return Err(reader.damaged(what)),
            }
        }
    }
}

/// A reader behind the header of a segment, for the part of it that was written.
fn open(directory: &dyn Directory, span: Span) -> Result<SegmentReader, StorageError> {
    let mut reader = SegmentReader::open(directory, span.path, span.first)?;
    if reader.end < span.end {
        return Err(StorageError::damaged(&reader.path, reader.end, "the file is shorter than written"));
    }
    reader.end = span.end;
    match reader.read_header()? {
        true => Ok(reader),
        false => Err(reader.damaged("segment header is not valid")),
    }
}
