//! The threads that run long work, and what they are doing.
//!
//! Two lanes, so that a checkpoint never waits for an index build: one thread runs checkpoints, the other merges and
//! graph builds (which use several threads themselves).

use crate::error::NodeError;
use crossbeam_channel::{Receiver, Sender};
use lavandin_group::CheckpointHeader;
use lavandin_shard::{Job, JobContext, JobResult};
use lavandin_storage::DataDirLock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// A job with what its installation needs.
pub(crate) struct Work {
    pub job: Job,
    pub moment: Option<Moment>,
    /// Where the result goes: to the group whose job it is.
    pub results: Sender<JobDone>,
}

/// The moment of which a checkpoint is, besides what its job holds.
pub(crate) struct Moment {
    pub header: CheckpointHeader,
    pub iterations: Vec<u8>,
}

/// A job that was run.
pub(crate) struct JobDone {
    pub job: Job,
    pub moment: Option<Moment>,
    pub result: Result<JobResult, NodeError>,
}

/// Counters that the metrics show.
#[derive(Debug, Default)]
pub(crate) struct JobBoard {
    pub graphs_started: AtomicU64,
    pub graphs_completed: AtomicU64,
    pub graphs_failed: AtomicU64,
    pub merges_completed: AtomicU64,
    pub checkpoints_completed: AtomicU64,
    pub jobs_failed: AtomicU64,
    /// Rows of the graph build under way, and how many are done.
    pub graph_rows: AtomicU64,
    pub graph_progress: AtomicU64,
    pub graph_last_rows: AtomicU64,
    pub graph_last_us: AtomicU64,
    pub graph_total_us: AtomicU64,
    /// Tells running jobs to give up.
    pub cancel: AtomicBool,
}

/// The way to the job threads, which all groups of a node share.
#[derive(Clone)]
pub(crate) struct Lanes {
    checkpoints: Sender<Work>,
    builds: Sender<Work>,
}

impl Lanes {
    /// Starts both threads; they end when all handles are dropped. They hold `lock` for as long as they may write.
    pub(crate) fn start(
        threads: usize,
        board: &Arc<JobBoard>,
        lock: &Arc<DataDirLock>,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        // The shard hands each job out once, so the queues hold at most a few per collection.
        let (checkpoints, checkpoint_work) = crossbeam_channel::unbounded();
        let (builds, build_work) = crossbeam_channel::unbounded();
        let mut handles = Vec::new();
        for (name, work, threads) in
            [("lavandin-checkpoint", checkpoint_work, 1), ("lavandin-build", build_work, threads)]
        {
            let (board, lock) = (Arc::clone(board), Arc::clone(lock));
            let run = move || {
                run_lane(&work, threads, &board);
                drop(lock);
            };
            handles.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        }
        Ok((Self { checkpoints, builds }, handles))
    }

    pub(crate) fn send(&self, work: Work) {
        let lane = if matches!(work.job, Job::Checkpoint(_)) { &self.checkpoints } else { &self.builds };
        // A closed lane means that the node stops: the job is not needed any more.
        drop(lane.send(work));
    }
}

fn run_lane(work: &Receiver<Work>, threads: usize, board: &JobBoard) {
    for Work { job, moment, results } in work {
        if board.cancel.load(Ordering::Acquire) {
            break;
        }
        let started = Instant::now();
        board.begin(&job);
        let context = JobContext { threads, cancel: &board.cancel, progress: &board.graph_progress };
        // A defect in one job must not end the thread: whoever waits for the job would wait for ever.
        let result = catch_unwind(AssertUnwindSafe(|| job.run(&context)))
            .map_or(Err(NodeError::Internal("a job panicked")), |result| result.map_err(NodeError::from));
        board.end(&job, result.is_ok(), started.elapsed().as_micros() as u64);
        if result.is_ok() {
            tracing::debug!(job = job.name(), rows = job.rows(), "job done");
        }
        // A group that has stopped does not need it.
        drop(results.send(JobDone { job, moment, result }));
    }
}

impl JobBoard {
    fn begin(&self, job: &Job) {
        if let Job::Graph(_) = job {
            self.graphs_started.fetch_add(1, Ordering::Relaxed);
            self.graph_progress.store(0, Ordering::Relaxed);
            self.graph_rows.store(job.rows(), Ordering::Relaxed);
        }
    }

    fn end(&self, job: &Job, succeeded: bool, micros: u64) {
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        if !succeeded {
            count(&self.jobs_failed);
        }
        match (job, succeeded) {
            (Job::Graph(_), true) => {
                count(&self.graphs_completed);
                self.graph_last_rows.store(job.rows(), Ordering::Relaxed);
                self.graph_last_us.store(micros, Ordering::Relaxed);
                self.graph_total_us.fetch_add(micros, Ordering::Relaxed);
            }
            (Job::Graph(_), false) => {
                count(&self.graphs_failed);
            }
            (Job::Merge(_), true) => {
                count(&self.merges_completed);
            }
            (Job::Checkpoint(_), true) => {
                count(&self.checkpoints_completed);
            }
            _ => {}
        }
        if let Job::Graph(_) = job {
            self.graph_rows.store(0, Ordering::Relaxed);
        }
    }
}
