//! The node's clock: milliseconds since it was opened, monotonic. Leases, silences and pauses are spans of it.

use std::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// One that was started so long ago.
    #[cfg(test)]
    pub(crate) fn started(before: std::time::Duration) -> Self {
        Self { start: Instant::now().checked_sub(before).expect("the machine runs for longer") }
    }

    /// At least 1, so that 0 can stand for "never".
    pub(crate) fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 + 1
    }
}
