//! What a node and a call need to know.

use crate::cluster_settings::ClusterSettings;
use crate::datasets::DatasetOptions;
use crate::error::NodeError;
use crate::groups::{CopyFolders, CopyStore};
use crate::reading::Reading;
use lavandin_shard::ShardLimits;
use lavandin_storage::Durability;
use lavandin_types::{CollectionId, RequestId};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Odd, so that no two collections turn a name into the same one.
const COLLECTIONS_APART: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
/// What a timeout too long for the clock is taken for.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Bounds on what one request or one collection may take; 0 means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub top_k_max: usize,
    pub batch_vectors_max: usize,
    pub collection_vectors_max: u64,
    pub collection_vector_bytes_max: u64,
}

impl Limits {
    pub(crate) fn of_collection(&self) -> ShardLimits {
        ShardLimits {
            collection_vectors_max: self.collection_vectors_max,
            collection_vector_bytes_max: self.collection_vector_bytes_max,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            top_k_max: 10_000,
            batch_vectors_max: 100_000,
            collection_vectors_max: 10_000_000,
            collection_vector_bytes_max: 1 << 40,
        }
    }
}

#[derive(Clone, Debug)]
pub struct NodeOptions {
    pub data_dir: PathBuf,
    pub durability: Durability,
    pub limits: Limits,
    /// Threads for long reads and index builds.
    pub threads: usize,
    /// Shard groups that the cluster has at least. A node alone keeps all of them; each writes a log of its own.
    pub groups: usize,
    /// The deadline of a call that brings none.
    pub request_timeout: Duration,
    /// The log is checkpointed when it is this large, which bounds the replay at a start.
    pub log_bytes_max: u64,
    pub datasets: DatasetOptions,
    pub cluster: ClusterSettings,
    /// Folders in the data directory, unless a test gives the node a disk that fails.
    pub copies: Arc<dyn CopyStore>,
    /// A deliberate mistake of all copies.
    #[cfg(feature = "mutations")]
    pub mutation: Option<lavandin_group::replication::Mutation>,
}

impl NodeOptions {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            data_dir: data_dir.into(),
            durability: Durability::Fsync,
            limits: Limits::default(),
            threads,
            groups: 1,
            request_timeout: Duration::from_secs(300),
            log_bytes_max: 256 << 20,
            datasets: DatasetOptions::new(threads),
            cluster: ClusterSettings::default(),
            copies: Arc::new(CopyFolders),
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }
}

/// What a call brings along.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Names a write so that a retry of it is applied once; `RequestId::NONE` for none.
    pub request_id: RequestId,
    pub deadline: Instant,
    pub reading: Reading,
}

impl CallContext {
    pub fn new(timeout: Duration) -> Self {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + TIMEOUT_MAX);
        Self { request_id: RequestId::NONE, deadline, reading: Reading::default() }
    }

    #[must_use]
    pub fn with_request_id(self, request_id: RequestId) -> Self {
        Self { request_id, ..self }
    }

    /// The same for one collection: a name that a client uses for changes of two collections names two changes.
    pub(crate) fn in_collection(&self, collection: CollectionId) -> Self {
        let mixed = self.request_id.get() ^ u128::from(collection.get()).wrapping_mul(COLLECTIONS_APART);
        let request_id =
            if self.request_id.is_none() { RequestId::NONE } else { RequestId::new(mixed.max(1)) };
        self.clone().with_request_id(request_id)
    }

    #[must_use]
    pub fn with_reading(self, reading: Reading) -> Self {
        Self { reading, ..self }
    }

    /// Refuses to begin what nobody waits for any more.
    pub(crate) fn check(&self) -> Result<(), NodeError> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(NodeError::Deadline("nothing was begun"))
    }
}
