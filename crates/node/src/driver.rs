//! The thread that alone changes a group: it takes all waiting requests, stages them, commits them with one write and
//! one sync, publishes, and answers. Between commits it hands out jobs and installs what they made.

use crate::error::NodeError;
use crate::jobs::{Lanes, Work};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use lavandin_consensus::Metadata;
use lavandin_group::{CheckpointHeader, GroupCopy, GroupError, Staged, Ticket};
use lavandin_shard::{Damage, Job, JobResult, Outcome, Request, Shard};
use lavandin_types::{CollectionId, RequestId};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Requests that one commit takes at most.
const BATCH_REQUESTS_MAX: usize = 512;
/// Bytes of records that one commit takes at most (one request may exceed it alone).
const BATCH_BYTES_MAX: usize = 64 << 20;
/// Pause after a failed job.
const FAILURE_PAUSE: Duration = Duration::from_secs(30);
/// How often an idle driver looks whether housekeeping is due.
const IDLE_WAKE: Duration = Duration::from_secs(5);

pub(crate) type Answer<T> = oneshot::Sender<Result<T, NodeError>>;

/// What the driver is told.
pub(crate) enum Event {
    Propose {
        request_id: RequestId,
        request: Box<Request>,
        answer: Answer<Outcome>,
    },
    /// Everything acknowledged so far onto stable storage.
    Flush {
        answer: Answer<()>,
    },
    /// A checkpoint that covers everything acknowledged so far.
    Checkpoint {
        answer: Answer<()>,
    },
    JobDone {
        job: Job,
        header: Option<CheckpointHeader>,
        result: Result<JobResult, Damage>,
    },
    WantMerge {
        collection: CollectionId,
    },
    IsIndexComplete {
        collection: CollectionId,
        answer: oneshot::Sender<bool>,
    },
    Stop {
        answer: Answer<()>,
    },
}

pub(crate) struct Driver {
    pub copy: GroupCopy<Shard>,
    pub metadata: Metadata,
    pub events: Receiver<Event>,
    pub lanes: Lanes,
    pub log_bytes_max: u64,
    /// Rises whenever a job's result is in.
    pub progress: watch::Sender<u64>,
    /// For the metrics.
    pub log_bytes: watch::Sender<u64>,
    pub checkpoint: CheckpointState,
}

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
}

/// A request that waits for its commit.
struct Waiting {
    ticket: Ticket,
    answer: Answer<Outcome>,
}

impl Driver {
    /// Runs until told to stop, or until nobody can tell it anything any more.
    pub(crate) fn run(mut self) {
        let mut waiting = Vec::new();
        loop {
            let first = match self.events.recv_timeout(IDLE_WAKE) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut event = first;
            let mut stop = None;
            let mut later = Vec::new();
            while let Some(current) = event.take() {
                match current {
                    Event::Propose { request_id, request, answer } => {
                        self.stage(request_id, *request, answer, &mut waiting);
                    }
                    Event::Stop { answer } => stop = Some(answer),
                    other => later.push(other),
                }
                let full = waiting.len() >= BATCH_REQUESTS_MAX || self.copy.staged_bytes() >= BATCH_BYTES_MAX;
                if !full && stop.is_none() {
                    event = self.events.try_recv().ok();
                }
            }
            self.commit(&mut waiting);
            later.into_iter().for_each(|event| self.handle(event));
            self.keep_house();
            if let Some(answer) = stop {
                drop(answer.send(self.finish()));
                break;
            }
        }
    }

    fn stage(
        &mut self,
        id: RequestId,
        request: Request,
        answer: Answer<Outcome>,
        waiting: &mut Vec<Waiting>,
    ) {
        // A collection that the catalogue no longer has must not come back to life here.
        if let Request::Open { collection, .. } = &request
            && self.metadata.catalogue().collection_by_id(*collection).is_err()
        {
            let error = NodeError::CollectionNotFound(format!("{collection} (it was dropped)"));
            drop(answer.send(Err(error)));
            return;
        }
        match self.copy.stage(id, request) {
            Ok(Staged::Pending(ticket)) => waiting.push(Waiting { ticket, answer }),
            Ok(Staged::Answered(outcome)) => drop(answer.send(Ok(outcome))),
            Ok(Staged::Rejected(rejection)) => drop(answer.send(Err(rejection.into()))),
            Err(error) => drop(answer.send(Err(error.into()))),
        }
    }

