use crate::log_store::LogStore;
use crate::raft_types::TypeConfig;
use crate::state_machine::StateMachine;
use crate::store::Store;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use std::sync::Arc;
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
