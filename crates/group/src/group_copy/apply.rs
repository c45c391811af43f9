//! Applying committed records, from the log and from memory.

use super::GroupCopy;
use crate::consumer::Consumer;
use crate::error::GroupError;
use crate::log::verify;
use crate::record::Record;
use crate::replication::mutated;
use crate::request_table::RequestTable;
use crate::tail::operation;
use lavandin_types::{CollectionId, SequenceNumber};

impl<C: Consumer> GroupCopy<C> {
    /// Applies what is in the log and not in memory: what was there when the copy was opened.
    pub(super) fn apply_written(&mut self, end: SequenceNumber) -> Result<(), GroupError> {
        let in_memory = self.log.tail.first().unwrap_or(self.log.last.sequence.next());
        if self.applied.sequence.next() >= in_memory {
            return Ok(());
        }
        let mut scratch = Vec::new();
        let mut reader = self.log.wal.read_from(self.applied.sequence.next())?;
        while self.applied.sequence < end && self.applied.sequence.next() < in_memory {
            let Some(frame) = reader.next_frame()? else { break };
            let position = verify(self.options.group, frame.head.sequence, frame.head.hash, frame.payload)?;
            let record = Record::decode(frame.payload).expect("`verify` has decoded it");
            apply(&mut self.consumer, &mut self.requests, &record, &mut scratch);
            self.applied = position;
        }
        Ok(())
    }

    pub(super) fn apply_tail(
        &mut self,
        end: SequenceNumber,
        outcomes: &mut Vec<(SequenceNumber, C::Outcome)>,
    ) {
        let mut scratch = Vec::new();
        let mine = self.reign.map(|reign| reign.start);
        while self.applied.sequence < end
            && let Some((record, bytes)) = self.log.tail.get(self.applied.sequence.next())
        {
            self.applied = record.position;
            let sequence = record.position.sequence;
            let decoded = Record {
                group: self.options.group,
                epoch: record.position.epoch,
                sequence,
                previous: Default::default(),
                request_id: record.request_id,
                collection: record.collection,
                op: operation(bytes),
            };
            let mut forgotten = RequestTable::default();
            let requests = match mutated!(self.options, RequestsNotReplicated) && mine.is_none() {
                true => &mut forgotten,
                false => &mut self.requests,
            };
            let outcome = apply(&mut self.consumer, requests, &decoded, &mut scratch);
            if let Some(outcome) = outcome
                && mine.is_some_and(|start| sequence > start)
            {
                self.pending.remove(&record.request_id);
                outcomes.push((sequence, outcome));
            }
        }
    }
}

/// Applies a record and remembers its answer; `None` for a barrier.
fn apply<C: Consumer>(
    consumer: &mut C,
    requests: &mut RequestTable,
    record: &Record<'_>,
    scratch: &mut Vec<u8>,
) -> Option<C::Outcome> {
    if record.collection == CollectionId::ZERO {
        return None;
    }
    let outcome = consumer.apply(record.sequence, record.collection, record.op);
    if !record.request_id.is_none() {
        scratch.clear();
        C::encode_outcome(&outcome, scratch);
        requests.insert(record.request_id, scratch);
    }
    Some(outcome)
}