    fn commit(&mut self, waiting: &mut Vec<Waiting>) {
        if waiting.is_empty() {
            return;
        }
        let committed = self.copy.commit();
        self.copy.consumer_mut().publish();
        if let Err(error) = &committed {
            tracing::error!(%error, "writing the group's log failed; no more writes are taken");
        }
        for Waiting { ticket, answer } in waiting.drain(..) {
            let reply = match &committed {
                Ok(outcomes) => outcomes
                    .get(ticket.index())
                    .cloned()
                    .ok_or(NodeError::Internal("a staged request has no outcome")),
                Err(error) => Err(error.clone().into()),
            };
            // A caller that has gone away does not need its answer.
            drop(answer.send(reply));
        }
        self.log_bytes.send_replace(self.copy.log_bytes());
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Flush { answer } => drop(answer.send(self.copy.flush().map_err(NodeError::from))),
            Event::Checkpoint { answer } => self.checkpoint.next.push(answer),
            Event::JobDone { job, header, result } => self.job_done(&job, header, result),
            Event::WantMerge { collection } => self.copy.consumer_mut().want_merge(collection),
            Event::IsIndexComplete { collection, answer } => {
                // A caller that has gone away does not need its answer.
                let _ = answer.send(self.copy.consumer().is_index_complete(collection));
            }
            // Taken apart by `run`.
            Event::Propose { .. } | Event::Stop { .. } => {}
        }
    }

    /// Starts what is due.
    fn keep_house(&mut self) {
        if self.checkpoint.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let due = self.checkpoint.due
            || !self.checkpoint.next.is_empty()
            || self.copy.log_bytes() >= self.log_bytes_max
            || self.copy.consumer().wants_checkpoint();
        if due && !self.checkpoint.running {
            let header = self.copy.checkpoint_header();
            if let Some(job) = self.copy.consumer_mut().take_checkpoint() {
                self.checkpoint.running = true;
                self.checkpoint.due = false;
                self.checkpoint.covered = std::mem::take(&mut self.checkpoint.next);
                self.lanes.send(Work { job, header: Some(header) });
            }
        }
        for job in self.copy.consumer_mut().take_jobs() {
            self.lanes.send(Work { job, header: None });
        }
    }

    fn job_done(&mut self, job: &Job, header: Option<CheckpointHeader>, result: Result<JobResult, Damage>) {
        let installed = match (result, header) {
            (Ok(JobResult::Checkpoint(result)), Some(header)) => self
                .copy
                .install_checkpoint(&header, &result.payload)
                .map(|()| self.copy.consumer_mut().install(JobResult::Checkpoint(result)))
                .map_err(NodeError::from),
            (Ok(result), _) => Ok(self.copy.consumer_mut().install(result)),
            (Err(damage), _) => Err(NodeError::from(damage)),
        };
        let checkpoint = matches!(job, Job::Checkpoint(_));
        if checkpoint {
            self.checkpoint.running = false;
            for answer in self.checkpoint.covered.drain(..) {
                drop(answer.send(installed.as_ref().map(drop).map_err(Clone::clone)));
            }
        }
        match installed {
            Ok(checkpoint_due) => self.checkpoint.due |= checkpoint_due,
            Err(error) => {
                tracing::error!(job = job.name(), %error, "a job's result could not be installed");
                self.copy.consumer_mut().abandon(job);
                self.checkpoint.paused_until = Some(Instant::now() + FAILURE_PAUSE);
            }
        }
        self.log_bytes.send_replace(self.copy.log_bytes());
        self.progress.send_modify(|count| *count += 1);
    }

    /// The last act: everything onto stable storage.
    fn finish(&mut self) -> Result<(), NodeError> {
        match self.copy.flush() {
            // Nothing was ever acknowledged after the failure, so there is nothing left to save.
            Err(GroupError::Poisoned { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
