use super::*;
use crate::raft_types::LeaderId;
use crate::state_machine::StateMachine;
use crate::store::faulty::FaultyDisk;
use openraft::StorageError;
use openraft::entry::RaftEntry;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("metadata.redb"), 0).unwrap());
        let machine = StateMachine::load(store.clone()).ok().unwrap();
        Ok((directory, LogStore::new(store), machine))
    }
}

/// openraft's own suite, on files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_what_the_consensus_library_asks_of_a_log_store() {
    Suite::test_all(Builder).await.unwrap();
}

/// While entries wait for a disk that is slow at times, every one that an append has returned for can be read, and
/// nothing that was truncated can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_disk_can_be_read() {
    let disk = FaultyDisk::default();
    let mut log = LogStore::new(Arc::new(Store::open_backend(disk.clone(), 1).unwrap()));
    let reached = Arc::new(AtomicU64::new(0));
    let (mut reader, seen) = (log.clone(), reached.clone());
    let reading = tokio::spawn(async move {
        let mut reads = 0u64;
        loop {
            let end = seen.load(Ordering::SeqCst);
            if end == u64::MAX {
                return reads;
            }
            for start in [0, end / 2, end.saturating_sub(1)] {
                let entries = reader.try_get_log_entries(start..end).await.unwrap();
                let found: Vec<u64> = entries.iter().map(|entry| entry.log_id.index).collect();
                assert_eq!(found, (start..end).collect::<Vec<u64>>());
            }
            reads += 1;
            tokio::task::yield_now().await;
        }
    });
    let mut next = 0u64;
    let mut flushed = Vec::new();
    for round in 0..300u64 {
        if round % 50 == 0 {
            disk.slow_down(Duration::from_millis(round / 50 % 3 * 4));
        }
        let count = 1 + round * 7 % 5;
        let entries = (next..next + count).map(|index| blank(1 + round, index));
        let (sender, receiver) = TypeConfig::oneshot();
        log.append(entries.collect::<Vec<_>>(), IOFlushed::signal(sender)).await.unwrap();
        flushed.push(receiver);
        next += count;
        // What is read behind this point is never truncated, as what is committed is not.
        reached.store(next - next % 3, Ordering::SeqCst);
        if round % 9 == 8 {
            next -= next % 3;
            log.truncate_after(next.checked_sub(1).map(|index| blank(1, index).log_id)).await.unwrap();
            let entries = log.try_get_log_entries(next..).await.unwrap();
            assert!(entries.is_empty(), "{} entries were truncated and are read", entries.len());
        }
    }
    for flushed in flushed {
        flushed.await.unwrap().unwrap();
    }
    reached.store(u64::MAX, Ordering::SeqCst);
    assert!(reading.await.unwrap() > 100);
    assert_eq!(log.store.entries(..).unwrap().len() as u64, next);
    assert!(log.lock().unwritten.is_empty());
}

fn blank(term: u64, index: u64) -> Entry {
    Entry::new_blank(LogId { leader_id: LeaderId { term, node_id: 1 }, index })
}
