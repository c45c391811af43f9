//! Questions to a group at another node, and their answers, as bytes (docs/formats/group-calls.md).
//!
//! The numbers of kinds are never given to others. Whoever answers decodes the header first: it says how new the
//! catalogue must be before the question makes sense.

mod coded;
mod shapes;

use crate::error::NodeError;
use crate::groups::group_call::{GroupAnswer, GroupCall};
use crate::groups::{Applied, Need};
use bytes::Bytes;
use coded::{Coded, Reader, coded_struct};
use lavandin_peer::PeerStatus;
use lavandin_shard::{Change, Rejection};
use lavandin_types::{GroupId, PrimaryEpoch, RequestId};

const VERSION: u8 = 1;
/// How an answer begins that is an error.
const ERROR: u8 = 0;

/// What a question says besides what it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub group: GroupId,
    /// The epoch of the group, and what is applied of the catalogue, as the caller knows them.
    pub epoch: PrimaryEpoch,
    pub catalogue: u64,
    pub request_id: RequestId,
    /// `None` for the primary; else any in-sync copy that shows so much may answer.
    pub need: Option<Need>,
}

coded_struct!(Applied { sequence: u64, epoch: PrimaryEpoch });
coded_struct!(Need { applied_min: Applied, age_ms_max: Option<u64> });
coded_struct!(Header {
    group: GroupId,
    epoch: PrimaryEpoch,
    catalogue: u64,
    request_id: RequestId,
    need: Option<Need>,
});

/// An answer, and what the answering copy has applied by then.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub applied: Applied,
    pub answer: Result<GroupAnswer, NodeError>,
}

pub(crate) fn encode_call(header: &Header, call: &GroupCall) -> Bytes {
    let mut out = Vec::with_capacity(256 + batch_bytes(call));
    out.push(VERSION);
    header.put(&mut out);
    put_call(call, &mut out);
    out.into()
}

/// `None` on bytes that this version of the program does not write.
pub(crate) fn decode_call(message: &Bytes) -> Option<(Header, GroupCall)> {
    let mut from = Reader::new(message);
    if u8::get(&mut from)? != VERSION {
        return None;
    }
    let header = Header::get(&mut from)?;
    let call = get_call(&mut from)?;
    (from.is_empty() && is_sound(&call)).then_some((header, call))
}

pub(crate) fn encode_answer(answered: &Answered) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    out.push(VERSION);
    answered.applied.put(&mut out);
    match &answered.answer {
        Ok(answer) => put_answer(answer, &mut out),
        Err(error) => {
            out.push(ERROR);
            put_error(error, &mut out);
        }
    }
    out.into()
}

/// `None` on bytes that this version of the program does not write.
pub(crate) fn decode_answer(message: &Bytes) -> Option<Answered> {
    let mut from = Reader::new(message);
    if u8::get(&mut from)? != VERSION {
        return None;
    }
    let applied = Applied::get(&mut from)?;
    let answer = match u8::get(&mut from)? {
        ERROR => Err(get_error(&mut from)?),
        kind => Ok(get_answer(kind, &mut from)?),
    };
    from.is_empty().then_some(Answered { applied, answer })
}

/// What the router checks before it asks and the engine takes for granted.
fn is_sound(call: &GroupCall) -> bool {
    match call {
        GroupCall::Search { search, .. } => {
            search.count > 0
                && search.queries.len().is_multiple_of(search.count)
                && !search.queries.is_empty()
        }
        _ => true,
    }
}

/// About what a call's records take, so that they are not moved while the message grows.
fn batch_bytes(call: &GroupCall) -> usize {
    let (GroupCall::Change { change, .. } | GroupCall::Reserve { change, .. }) = call else { return 0 };
    let (Change::Add(batch) | Change::Upsert(batch)) = change else { return 0 };
    let ids_and_places = 32 * batch.ids.len();
    batch.vectors.bytes.len() + batch.fields.as_ref().map_or(0, Bytes::len) + ids_and_places
}

