//! openraft's log storage over `Store`.
//!
//! Writes run on blocking threads and are awaited one after the other, so that votes and entries reach the disk in
//! the order in which they were given; an append reports only what is on disk. Reads are made in place: they meet
//! redb's cache.

use crate::raft_types::{Entry, LogId, TypeConfig, Vote};
use crate::store::{Store, StoreError};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

/// A handle of the log; all of them see the same store.
#[derive(Clone)]
pub(crate) struct LogStore {
    store: Arc<Store>,
}

impl LogStore {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    async fn write(
        &self,
        work: impl FnOnce(&Store) -> Result<(), StoreError> + Send + 'static,
    ) -> io::Result<()> {
        let store = self.store.clone();
        blocking(move || work(&store)).await
    }
}

/// Runs store work on a thread that may wait for the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(io::Error::other("the metadata store panicked or the process is ending")),
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        Ok(self.store.entries((range.start_bound().cloned(), range.end_bound().cloned()))?)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.store.vote()?)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let last_purged_log_id = self.store.purged()?;
        let last_log_id = self.store.last_log_id()?.or(last_purged_log_id);
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

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        self.write(move |store| store.append(&entries)).await?;
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        self.write(move |store| store.truncate_after(last_log_id.map(|id| id.index))).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.write(move |store| store.purge(&log_id)).await
    }
}

#[cfg(test)]
mod tests;
