//! Bringing a consumer up to date from the log, and the checks on the way.

use crate::consumer::Consumer;
use crate::error::GroupError;
use crate::group_copy::Position;
use crate::record::{self, Record};
use crate::request_table::RequestTable;
use lavandin_storage::wal::Wal;
use lavandin_types::{CollectionId, GroupId, SequenceNumber};

/// What a replay did.
pub(crate) struct Replayed {
    /// Where the log ends.
    pub end: Position,
    /// Bytes of the records applied, barriers included.
    pub bytes: u64,
}

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

/// Follows the chain from `start` on and applies each record. The record at `start`, where the log still has it, must
/// be the one that the checkpoint saw. The caller has checked the log's reach.
pub(crate) fn replay<C: Consumer>(
    wal: &Wal,
    group: GroupId,
    start: Position,
    consumer: &mut C,
    requests: &mut RequestTable,
) -> Result<Replayed, GroupError> {
    let mut replayed = Replayed { end: start, bytes: 0 };
    let mut outcome_bytes = Vec::new();
    let has_start = wal.first().is_some_and(|first| first <= start.sequence);
    let mut reader = wal.read_from(if has_start { start.sequence } else { start.sequence.next() })?;
    while let Some(frame) = reader.next_frame()? {
        let position = replayed.end;
        let sequence = frame.head.sequence;
        let broken = |what| GroupError::BrokenChain { group, sequence, what };
        let hash = record::hash(frame.payload);
        if hash != frame.head.hash {
            return Err(broken("the record differs from its hash"));
        }
        if sequence == start.sequence {
            if hash != start.hash {
                return Err(broken("the checkpoint was taken after another record of that number"));
            }
            continue;
        }
        let record = Record::decode(frame.payload).ok_or(broken("the record is too short"))?;
        check(&record, group, &position).map_err(broken)?;
        replayed.end = Position { sequence, epoch: record.epoch, hash };
        replayed.bytes += frame.payload.len() as u64;
        if record.collection == CollectionId::ZERO {
            continue;
        }
        let outcome = consumer.apply(sequence, record.collection, record.op);
        if !record.request_id.is_none() {
            outcome_bytes.clear();
            C::encode_outcome(&outcome, &mut outcome_bytes);
            requests.insert(record.request_id, &outcome_bytes);
        }
    }
    Ok(replayed)
}

/// Whether the record may follow `position`; otherwise why not.
fn check(record: &Record<'_>, group: GroupId, position: &Position) -> Result<(), &'static str> {
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
