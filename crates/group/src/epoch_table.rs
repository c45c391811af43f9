//! Which primary epoch wrote which part of a log: the number of each epoch's first record. Two copies find from their
//! tables where their logs part, without comparing records.
//!
//! One epoch has one primary, and each record names the one before, so two logs that hold record `s` of epoch `e` are
//! equal up to `s`. The logs therefore part behind the shorter end of the latest epoch that both have.

use crate::position::Position;
use crate::request_table::take;
use lavandin_types::{PrimaryEpoch, SequenceNumber};

/// Epochs kept; older ones are forgotten. A copy so far behind gets a snapshot.
pub(crate) const EPOCHS_MAX: usize = 1024;

/// Epochs and their first records, ascending in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochTable {
    entries: Vec<(PrimaryEpoch, SequenceNumber)>,
}

impl EpochTable {
    /// What is known of a log of which only the last record is.
    pub(crate) fn of(last: &Position) -> Self {
        let mut table = Self::default();
        if last.sequence != SequenceNumber::ZERO {
            table.push(last.epoch, last.sequence);
        }
        table
    }

    pub fn entries(&self) -> &[(PrimaryEpoch, SequenceNumber)] {
        &self.entries
    }

    /// Notes a record behind all noted so far.
    pub(crate) fn push(&mut self, epoch: PrimaryEpoch, sequence: SequenceNumber) {
        if self.entries.last().is_none_or(|(last, _)| *last < epoch) {
            if self.entries.len() == EPOCHS_MAX {
                self.entries.remove(0);
            }
            self.entries.push((epoch, sequence));
        }
    }

    /// Forgets the records behind `last`.
    pub(crate) fn truncate(&mut self, last: SequenceNumber) {
        while self.entries.pop_if(|(_, first)| *first > last).is_some() {}
    }

    /// The epoch that wrote a record.
    pub(crate) fn epoch_of(&self, sequence: SequenceNumber) -> Option<PrimaryEpoch> {
        let behind = self.entries.partition_point(|(_, first)| *first <= sequence);
        self.entries.get(behind.checked_sub(1)?).map(|(epoch, _)| *epoch)
    }

    /// The last record that a log with this table, which ends at `last`, has in common with another one; zero if the
    /// tables do not tell.
    pub fn fork(
        &self,
        last: SequenceNumber,
        other: &EpochTable,
        other_last: SequenceNumber,
    ) -> SequenceNumber {
        let shared = other.entries.iter().rev().find(|(epoch, _)| self.end_of(*epoch, last).is_some());
        let end = shared
            .and_then(|(epoch, _)| Some(self.end_of(*epoch, last)?.min(other.end_of(*epoch, other_last)?)));
        end.unwrap_or_default()
    }

    /// The last record of an epoch in a log that ends at `last`.
    fn end_of(&self, epoch: PrimaryEpoch, last: SequenceNumber) -> Option<SequenceNumber> {
        let at = self.entries.binary_search_by_key(&epoch, |(epoch, _)| *epoch).ok()?;
        let following = self.entries.get(at + 1).map(|(_, first)| SequenceNumber::new(first.get() - 1));
        Some(following.unwrap_or(last))
    }

    /// `u32 count`, then for each: `u64` epoch, `u64` number of its first record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for (epoch, first) in &self.entries {
            out.extend_from_slice(&epoch.to_le_bytes());
            out.extend_from_slice(&first.to_le_bytes());
        }
    }

    /// Reads a table off the front of `rest`; `None` on malformed bytes, or where it does not rise.
    pub(crate) fn decode(rest: &mut &[u8]) -> Option<Self> {
        let count = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?) as usize;
        let mut table = Self::default();
        if count > EPOCHS_MAX {
            return None;
        }
        for _ in 0..count {
            let epoch = PrimaryEpoch::from_le_bytes(take(rest, 8)?.try_into().ok()?);
            let first = SequenceNumber::from_le_bytes(take(rest, 8)?.try_into().ok()?);
            let rises = table.entries.last().is_none_or(|last| last.0 < epoch && last.1 < first);
            if !rises || first == SequenceNumber::ZERO {
                return None;
            }
            table.entries.push((epoch, first));
        }
        Some(table)
    }
}

#[cfg(test)]
mod tests;