fn put_call(call: &GroupCall, out: &mut Vec<u8>) {
    match call {
        GroupCall::Change { collection, change, reserved } => {
            out.push(1);
            collection.put(out);
            change.put(out);
            reserved.put(out);
        }
        GroupCall::Reserve { collection, change, reservation } => {
            out.push(2);
            collection.put(out);
            change.put(out);
            reservation.put(out);
        }
        GroupCall::LogReserved(reservation) => put_one(3, reservation, out),
        GroupCall::Release(reservation) => put_one(4, reservation, out),
        GroupCall::Drop(collection) => put_one(5, collection, out),
        GroupCall::LogSchema(collection) => put_one(6, collection, out),
        GroupCall::Search { collection, search, fields } => {
            out.push(7);
            collection.put(out);
            search.put(out);
            fields.put(out);
        }
        GroupCall::SearchRange { collection, query, threshold, max_results } => {
            out.push(8);
            collection.put(out);
            query.put(out);
            threshold.put(out);
            max_results.put(out);
        }
        GroupCall::Records { collection, which, fields, with_vectors } => {
            out.push(9);
            collection.put(out);
            which.put(out);
            fields.put(out);
            with_vectors.put(out);
        }
        GroupCall::DeletedIds(collection) => put_one(10, collection, out),
        GroupCall::Contains { collection, id } => {
            out.push(11);
            collection.put(out);
            id.put(out);
        }
        GroupCall::FieldKinds(collection) => put_one(12, collection, out),
        GroupCall::Statistics(collection) => put_one(13, collection, out),
        GroupCall::Flush => out.push(14),
        GroupCall::Checkpoint => out.push(15),
        GroupCall::WantMerge(collection) => put_one(16, collection, out),
        GroupCall::AwaitJobs(collection) => put_one(17, collection, out),
        GroupCall::Confirm => out.push(18),
        GroupCall::Digests => out.push(19),
        GroupCall::Doubt => out.push(20),
        GroupCall::Iterations(requests) => put_one(21, requests, out),
        GroupCall::AskIterations(question) => put_one(22, question, out),
    }
}

fn get_call(from: &mut Reader<'_>) -> Option<GroupCall> {
    Some(match u8::get(from)? {
        1 => GroupCall::Change {
            collection: Coded::get(from)?,
            change: Coded::get(from)?,
            reserved: Coded::get(from)?,
        },
        2 => GroupCall::Reserve {
            collection: Coded::get(from)?,
            change: Coded::get(from)?,
            reservation: Coded::get(from)?,
        },
        3 => GroupCall::LogReserved(Coded::get(from)?),
        4 => GroupCall::Release(Coded::get(from)?),
        5 => GroupCall::Drop(Coded::get(from)?),
        6 => GroupCall::LogSchema(Coded::get(from)?),
        7 => GroupCall::Search {
            collection: Coded::get(from)?,
            search: Coded::get(from)?,
            fields: Coded::get(from)?,
        },
        8 => GroupCall::SearchRange {
            collection: Coded::get(from)?,
            query: Coded::get(from)?,
            threshold: Coded::get(from)?,
            max_results: Coded::get(from)?,
        },
        9 => GroupCall::Records {
            collection: Coded::get(from)?,
            which: Coded::get(from)?,
            fields: Coded::get(from)?,
            with_vectors: Coded::get(from)?,
        },
        10 => GroupCall::DeletedIds(Coded::get(from)?),
        11 => GroupCall::Contains { collection: Coded::get(from)?, id: Coded::get(from)? },
        12 => GroupCall::FieldKinds(Coded::get(from)?),
        13 => GroupCall::Statistics(Coded::get(from)?),
        14 => GroupCall::Flush,
        15 => GroupCall::Checkpoint,
        16 => GroupCall::WantMerge(Coded::get(from)?),
        17 => GroupCall::AwaitJobs(Coded::get(from)?),
        18 => GroupCall::Confirm,
        19 => GroupCall::Digests,
        20 => GroupCall::Doubt,
        21 => GroupCall::Iterations(Coded::get(from)?),
        22 => GroupCall::AskIterations(Coded::get(from)?),
        _ => return None,
    })
}

