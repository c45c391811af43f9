//! The thread that alone changes a group: it takes all waiting requests, stages them, commits them with one write and
//! one sync, publishes, and answers. Between commits it hands out jobs and installs what they made.
//!
//! It also sees to it that the group follows the catalogue: what is opened gets the catalogue's schema of that moment,
//! and what a caller that went away (or a crash) left undone between the two is caught up with now and then.

use crate::databases::schema_of;
use crate::error::NodeError;
use crate::group_client::collections_outcome;
use crate::group_state::{GroupOutcome, GroupRequest, GroupState, checkpoint_payload};
use crate::jobs::{JobBoard, JobDone, Lanes, Moment, Work};
use crate::reservations::{ReservationId, Reservations};
use crossbeam_channel::{Receiver, Sender, select};
use lavandin_consensus::Metadata;
use lavandin_group::{GroupCopy, GroupError, Staged};
use lavandin_shard::{Change, Job, JobResult, Outcome, Request};
use lavandin_storage::DataDirLock;
use lavandin_types::{CollectionId, RequestId, SequenceNumber};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Events taken before a commit at most; also those that are no writes count, so that they never hold writes up.
const BATCH_EVENTS_MAX: usize = 512;
/// Bytes of records that one commit takes at most (one request may exceed it alone).
const BATCH_BYTES_MAX: usize = 64 << 20;
/// Pause after a failed job.
const FAILURE_PAUSE: Duration = Duration::from_secs(30);
/// How often an idle driver looks whether housekeeping is due, and any driver whether the catalogue has changed.
const IDLE_WAKE: Duration = Duration::from_secs(5);

pub(crate) type Answer<T> = oneshot::Sender<Result<T, NodeError>>;

/// What the driver is told.
pub(crate) enum Event {
    Propose {
        request_id: RequestId,
        request: Box<GroupRequest>,
        answer: Answer<GroupOutcome>,
    },
    /// Checks a write and holds its ids. It takes its turn among the requests.
    Reserve {
        request_id: RequestId,
        collection: CollectionId,
        change: Box<Change>,
        answer: Answer<Reserved>,
    },
    /// Logs what was reserved.
    LogReserved {
        request_id: RequestId,
        reservation: ReservationId,
        answer: Answer<GroupOutcome>,
    },
    /// Gives a reservation up.
    Release {
        reservation: ReservationId,
    },
    /// Everything acknowledged so far onto stable storage.
    Flush {
        answer: Answer<()>,
    },
    /// A checkpoint that covers everything acknowledged so far.
    Checkpoint {
        answer: Answer<()>,
    },
    WantMerge {
        collection: CollectionId,
    },
    /// The moment from which all of a collection's sealed rows are served by its index.
    AwaitIndex {
        collection: CollectionId,
        answer: Answer<()>,
    },
    /// Brings the group in line with the catalogue.
    Align {
        answer: Answer<()>,
    },
    Stop {
        answer: Answer<()>,
    },
}

/// What became of a write that was to be reserved.
#[derive(Clone, Debug)]
pub(crate) enum Reserved {
    Held(ReservationId),
    /// It was applied before, under its request id.
    Answered(Outcome),
}

pub(crate) struct Driver {
    pub copy: GroupCopy<GroupState>,
    pub metadata: Metadata,
    pub events: Receiver<Event>,
    pub results: Receiver<JobDone>,
    /// For the jobs that it sends; also keeps the queue of results open.
    pub results_to: Sender<JobDone>,
    pub lanes: Lanes,
    pub board: Arc<JobBoard>,
    pub log_bytes_max: u64,
    /// For the metrics.
    pub log_bytes: watch::Sender<u64>,
    /// Why the group takes no more writes, once it does not.
    pub failure: watch::Sender<Option<NodeError>>,
    pub checkpoint: CheckpointState,
    pub index_waiters: Vec<(CollectionId, Answer<()>)>,
    pub reservations: Reservations,
    pub alignment: Alignment,
    /// Kept until the last change of the directory is done.
    pub _lock: Arc<DataDirLock>,
}

