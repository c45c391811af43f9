//! openraft's log storage over `Store`.
//!
//! 1. Every write is put into one queue, which a blocking thread empties in order: votes, entries and truncations
//!    reach the disk in the order in which they were given, and appends that wait together share a commit.
//! 2. An append returns when it is queued and reports when it is on disk. So a disk that takes seconds for a sync
//!    delays answers, but neither heartbeats nor votes that need no write: a slow follower does not start elections,
//!    and a leader on a slow disk goes on with its followers' disks.
//! 3. Votes, truncations and purges are awaited.
//! 4. Reads see what is queued: they take it from memory and the rest from the store, whose last pages redb caches.
//!
//! Invariants: nothing is reported before it is synced; after a failed write all that follows fails. Bounded: an append
//! that finds `UNWRITTEN_MAX` entries waiting is awaited.

use crate::raft_types::{Entry, LogId, TypeConfig, Vote};
use crate::store::{Store, StoreError};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Entries that may wait for the disk before appending does.
const UNWRITTEN_MAX: usize = 4_096;
/// Appends in one commit.
const APPENDS_PER_COMMIT_MAX: usize = 1_024;

/// A handle of the log; all of them see the same store.
#[derive(Clone)]
pub(crate) struct LogStore {
    store: Arc<Store>,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Whether a thread is emptying the queue.
    draining: bool,
    /// Entries of queued appends.
    unwritten: BTreeMap<u64, Entry>,
}

type Work = Box<dyn FnOnce(&Store) -> Result<(), StoreError> + Send>;

enum Job {
    Append { entries: Vec<Entry>, flushed: IOFlushed<TypeConfig> },
    Other { work: Work, done: oneshot::Sender<io::Result<()>> },
}

impl LogStore {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, queue: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, queue: &mut Queue, job: Job) {
        queue.jobs.push_back(job);
        if !queue.draining {
            queue.draining = true;
            let log = self.clone();
            tokio::task::spawn_blocking(move || log.drain());
        }
    }

    /// Queues other work than an append and waits for it.
    async fn write(
        &self,
        work: impl FnOnce(&Store) -> Result<(), StoreError> + Send + 'static,
    ) -> io::Result<()> {
        let (done, waited) = oneshot::channel();
        self.push(&mut self.lock(), Job::Other { work: Box::new(work), done });
        waited.await.unwrap_or_else(|_| Err(interrupted()))
    }

    /// Empties the queue.
    fn drain(&self) {
        while let Some(job) = self.next_job() {
            match job {
                Job::Other { work, done } => drop(done.send(guarded(|| work(&self.store)))),
                Job::Append { entries, flushed } => self.append_all(entries, flushed),
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut queue = self.lock();
        let job = queue.jobs.pop_front();
        queue.draining = job.is_some();
        job
    }

    /// Writes an append and those that follow it in one commit.
    fn append_all(&self, mut entries: Vec<Entry>, flushed: IOFlushed<TypeConfig>) {
        let mut all = vec![flushed];
        {
            let mut queue = self.lock();
            while all.len() < APPENDS_PER_COMMIT_MAX
                && let Some(Job::Append { .. }) = queue.jobs.front()
                && let Some(Job::Append { entries: more, flushed }) = queue.jobs.pop_front()
            {
                entries.extend(more);
                all.push(flushed);
            }
        }
        let result = guarded(|| self.store.append(&entries));
        {
            let mut queue = self.lock();
            for entry in &entries {
                queue.unwritten.remove(&entry.log_id.index);
            }
        }
        for flushed in all {
            flushed.io_completed(match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }
}

/// Runs store work on a thread that may wait for the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(interrupted()),
    }
}

/// The work's result; a panic of the storage library is one too, or whoever waits would wait for ever.
fn guarded(work: impl FnOnce() -> Result<(), StoreError>) -> io::Result<()> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_or_else(|_| Err(interrupted()), |done| Ok(done?))
}

fn interrupted() -> io::Error {
    io::Error::other("the metadata store panicked or the process is ending")
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        // What waits first: an entry that is written in between is then seen twice, never missed.
        let unwritten: Vec<Entry> =
            self.lock().unwritten.range(range.clone()).map(|(_, entry)| entry.clone()).collect();
        let end = match unwritten.first() {
            Some(first) => Bound::Excluded(first.log_id.index),
            None => range.end_bound().cloned(),
        };
        let mut entries = match (range.start_bound(), end) {
            // Everything asked for is waiting; a range that ends where it starts would be an error.
            (Bound::Included(start), Bound::Excluded(end)) if *start >= end => Vec::new(),
            (start, end) => self.store.entries((start.cloned(), end))?,
        };
        entries.extend(unwritten);
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.store.vote()?)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let last_purged_log_id = self.store.purged()?;
        let unwritten = self.lock().unwritten.last_key_value().map(|(_, entry)| entry.log_id);
        let last_log_id = unwritten.or(self.store.last_log_id()?).or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        self.write(move |store| store.save_vote(&vote)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.store.set_committed(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.store.committed())
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let full = {
            let mut queue = self.lock();
            queue.unwritten.extend(entries.iter().map(|entry| (entry.log_id.index, entry.clone())));
            self.push(&mut queue, Job::Append { entries, flushed });
            queue.unwritten.len() > UNWRITTEN_MAX
        };
        if full { self.write(|_| Ok(())).await } else { Ok(()) }
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let last = last_log_id.map(|id| id.index);
        self.lock().unwritten.retain(|index, _| Some(*index) <= last);
        self.write(move |store| store.truncate_after(last)).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.write(move |store| store.purge(&log_id)).await
    }
}

#[cfg(test)]
mod tests;
