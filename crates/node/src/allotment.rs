//! What a router gives to records that come without: ids out of ranges leased from the catalogue, and places in the
//! order of insertion.
//!
//! A range belongs to one node and is never leased again, so no id is given twice, whatever is lost in between: what is
//! left of a range when its node stops is never used.

use lavandin_types::CollectionId;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Ids of one lease, where no more are asked for at once. A lease is a metadata command; a write takes part of one.
pub(crate) const IDS_PER_LEASE: u64 = 1 << 16;
/// Collections whose leases are kept; beyond it, all start anew.
const LEASES_MAX: usize = 10_000;

/// The ranges that this node has leased.
#[derive(Default)]
pub(crate) struct IdLeases {
    leases: Mutex<HashMap<CollectionId, Range<u64>>>,
}

impl IdLeases {
    /// The first of `count` consecutive ids, if the lease has as many left. A shorter rest stays for smaller batches.
    pub(crate) fn take(&self, collection: CollectionId, count: u64) -> Option<u64> {
        let mut leases = self.lock();
        let lease = leases.get_mut(&collection)?;
        let start = lease.start;
        let end = start.checked_add(count).filter(|end| *end <= lease.end)?;
        lease.start = end;
        Some(start)
    }

    /// A new lease in the place of what is left of the old one, or after it where nobody else had one in between: a
    /// collection that is filled through one node has no gaps.
    pub(crate) fn renew(&self, collection: CollectionId, lease: Range<u64>) {
        let mut leases = self.lock();
        if leases.len() >= LEASES_MAX {
            leases.clear();
        }
        let known = leases.entry(collection).or_insert(lease.start..lease.start);
        let start = if known.end == lease.start { known.start } else { lease.start };
        *known = start..lease.end;
    }

    /// Gives up what is left of a lease: others have taken ids of it for themselves.
    pub(crate) fn forget(&self, collection: CollectionId) {
        self.lock().remove(&collection);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CollectionId, Range<u64>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places in the order of insertion of collections that lie over several groups: microseconds since 1970, pushed on so
/// that no two batches of this node overlap. Batches through two nodes are ordered as well as their clocks agree, and
/// nothing but the order of listings and of equal scores depends on it.
#[derive(Default)]
pub(crate) struct PlaceClock {
    next: AtomicU64,
}

impl PlaceClock {
    /// The first of `count` places.
    pub(crate) fn take(&self, count: u64) -> u64 {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.take_at(elapsed.as_micros() as u64, count)
    }

    fn take_at(&self, now: u64, count: u64) -> u64 {
        let taken = |next: u64| Some(next.max(now) + count);
        let before = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        before.unwrap_or_else(|same| same).max(now)
    }
}

#[cfg(test)]
mod tests;