/// When the group was last brought in line with the catalogue.
pub(crate) struct Alignment {
    pub changes: watch::Receiver<u64>,
    pub last: Instant,
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
    ticket: SequenceNumber,
    answer: Answer<GroupOutcome>,
}

/// What a round took besides writes.
#[derive(Default)]
struct Round {
    later: Vec<Event>,
    stop: Option<Answer<()>>,
}

impl Driver {
    /// Runs until told to stop, or until nobody can tell it anything any more.
    pub(crate) fn run(mut self) {
        let mut waiting = Vec::new();
        loop {
            let mut round = Round::default();
            select! {
                recv(self.events) -> event => match event {
                    Ok(first) => self.gather(first, &mut waiting, &mut round),
                    // The node was dropped without a shutdown.
                    Err(_) => break drop(self.finish()),
                },
                recv(self.results) -> done => done.into_iter().for_each(|done| self.job_done(done)),
                default(IDLE_WAKE) => {}
            }
            self.commit(&mut waiting);
            round.later.into_iter().for_each(|event| self.handle(event));
            while let Ok(done) = self.results.try_recv() {
                self.job_done(done);
            }
            if let Some(answer) = round.stop {
                break drop(answer.send(self.finish()));
            }
            self.keep_house();
            self.answer_index_waiters();
        }
    }

    /// Stages what waits, until a commit is full.
    fn gather(&mut self, first: Event, waiting: &mut Vec<Waiting>, round: &mut Round) {
        let mut event = Some(first);
        let mut taken = 0;
        while let Some(current) = event.take() {
            taken += 1;
            match current {
                Event::Propose { request_id, request, answer } => {
                    self.stage(request_id, *request, answer, waiting);
                }
                Event::Reserve { request_id, collection, change, answer } => {
                    // A caller that has gone away leaves a reservation that runs out.
                    drop(answer.send(self.reserve(request_id, collection, *change)));
                }
                Event::LogReserved { request_id, reservation, answer } => {
                    match self.reservations.take(reservation) {
                        Ok(reservation) => {
                            let request = GroupRequest::Collections(Request::Reserved(reservation));
                            self.stage(request_id, request, answer, waiting);
                        }
                        Err(error) => drop(answer.send(Err(error))),
                    }
                }
                Event::Release { reservation } => {
                    if let Ok(reservation) = self.reservations.take(reservation) {
                        self.copy.consumer_mut().shard.release(&reservation);
                    }
                }
                Event::Stop { answer } => {
                    round.stop = Some(answer);
                    return;
                }
                other => round.later.push(other),
            }
            if taken < BATCH_EVENTS_MAX && self.copy.staged_bytes() < BATCH_BYTES_MAX {
                event = self.events.try_recv().ok();
            }
        }
    }

