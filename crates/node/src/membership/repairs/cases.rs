//! What is known of this node's copies that are, or were, out of order: what is wrong, what was done about it, and when
//! something may be done again.

use crate::error::NodeError;
use crate::groups::Ailment;
use lavandin_cluster::CopyReport;
use lavandin_types::{GroupId, PrimaryEpoch, SequenceNumber};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After the first repair of a copy, doubled by each that follows.
const PAUSE_MIN: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// A copy that was well for so long has no history.
const FORGIVEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What is known of this node's copies that are, or were, out of order.
#[derive(Default)]
pub(in crate::membership) struct Repairs {
    cases: Mutex<BTreeMap<GroupId, Case>>,
    failed: AtomicU64,
    pub(super) started_over: AtomicU64,
}

/// Copies of a node that failed, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairStatistics {
    /// Copies that are damaged, failed, or cannot be opened.
    pub ailing: u64,
    /// How often one began to be.
    pub failed: u64,
    /// How often one was thrown away to be rebuilt.
    pub started_over: u64,
}

pub(super) struct Case {
    /// What is wrong, and since when; `None` since it is well again.
    pub(super) ailment: Option<Ailment>,
    pub(super) since: Instant,
    /// It is not open: it could not be opened, or is being set aside.
    pub(super) closed: bool,
    /// It was told that nothing can be done here.
    told: bool,
    /// When it was asked to resign.
    pub(super) asked: Option<Instant>,
    /// Repairs so far, and when the next may be.
    pub(super) repairs: u32,
    pub(super) next: Instant,
}

impl Case {
    fn new(now: Instant) -> Self {
        Self { ailment: None, since: now, closed: false, told: false, asked: None, repairs: 0, next: now }
    }

    /// Takes a turn; the next one comes after a longer pause.
    pub(super) fn take_turn(&mut self, now: Instant) {
        let doubled = PAUSE_MIN.saturating_mul(1 << self.repairs.min(10));
        (self.repairs, self.next) = (self.repairs.saturating_add(1), now + doubled.min(PAUSE_MAX));
    }
}

impl Repairs {
    fn cases(&self) -> MutexGuard<'_, BTreeMap<GroupId, Case>> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the copy of a group is not to be opened before it is repaired.
    pub(in crate::membership) fn holds(&self, group: GroupId) -> bool {
        self.cases().get(&group).is_some_and(|case| case.closed)
    }

    /// A copy was opened, or could not be.
    pub(in crate::membership) fn note_opening(&self, group: GroupId, opened: Result<(), &NodeError>) {
        match opened {
            Ok(()) => {
                if let Some(case) = self.cases().get_mut(&group) {
                    (case.closed, case.ailment) = (false, None);
                }
            }
            Err(error) => {
                self.note(group, Some(Ailment::of(error)));
                self.cases().entry(group).or_insert_with(|| Case::new(Instant::now())).closed = true;
            }
        }
    }

    /// How the copy is now; whether it has just fallen ill.
    pub(super) fn note(&self, group: GroupId, ailment: Option<Ailment>) -> bool {
        let now = Instant::now();
        let mut cases = self.cases();
        if ailment.is_none() && !cases.contains_key(&group) {
            return false;
        }
        let case = cases.entry(group).or_insert_with(|| Case::new(now));
        let is_new = ailment.is_some() && case.ailment.is_none();
        if is_new || ailment.is_none() && case.ailment.is_some() {
            (case.since, case.told) = (now, false);
        }
        if ailment.is_none() && now.duration_since(case.since) >= FORGIVEN_AFTER {
            cases.remove(&group);
            return false;
        }
        if is_new {
            self.failed.fetch_add(1, Ordering::Relaxed);
            let reason = ailment.as_ref().map(Ailment::reason);
            tracing::error!(event = "copy_out_of_order", %group, reason, "a copy here is out of order");
        }
        case.ailment = ailment;
        is_new
    }

    /// What heartbeats say of copies that are not open.
    pub(in crate::membership) fn reports(&self) -> Vec<CopyReport> {
        let cases = self.cases();
        let closed = cases.iter().filter(|(_, case)| case.closed);
        closed
            .map(|(group, _)| CopyReport {
                group: *group,
                epoch: PrimaryEpoch::ZERO,
                sequence: SequenceNumber::ZERO,
                damaged: true,
                yields: false,
                rebuild: None,
            })
            .collect()
    }

    pub(in crate::membership) fn statistics(&self) -> RepairStatistics {
        RepairStatistics {
            ailing: self.cases().values().filter(|case| case.ailment.is_some()).count() as u64,
            failed: self.failed.load(Ordering::Relaxed),
            started_over: self.started_over.load(Ordering::Relaxed),
        }
    }

    pub(super) fn with<T>(&self, group: GroupId, look: impl FnOnce(&mut Case) -> T) -> Option<T> {
        self.cases().get_mut(&group).map(look)
    }

    /// Forgets the copies that this node has not any more.
    pub(super) fn keep(&self, has: impl Fn(GroupId) -> bool) {
        self.cases().retain(|group, _| has(*group));
    }

    /// Whether something may be done about the copy now; the next time comes after `pause`.
    pub(super) fn is_due(&self, group: GroupId, pause: Duration) -> bool {
        let now = Instant::now();
        let due = |case: &mut Case| {
            let due = now >= case.next;
            case.next = if due { now + pause } else { case.next };
            due
        };
        self.with(group, due).unwrap_or(false)
    }

    /// Whether it is said for the first time.
    pub(super) fn is_untold(&self, group: GroupId) -> bool {
        self.with(group, |case| !std::mem::replace(&mut case.told, true)).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
