//! When a failed try is followed by another: only after failures that may pass, with growing pauses, until the retries
//! or the call's time are used up.

use super::error::LocationError;
use std::hash::BuildHasher;
use std::time::Duration;
use tokio::time::Instant;

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The longest pause that a server may ask for.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(60);

/// How often and how fast to try again.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryPolicy {
    pub(super) retries: u32,
    pub(super) pause: Duration,
}

/// The tries of one call.
pub(super) struct Retry {
    policy: RetryPolicy,
    deadline: Instant,
    used: u32,
}

impl Retry {
    pub(super) fn new(policy: RetryPolicy, deadline: Instant) -> Self {
        Self { policy, deadline, used: 0 }
    }

    /// As many tries for another request of the same call.
    pub(super) fn again(&self) -> Self {
        Self { used: 0, ..*self }
    }

    /// Waits before the next try; gives the error back if there is none.
    pub(super) async fn after(&mut self, error: LocationError) -> Result<(), LocationError> {
        if !error.is_retryable() || self.used == self.policy.retries {
            return Err(error);
        }
        let pause = pause(self.policy.pause, self.used, error.retry_after(), random());
        self.used += 1;
        if Instant::now() + pause >= self.deadline {
            return Err(error);
        }
        tracing::debug!(%error, retry = self.used, pause_ms = pause.as_millis() as u64, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Between half and all of `first` × 2^`used`, capped; what the server asked for counts if it is longer.
fn pause(first: Duration, used: u32, asked: Option<Duration>, random: u64) -> Duration {
    let full = first.saturating_mul(1_u32.checked_shl(used).unwrap_or(u32::MAX)).min(PAUSE_MAX);
    let jittered = full / 2 + (full / 2).mul_f64(random as f64 / u64::MAX as f64);
    jittered.max(asked.unwrap_or_default().min(ASKED_PAUSE_MAX))
}

/// Enough to keep clients from trying in step: the seeds of the standard library's maps.
fn random() -> u64 {
    std::hash::RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests;
