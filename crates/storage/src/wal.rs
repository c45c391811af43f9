//! A segmented write-ahead log of opaque frames.
//!
//! ```text
//! append … append   frames gather in memory (one copy of the payload)
//! write             one write call hands them to the operating system
//! sync              one fdatasync makes them durable; then a mark says so, for recovery
//! ```
//!
//! Invariants: sequence numbers are dense; a segment file is durable, header and name, before a frame goes to it, and
//! all before it is durable by then; after a failed write or sync every later call fails until the log is opened
//! again; a frame that was synced is found or reported as damaged, see `recovery` for what is cut and what is reported.
//!
//! The user of the log (`group`) drives it from one thread, computes each payload's hash and verifies it during
//! recovery, so that payloads are hashed once. Deliberately absent: what payloads mean, compression, threads, timers.
//! docs/formats/log.md describes the bytes.

mod frame;
mod log_reader;
mod recovery;
mod segment;
mod truncate;

pub use frame::FrameHead;
pub use log_reader::{Frame, LogReader};
pub use recovery::Cut;

use crate::{Directory, Durability, File, StorageError};
use frame::{Head, Mark, Place, SEGMENT_HEADER_BYTES, encode_segment_header, padding, segment_name};
use lavandin_types::{RecordHash, SequenceNumber};
use log_reader::Span;
use std::collections::VecDeque;
use std::num::NonZeroU128;
use std::sync::Arc;

/// The longest payload. Far above any request's limit; a bound for what recovery may have to hold in memory.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 30;
/// What the write buffer keeps of its memory between batches.
const BUFFER_BYTES_KEPT: usize = 16 << 20;

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct WalOptions {
    /// A batch that begins at or behind this length begins a new segment file; a file exceeds it by one batch at most.
    pub segment_bytes_max: u64,
    pub durability: Durability,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { segment_bytes_max: 64 << 20, durability: Durability::Fsync }
    }
}

/// A log, open for appending.
pub struct Wal {
    directory: Arc<dyn Directory>,
    folder: String,
    options: WalOptions,
    sealed: VecDeque<Sealed>,
    /// Older ones that are to be removed, or may be gone already: they are no part of the log any more.
    doomed: VecDeque<Sealed>,
    active: Option<Active>,
    /// Frames not yet written, and where they go.
    buffer: Vec<u8>,
    batch: Option<Place>,
    /// What the next appended frame must be; any, in a log that never had one.
    next: Option<SequenceNumber>,
    cut: Option<Cut>,
    poison: Option<Arc<StorageError>>,
    power_cycle: Option<NonZeroU128>,
}

/// A segment file that takes no more frames.
struct Sealed {
    first: SequenceNumber,
    bytes: u64,
}

/// The segment file that takes frames.
struct Active {
    first: SequenceNumber,
    /// Bytes written.
    end: u64,
    /// The sequence number behind the last frame written.
    next: SequenceNumber,
    unsynced: bool,
    file: Box<dyn File>,
}

impl Active {
    /// Says in the file that all before here is durable. Not synced itself: it only sharpens recovery.
    fn mark(&mut self) -> Result<(), StorageError> {
        let mark = Mark { last: SequenceNumber::new(self.next.get() - 1), power_cycle: None };
        let mark = Head::Mark(mark).encode(Place { segment: self.first, offset: self.end });
        self.file.write_at(self.end, &mark)?;
        self.end += mark.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        if self.unsynced {
            self.file.sync()?;
            self.unsynced = false;
            self.mark()?;
        }
        Ok(())
    }
}

impl Wal {
    /// Opens the log in `folder`, making it if there is none, and makes durable what it found. `check` sees every frame
    /// in order and says whether the payload is what its head's hash promises; recovery reads each frame once.
    ///
    /// Fails with [`StorageError::Damaged`], changing nothing, where acknowledged frames are not as written.
    pub fn open(
        directory: Arc<dyn Directory>,
        folder: &str,
        options: WalOptions,
        mut check: impl FnMut(&FrameHead, &[u8]) -> bool,
    ) -> Result<Self, StorageError> {
        let recovered = recovery::recover(&*directory, folder, &mut check)?;
        Ok(Self {
            power_cycle: directory.power_cycle().and_then(NonZeroU128::new),
            directory,
            folder: folder.to_owned(),
            options,
            sealed: recovered.sealed.into(),
            doomed: VecDeque::new(),
            next: recovered.active.as_ref().map(|active| active.next),
            active: recovered.active,
            buffer: Vec::new(),
            batch: None,
            cut: recovered.cut,
            poison: None,
        })
    }

