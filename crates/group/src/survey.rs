//! What a log must be for a copy to go on with it: it reaches back to the checkpoint, and each record continues the one
//! before.

use crate::epoch_table::EpochTable;
use crate::error::GroupError;
use crate::position::Position;
use crate::record::{self, Record};
use lavandin_storage::wal::{FrameHead, Wal};
use lavandin_types::{CollectionId, GroupId, RecordHash, SequenceNumber};

/// That the log continues what was loaded at `start` and holds what the `newest` checkpoint, intact or not, had seen.
/// Called before anything is made of the checkpoint, for a consumer may tidy up by it.
pub(crate) fn check_reach(
    wal: &Wal,
    group: GroupId,
    start: SequenceNumber,
    newest: SequenceNumber,
) -> Result<(), GroupError> {
    let first = wal.first().unwrap_or(start.next());
    let next = wal.next().unwrap_or(SequenceNumber::ZERO.next());
    if first > start.next() {
        return Err(GroupError::Gap { group, checkpoint: start, first });
    }
    if next <= newest {
        let last = SequenceNumber::new(next.get().saturating_sub(1));
        return Err(GroupError::ShortLog { group, checkpoint: newest, last });
    }
    Ok(())
}

/// Follows a log's chain while it is opened: whether the records behind a checkpoint continue it and each other, where
/// they end, and which epochs wrote them.
pub(crate) struct Survey {
    group: GroupId,
    start: Position,
    /// The last record so far.
    pub end: Position,
    /// Bytes of the records behind the start, barriers included.
    pub bytes: u64,
    pub epochs: EpochTable,
    broken: Option<GroupError>,
}

impl Survey {
    /// `epochs` is the checkpoint's table.
    pub(crate) fn new(group: GroupId, start: Position, epochs: EpochTable) -> Self {
        Self { group, start, end: start, bytes: 0, epochs, broken: None }
    }

    /// Sees the next record of the log. Whether its bytes are what the hash promises; a break of the chain is told by
    /// `finish`, for it is no torn end.
    pub(crate) fn see(&mut self, head: &FrameHead, bytes: &[u8]) -> bool {
        let hash = record::hash(bytes);
        if hash == head.hash && self.broken.is_none() {
            let group = self.group;
            let broken = |what| GroupError::BrokenChain { group, sequence: head.sequence, what };
            self.broken = self.follow(head.sequence, hash, bytes).map_err(broken).err();
        }
        hash == head.hash
    }

    fn follow(
        &mut self,
        sequence: SequenceNumber,
        hash: RecordHash,
        bytes: &[u8],
    ) -> Result<(), &'static str> {
        if sequence == self.start.sequence && hash != self.start.hash {
            return Err("the checkpoint was taken after another record of that number");
        }
        if sequence <= self.start.sequence {
            return Ok(());
        }
        let record = Record::decode(bytes).ok_or("the record is too short")?;
        check(&record, self.group, &self.end)?;
        self.end = Position { sequence, epoch: record.epoch, hash };
        self.bytes += bytes.len() as u64;
        self.epochs.push(record.epoch, sequence);
        Ok(())
    }

    /// Takes the log for unrelated to the checkpoint, and as good as empty.
    pub(crate) fn reset(mut self) -> Self {
        self.epochs.truncate(self.start.sequence);
        Self { end: self.start, bytes: 0, broken: None, ..self }
    }

    pub(crate) fn finish(self) -> Result<Self, GroupError> {
        match self.broken {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

/// Whether the record may follow `position`; otherwise why not.
pub(crate) fn check(record: &Record<'_>, group: GroupId, position: &Position) -> Result<(), &'static str> {
    let is_barrier = record.collection == CollectionId::ZERO;
    if record.group != group {
        Err("the record belongs to another group")
    } else if record.sequence != position.sequence.next() {
        Err("the record's number is not the next one")
    } else if record.previous != position.hash {
        Err("the record follows another one than the one before it")
    } else if record.epoch < position.epoch {
        Err("the record's primary epoch lies before the one before it")
    } else if record.epoch > position.epoch && !is_barrier {
        Err("the record's primary epoch does not begin with a barrier")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
