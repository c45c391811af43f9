//! The end of a log in memory: the records that are staged, logged and not yet applied, and the latest of the applied
//! ones, which other copies may still be sent.

use crate::position::Position;
use crate::record::{self, RECORD_HEADER_BYTES, Record};
use lavandin_types::{CollectionId, RequestId, SequenceNumber};
use std::collections::VecDeque;
use std::ops::Range;

/// Memory kept between batches; a larger batch's is given back.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// A record in memory.
pub(crate) struct TailRecord {
    bytes: Range<usize>,
    pub request_id: RequestId,
    pub collection: CollectionId,
    pub position: Position,
}

/// Records that go to the log with one write. Their bytes stand one after the other.
#[derive(Default)]
struct Batch {
    records: Vec<TailRecord>,
    buffer: Vec<u8>,
}

impl Batch {
    fn last(&self) -> SequenceNumber {
        self.records.last().map(|record| record.position.sequence).unwrap_or_default()
    }

    fn truncate(&mut self, last: SequenceNumber) {
        while self.records.pop_if(|record| record.position.sequence > last).is_some() {}
        self.buffer.truncate(self.records.last().map_or(0, |record| record.bytes.end));
    }
}

/// Where staging stood, so that it can go back.
pub(crate) struct Mark {
    records: usize,
    buffer: usize,
    last: Position,
}

/// Batches of records, dense. The last one takes records until it is closed, and is not written yet.
#[derive(Default)]
pub(crate) struct Tail {
    closed: VecDeque<Batch>,
    open: Batch,
    /// Bytes in the closed batches.
    closed_bytes: usize,
    /// An empty batch whose memory is used again.
    spare: Batch,
}

impl Tail {
    /// The buffer of the open batch, which an operation is appended to behind room for its header.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.open.buffer
    }

    pub(crate) fn mark(&self, last: Position) -> Mark {
        Mark { records: self.open.records.len(), buffer: self.open.buffer.len(), last }
    }

    /// Takes back what was staged since `mark`; the last record by then.
    pub(crate) fn reset(&mut self, mark: &Mark) -> Position {
        self.open.records.truncate(mark.records);
        self.open.buffer.truncate(mark.buffer);
        mark.last
    }

    /// Completes the record whose operation stands in the buffer from `start` on, behind room for its header.
    pub(crate) fn seal(&mut self, start: usize, header: Record<'_>) -> Position {
        let bytes = &mut self.open.buffer[start..];
        header.write_header(bytes);
        let position = Position { sequence: header.sequence, epoch: header.epoch, hash: record::hash(bytes) };
        self.note(start, &header, position);
        position
    }

    /// Adds a record that another copy made.
    pub(crate) fn push(&mut self, record: &Record<'_>, bytes: &[u8], position: Position) {
        let start = self.open.buffer.len();
        self.open.buffer.extend_from_slice(bytes);
        self.note(start, record, position);
    }

    fn note(&mut self, start: usize, record: &Record<'_>, position: Position) {
        let (request_id, collection) = (record.request_id, record.collection);
        let bytes = start..self.open.buffer.len();
        self.open.records.push(TailRecord { bytes, request_id, collection, position });
    }

    /// The records that are not written yet.
    pub(crate) fn open(&self) -> impl Iterator<Item = (Position, &[u8])> {
        self.open.records.iter().map(|record| (record.position, &self.open.buffer[record.bytes.clone()]))
    }

    pub(crate) fn open_bytes(&self) -> usize {
        self.open.buffer.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.closed_bytes + self.open.buffer.len()
    }

    /// The open batch is written; the next one begins.
    pub(crate) fn close(&mut self) {
        if self.open.records.is_empty() {
            return;
        }
        let closed = std::mem::replace(&mut self.open, std::mem::take(&mut self.spare));
        self.closed_bytes += closed.buffer.len();
        self.closed.push_back(closed);
    }

    pub(crate) fn discard_open(&mut self) {
        self.open.records.clear();
        self.open.buffer.clear();
    }

    /// Lets go of whole batches up to `applied` until at most `bytes_max` remain.
    pub(crate) fn drop_front(&mut self, applied: SequenceNumber, bytes_max: usize) {
        while self.closed_bytes > bytes_max
            && let Some(mut front) = self.closed.pop_front_if(|front| front.last() <= applied)
        {
            self.closed_bytes -= front.buffer.len();
            front.records.clear();
            front.buffer.clear();
            front.buffer.shrink_to(BUFFER_BYTES_KEPT);
            self.spare = front;
        }
    }

    /// Forgets the records behind `last`.
    pub(crate) fn truncate(&mut self, last: SequenceNumber) {
        self.open.truncate(last);
        while self.closed.pop_back_if(|batch| batch.records[0].position.sequence > last).is_some() {}
        self.closed.back_mut().into_iter().for_each(|batch| batch.truncate(last));
        self.closed_bytes = self.closed.iter().map(|batch| batch.buffer.len()).sum();
    }

    /// The oldest record in memory.
    pub(crate) fn first(&self) -> Option<SequenceNumber> {
        let oldest = self.closed.front().unwrap_or(&self.open);
        oldest.records.first().map(|record| record.position.sequence)
    }

    /// A record and its bytes, if it is in memory.
    pub(crate) fn get(&self, sequence: SequenceNumber) -> Option<(&TailRecord, &[u8])> {
        let at = self.closed.partition_point(|batch| batch.last() < sequence);
        let batch = self.closed.get(at).unwrap_or(&self.open);
        let first = batch.records.first()?.position.sequence.get();
        let record = batch.records.get(usize::try_from(sequence.get().checked_sub(first)?).ok()?)?;
        Some((record, &batch.buffer[record.bytes.clone()]))
    }
}

/// The operation of a record's bytes.
pub(crate) fn operation(bytes: &[u8]) -> &[u8] {
    &bytes[RECORD_HEADER_BYTES..]
}