    /// Adds a frame to the batch in memory; `parts` one after the other are its payload. Sequence numbers are dense;
    /// the first one of an empty log is the caller's choice.
    pub fn append(
        &mut self,
        sequence: SequenceNumber,
        hash: RecordHash,
        parts: &[&[u8]],
    ) -> Result<(), StorageError> {
        self.check_usable()?;
        let expected = self.next.unwrap_or(sequence);
        if sequence != expected || sequence == SequenceNumber::ZERO {
            return Err(self.misuse("sequence number is not the next", sequence.get(), expected.get()));
        }
        let length = parts.iter().map(|part| part.len()).sum();
        if length > PAYLOAD_BYTES_MAX {
            return Err(self.misuse("payload is too long", length as u64, PAYLOAD_BYTES_MAX as u64));
        }
        let batch = self.batch.unwrap_or_else(|| self.place_of_batch(sequence));
        let place = Place { offset: batch.offset + self.buffer.len() as u64, ..batch };
        let head = FrameHead { sequence, hash, bytes: length as u32 };
        self.buffer.reserve(head.frame_bytes() as usize);
        self.buffer.extend_from_slice(&Head::Frame(head).encode(place));
        parts.iter().for_each(|part| self.buffer.extend_from_slice(part));
        self.buffer.extend_from_slice(&[0; frame::ALIGNMENT][..padding(length)]);
        self.batch = Some(batch);
        self.next = Some(sequence.next());
        Ok(())
    }

    /// Forgets what was appended since the last `write`.
    pub fn discard(&mut self) {
        self.buffer.clear();
        self.batch = None;
        self.next = self.active.as_ref().map(|active| active.next);
    }

    /// Hands the batch to the operating system in one write call. When this returns, the frames survive the end of the
    /// process. Begins a new segment file first where the batch begins one.
    pub fn write(&mut self) -> Result<(), StorageError> {
        self.check_usable()?;
        let result = self.write_batch();
        self.keep_failure(result)
    }

    /// Makes what was written durable; under [`Durability::Os`] it does nothing. When this returns, the frames survive
    /// loss of power (or, under `Os`, the end of the process).
    pub fn sync(&mut self) -> Result<(), StorageError> {
        match self.options.durability {
            Durability::Fsync => self.sync_always(),
            Durability::Os => self.check_usable(),
        }
    }

    /// Like `sync`, whatever the durability.
    pub fn sync_always(&mut self) -> Result<(), StorageError> {
        self.check_usable()?;
        let result = self.active.as_mut().map_or(Ok(()), Active::sync);
        self.keep_failure(result)
    }

    /// Removes the segment files that hold no frame at or behind `sequence`, durably, oldest first. The file that takes
    /// frames stays. A removal that failed may be tried again; meanwhile those files are not read any more.
    pub fn truncate_front(&mut self, sequence: SequenceNumber) -> Result<(), StorageError> {
        self.check_usable()?;
        while self.second().is_some_and(|second| second <= sequence) {
            self.doomed.extend(self.sealed.pop_front());
        }
        while let Some(oldest) = self.doomed.front() {
            self.remove_if_there(oldest.first)?;
            self.doomed.pop_front();
            // One by one: of two removals that are not synced a crash may keep the later only, which is a gap.
            let result = self.directory.sync_dir(&self.folder);
            self.keep_failure(result)?;
        }
        Ok(())
    }

    /// The first frame behind the oldest segment file.
    fn second(&self) -> Option<SequenceNumber> {
        let oldest_but_one = self.sealed.get(1).map(|sealed| sealed.first);
        self.sealed.front().and_then(|_| oldest_but_one.or(self.active.as_ref().map(|active| active.first)))
    }

    /// A removal that failed may have done its work.
    fn remove_if_there(&self, first: SequenceNumber) -> Result<(), StorageError> {
        match self.directory.remove(&self.path(first)) {
            Err(error) if error.is_not_found() => Ok(()),
            removed => removed,
        }
    }

    /// A reader of the frames at and behind `sequence` that are written by now. It does not borrow the log and may be
    /// used from another thread. Fails if `sequence` lies before the log's first frame.
    pub fn read_from(&self, sequence: SequenceNumber) -> Result<LogReader, StorageError> {
        match self.first() {
            Some(first) if sequence < first => {
                Err(self.misuse("sequence number is before the log's first", sequence.get(), first.get()))
            }
            _ => Ok(LogReader::new(Arc::clone(&self.directory), self.spans(sequence), sequence)),
        }
    }

