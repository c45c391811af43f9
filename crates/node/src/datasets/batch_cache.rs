//! Batches as user code left them, for a while: what the ranks of a replication group or two epochs in one order ask for is
//! made once.
//!
//! The key is a hash of everything that the result depends on: the versions of the shardsets, the samples in order, the
//! functions with their parameters, their code, the reply's form. So neither changed code nor changed data is hidden.
//! Failures are never kept. Of several that ask for one batch at once the first makes it and the others wait.
//! In memory, within a budget; the least recently used go first.

use lavandin_feed::python::{BatchReply, Entry};
use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a batch is kept, so that what user code draws at random does not stay the same for ever.
const KEPT: Duration = Duration::from_secs(300);

/// A hash of what a batch is made of.
pub(crate) type BatchKey = [u8; 32];

pub(crate) struct BatchCache {
    state: Mutex<State>,
    /// A batch was made, or could not be.
    changed: Condvar,
    bytes_max: u64,
}

#[derive(Default)]
struct State {
    kept: HashMap<BatchKey, Kept>,
    bytes: u64,
    making: HashSet<BatchKey>,
    clock: u64,
}

struct Kept {
    reply: BatchReply,
    bytes: u64,
    since: Instant,
    used: u64,
}

/// What is known of a batch.
pub(crate) enum Lookup<'a> {
    Found(BatchReply),
    /// The caller is to make it.
    Missing(Making<'a>),
}

/// Whoever holds it makes a batch; others wait until it is dropped.
pub(crate) struct Making<'a> {
    cache: &'a BatchCache,
    key: BatchKey,
}

impl BatchCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), bytes_max }
    }

    /// Blocks while somebody else makes the batch, which the time limits of user code bound.
    pub(crate) fn look_up(&self, key: BatchKey) -> Lookup<'_> {
        let mut state = self.lock();
        loop {
            state.clock += 1;
            let now = state.clock;
            if let Some(kept) = state.kept.get_mut(&key).filter(|kept| kept.since.elapsed() < KEPT) {
                kept.used = now;
                return Lookup::Found(kept.reply.clone());
            }
            if state.making.insert(key) {
                return Lookup::Missing(Making { cache: self, key });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Making<'_> {
    /// Keeps the batch; one that is larger than the whole budget is not.
    pub(crate) fn keep(self, reply: &BatchReply) {
        let bytes = reply_bytes(reply);
        if bytes > self.cache.bytes_max {
            return;
        }
        let mut state = self.cache.lock();
        state.make_room(self.cache.bytes_max - bytes);
        state.clock += 1;
        let kept = Kept { reply: reply.clone(), bytes, since: Instant::now(), used: state.clock };
        state.bytes += bytes;
        if let Some(former) = state.kept.insert(self.key, kept) {
            state.bytes -= former.bytes;
        }
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.cache.lock().making.remove(&self.key);
        self.cache.changed.notify_all();
    }
}

impl State {
    fn make_room(&mut self, bytes_max: u64) {
        if self.bytes <= bytes_max {
            return;
        }
        self.kept.retain(|_, kept| kept.since.elapsed() < KEPT);
        self.bytes = self.kept.values().map(|kept| kept.bytes).sum();
        while self.bytes > bytes_max {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
            let Some(kept) = oldest.and_then(|key| self.kept.remove(&key)) else { return };
            self.bytes -= kept.bytes;
        }
    }
}

/// The memory of what user code made.
pub(crate) fn reply_bytes(reply: &BatchReply) -> u64 {
    let entry_bytes = |(key, entry): &(String, Entry)| {
        let made = match entry {
            Entry::Column(_) => 0,
            Entry::Item(bytes) => bytes.len(),
            Entry::Array(_, array) => array.get_array_memory_size(),
        };
        made + key.len() + size_of::<Entry>()
    };
    reply.entries.iter().map(entry_bytes).sum::<usize>() as u64
}

#[cfg(test)]
mod tests;
