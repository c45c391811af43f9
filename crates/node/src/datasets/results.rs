//! Batches that were asked for and not yet fetched: the answers to `POST …/next`, each under a key that nobody can guess.

use crate::datasets::next::{Batch, BatchFailure, NextOutcome};
use crate::error::NodeError;
use bytes::Bytes;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a result can be fetched.
const KEPT: Duration = Duration::from_secs(300);
/// Bytes of all results; the oldest go first.
const BYTES_MAX: usize = 256 << 20;

#[derive(Default)]
pub(crate) struct Results {
    kept: Mutex<HashMap<String, Kept>>,
}

struct Kept {
    since: Instant,
    result: Stored,
}

enum Stored {
    /// Its delivery goes with whoever fetches it first.
    Batch(Batch),
    Failed(BatchFailure),
}

impl Results {
    /// Keeps an outcome; the key to fetch it with, or `None` at the end.
    pub(crate) fn keep(&self, outcome: NextOutcome) -> Result<Option<String>, NodeError> {
        let result = match outcome {
            NextOutcome::Batch(batch) => Stored::Batch(batch),
            NextOutcome::Failed(failure) => Stored::Failed(failure),
            NextOutcome::End => return Ok(None),
        };
        let key = new_key()?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.since.elapsed() < KEPT);
        let mut bytes: usize = kept.values().map(Kept::bytes).sum();
        while bytes > BYTES_MAX {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.since).map(|(key, _)| key.clone());
            let Some(oldest) = oldest.and_then(|key| kept.remove(&key)) else { break };
            bytes -= oldest.bytes();
        }
        kept.insert(key.clone(), Kept { since: Instant::now(), result });
        Ok(Some(key))
    }

    /// The outcome under a key, as often as it is asked for.
    pub(crate) fn fetch(&self, key: &str) -> Option<NextOutcome> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.since.elapsed() < KEPT);
        Some(match &mut kept.get_mut(key)?.result {
            Stored::Batch(batch) => {
                let delivery = std::mem::take(&mut batch.delivery);
                NextOutcome::Batch(Batch { segments: batch.segments.clone(), delivery, ..*batch })
            }
            Stored::Failed(failure) => NextOutcome::Failed(failure.clone()),
        })
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        match &self.result {
            Stored::Batch(batch) => batch.segments.iter().map(Bytes::len).sum(),
            Stored::Failed(failure) => failure.message.len(),
        }
    }
}

fn new_key() -> Result<String, NodeError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| NodeError::Internal("the system gives no random bytes"))?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
