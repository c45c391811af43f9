//! What a group's thread tells readers: how far the views are, and until when this copy may answer as the primary.

use crate::clock::Clock;
use crate::error::NodeError;
use lavandin_group::replication::Refusal;
use lavandin_types::{GroupId, NodeId, PrimaryEpoch, SequenceNumber};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Longer than another primary takes to be found.
const SILENCE_MAX: Duration = Duration::from_secs(8);

pub(crate) struct Serving {
    clock: Clock,
    group: GroupId,
    /// The last record that the views show.
    applied: AtomicU64,
    /// On the node's clock; 0 while this copy is not the primary, or has not settled what it found.
    primary_until_ms: AtomicU64,
    /// When the views last showed all that the primary had said to be committed, on the node's clock; 0 for never.
    heard_ms: AtomicU64,
    /// The primary as this copy knows it; 0 for none.
    primary: AtomicU64,
    /// Records were found that are not those which the log made. Until the next start.
    damaged: AtomicBool,
    /// Whether a write would be staged.
    writable: watch::Sender<bool>,
    /// It leads the group and has stopped serving, so that another copy can take over.
    yields: watch::Sender<bool>,
    /// The last record of the log, durable or not.
    log_end: Mutex<(PrimaryEpoch, SequenceNumber)>,
}

impl Serving {
    pub(crate) fn new(clock: Clock, group: GroupId) -> Self {
        Self {
            clock,
            group,
            applied: AtomicU64::new(0),
            primary_until_ms: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
            primary: AtomicU64::new(0),
            damaged: AtomicBool::new(false),
            writable: watch::Sender::new(false),
            yields: watch::Sender::new(false),
            log_end: Mutex::default(),
        }
    }

    /// After views were published, before anybody is answered.
    pub(crate) fn show_applied(&self, applied: SequenceNumber) {
        self.applied.store(applied.get(), Ordering::Release);
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    pub(crate) fn show_damaged(&self) {
        self.damaged.store(true, Ordering::Release);
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    pub(crate) fn show_heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Release);
    }

    /// Whether the views showed, at most so long ago, all that the primary had said to be committed.
    pub(crate) fn heard_within(&self, staleness: Duration) -> bool {
        let heard_ms = self.heard_ms.load(Ordering::Acquire);
        let age_ms = self.clock.now_ms().saturating_sub(heard_ms);
        heard_ms > 0 && u128::from(age_ms) <= staleness.as_millis()
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

    /// Whether the copy may answer in the place of a primary that is slow or away. One that has heard nothing of it for
    /// long may have been taken out of the in-sync set without knowing.
    pub(crate) fn may_stand_in(&self) -> bool {
        self.heard_within(SILENCE_MAX) || self.check_primary().is_ok()
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
