//! Decoded chunks of shard files, shared by all iterations, under a budget of bytes.
//!
//! 1. A chunk is asked for by file fingerprint, number and columns. Whoever finds it missing reads it, without the
//!    lock; others who want the same chunk meanwhile wait for that read and get its outcome, error included.
//! 2. A failed read is not kept: the next to ask reads again. If a read panics, a waiting thread takes over.
//! 3. What counts is what is held: the allocations behind the arrays, each once, however many arrays, views or chunks
//!    refer to it (`size`). Over budget, the chunks used longest ago go first, but none that someone still holds:
//!    that would free nothing. So the cache exceeds its budget by at most what is in use.
//! 4. A chunk larger than the whole budget is given out and not kept.
//!
//! Invariants: a chunk is never changed after it was read; no lock is held while reading. Driven by `node`, which reads
//! through it on its threads for blocking work. Deliberately absent: files, prefetch, the disk cache (`location`).

mod size;

use arrow::array::RecordBatch;
use size::Allocations;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a chunk is asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkKey {
    /// The fingerprint of the file's content.
    pub file: u128,
    pub chunk: u32,
    /// See [`ChunkKey::columns_hash`].
    pub columns: u64,
}

impl ChunkKey {
    /// The hash of the columns read, in their order. Stable within a process only.
    pub fn columns_hash<S: AsRef<str>>(columns: &[S]) -> u64 {
        let mut hasher = DefaultHasher::new();
        for column in columns {
            column.as_ref().hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The bytes that a record batch keeps from being freed: of the allocations it refers to, whole, each once. A batch that
/// was gathered from views keeps the chunks' buffers, so this may be far more than its values.
pub fn held_bytes(batch: &RecordBatch) -> u64 {
    Allocations::of(batch)
}

/// Counters since the start, and what is held now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    pub hits: u64,
    /// Chunks that had to be read.
    pub misses: u64,
    /// Requests that waited for another one's read.
    pub joined: u64,
    pub failures: u64,
    pub evictions: u64,
    /// Chunks larger than the budget, given out without being kept.
    pub oversized: u64,
    pub chunks: u64,
    pub held_bytes: u64,
    pub budget_bytes: u64,
}

/// The cache. `E` is the error of reads, which all who waited for one get a clone of.
pub struct ChunkCache<E> {
    state: Mutex<State<E>>,
}

struct State<E> {
    entries: HashMap<ChunkKey, Entry<E>>,
    /// Kept chunks by their last use.
    ages: BTreeMap<u64, ChunkKey>,
    clock: u64,
    held: Allocations,
    stats: CacheStats,
}

enum Entry<E> {
    Kept { chunk: Arc<RecordBatch>, used: u64 },
    Reading(Arc<Flight<E>>),
}

/// A read under way.
struct Flight<E> {
    outcome: Mutex<Outcome<E>>,
    landed: Condvar,
}

enum Outcome<E> {
    Open,
    Done(Result<Arc<RecordBatch>, E>),
    /// The reader panicked.
    Lost,
}

impl<E: Clone> ChunkCache<E> {
    pub fn new(budget_bytes: u64) -> Self {
        let stats = CacheStats { budget_bytes, ..CacheStats::default() };
        Self {
            state: Mutex::new(State {
                entries: HashMap::new(),
                ages: BTreeMap::new(),
                clock: 0,
                held: Allocations::default(),
                stats,
            }),
        }
    }

    /// The chunk under `key`, which `read` makes if it is not there. Blocks while another thread reads it; `read` must
    /// not ask for the same chunk.
    pub fn get_or_read(
        &self,
        key: ChunkKey,
        read: impl FnOnce() -> Result<RecordBatch, E>,
    ) -> Result<Arc<RecordBatch>, E> {
        loop {
            let mut state = self.lock();
            match state.find(key) {
                Found::Chunk(chunk) => return Ok(chunk),
                Found::Flight(flight) => {
                    drop(state);
                    if let Some(outcome) = flight.wait() {
                        return outcome;
                    }
                }
                Found::Nothing => {
                    let flight =
                        Arc::new(Flight { outcome: Mutex::new(Outcome::Open), landed: Condvar::new() });
                    state.entries.insert(key, Entry::Reading(Arc::clone(&flight)));
                    state.stats.misses += 1;
                    drop(state);
                    return self.read(key, &flight, read);
                }
            }
        }
    }

    /// Reads without the lock and settles the flight, also if `read` panics.
    fn read(
        &self,
        key: ChunkKey,
        flight: &Arc<Flight<E>>,
        read: impl FnOnce() -> Result<RecordBatch, E>,
    ) -> Result<Arc<RecordBatch>, E> {
        let landing = Landing { cache: self, key, flight };
        let outcome = read().map(Arc::new);
        landing.settle(outcome.clone());
        outcome
    }

    pub fn stats(&self) -> CacheStats {
        let state = self.lock();
        CacheStats { chunks: state.ages.len() as u64, held_bytes: state.held.bytes(), ..state.stats }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Found<E> {
    Chunk(Arc<RecordBatch>),
    Flight(Arc<Flight<E>>),
    Nothing,
}

impl<E> State<E> {
    fn find(&mut self, key: ChunkKey) -> Found<E> {
        match self.entries.get_mut(&key) {
            None => Found::Nothing,
            Some(Entry::Reading(flight)) => {
                self.stats.joined += 1;
                Found::Flight(Arc::clone(flight))
            }
            Some(Entry::Kept { chunk, used }) => {
                let chunk = Arc::clone(chunk);
                self.stats.hits += 1;
                self.clock += 1;
                self.ages.remove(used);
                self.ages.insert(self.clock, key);
                *used = self.clock;
                Found::Chunk(chunk)
            }
        }
    }

    fn keep(&mut self, key: ChunkKey, chunk: &Arc<RecordBatch>) {
        self.clock += 1;
        self.held.add(chunk);
        self.ages.insert(self.clock, key);
        self.entries.insert(key, Entry::Kept { chunk: Arc::clone(chunk), used: self.clock });
        self.make_room();
    }

    /// Drops chunks that nobody holds, those used longest ago first, until the budget holds.
    fn make_room(&mut self) {
        let mut next = 0;
        while self.held.bytes() > self.stats.budget_bytes {
            let Some((&age, key)) = self.ages.range(next..).next() else { return };
            next = age + 1;
            let in_use = match self.entries.get(key) {
                Some(Entry::Kept { chunk, .. }) => Arc::strong_count(chunk) > 1,
                _ => false,
            };
            if !in_use {
                self.drop_chunk(age);
                self.stats.evictions += 1;
            }
        }
    }

    fn drop_chunk(&mut self, age: u64) {
        let Some(key) = self.ages.remove(&age) else { return };
        if let Some(Entry::Kept { chunk, .. }) = self.entries.remove(&key) {
            self.held.remove(&chunk);
        }
    }
}

impl<E: Clone> Flight<E> {
    /// The outcome; `None` if the read was lost and is to be tried again.
    fn wait(&self) -> Option<Result<Arc<RecordBatch>, E>> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*outcome {
                Outcome::Open => {
                    outcome = self.landed.wait(outcome).unwrap_or_else(PoisonError::into_inner);
                }
                Outcome::Done(result) => return Some(result.clone()),
                Outcome::Lost => return None,
            }
        }
    }
}

impl<E> Flight<E> {
    fn land(&self, outcome: Outcome<E>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        self.landed.notify_all();
    }
}

/// Settles a flight exactly once: with its outcome or, when dropped before, as lost.
struct Landing<'a, E: Clone> {
    cache: &'a ChunkCache<E>,
    key: ChunkKey,
    flight: &'a Arc<Flight<E>>,
}

impl<E: Clone> Landing<'_, E> {
    fn settle(self, outcome: Result<Arc<RecordBatch>, E>) {
        let size = outcome.as_deref().map_or(0, held_bytes);
        let mut state = self.cache.lock();
        state.entries.remove(&self.key);
        match &outcome {
            Ok(_) if size > state.stats.budget_bytes => state.stats.oversized += 1,
            Ok(chunk) => state.keep(self.key, chunk),
            Err(_) => state.stats.failures += 1,
        }
        drop(state);
        self.flight.land(Outcome::Done(outcome));
        std::mem::forget(self);
    }
}

impl<E: Clone> Drop for Landing<'_, E> {
    fn drop(&mut self) {
        self.cache.lock().entries.remove(&self.key);
        self.flight.land(Outcome::Lost);
    }
}

#[cfg(test)]
mod tests;
