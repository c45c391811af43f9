//! Numbers about the node and its collections, for metrics and status calls.

use crate::error::NodeError;
use crate::node::Node;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionStatistics {
    /// Live and deleted records.
    pub rows: u64,
    pub live: u64,
    pub deleted: u64,
    pub max_int_id: Option<u64>,
    /// Records ever inserted.
    pub ever_written: u64,
    /// The id that the server would allot next.
    pub next_id: u64,
    /// 0 before it is known.
    pub dim: u32,
    /// Records that a graph index covers.
    pub indexed_rows: u64,
    pub segments: u64,
    pub bytes: u64,
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

    pub fn collection_statistics(
        &self,
        database: &str,
        name: &str,
    ) -> Result<CollectionStatistics, NodeError> {
        let info = self.lookup(database, name)?;
        let Some(view) = self.reader.view(info.id) else {
            return Ok(CollectionStatistics { dim: info.dim, ..CollectionStatistics::default() });
        };
        let all = view.statistics();
        Ok(CollectionStatistics {
            rows: all.live + all.deleted,
            live: all.live,
            deleted: all.deleted,
            max_int_id: all.max_int,
            ever_written: all.ever_written,
            next_id: all.max_int.map_or(0, |largest| largest.saturating_add(1)).max(all.ever_written),
            dim: all.dim,
            indexed_rows: all.indexed_rows,
            segments: all.segments,
            bytes: all.bytes,
        })
    }

    pub fn statistics(&self) -> NodeStatistics {
        let catalogue = self.metadata.catalogue();
        let mut all = NodeStatistics {
            databases: catalogue.databases().len() as u64,
            collections: catalogue.collections().len() as u64,
            log_bytes: *self.log_bytes.borrow(),
            jobs: self.job_statistics(),
            uptime: self.uptime(),
            ..NodeStatistics::default()
        };
        for view in self.reader.collections().into_iter().filter_map(|id| self.reader.view(id)) {
            let one = view.statistics();
            all.open_collections += 1;
            all.records += one.live;
            all.deleted_records += one.deleted;
            all.segment_bytes += one.bytes;
            all.index_bytes += one.index_bytes;
        }
        all
    }

    fn job_statistics(&self) -> JobStatistics {
        let board = &*self.board;
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
