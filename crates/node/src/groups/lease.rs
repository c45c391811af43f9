//! The node's lease: what the metadata's answers to heartbeats allow the primaries of this node.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by the task that sends heartbeats and the groups' threads.
#[derive(Debug)]
pub(crate) struct Lease {
    /// When the last heartbeat was sent that counts, on the node's clock; 0 for none.
    sent_ms: AtomicU64,
    /// There is no other node, so that nobody could take over.
    alone: AtomicBool,
}

impl Lease {
    pub(crate) fn new(alone: bool) -> Self {
        Self { sent_ms: AtomicU64::new(0), alone: AtomicBool::new(alone) }
    }

    /// The metadata answered a heartbeat of that moment, and what it had applied by then is applied here too.
    pub(crate) fn renew(&self, sent_ms: u64) {
        self.sent_ms.fetch_max(sent_ms, Ordering::AcqRel);
    }

    pub(crate) fn set_alone(&self, alone: bool) {
        self.alone.store(alone, Ordering::Release);
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Acquire)
    }

    /// The moment from which the lease counts.
    pub(crate) fn since_ms(&self, now_ms: u64) -> u64 {
        if self.is_alone() { now_ms } else { self.sent_ms.load(Ordering::Acquire) }
    }
}