fn put_answer(answer: &GroupAnswer, out: &mut Vec<u8>) {
    match answer {
        GroupAnswer::Done => out.push(1),
        GroupAnswer::Waiting => out.push(2),
        GroupAnswer::Outcome(outcome) => put_one(3, outcome, out),
        GroupAnswer::Reserved(reserved) => put_one(4, reserved, out),
        GroupAnswer::Search(result) => put_one(5, result, out),
        GroupAnswer::Hits(hits) => put_one(6, hits, out),
        GroupAnswer::Records(records) => put_one(7, records, out),
        GroupAnswer::Ids(ids) => put_one(8, ids, out),
        GroupAnswer::Found(found) => put_one(9, found, out),
        GroupAnswer::FieldKinds(kinds) => put_one(10, kinds, out),
        GroupAnswer::Statistics(statistics) => put_one(11, statistics, out),
        GroupAnswer::Digests(digests) => put_one(12, digests, out),
        GroupAnswer::Iterations(outcomes) => put_one(13, outcomes, out),
        GroupAnswer::Told(reply) => put_one(14, &**reply, out),
    }
}

fn get_answer(kind: u8, from: &mut Reader<'_>) -> Option<GroupAnswer> {
    Some(match kind {
        1 => GroupAnswer::Done,
        2 => GroupAnswer::Waiting,
        3 => GroupAnswer::Outcome(Coded::get(from)?),
        4 => GroupAnswer::Reserved(Coded::get(from)?),
        5 => GroupAnswer::Search(Coded::get(from)?),
        6 => GroupAnswer::Hits(Coded::get(from)?),
        7 => GroupAnswer::Records(Coded::get(from)?),
        8 => GroupAnswer::Ids(Coded::get(from)?),
        9 => GroupAnswer::Found(Coded::get(from)?),
        10 => GroupAnswer::FieldKinds(Coded::get(from)?),
        11 => GroupAnswer::Statistics(Coded::get(from)?),
        12 => GroupAnswer::Digests(Coded::get(from)?),
        13 => GroupAnswer::Iterations(Coded::get(from)?),
        14 => GroupAnswer::Told(Box::new(Coded::get(from)?)),
        _ => return None,
    })
}

/// Errors that a router acts on travel as themselves, others as what a client is told.
fn put_error(error: &NodeError, out: &mut Vec<u8>) {
    match error {
        NodeError::Rejected(Rejection::Exists(id)) => put_one(1, id, out),
        NodeError::ReservationGone => out.push(2),
        NodeError::NotServing { group, reason } => {
            out.push(3);
            group.put(out);
            reason.put(out);
        }
        NodeError::OutcomeUnknown { request_id } => put_one(4, request_id, out),
        NodeError::Overloaded => out.push(5),
        NodeError::Iteration(rejection) => put_one(6, rejection, out),
        other => {
            out.push(0);
            let (code, sentence) = PeerStatus::new(other.code(), other.to_string()).encode();
            out.extend_from_slice(&code.to_le_bytes());
            sentence.put(out);
            other.filter_position().put(out);
        }
    }
}

fn get_error(from: &mut Reader<'_>) -> Option<NodeError> {
    Some(match u8::get(from)? {
        0 => {
            let code = u16::from_le_bytes(from.take(2)?.try_into().ok()?);
            let PeerStatus { code, message } = PeerStatus::decode(code, &Bytes::get(from)?);
            NodeError::Remote { code, message, filter_position: Coded::get(from)? }
        }
        1 => Rejection::Exists(Coded::get(from)?).into(),
        2 => NodeError::ReservationGone,
        3 => NodeError::NotServing { group: Coded::get(from)?, reason: Coded::get(from)? },
        4 => NodeError::OutcomeUnknown { request_id: Coded::get(from)? },
        5 => NodeError::Overloaded,
        6 => NodeError::Iteration(Coded::get(from)?),
        _ => return None,
    })
}

fn put_one<T: Coded>(kind: u8, value: &T, out: &mut Vec<u8>) {
    out.push(kind);
    value.put(out);
}

#[cfg(test)]
mod tests;
