//! The log of one copy: the write-ahead log, its end in memory, and which epochs wrote it.
//!
//! Three places in it, each at or behind the next: what is durable, what is written, what is staged. Truncation moves
//! all of them back; that it stays behind the commit point is the caller's to see to.

use crate::epoch_table::EpochTable;
use crate::error::GroupError;
use crate::position::Position;
use crate::record::{self, Record};
use crate::shipment::{Shipment, Shipped};
use crate::tail::{Mark, Tail};
use lavandin_storage::wal::{LogReader, Wal};
use lavandin_types::{GroupId, SequenceNumber};

pub(crate) struct Log {
    group: GroupId,
    pub wal: Wal,
    pub tail: Tail,
    pub epochs: EpochTable,
    /// The newest checkpoint: a place that is known although the log may begin behind it.
    pub floor: Position,
    /// The last staged record.
    pub last: Position,
    /// The last written one.
    pub written: Position,
    /// The last one that is durable as the options say.
    pub durable: Position,
    /// Where reading for another copy stopped, so that going on costs no search.
    reading: Option<(Position, LogReader)>,
}

impl Log {
    pub(crate) fn new(group: GroupId, wal: Wal, epochs: EpochTable, floor: Position, last: Position) -> Self {
        let tail = Tail::default();
        Self { group, wal, tail, epochs, floor, last, written: last, durable: last, reading: None }
    }

    /// Completes the record that stands in the tail's buffer from `start` on.
    pub(crate) fn seal(&mut self, start: usize, header: Record<'_>) -> Position {
        self.last = self.tail.seal(start, header);
        self.epochs.push(self.last.epoch, self.last.sequence);
        self.last
    }

    /// Takes back what was staged since `mark`.
    pub(crate) fn reset(&mut self, mark: &Mark) {
        self.last = self.tail.reset(mark);
        self.epochs.truncate(self.last.sequence);
    }

    /// Adds a record that another copy made, and that follows the last one.
    pub(crate) fn push(&mut self, shipped: &Shipped<'_>) {
        self.tail.push(&shipped.record, shipped.bytes, shipped.position);
        self.last = shipped.position;
        self.epochs.push(self.last.epoch, self.last.sequence);
    }

    /// Hands what is staged to the operating system with one write, then syncs. Returns the bytes of its records.
    pub(crate) fn write_and_sync(&mut self) -> Result<usize, GroupError> {
        let bytes = self.tail.open_bytes();
        if bytes > 0 {
            for (position, record) in self.tail.open() {
                self.wal.append(position.sequence, position.hash, &[record])?;
            }
            self.wal.write()?;
            self.tail.close();
            self.written = self.last;
        }
        if self.durable != self.written {
            self.wal.sync()?;
            self.durable = self.written;
        }
        Ok(bytes)
    }

    /// Forgets what is staged and not written.
    pub(crate) fn discard_unwritten(&mut self) {
        self.tail.discard_open();
        self.last = self.written;
        self.epochs.truncate(self.last.sequence);
    }

    /// Forgets every record behind `last`, which is the copy's own position there.
    pub(crate) fn truncate(&mut self, last: Position) -> Result<(), GroupError> {
        self.reading = None;
        self.tail.truncate(last.sequence);
        self.epochs.truncate(last.sequence);
        self.last = last;
        if last.sequence < self.written.sequence {
            (self.written, self.durable) = (last, last);
            self.wal.truncate_back(last.sequence)?;
        }
        Ok(())
    }

    /// Begins anew behind the record of a snapshot.
    pub(crate) fn clear_to(&mut self, start: Position, epochs: EpochTable) -> Result<(), GroupError> {
        self.wal.truncate_back(SequenceNumber::ZERO)?;
        (self.tail, self.epochs, self.reading) = (Tail::default(), epochs, None);
        (self.floor, self.last, self.written, self.durable) = (start, start, start, start);
        Ok(())
    }

    /// Where the log holds a record of that number: which one. `None` before the log's front and behind its end.
    pub(crate) fn position_at(&self, sequence: SequenceNumber) -> Result<Option<Position>, GroupError> {
        let known = [self.last, self.written, self.floor, Position::default()];
        if let Some(position) = known.into_iter().find(|position| position.sequence == sequence) {
            return Ok(Some(position));
        }
        if let Some((record, _)) = self.tail.get(sequence) {
            return Ok(Some(record.position));
        }
        if sequence > self.written.sequence || self.wal.first().is_none_or(|first| sequence < first) {
            return Ok(None);
        }
        let mut reader = self.wal.read_from(sequence)?;
        match reader.next_frame()? {
            Some(frame) => Ok(Some(verify(self.group, frame.head.sequence, frame.head.hash, frame.payload)?)),
            None => Ok(None),
        }
    }

    /// The records from `from` on for another copy, until `bytes_max` is reached or passed; at least one where there
    /// is one. `None` if the log no longer holds them, or the record before them.
    pub(crate) fn read(
        &mut self,
        from: SequenceNumber,
        bytes_max: usize,
    ) -> Result<Option<Shipment>, GroupError> {
        let before = SequenceNumber::new(from.get().saturating_sub(1));
        let resumed = self.reading.take_if(|(at, _)| at.sequence == before);
        let Some(previous) = (match &resumed {
            Some((at, _)) => Some(*at),
            None => self.position_at(before)?,
        }) else {
            return Ok(None);
        };
        let mut shipment = Shipment::starting(previous);
        let in_memory = self.tail.first().unwrap_or(self.last.sequence.next());
        if from < in_memory {
            if self.wal.first().is_none_or(|first| from < first) {
                return Ok(None);
            }
            let reader = match resumed {
                Some((_, reader)) => reader,
                None => self.wal.read_from(from)?,
            };
            self.read_written(reader, &mut shipment, in_memory, bytes_max)?;
        }
        while shipment.records.len() < bytes_max
            && shipment.last.sequence.next() >= in_memory
            && let Some((record, bytes)) = self.tail.get(shipment.last.sequence.next())
        {
            shipment.push(record.position, bytes);
        }
        Ok(Some(shipment))
    }

    /// The part of a shipment that is not in memory. A reader ends where the log ended when it was made; the next call
    /// goes on from there.
    fn read_written(
        &mut self,
        mut reader: LogReader,
        shipment: &mut Shipment,
        in_memory: SequenceNumber,
        bytes_max: usize,
    ) -> Result<(), GroupError> {
        while shipment.records.len() < bytes_max && shipment.last.sequence.next() < in_memory {
            let Some(frame) = reader.next_frame()? else { return Ok(()) };
            let position = verify(self.group, frame.head.sequence, frame.head.hash, frame.payload)?;
            shipment.push(position, frame.payload);
        }
        self.reading = Some((shipment.last, reader));
        Ok(())
    }
}

/// The position of a record that was read back.
pub(crate) fn verify(
    group: GroupId,
    sequence: SequenceNumber,
    hash: lavandin_types::RecordHash,
    bytes: &[u8],
) -> Result<Position, GroupError> {
    let broken = |what| GroupError::BrokenChain { group, sequence, what };
    if record::hash(bytes) != hash {
        return Err(broken("the record differs from its hash"));
    }
    let record = Record::decode(bytes).ok_or(broken("the record is too short"))?;
    Ok(Position { sequence, epoch: record.epoch, hash })
}
