//! Numbers about the node and its collections, for metrics and status calls.

use crate::error::NodeError;
use crate::groups::{LocalGroup, ask_each};
use crate::node::Node;
use crate::options::CallContext;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionStatistics {
    /// Live and deleted records.
    pub rows: u64,
    pub live: u64,
    pub deleted: u64,
    pub max_int_id: Option<u64>,
    /// A string id was ever written.
    pub has_string_ids: bool,
    /// Records ever inserted.
    pub ever_written: u64,
    /// 0 before it is known.
    pub dim: u32,
    /// Records that a graph index covers.
    pub indexed_rows: u64,
    pub segments: u64,
    pub bytes: u64,
}

impl CollectionStatistics {
    /// The id that the server would allot next.
    pub fn next_id(&self) -> u64 {
        self.max_int_id.map_or(0, |largest| largest.saturating_add(1)).max(self.ever_written)
    }

    /// Of two groups' parts together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            live: self.live + other.live,
            deleted: self.deleted + other.deleted,
            max_int_id: self.max_int_id.max(other.max_int_id),
            has_string_ids: self.has_string_ids || other.has_string_ids,
            ever_written: self.ever_written + other.ever_written,
            dim: self.dim.max(other.dim),
            indexed_rows: self.indexed_rows + other.indexed_rows,
            segments: self.segments + other.segments,
            bytes: self.bytes + other.bytes,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobStatistics {
    pub builds_started: u64,
    pub builds_completed: u64,
    pub builds_failed: u64,
    pub merges_completed: u64,
    pub checkpoints_completed: u64,
    pub jobs_failed: u64,
    /// Rows of the index build under way (0: none), and how many of them are done.
    pub build_rows: u64,
    pub build_rows_done: u64,
    pub last_build_rows: u64,
    pub last_build: Duration,
    pub total_build: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeStatistics {
    pub databases: u64,
    pub collections: u64,
    /// Collections that hold records.
    pub open_collections: u64,
    pub records: u64,
    pub deleted_records: u64,
    pub log_bytes: u64,
    pub segment_bytes: u64,
    pub index_bytes: u64,
    pub jobs: JobStatistics,
    pub uptime: Duration,
}

/// What the dataset wing holds and has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedStatistics {
    /// Sessions of ranks with iterations.
    pub sessions: u64,
    /// Batches that were granted, and those given back because their answer did not leave.
    pub batches_granted: u64,
    pub batches_returned: u64,
    /// Failures told instead of a batch.
    pub batches_failed: u64,
    /// Bytes of batches made ahead.
    pub ready_bytes: u64,
    /// Bytes of batches that user code made, kept for others who ask for them.
    pub kept_bytes: u64,
    /// Bytes of decoded chunks in memory.
    pub chunk_bytes: u64,
    pub chunk_hits: u64,
    pub chunk_reads: u64,
    /// Bytes of downloaded shard files on the disk.
    pub file_cache_bytes: u64,
    pub file_cache_hits: u64,
    pub downloads: u64,
}

impl Node {
    pub fn feed_statistics(&self) -> FeedStatistics {
        let runtime = &self.datasets;
        let (chunks, files) = (runtime.chunks.stats(), runtime.stores.cache_use());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FeedStatistics {
            sessions: runtime.session_count() as u64,
            batches_granted: count(&runtime.counters.granted),
            batches_returned: count(&runtime.counters.returned),
            batches_failed: count(&runtime.counters.failed),
            ready_bytes: runtime.ready_bytes.held(),
            kept_bytes: runtime.batches.bytes(),
            chunk_bytes: chunks.held_bytes,
            chunk_hits: chunks.hits + chunks.joined,
            chunk_reads: chunks.misses,
            file_cache_bytes: files.bytes,
            file_cache_hits: files.hits,
            downloads: files.downloads,
        }
    }

    /// Of all groups that have a part of the collection.
    pub async fn collection_statistics(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
    ) -> Result<CollectionStatistics, NodeError> {
        let info = self.lookup(database, name).await?;
        let (id, groups) = (info.id, self.groups_of(&info)?);
        let parts = ask_each(&groups, |group| async move { group.collection_statistics(context, id).await });
        let start = CollectionStatistics { dim: info.dim, ..CollectionStatistics::default() };
        Ok(parts.await?.into_iter().fold(start, CollectionStatistics::plus))
    }

    pub fn statistics(&self) -> NodeStatistics {
        let catalogue = self.metadata.catalogue();
        let mut all = NodeStatistics {
            databases: catalogue.databases().len() as u64,
            collections: catalogue.collections().len() as u64,
            log_bytes: self.groups.all().iter().map(|group| *group.log_bytes.borrow()).sum(),
            jobs: self.job_statistics(),
            uptime: self.uptime(),
            ..NodeStatistics::default()
        };
        let mut open = BTreeSet::new();
        let of_group = |group: Arc<LocalGroup>| {
            let views = group.shard.collections().into_iter();
            views.filter_map(|id| Some((id, group.shard.view(id)?))).collect::<Vec<_>>()
        };
        for (id, view) in self.groups.all().into_iter().flat_map(of_group) {
            let one = view.statistics();
            open.insert(id);
            all.records += one.live;
            all.deleted_records += one.deleted;
            all.segment_bytes += one.bytes;
            all.index_bytes += one.index_bytes;
        }
        all.open_collections = open.len() as u64;
        all
    }

    fn job_statistics(&self) -> JobStatistics {
        let board = &*self.groups.board;
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        JobStatistics {
            builds_started: load(&board.graphs_started),
            builds_completed: load(&board.graphs_completed),
            builds_failed: load(&board.graphs_failed),
            merges_completed: load(&board.merges_completed),
            checkpoints_completed: load(&board.checkpoints_completed),
            jobs_failed: load(&board.jobs_failed),
            build_rows: load(&board.graph_rows),
            build_rows_done: load(&board.graph_progress),
            last_build_rows: load(&board.graph_last_rows),
            last_build: Duration::from_micros(load(&board.graph_last_us)),
            total_build: Duration::from_micros(load(&board.graph_total_us)),
        }
    }
}
