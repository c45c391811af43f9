//! Checkpoints, jobs and the end.

use super::{Answer, Driver, Event};
use crate::error::NodeError;
use crate::group_state::checkpoint_payload;
use crate::jobs::{JobDone, Moment, Work};
use lavandin_group::GroupError;
use lavandin_shard::{Job, JobResult};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Pause after a failed job.
const FAILURE_PAUSE: Duration = Duration::from_secs(30);
/// How long requests wait so that what was staged can settle for a checkpoint, and the pause before that is tried again.
const HOLD_MAX: Duration = Duration::from_millis(200);
const HOLD_PAUSE: Duration = Duration::from_secs(2);

/// Who waits for which checkpoint.
#[derive(Default)]
pub(crate) struct CheckpointState {
    running: bool,
    /// Answered by the one that runs.
    covered: Vec<Answer<()>>,
    /// Answered by the next one.
    next: Vec<Answer<()>>,
    /// One is due although nobody waits for it.
    due: bool,
    /// A job failed: no new one before this, so that a full disk is not asked without a pause.
    paused_until: Option<Instant>,
    /// Since when requests are held, so that the next one can be taken.
    holding_since: Option<Instant>,
}

impl CheckpointState {
    /// Soon, although nobody waits for it.
    pub(super) fn want(&mut self) {
        self.due = true;
    }
}

