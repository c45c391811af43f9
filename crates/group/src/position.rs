//! A place in a group's log.

use crate::request_table::take;
use lavandin_types::{PrimaryEpoch, RecordHash, SequenceNumber};

/// A place in the log: the last record before it. The hash stands for everything up to there, so two copies that are
/// at one position hold the same log so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub sequence: SequenceNumber,
    pub epoch: PrimaryEpoch,
    pub hash: RecordHash,
}

impl Position {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.hash.to_le_bytes());
    }

    /// Reads a position off the front of `rest`.
    pub(crate) fn decode(rest: &mut &[u8]) -> Option<Self> {
        let sequence = SequenceNumber::from_le_bytes(take(rest, 8)?.try_into().ok()?);
        let epoch = PrimaryEpoch::from_le_bytes(take(rest, 8)?.try_into().ok()?);
        let hash = RecordHash::from_le_bytes(take(rest, 16)?.try_into().ok()?);
        Some(Self { sequence, epoch, hash })
    }
}
