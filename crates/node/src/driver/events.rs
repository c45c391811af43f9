//! What a group's thread is told, and whom it tells things.

use super::Confirmed;
use crate::error::NodeError;
use crate::group_state::{GroupOutcome, GroupRequest};
use crate::reservations::ReservationId;
use crate::snapshots::{Fetched, SnapshotError, Standing};
use bytes::Bytes;
use lavandin_group::LogCheck;
use lavandin_group::replication::{Message, Proposal, View};
use lavandin_shard::{Change, Outcome};
use lavandin_types::{CollectionId, GroupId, NodeId, PrimaryEpoch, RequestId, SequenceNumber};
use std::sync::Arc;
use tokio::sync::oneshot;

pub(crate) type Answer<T> = oneshot::Sender<Result<T, NodeError>>;

/// What callers on this node ask.
pub(crate) enum Event {
    Propose {
        request_id: RequestId,
        request: Box<GroupRequest>,
        answer: Answer<GroupOutcome>,
    },
    /// Checks a write and holds its ids. It takes its turn among the requests.
    Reserve {
        request_id: RequestId,
        reservation: ReservationId,
        collection: CollectionId,
        change: Box<Change>,
        answer: Answer<Reserved>,
    },
    /// Logs what was reserved.
    LogReserved {
        request_id: RequestId,
        reservation: ReservationId,
        answer: Answer<GroupOutcome>,
    },
    /// Gives a reservation up.
    Release {
        reservation: ReservationId,
    },
    /// Everything acknowledged so far onto stable storage.
    Flush {
        answer: Answer<()>,
    },
    /// A checkpoint that covers everything acknowledged so far.
    Checkpoint {
        answer: Answer<()>,
    },
    WantMerge {
        collection: CollectionId,
    },
    /// The moment from which all of a collection's sealed rows are served by its index.
    AwaitIndex {
        collection: CollectionId,
        answer: Answer<()>,
    },
    /// A check of the log as it is on the disk by now.
    CheckLog {
        answer: Answer<LogCheck>,
    },
    /// Whether this copy is still the primary.
    Confirm {
        answer: Answer<Confirmed>,
    },
    /// Brings the group in line with the catalogue.
    Align {
        answer: Answer<()>,
    },
    Stop {
        answer: Answer<()>,
    },
}

/// What other copies and the metadata say.
pub(crate) enum News {
    /// The group as of a state of the metadata.
    View(Box<View>),
    Message {
        from: NodeId,
        message: Box<Message>,
        records: Bytes,
    },
    /// A record was acknowledged, by what a router was told: all up to there is committed.
    Acknowledged {
        epoch: PrimaryEpoch,
        sequence: SequenceNumber,
    },
    /// Whether another copy is to take over as soon as this one has stopped serving.
    Yield {
        wanted: bool,
    },
    /// This copy is damaged and others are not: it is to end its reign, if it has one.
    Resign {
        reason: String,
    },
    /// A proposal had an answer, of whatever kind.
    ProposalEnded,
    /// What became of `Outside::fetch_snapshot`.
    Snapshot(Result<Box<Fetched>, SnapshotError>),
    /// A snapshot as of `sequence` goes to another copy; the log behind it is to be kept.
    SnapshotTaken {
        to: NodeId,
        sequence: SequenceNumber,
        kept: oneshot::Sender<()>,
    },
}

/// What became of a write that was to be reserved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reserved {
    Held,
    /// It was applied before, under its request id.
    Answered(Outcome),
}

/// Where a group's thread leaves what concerns others. Nothing of it waits.
pub(crate) trait Outside: Send + Sync {
    /// A message for another copy; it may be lost.
    fn send(&self, to: NodeId, group: GroupId, message: Vec<u8>);
    /// To be put to the metadata; `News::ProposalEnded` follows.
    fn propose(&self, group: GroupId, proposal: Proposal);
    /// A snapshot of another copy is needed; `News::Snapshot` follows.
    fn fetch_snapshot(&self, group: GroupId, from: NodeId, standing: Standing);
}

pub(crate) type Links = Arc<dyn Outside>;