    /// The oldest frame that the log can hold: the first of its oldest segment file.
    pub fn first(&self) -> Option<SequenceNumber> {
        let oldest = self.sealed.front().map(|sealed| sealed.first);
        oldest.or(self.active.as_ref().map(|active| active.first))
    }

    /// The sequence number of the next frame to append; `None` in a log that never had one.
    pub fn next(&self) -> Option<SequenceNumber> {
        self.next
    }

    /// Bytes written to the segment files that are there, or may be.
    pub fn bytes(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| active.end);
        self.sealed.iter().chain(&self.doomed).map(|sealed| sealed.bytes).sum::<u64>() + active
    }

    /// Bytes appended and not yet written.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// What opening the log cut from its end: what a crash left of frames that were never acknowledged.
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    fn place_of_batch(&self, first: SequenceNumber) -> Place {
        match &self.active {
            Some(active) if active.end < self.options.segment_bytes_max || active.first == first => {
                Place { segment: active.first, offset: active.end }
            }
            _ => Place { segment: first, offset: SEGMENT_HEADER_BYTES as u64 },
        }
    }

    fn write_batch(&mut self) -> Result<(), StorageError> {
        let (Some(batch), Some(next)) = (self.batch, self.next) else { return Ok(()) };
        if self.options.durability == Durability::Os && self.power_cycle.is_some() {
            let place = Place { offset: batch.offset + self.buffer.len() as u64, ..batch };
            let mark = Mark { last: SequenceNumber::new(next.get() - 1), power_cycle: self.power_cycle };
            self.buffer.extend_from_slice(&Head::Mark(mark).encode(place));
        }
        if self.active.as_ref().is_none_or(|active| active.first != batch.segment) {
            self.rotate(batch.segment)?;
        }
        let active = self.active.as_mut().expect("rotate made one where there was none");
        active.file.write_at(batch.offset, &self.buffer)?;
        active.end = batch.offset + self.buffer.len() as u64;
        (active.next, active.unsynced) = (next, true);
        self.batch = None;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        Ok(())
    }

    /// Begins the segment file that `first` opens. The one before is made durable first, whatever the durability:
    /// recovery takes a segment's presence as proof of it.
    fn rotate(&mut self, first: SequenceNumber) -> Result<(), StorageError> {
        if let Some(active) = &mut self.active {
            active.sync()?;
        }
        let path = self.path(first);
        let mut file = self.directory.create(&path)?;
        file.write_at(0, &encode_segment_header(first))?;
        file.sync()?;
        self.directory.sync_dir(&self.folder)?;
        let end = SEGMENT_HEADER_BYTES as u64;
        let active = Active { first, end, next: first, unsynced: false, file };
        let before = self.active.replace(active);
        self.sealed.extend(before.map(|before| Sealed { first: before.first, bytes: before.end }));
        Ok(())
    }

    /// The written parts of segments that may hold frames at or behind `sequence`.
    fn spans(&self, sequence: SequenceNumber) -> VecDeque<Span> {
        let sealed = self.sealed.iter().map(|sealed| (sealed.first, sealed.bytes));
        let active = self.active.iter().map(|active| (active.first, active.end));
        let mut spans: VecDeque<_> =
            sealed.chain(active).map(|(first, end)| Span { path: self.path(first), first, end }).collect();
        while spans.get(1).is_some_and(|second| second.first <= sequence) {
            spans.pop_front();
        }
        spans
    }

    fn path(&self, first: SequenceNumber) -> String {
        format!("{}/{}", self.folder, segment_name(first))
    }

    fn misuse(&self, what: &'static str, value: u64, expected: u64) -> StorageError {
        StorageError::Misuse { file: self.folder.clone(), what, value, expected }
    }

    fn check_usable(&self) -> Result<(), StorageError> {
        match &self.poison {
            None => Ok(()),
            Some(cause) => {
                Err(StorageError::Poisoned { file: self.folder.clone(), cause: Arc::clone(cause) })
            }
        }
    }

    /// After a failed write or sync nobody knows what the disk holds: nothing more is promised.
    fn keep_failure(&mut self, result: Result<(), StorageError>) -> Result<(), StorageError> {
        if let Err(error) = &result {
            self.poison = Some(Arc::new(error.clone()));
        }
        result
    }
}

#[cfg(test)]
mod tests;
