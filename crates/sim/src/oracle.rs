//! What must be true of every run, whatever fails.
//!
//! I1 an acknowledged record is on the disk of every copy in sync. I2 one record has one number. I3 one primary an
//! epoch. I4 promises stand. I5 what is committed is the same everywhere. I6 what is committed or applied stays so; it
//! is durable before. I8 nothing is acknowledged or read without a lease. I9 a read at the primary shows what was
//! acknowledged before. I12 copies at one record have one state. I13 an operation is applied once at most; a refused one
//! never; an acknowledged one is there in the end.

use crate::group_state::GroupState;
use crate::ledger::Ledger;
use lavandin_group::{GroupCopy, MultisetHash};
use lavandin_types::{GroupId, NodeId, PrimaryEpoch, RecordHash, SequenceNumber, StoreId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What was found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One copy in one life of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CopyId {
    pub group: GroupId,
    pub store: StoreId,
    pub life: u64,
}

/// What is remembered of a copy.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    life: u64,
    promised: PrimaryEpoch,
    committed: SequenceNumber,
    applied: SequenceNumber,
    durable: SequenceNumber,
}

#[derive(Default)]
struct GroupFacts {
    /// Applied records, by number.
    records: BTreeMap<SequenceNumber, (RecordHash, MultisetHash, u64)>,
    leaders: BTreeMap<PrimaryEpoch, CopyId>,
    /// Acknowledged operations: number of the record (0 where a retry was answered), outcome.
    acknowledged: BTreeMap<u64, u64>,
    acknowledged_records: BTreeMap<SequenceNumber, u64>,
    refused: BTreeSet<u64>,
}

#[derive(Default)]
pub(crate) struct Oracle {
    groups: BTreeMap<GroupId, GroupFacts>,
    copies: BTreeMap<(GroupId, StoreId), Seen>,
    pub reads: u64,
}

fn wrong<T>(what: String) -> Result<T, Violation> {
    Err(Violation(what))
}

impl Oracle {
    /// A copy after something was done to it.
    pub(crate) fn observe(
        &mut self,
        id: CopyId,
        copy: &GroupCopy<GroupState>,
        reign: Option<PrimaryEpoch>,
    ) -> Result<(), Violation> {
        let facts = self.groups.entry(id.group).or_default();
        let seen = self.copies.entry((id.group, id.store)).or_default();
        let applied = copy.applied();
        let now = Seen {
            life: id.life,
            promised: copy.epoch(),
            committed: copy.committed(),
            applied: applied.sequence,
            durable: copy.durable().sequence,
        };
        if now.promised < seen.promised {
            return wrong(format!("I4: {id:?} promised {} and now {}", seen.promised, now.promised));
        }
        if now.life == seen.life && (now.committed < seen.committed || now.applied < seen.applied) {
            return wrong(format!("I6: {id:?} went back from {seen:?} to {now:?}"));
        }
        if now.applied > now.committed || now.applied > now.durable {
            return wrong(format!("I6: {id:?} applied what is not committed and durable: {now:?}"));
        }
        *seen = now;
        let (digest, count) = copy.consumer().digest();
        let state = (applied.hash, digest, count);
        let known = *facts.records.entry(applied.sequence).or_insert(state);
        if known != state {
            return wrong(format!(
                "I5/I12: {id:?} is at {applied:?} with {count} operations, another copy had {known:?}"
            ));
        }
        if let Some(epoch) = reign {
            let leader = *facts.leaders.entry(epoch).or_insert(id);
            if leader != id {
                return wrong(format!("I3: {epoch} is led by {leader:?} and by {id:?}"));
            }
        }
        Ok(())
    }

    /// A copy was removed; what it holds later begins with nothing.
    pub(crate) fn forget(&mut self, group: GroupId, store: StoreId) {
        self.copies.remove(&(group, store));
    }

    /// What is durable of a copy, running or not.
    pub(crate) fn durable(&self, group: GroupId, store: StoreId) -> SequenceNumber {
        self.copies.get(&(group, store)).map(|seen| seen.durable).unwrap_or_default()
    }

    /// An operation was acknowledged; `record` if that was when it was committed.
    pub(crate) fn acknowledged(
        &mut self,
        group: GroupId,
        operation: u64,
        outcome: u64,
        record: Option<SequenceNumber>,
    ) -> Result<(), Violation> {
        let facts = self.groups.entry(group).or_default();
        let first = *facts.acknowledged.entry(operation).or_insert(outcome);
        if first != outcome {
            return wrong(format!("I13: operation {operation} was answered {first} and then {outcome}"));
        }
        if facts.refused.contains(&operation) {
            return wrong(format!("I13: operation {operation} was refused and then acknowledged"));
        }
        let Some(record) = record else { return Ok(()) };
        let other = *facts.acknowledged_records.entry(record).or_insert(operation);
        match other == operation {
            true => Ok(()),
            false => wrong(format!("I2: {record} of {group} is operation {other} and {operation}")),
        }
    }

    /// I1, for one copy of the in-sync set.
    pub(crate) fn in_sync(
        &self,
        group: GroupId,
        (node, store): (NodeId, StoreId),
        record: SequenceNumber,
    ) -> Result<(), Violation> {
        let durable = self.durable(group, store);
        match durable >= record {
            true => Ok(()),
            false => wrong(format!(
                "I1: {record} of {group} is acknowledged, and {node} in sync has only {durable}"
            )),
        }
    }

    pub(crate) fn refused(&mut self, group: GroupId, operation: u64) {
        self.groups.entry(group).or_default().refused.insert(operation);
    }

    /// How many operations of a group were acknowledged.
    pub(crate) fn count(&self, group: GroupId) -> usize {
        self.groups.get(&group).map_or(0, |facts| facts.acknowledged.len())
    }

    /// A read at a primary that was asked for when so many were acknowledged.
    pub(crate) fn read(
        &mut self,
        group: GroupId,
        before: &BTreeSet<u64>,
        ledger: &Ledger,
    ) -> Result<(), Violation> {
        self.reads += 1;
        match before.iter().find(|operation| !ledger.applied.contains_key(operation)) {
            None => Ok(()),
            Some(operation) => wrong(format!("I9: a read of {group} does not show operation {operation}")),
        }
    }

    /// The operations that are acknowledged by now.
    pub(crate) fn acknowledged_by_now(&self, group: GroupId) -> BTreeSet<u64> {
        self.groups.get(&group).map(|facts| facts.acknowledged.keys().copied().collect()).unwrap_or_default()
    }

    /// A copy in sync, at the end.
    pub(crate) fn finish(&self, group: GroupId, ledger: &Ledger) -> Result<(), Violation> {
        let Some(facts) = self.groups.get(&group) else { return Ok(()) };
        for operation in facts.acknowledged.keys() {
            if !ledger.applied.contains_key(operation) {
                return wrong(format!("lost: operation {operation} of {group} was acknowledged"));
            }
        }
        for (operation, times) in &ledger.applied {
            if *times > 1 {
                return wrong(format!("I13: operation {operation} of {group} was applied {times} times"));
            }
            if facts.refused.contains(operation) {
                return wrong(format!("phantom: operation {operation} of {group} was refused"));
            }
        }
        Ok(())
    }
}
