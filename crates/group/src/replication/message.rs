//! What copies of a group say to each other. docs/formats/replication.md has the bytes.

use crate::epoch_table::EpochTable;
use crate::position::Position;
use crate::request_table::take;
use lavandin_types::{GroupId, PrimaryEpoch, SequenceNumber};

const VERSION: u8 = 1;
const APPEND: u8 = 1;
const HEARTBEAT: u8 = 2;
const ACKNOWLEDGE: u8 = 3;
const STATUS: u8 = 4;
const SNAPSHOT_NEEDED: u8 = 5;

/// Records for a follower; they follow the message as they are in a `Shipment`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The record before the first of them.
    pub previous: Position,
    /// The primary's commit point.
    pub committed: SequenceNumber,
}

/// What a primary says when it has no records to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub committed: SequenceNumber,
    /// Counts the primary's requests to be confirmed as such.
    pub round: u64,
}

/// Where a follower stands that cannot take what it was sent. Also a node's answer to a primary whose reign is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The end of its log.
    pub last: SequenceNumber,
    pub epochs: EpochTable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Append(Append),
    Heartbeat(Heartbeat),
    /// Everything up to here is on the follower's disk, and is what the primary's log holds.
    Acknowledge {
        durable: SequenceNumber,
        round: u64,
    },
    Status(Status),
    /// The primary's log does not reach back to the record `from`, which the follower needs next.
    SnapshotNeeded {
        from: SequenceNumber,
    },
}

/// A message between two copies of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub group: GroupId,
    /// Of the primary that speaks or is answered; in a status the highest that the follower has promised.
    pub epoch: PrimaryEpoch,
    /// The follower's: the one addressed, or the one that answers.
    pub incarnation: u64,
    pub content: Content,
}

impl Message {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kind = match &self.content {
            Content::Append(_) => APPEND,
            Content::Heartbeat(_) => HEARTBEAT,
            Content::Acknowledge { .. } => ACKNOWLEDGE,
            Content::Status(_) => STATUS,
            Content::SnapshotNeeded { .. } => SNAPSHOT_NEEDED,
        };
        out.extend_from_slice(&[VERSION, kind]);
        out.extend_from_slice(&self.group.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        match &self.content {
            Content::Append(append) => {
                append.previous.encode(out);
                out.extend_from_slice(&append.committed.to_le_bytes());
            }
            Content::Heartbeat(heartbeat) => {
                out.extend_from_slice(&heartbeat.committed.to_le_bytes());
                out.extend_from_slice(&heartbeat.round.to_le_bytes());
            }
            Content::Acknowledge { durable, round } => {
                out.extend_from_slice(&durable.to_le_bytes());
                out.extend_from_slice(&round.to_le_bytes());
            }
            Content::Status(status) => {
                out.extend_from_slice(&status.last.to_le_bytes());
                status.epochs.encode(out);
            }
            Content::SnapshotNeeded { from } => out.extend_from_slice(&from.to_le_bytes()),
        }
    }

    /// Reads a message off the front of `rest`; what is left are an append's records. `None` on malformed bytes, and on
    /// those of another version.
    pub fn decode(rest: &mut &[u8]) -> Option<Self> {
        let [VERSION, kind] = *take(rest, 2)? else { return None };
        let group = GroupId::from_le_bytes(take(rest, 8)?.try_into().ok()?);
        let epoch = PrimaryEpoch::from_le_bytes(take(rest, 8)?.try_into().ok()?);
        let incarnation = number(rest)?;
        let content = match kind {
            APPEND => {
                let previous = Position::decode(rest)?;
                Content::Append(Append { previous, committed: sequence(rest)? })
            }
            HEARTBEAT => Content::Heartbeat(Heartbeat { committed: sequence(rest)?, round: number(rest)? }),
            ACKNOWLEDGE => Content::Acknowledge { durable: sequence(rest)?, round: number(rest)? },
            STATUS => Content::Status(Status { last: sequence(rest)?, epochs: EpochTable::decode(rest)? }),
            SNAPSHOT_NEEDED => Content::SnapshotNeeded { from: sequence(rest)? },
            _ => return None,
        };
        (kind == APPEND || rest.is_empty()).then_some(Self { group, epoch, incarnation, content })
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?))
}

fn sequence(rest: &mut &[u8]) -> Option<SequenceNumber> {
    number(rest).map(SequenceNumber::new)
}

#[cfg(test)]
mod tests;