    fn stage(
        &mut self,
        id: RequestId,
        request: GroupRequest,
        answer: Answer<GroupOutcome>,
        waiting: &mut Vec<Waiting>,
    ) {
        let current = match request {
            GroupRequest::Collections(request) => self
                .current(request, waiting.is_empty())
                .map(|request| request.map(GroupRequest::Collections)),
            other => Ok(Some(other)),
        };
        let staged = match current {
            Ok(Some(request)) => self.copy.stage(id, request).map_err(NodeError::from),
            Ok(None) => Ok(Staged::Answered(GroupOutcome::Collections(Outcome::Count(0)))),
            Err(error) => Err(error),
        };
        // A caller that has gone away does not need its answer.
        match staged {
            Ok(Staged::Pending(ticket)) => waiting.push(Waiting { ticket, answer }),
            Ok(Staged::Answered(outcome)) => drop(answer.send(Ok(outcome))),
            Ok(Staged::Rejected(rejection)) => drop(answer.send(Err(rejection.into()))),
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    fn reserve(
        &mut self,
        request_id: RequestId,
        collection: CollectionId,
        change: Change,
    ) -> Result<Reserved, NodeError> {
        if let Some(outcome) = self.copy.answered(request_id) {
            return collections_outcome(outcome).map(Reserved::Answered);
        }
        self.reservations.check_room()?;
        let shard = &mut self.copy.consumer_mut().shard;
        let reservation = match change {
            Change::Add(batch) => shard.reserve(collection, batch, false)?,
            Change::Upsert(batch) => shard.reserve(collection, batch, true)?,
            Change::Delete(_) | Change::Restore(_) | Change::Compact => {
                return Err(NodeError::Internal("only records that are written are reserved"));
            }
        };
        Ok(Reserved::Held(self.reservations.hold(reservation, Instant::now())))
    }

    /// The request as the catalogue's present state has it. What it dropped does not come back to life here, and
    /// schemas arrive in its order. `None` where there is nothing to do.
    fn current(&self, request: Request, nothing_staged: bool) -> Result<Option<Request>, NodeError> {
        let schema_now = |collection: CollectionId, schema| {
            let catalogue = self.metadata.catalogue();
            match catalogue.collection_by_id(collection) {
                Ok(info) => Ok(schema_of(info).unwrap_or(schema)),
                Err(_) => Err(NodeError::CollectionNotFound(format!("{collection} (it was dropped)"))),
            }
        };
        Ok(Some(match request {
            Request::Open { collection, schema } => {
                Request::Open { collection, schema: schema_now(collection, schema)? }
            }
            Request::SetSchema { collection, schema } => {
                Request::SetSchema { collection, schema: schema_now(collection, schema)? }
            }
            // Its opening may be staged, so that only an empty commit tells that there is nothing to drop.
            Request::Drop { collection }
                if nothing_staged && self.copy.consumer().shard.schema(collection).is_none() =>
            {
                return Ok(None);
            }
            other => other,
        }))
    }

    /// Drops the records of collections that the catalogue no longer has, and logs index changes that it has and the
    /// group has not. Called between commits.
    fn align(&mut self) -> Result<(), NodeError> {
        self.alignment.changes.borrow_and_update();
        self.alignment.last = Instant::now();
        let catalogue = self.metadata.catalogue();
        for collection in self.copy.consumer().shard.collection_ids() {
            let known = self.copy.consumer().shard.schema(collection).map(|schema| schema.version);
            let request = match catalogue.collection_by_id(collection).map(|info| schema_of(info)) {
                Err(_) => Request::Drop { collection },
                Ok(Some(schema)) if Some(schema.version) > known => Request::SetSchema { collection, schema },
                Ok(_) => continue,
            };
            if let Staged::Rejected(rejection) =
                self.copy.stage(RequestId::NONE, GroupRequest::Collections(request))?
            {
                return Err(rejection.into());
            }
        }
        let committed = self.copy.commit().map(drop).map_err(NodeError::from);
        self.copy.consumer_mut().shard.publish();
        self.note_failure(committed)
    }

    fn commit(&mut self, waiting: &mut Vec<Waiting>) {
        if waiting.is_empty() {
            return;
        }
        let committed = self.copy.commit();
        self.copy.consumer_mut().shard.publish();
        if let Err(error) = &committed {
            self.reservations.clear();
            drop(self.note_failure::<()>(Err(error.clone().into())));
        }
        for Waiting { ticket, answer } in waiting.drain(..) {
            let reply = match &committed {
                Ok(outcomes) => outcomes
                    .get(ticket)
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
            Event::Flush { answer } => {
                let flushed = self.copy.flush().map_err(NodeError::from);
                drop(answer.send(self.note_failure(flushed)));
            }
            Event::Checkpoint { answer } => {
                self.checkpoint.next.push(answer);
                self.checkpoint.paused_until = None;
            }
            Event::WantMerge { collection } => {
                self.copy.consumer_mut().shard.want_merge(collection);
                self.checkpoint.paused_until = None;
            }
            Event::AwaitIndex { collection, answer } => self.index_waiters.push((collection, answer)),
            Event::Align { answer } => drop(answer.send(self.align())),
            // Taken apart by `gather`.
            Event::Propose { .. }
            | Event::Reserve { .. }
            | Event::LogReserved { .. }
            | Event::Release { .. }
            | Event::Stop { .. } => {}
        }
    }

    /// Remembers that the group takes no more writes, if that is what went wrong.
    fn note_failure<T>(&self, result: Result<T, NodeError>) -> Result<T, NodeError> {
        if let Err(error @ NodeError::Group(GroupError::Poisoned { .. })) = &result
            && self.failure.borrow().is_none()
        {
            tracing::error!(%error, "writing the group's log failed; no more writes are taken");
            self.failure.send_replace(Some(error.clone()));
        }
        result
    }

    /// Starts what is due.
    fn keep_house(&mut self) {
        for reservation in self.reservations.take_expired(Instant::now()) {
            self.copy.consumer_mut().shard.release(&reservation);
        }
        let failure = self.failure.borrow().clone();
        if let Some(error) = failure {
            // No checkpoint can be stored any more.
            for answer in self.checkpoint.next.drain(..) {
                drop(answer.send(Err(error.clone())));
            }
            return;
        }
        let alignment = &self.alignment;
        if alignment.last.elapsed() >= IDLE_WAKE
            && alignment.changes.has_changed().unwrap_or(false)
            && let Err(error) = self.align()
        {
            tracing::error!(%error, "the group could not be brought in line with the catalogue");
        }
        if self.checkpoint.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let due = self.checkpoint.due
            || !self.checkpoint.next.is_empty()
            || self.copy.log_bytes() >= self.log_bytes_max
            || self.copy.consumer().shard.wants_checkpoint();
        if due && !self.checkpoint.running {
            let header = self.copy.checkpoint_header();
            let iterations = self.copy.consumer().iterations_part();
            if let Some(job) = self.copy.consumer_mut().shard.take_checkpoint() {
                self.checkpoint.running = true;
                self.checkpoint.due = false;
                self.checkpoint.covered = std::mem::take(&mut self.checkpoint.next);
                let moment = Some(Moment { header, iterations });
                self.lanes.send(Work { job, moment, results: self.results_to.clone() });
            }
        }
        for job in self.copy.consumer_mut().shard.take_jobs() {
            self.lanes.send(Work { job, moment: None, results: self.results_to.clone() });
        }
    }

    fn job_done(&mut self, done: JobDone) {
        let JobDone { job, moment, result } = done;
        let installed = match (result, moment) {
            (Ok(JobResult::Checkpoint(result)), Some(moment)) => self
                .copy
                .install_checkpoint(&moment.header, &checkpoint_payload(&moment.iterations, &result.payload))
                .map(|()| self.copy.consumer_mut().shard.install(JobResult::Checkpoint(result)))
                .map_err(NodeError::from),
            (Ok(result), _) => Ok(self.copy.consumer_mut().shard.install(result)),
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
        self.log_bytes.send_replace(self.copy.log_bytes());
    }

    fn job_failed(&mut self, job: &Job, error: &NodeError) {
        let stopping = self.board.cancel.load(Ordering::Acquire);
        if !stopping {
            tracing::error!(job = job.name(), %error, "a job failed; it is tried again after a pause");
        }
        self.copy.consumer_mut().shard.abandon(job);
        self.checkpoint.paused_until = Some(Instant::now() + FAILURE_PAUSE);
        let Some(failed) = job.collection() else { return };
        let told = self.index_waiters.extract_if(.., |(collection, _)| *collection == failed);
        for (_, answer) in told {
            drop(answer.send(Err(if stopping { NodeError::Stopping } else { NodeError::IndexBuild })));
        }
    }

    fn answer_index_waiters(&mut self) {
        let shard = &self.copy.consumer().shard;
        let done = self.index_waiters.extract_if(.., |(collection, answer)| {
            answer.is_closed() || shard.is_index_complete(*collection)
        });
        for (_, answer) in done {
            drop(answer.send(Ok(())));
        }
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
