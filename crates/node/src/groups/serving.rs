//! What a group's thread tells readers: how far the views are, and until when this copy may answer as the primary.
//!
//! How old a copy is that is not the primary: the log of a copy that is in sync has everything that was ever acknowledged.
//! So each time the metadata has confirmed that it was in sync at some moment, the end of its log is noted; once the views
//! show the log up to there, they show all that anybody acknowledged before that moment. No other node's clock counts, nor
//! how long a message travelled.

use crate::clock::Clock;
use crate::error::NodeError;
use lavandin_group::replication::Refusal;
use lavandin_types::{GroupId, NodeId, PrimaryEpoch, SequenceNumber};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How long a copy that is to stand in for its primary waits for what it has and may not show yet.
const CATCH_UP: Duration = Duration::from_millis(100);

/// The last record that some copy has applied; zeros for none. The epoch is that which wrote it, or a later one while
/// the two change: then no log has such a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Applied {
    pub sequence: u64,
    pub epoch: PrimaryEpoch,
}

/// What a copy has to show that answers without being the primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// The log up to here. Where the epoch is known, the record was acknowledged: a copy whose log has it may show it.
    pub applied_min: Applied,
    /// All that anybody acknowledged longer ago than that; `None` for any moment of the past.
    pub age_ms_max: Option<u64>,
}

/// How much of what was acknowledged the views are known to show.
#[derive(Default)]
struct Shown {
    /// All that was acknowledged before that moment; 0 for never.
    as_of_ms: u64,
    /// All that was acknowledged before the moment is in the log up to there.
    next: (u64, u64),
}

impl Shown {
    fn settle(&mut self, applied: u64) -> bool {
        let (end, moment_ms) = self.next;
        let reached = applied >= end;
        if reached {
            self.as_of_ms = self.as_of_ms.max(moment_ms);
        }
        reached
    }
}

pub(crate) struct Serving {
    clock: Clock,
    group: GroupId,
    /// The last record that the views show, and its epoch.
    applied: AtomicU64,
    applied_epoch: AtomicU64,
    /// At each change of it.
    progress: Notify,
    shown: Mutex<Shown>,
    /// Where the views were when waiting for more came to nothing.
    stuck_at: AtomicU64,
    /// On the node's clock; 0 while this copy is not the primary, or has not settled what it found.
    primary_until_ms: AtomicU64,
    /// The primary as this copy knows it; 0 for none.
    primary: AtomicU64,
    /// What was found that is not as it was written. Until the copy is opened again.
    damage: OnceLock<String>,
    /// Whether a write would be staged.
    writable: watch::Sender<bool>,
    /// It leads the group and has stopped serving, so that another copy can take over.
    yields: watch::Sender<bool>,
    /// The last record of the log, durable or not. Shown before the primary hears that it is durable.
    log_end: Mutex<(PrimaryEpoch, SequenceNumber)>,
}

impl Serving {
    pub(crate) fn new(clock: Clock, group: GroupId) -> Self {
        Self {
            clock,
            group,
            applied: AtomicU64::new(0),
            applied_epoch: AtomicU64::new(0),
            progress: Notify::new(),
            shown: Mutex::default(),
            stuck_at: AtomicU64::new(u64::MAX),
            primary_until_ms: AtomicU64::new(0),
            primary: AtomicU64::new(0),
            damage: OnceLock::new(),
            writable: watch::Sender::new(false),
            yields: watch::Sender::new(false),
            log_end: Mutex::default(),
        }
    }

