//! How fast snapshots come and go, and copies are read to be checked: as fast as they can while nobody asks the node's groups
//! for anything, and out of a bucket of tokens, one a byte, while somebody does. All groups of a node share it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that may go at once after a pause, as the time that they stand for.
const BURST: Duration = Duration::from_millis(50);
/// How long the node counts as busy after a request.
const BUSY: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) struct Throttle {
    /// While the node is busy.
    bytes_per_second: u64,
    start: Instant,
    /// Milliseconds from `start` until the node counts as idle.
    busy_until_ms: AtomicU64,
    /// When everything that was taken so far will have gone.
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Zero is no limit.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            start: Instant::now(),
            busy_until_ms: AtomicU64::new(0),
            free_at: Mutex::new(None),
        }
    }

    /// A client wants something of this node.
    pub(crate) fn note_request(&self) {
        self.note_at(Instant::now());
    }

    fn note_at(&self, now: Instant) {
        self.busy_until_ms.store(self.ms(now + BUSY), Ordering::Relaxed);
    }

    /// Waits until `bytes` may go. Who asks first goes first.
    pub(crate) async fn take(&self, bytes: u64) {
        if let Some(at) = self.reserve(bytes, Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    fn reserve(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let is_busy = self.ms(now) < self.busy_until_ms.load(Ordering::Relaxed);
        if self.bytes_per_second == 0 || !is_busy {
            return None;
        }
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.bytes_per_second);
        let takes = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = free_at.map_or(now, |at| at.max(now));
        // A rate that a piece would take a year for is a mistake, not a reason to panic.
        *free_at = start.checked_add(takes.min(LONGEST));
        start.checked_sub(BURST).filter(|at| *at > now)
    }

    fn ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