impl Driver {
    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Flush { answer } => {
                let flushed = self.replica.copy_mut().flush().map_err(NodeError::from);
                let flushed = self.note_failure(flushed);
                drop(answer.send(flushed));
            }
            Event::Checkpoint { answer } => {
                self.checkpoint.next.push(answer);
                self.checkpoint.paused_until = None;
            }
            Event::WantMerge { collection } => {
                self.replica.copy_mut().consumer_mut().shard.want_merge(collection);
                self.checkpoint.paused_until = None;
            }
            Event::AwaitIndex { collection, answer } => self.index_waiters.push((collection, answer)),
            Event::CheckLog { answer } => {
                drop(answer.send(self.replica.copy().log_check().map_err(NodeError::from)));
            }
            Event::Confirm { answer } => self.confirm(answer),
            Event::Align { answer } => {
                let aligned = self.align();
                self.settle();
                drop(answer.send(aligned));
            }
            // Taken apart by `gather`.
            Event::Propose { .. }
            | Event::Reserve { .. }
            | Event::LogReserved { .. }
            | Event::Release { .. }
            | Event::Stop { .. } => {}
        }
    }

    /// Whether no request is staged for a moment.
    pub(super) fn holds_requests(&self) -> bool {
        let held = |since: Instant| since.elapsed() < HOLD_MAX;
        self.checkpoint.holding_since.is_some_and(held) && !self.replica.copy().is_settled()
    }

    /// Starts what is due.
    pub(super) fn keep_house(&mut self) {
        for reservation in self.reservations.take_expired(Instant::now()) {
            self.replica.copy_mut().consumer_mut().shard.release(&reservation);
        }
        let failure = self.failure.borrow().clone();
        if let Some(error) = failure {
            // No checkpoint can be stored any more.
            for answer in self.checkpoint.next.drain(..) {
                drop(answer.send(Err(error.clone())));
            }
            return;
        }
        if self.wants_alignment() && self.serving.is_writable() {
            match self.align() {
                Ok(()) => self.settle(),
                Err(error) => {
                    tracing::warn!(%error, "the group could not be brought in line with the catalogue yet");
                }
            }
        }
        if self.checkpoint.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.take_checkpoint();
        let jobs = self.replica.copy_mut().consumer_mut().shard.take_jobs();
        for job in jobs {
            self.lanes.send(Work { job, moment: None, results: self.results_to.clone() });
        }
    }

    fn take_checkpoint(&mut self) {
        let copy = self.replica.copy();
        let due = self.checkpoint.due
            || !self.checkpoint.next.is_empty()
            || copy.log_bytes() >= self.log_bytes_max
            || copy.consumer().shard.wants_checkpoint();
        if !due || self.checkpoint.running {
            return;
        }
        if !copy.is_settled() {
            let since = *self.checkpoint.holding_since.get_or_insert_with(Instant::now);
            // The other copies take their time; requests must not wait for ever.
            if since.elapsed() >= HOLD_MAX + HOLD_PAUSE {
                self.checkpoint.holding_since = None;
            }
            return;
        }
        self.checkpoint.holding_since = None;
        let header = copy.checkpoint_header();
        let iterations = copy.consumer().iterations_part();
        if let Some(job) = self.replica.copy_mut().consumer_mut().shard.take_checkpoint() {
            self.checkpoint.running = true;
            self.checkpoint.due = false;
            self.checkpoint.covered = std::mem::take(&mut self.checkpoint.next);
            let moment = Some(Moment { header, iterations });
            self.lanes.send(Work { job, moment, results: self.results_to.clone() });
        }
    }

    pub(super) fn job_done(&mut self, done: JobDone) {
        let JobDone { job, moment, result } = done;
        if !self.replica.copy().consumer().shard.is_own(&job) {
            // A snapshot has replaced the state that it worked on.
            return;
        }
        let copy = self.replica.copy_mut();
        let installed = match (result, moment) {
            (Ok(JobResult::Checkpoint(result)), Some(moment)) => copy
                .install_checkpoint(&moment.header, &checkpoint_payload(&moment.iterations, &result.payload))
                .map(|()| copy.consumer_mut().shard.install(JobResult::Checkpoint(result)))
                .map_err(NodeError::from),
            (Ok(result), _) => Ok(copy.consumer_mut().shard.install(result)),
            (Err(error), _) => Err(error),
        };
        let installed = self.note_failure(installed);
        if let Job::Checkpoint(_) = job {
            self.checkpoint.running = false;
            for answer in self.checkpoint.covered.drain(..) {
                drop(answer.send(installed.as_ref().map(drop).map_err(Clone::clone)));
            }
        }
        match installed {
            Ok(checkpoint_due) => self.checkpoint.due |= checkpoint_due,
            Err(error) => self.job_failed(&job, &error),
        }
        self.log_bytes.send_replace(self.replica.copy().log_bytes());
    }

    /// The state that they were of was replaced.
    pub(super) fn forget_checkpoints(&mut self) {
        let replaced = std::mem::take(&mut self.checkpoint);
        for answer in replaced.covered.into_iter().chain(replaced.next) {
            drop(answer.send(Err(NodeError::NotServing {
                group: self.group(),
                reason: "this copy was rebuilt meanwhile".to_owned(),
            })));
        }
    }

    fn job_failed(&mut self, job: &Job, error: &NodeError) {
        let stopping = self.board.cancel.load(Ordering::Acquire);
        if !stopping {
            tracing::error!(job = job.name(), %error, "a job failed; it is tried again after a pause");
        }
        self.replica.copy_mut().consumer_mut().shard.abandon(job);
        self.checkpoint.paused_until = Some(Instant::now() + FAILURE_PAUSE);
        let Some(failed) = job.collection() else { return };
        let told = self.index_waiters.extract_if(.., |(collection, _)| *collection == failed);
        for (_, answer) in told {
            drop(answer.send(Err(if stopping { NodeError::Stopping } else { NodeError::IndexBuild })));
        }
    }

    pub(super) fn answer_index_waiters(&mut self) {
        let shard = &self.replica.copy().consumer().shard;
        let done = self.index_waiters.extract_if(.., |(collection, answer)| {
            answer.is_closed() || shard.is_index_complete(*collection)
        });
        for (_, answer) in done {
            drop(answer.send(Ok(())));
        }
    }

    /// Waits until nobody works on its files any more: the folder may be removed then, or used again.
    pub(super) fn await_jobs(self) {
        let Self { results, results_to, .. } = self;
        drop(results_to);
        results.iter().for_each(drop);
    }

    /// The last act: everything onto stable storage. What was staged and is not committed may be yet, by another copy.
    pub(super) fn finish(&mut self) -> Result<(), NodeError> {
        self.forget_waiting();
        match self.replica.copy_mut().flush() {
            // Nothing was ever acknowledged after the failure, so there is nothing left to save.
            Err(GroupError::Poisoned { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