    /// After views were published, before anybody is answered.
    pub(crate) fn show_applied(&self, epoch: PrimaryEpoch, applied: SequenceNumber) {
        self.applied_epoch.store(epoch.get(), Ordering::Release);
        self.applied.store(applied.get(), Ordering::Release);
        self.progress.notify_waiters();
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    pub(crate) fn applied_record(&self) -> Applied {
        // In the other order than they are stored, so that the epoch is never too early.
        let sequence = self.applied();
        Applied { sequence, epoch: PrimaryEpoch::new(self.applied_epoch.load(Ordering::Acquire)) }
    }

    /// The first damage that is found is the one to tell.
    pub(crate) fn show_damage(&self, reason: &str) {
        self.damage.get_or_init(|| reason.to_owned());
    }

    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// The copy was in sync at that moment of the node's clock, or later, by what the metadata has confirmed since.
    pub(crate) fn note_in_sync(&self, moment_ms: u64) {
        let (end, applied) = (self.log_end().1.get(), self.applied());
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        // What waits stays, for it comes first; but for a tail that was cut off.
        if shown.settle(applied) || end < shown.next.0 {
            shown.next = (end, moment_ms);
            shown.settle(applied);
        }
    }

    /// Whether the views show so much by now.
    pub(crate) fn meets(&self, need: Need) -> bool {
        self.applied() >= need.applied_min.sequence
            && need.age_ms_max.is_none_or(|age_ms| self.is_younger(age_ms))
    }

    /// Whether the views show all that was acknowledged so long ago. Milliseconds are cut off: what is as old to the
    /// millisecond may be older.
    fn is_younger(&self, age_ms: u64) -> bool {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.settle(self.applied());
        shown.as_of_ms > 0 && self.clock.now_ms() - shown.as_of_ms < age_ms
    }

    /// Waits until the views show what the log holds by now. Where the primary is silent only `known` is waited for, which
    /// is committed: of the other records that it shipped before it died, nobody knows whether they will stay.
    pub(crate) async fn catch_up(&self, known: u64) {
        let end = self.log_end().1.get();
        let is_silent = self.applied() == self.stuck_at.load(Ordering::Relaxed);
        let wanted = if is_silent { end.min(known) } else { end };
        let caught_up = async {
            loop {
                let progress = self.progress.notified();
                if self.applied() >= wanted {
                    return;
                }
                progress.await;
            }
        };
        if timeout(CATCH_UP, caught_up).await.is_err() {
            self.stuck_at.store(self.applied(), Ordering::Relaxed);
        }
    }

    pub(crate) fn set_primary(&self, until_ms: u64, primary: Option<NodeId>, writable: bool) {
        self.primary.store(primary.map_or(0, NodeId::get), Ordering::Relaxed);
        self.primary_until_ms.store(until_ms, Ordering::Release);
        self.writable.send_if_modified(|known| std::mem::replace(known, writable) != writable);
    }

    /// After `set_primary` has ended what it did as the primary.
    pub(crate) fn show_yield(&self, yields: bool) {
        self.yields.send_if_modified(|known| std::mem::replace(known, yields) != yields);
    }

    pub(crate) fn yields(&self) -> watch::Receiver<bool> {
        self.yields.subscribe()
    }

    pub(crate) fn show_log(&self, epoch: PrimaryEpoch, sequence: SequenceNumber) {
        *self.log_end.lock().unwrap_or_else(PoisonError::into_inner) = (epoch, sequence);
    }

    pub(crate) fn log_end(&self) -> (PrimaryEpoch, SequenceNumber) {
        *self.log_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_writable(&self) -> bool {
        *self.writable.borrow()
    }

    pub(crate) fn writable(&self) -> watch::Receiver<bool> {
        self.writable.subscribe()
    }

    /// Whether what was read before this call is what the primary has: a lease outlasts it, so that no other copy can
    /// have acknowledged more. To be asked after reading, because a pause may last longer than a lease.
    pub(crate) fn check_primary(&self) -> Result<(), NodeError> {
        let until_ms = self.primary_until_ms.load(Ordering::Acquire);
        if self.clock.now_ms() < until_ms {
            return Ok(());
        }
        let known = Some(self.primary.load(Ordering::Relaxed)).filter(|node| *node != 0);
        let refusal = match until_ms {
            0 => Refusal::NotPrimary { primary: known.map(NodeId::new) },
            _ => Refusal::LeaseOver,
        };
        Err(NodeError::of_refusal(self.group, refusal))
    }
}

#[cfg(test)]
mod tests;
