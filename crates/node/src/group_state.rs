//! What a group's log drives: collections and iterations, composed into one consumer. Both keep their own operations'
//! bytes; an operation's first byte tells whose it is.

use crate::error::NodeError;
use lavandin_group::Consumer;
use lavandin_plan::iterations::{self, IterationLimits, Iterations, IterationsReader};
use lavandin_shard::{Damage, Outcome, Rejection, Request, Shard, ShardLimits, ShardReader};
use lavandin_storage::Directory;
use lavandin_types::{CollectionId, SequenceNumber};
use std::sync::Arc;

/// The first bytes of operations on iterations are from here on.
const OP_KIND_MIN: u8 = 64;
/// Under which collection the operations on iterations are logged: one that no catalogue hands out.
const ITERATIONS: CollectionId = CollectionId::new(u64::MAX);
/// What a payload begins with that holds both; one without it is from before there were iterations.
const MAGIC: &[u8; 8] = b"LVGROUP\x01";

/// What is asked of a group.
#[derive(Debug)]
pub(crate) enum GroupRequest {
    Collections(Request),
    Iterations(iterations::Request),
}

#[derive(Clone, Debug)]
pub(crate) enum GroupOutcome {
    Collections(Outcome),
    Iterations(iterations::Outcome),
}

#[derive(Debug)]
pub(crate) enum GroupRejection {
    Collections(Rejection),
    Iterations(iterations::Rejection),
}

impl From<GroupRejection> for NodeError {
    fn from(rejection: GroupRejection) -> Self {
        match rejection {
            GroupRejection::Collections(rejection) => rejection.into(),
            GroupRejection::Iterations(rejection) => rejection.into(),
        }
    }
}

/// The collections and the iterations of one copy of a group.
pub(crate) struct GroupState {
    pub(crate) shard: Shard,
    pub(crate) iterations: Iterations,
}

/// The readers' handles.
#[derive(Clone)]
pub(crate) struct GroupReaders {
    pub(crate) shard: ShardReader,
    pub(crate) iterations: IterationsReader,
}

impl GroupState {
    /// From the last checkpoint's payload, or from nothing.
    pub(crate) fn open(
        directory: Arc<dyn Directory>,
        limits: ShardLimits,
        payload: Option<&[u8]>,
    ) -> Result<Self, NodeError> {
        let parts = payload.map(split_payload).transpose()?;
        let iterations = decode_iterations(parts.and_then(|(iterations, _)| iterations))?;
        Ok(Self { shard: Shard::open(directory, limits, parts.map(|(_, shard)| shard))?, iterations })
    }

    /// From a snapshot's payload, beside a state that counts until the snapshot is installed; then `take_over` is called.
    pub(crate) fn open_beside(
        directory: Arc<dyn Directory>,
        limits: ShardLimits,
        payload: &[u8],
    ) -> Result<Self, NodeError> {
        let (iterations, shard) = split_payload(payload)?;
        let iterations = decode_iterations(iterations)?;
        Ok(Self { shard: Shard::open_beside(directory, limits, shard)?, iterations })
    }

    /// Shows this state to the readers of the one that it has replaced, and removes that one's files.
    pub(crate) fn take_over(&mut self, readers: &GroupReaders) {
        self.shard.take_over(&readers.shard);
        self.iterations.take_over(&readers.iterations);
        if let Err(damage) = self.shard.remove_replaced() {
            tracing::warn!(%damage, "files of the replaced state stay until the next start");
        }
    }

    /// The iterations' part of a checkpoint of this moment.
    pub(crate) fn iterations_part(&self) -> Vec<u8> {
        let mut part = Vec::new();
        self.iterations.encode(&mut part);
        part
    }

    pub(crate) fn readers(&self) -> GroupReaders {
        GroupReaders { shard: self.shard.reader(), iterations: self.iterations.reader() }
    }
}

fn decode_iterations(part: Option<&[u8]>) -> Result<Iterations, Damage> {
    let limits = IterationLimits::default();
    match part {
        Some(bytes) => Iterations::decode(limits, bytes).ok_or_else(malformed),
        None => Ok(Iterations::new(limits)),
    }
}

/// The parts of a checkpoint's payload: of the iterations, where there is one, and of the collections.
pub(crate) fn split_payload(payload: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Damage> {
    let Some(rest) = payload.strip_prefix(MAGIC) else { return Ok((None, payload)) };
    let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| malformed())?;
    let (iterations, shard) = rest.split_at_checked(length).ok_or_else(malformed)?;
    Ok((Some(iterations), shard))
}

fn malformed() -> Damage {
    Damage::new("checkpoint", "the part of the iterations is malformed")
}

/// The payload of a checkpoint from its parts, both of one moment.
pub(crate) fn checkpoint_payload(iterations: &[u8], shard: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(MAGIC.len() + 8 + iterations.len() + shard.len());
    payload.extend_from_slice(MAGIC);
    payload.extend_from_slice(&(iterations.len() as u64).to_le_bytes());
    payload.extend_from_slice(iterations);
    payload.extend_from_slice(shard);
    payload
}

impl Consumer for GroupState {
    type Request = GroupRequest;
    type Outcome = GroupOutcome;
    type Rejection = GroupRejection;

    fn prepare(&mut self, request: GroupRequest, op: &mut Vec<u8>) -> Result<CollectionId, GroupRejection> {
        match request {
            GroupRequest::Collections(request) => {
                self.shard.prepare(request, op).map_err(GroupRejection::Collections)
            }
            GroupRequest::Iterations(request) => {
                self.iterations.prepare(request, op).map_err(GroupRejection::Iterations)?;
                Ok(ITERATIONS)
            }
        }
    }

    fn apply(&mut self, sequence: SequenceNumber, collection: CollectionId, op: &[u8]) -> GroupOutcome {
        if op.first().is_some_and(|kind| *kind >= OP_KIND_MIN) {
            return GroupOutcome::Iterations(self.iterations.apply(op));
        }
        GroupOutcome::Collections(self.shard.apply(sequence, collection, op))
    }

    fn discard_pending(&mut self) {
        self.shard.discard_pending();
        self.iterations.discard_pending();
    }

    fn encode_outcome(outcome: &GroupOutcome, out: &mut Vec<u8>) {
        match outcome {
            // Outcomes of collections begin with 0 or 1, those of iterations like their operations.
            GroupOutcome::Collections(outcome) => Shard::encode_outcome(outcome, out),
            GroupOutcome::Iterations(outcome) => outcome.encode(out),
        }
    }

    fn decode_outcome(bytes: &[u8]) -> Option<GroupOutcome> {
        if *bytes.first()? >= OP_KIND_MIN {
            return iterations::Outcome::decode(bytes).map(GroupOutcome::Iterations);
        }
        Shard::decode_outcome(bytes).map(GroupOutcome::Collections)
    }
}

#[cfg(test)]
mod tests;
