//! What a follower does with a primary's records.

use super::GroupCopy;
use crate::consumer::Consumer;
use crate::error::GroupError;
use crate::position::Position;
use crate::replication::mutated;
use crate::shipment::{Shipped, unpack};
use lavandin_types::{PrimaryEpoch, SequenceNumber};

/// What became of a primary's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The log is the primary's up to here, once it is synced.
    Matched(Position),
    /// The log does not hold the record before them: the sender has to go back to where the two logs part.
    Mismatch,
}

impl<C: Consumer> GroupCopy<C> {
    /// Takes the records of the primary of `epoch`, which must have been promised. They count only once they are synced.
    /// What this log holds already is skipped; where it holds something else it is cut first, never at or below what
    /// is committed. A reign ends.
    pub fn accept(
        &mut self,
        epoch: PrimaryEpoch,
        previous: Position,
        records: &[u8],
    ) -> Result<Accepted, GroupError> {
        self.check_poison()?;
        let group = self.options.group;
        if epoch != self.promised {
            return Err(GroupError::Fenced { group, epoch, promised: self.promised });
        }
        let shipped = unpack(group, previous, records)?;
        if shipped.last().is_some_and(|last| last.position.epoch > epoch) {
            return Err(GroupError::BrokenShipment {
                group,
                what: "a record is of a later epoch than its sender",
            });
        }
        self.follow();
        let unchecked = mutated!(self.options, IgnorePrevious) && self.log.last.sequence >= previous.sequence;
        if self.log.position_at(previous.sequence)? != Some(previous) && !unchecked {
            return Ok(Accepted::Mismatch);
        }
        let known = self.shared(&shipped)?;
        if known < shipped.len() {
            self.cut_behind(known.checked_sub(1).map_or(previous, |last| shipped[last].position))?;
            shipped[known..].iter().for_each(|shipped| self.log.push(shipped));
        }
        Ok(Accepted::Matched(shipped.last().map_or(previous, |last| last.position)))
    }

    /// How many of the records, from the first, this log holds. One comparison stands for all before it.
    fn shared(&self, shipped: &[Shipped<'_>]) -> Result<usize, GroupError> {
        let last = self.log.last.sequence;
        let overlap = shipped.partition_point(|shipped| shipped.position.sequence <= last);
        let Some(end) = overlap.checked_sub(1) else { return Ok(0) };
        if self.log.position_at(shipped[end].position.sequence)? == Some(shipped[end].position) {
            return Ok(overlap);
        }
        let differs = |shipped: &&Shipped<'_>| {
            self.log.epochs.epoch_of(shipped.position.sequence) != Some(shipped.position.epoch)
        };
        shipped[..overlap].iter().position(|shipped| differs(&shipped)).ok_or(GroupError::BrokenShipment {
            group: self.options.group,
            what: "it has another record of an epoch than this log, where an epoch has one primary",
        })
    }

    /// Forgets what follows a record, which is not in the present primary's log.
    fn cut_behind(&mut self, last: Position) -> Result<(), GroupError> {
        if last.sequence >= self.log.last.sequence {
            return Ok(());
        }
        let group = self.options.group;
        if last.sequence < self.committed && !mutated!(self.options, TruncateCommitted) {
            return Err(GroupError::CommittedConflict {
                group,
                committed: self.committed,
                fork: last.sequence,
            });
        }
        self.log.truncate(last).map_err(|error| self.poisoned_by(error))
    }

    /// Everything up to here is known to be committed.
    pub fn committed(&self) -> SequenceNumber {
        self.committed
    }
}
