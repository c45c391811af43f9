//! The thread that alone changes a copy of a group. As the primary it takes all waiting requests, stages them, makes
//! them durable with one write and one sync while the other copies do the same, and answers what is committed; as a
//! replica it does what the primary says. Between the two it hands out jobs and installs what they made.
//!
//! What the protocol decides is in `lavandin-group`; what it wants others to be told goes to `Links`. The primary also
//! sees to it that the group follows the catalogue: what is opened gets the catalogue's schema of that moment, and what
//! a caller that went away (or a crash) left undone between the two is caught up with now and then.
//!
//! - `events`: what it is told; `requests`: staging; `replication`: news of other copies and of the metadata, and what
//!   is committed; `confirming`: reads that trust no clock; `yielding`: handing over; `resigning`: doing so because of
//!   damage; `housekeeping`: checkpoints, jobs, the end.

mod confirming;
mod events;
mod housekeeping;
mod replication;
mod requests;
mod resigning;
mod yielding;

pub(crate) use confirming::{Confirmed, Confirming};
pub(crate) use events::{Answer, Event, Links, News, Outside, Reserved};
pub(crate) use housekeeping::CheckpointState;
pub(crate) use requests::Alignment;
pub(crate) use resigning::Resigning;
pub(crate) use yielding::Yielding;

use crate::clock::Clock;
use crate::error::NodeError;
use crate::group_state::{GroupOutcome, GroupReaders, GroupState};
use crate::groups::{Lease, Serving};
use crate::jobs::{JobBoard, JobDone, Lanes};
use crate::reservations::Reservations;
use crossbeam_channel::{Receiver, Sender, never, select};
use lavandin_consensus::Metadata;
use lavandin_group::Replica;
use lavandin_shard::ShardLimits;
use lavandin_storage::{DataDirLock, Directory};
use lavandin_types::{CollectionId, GroupId, RequestId, SequenceNumber};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often an idle driver looks whether housekeeping is due, and any driver whether the catalogue has changed.
const IDLE_WAKE: Duration = Duration::from_secs(5);
/// The time between two ticks of a primary with other copies, while it is busy and while it is not.
const BUSY_TICK: Duration = Duration::from_millis(10);
const CALM_TICK: Duration = Duration::from_millis(50);
/// News taken between two syncs at most.
const NEWS_MAX: usize = 512;

pub(crate) struct Driver {
    pub replica: Replica<GroupState>,
    pub directory: Arc<dyn Directory>,
    pub limits: ShardLimits,
    /// What readers hold; a state that takes the place of another shows itself through it.
    pub readers: GroupReaders,
    pub metadata: Metadata,
    pub events: Receiver<Event>,
    pub news: Receiver<News>,
    pub links: Links,
    pub results: Receiver<JobDone>,
    /// For the jobs that it sends; also keeps the queue of results open.
    pub results_to: Sender<JobDone>,
    pub lanes: Lanes,
    pub board: Arc<JobBoard>,
    pub clock: Clock,
    pub lease: Arc<Lease>,
    pub serving: Arc<Serving>,
    pub log_bytes_max: u64,
    /// For the metrics.
    pub log_bytes: watch::Sender<u64>,
    /// Why the copy takes no more writes, once it does not.
    pub failure: watch::Sender<Option<NodeError>>,
    pub checkpoint: CheckpointState,
    pub index_waiters: Vec<(CollectionId, Answer<()>)>,
    pub confirming: Confirming,
    pub reservations: Reservations,
    pub yielding: Yielding,
    pub resigning: Option<Resigning>,
    pub alignment: Alignment,
    /// Requests that wait for being committed.
    pub waiting: BTreeMap<SequenceNumber, Vec<Waiting>>,
    /// What the views show.
    pub published: SequenceNumber,
    /// Kept until the last change of the directory is done.
    pub _lock: Arc<DataDirLock>,
}

/// A request that waits for being committed.
pub(crate) struct Waiting {
    request_id: RequestId,
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
        let closed = never();
        loop {
            let mut round = Round::default();
            // Until a checkpoint is taken no request is staged, so that what was staged can settle.
            let events = if self.holds_requests() { &closed } else { &self.events };
            let mut first = None;
            select! {
                recv(events) -> event => match event {
                    Ok(event) => first = Some(event),
                    // The node was dropped without a shutdown.
                    Err(_) => break drop(self.finish()),
                },
                recv(self.news) -> news => news.into_iter().for_each(|news| self.take_news(news)),
                recv(self.results) -> done => done.into_iter().for_each(|done| self.job_done(done)),
                default(self.pause()) => {}
            }
            if let Some(event) = first {
                self.gather(event, &mut round);
            }
            self.catch_up_with_news();
            self.settle();
            self.keep_resigning();
            round.later.into_iter().for_each(|event| self.handle(event));
            while let Ok(done) = self.results.try_recv() {
                self.job_done(done);
            }
            if let Some(answer) = round.stop {
                drop(answer.send(self.finish()));
                break;
            }
            self.keep_house();
            self.answer_index_waiters();
            self.answer_confirmed();
        }
        self.await_jobs();
    }

    fn catch_up_with_news(&mut self) {
        for _ in 0..NEWS_MAX {
            match self.news.try_recv() {
                Ok(news) => self.take_news(news),
                Err(_) => return,
            }
        }
    }

    /// How long to wait for something to happen.
    fn pause(&self) -> Duration {
        if self.yielding.is_settling() {
            return BUSY_TICK;
        }
        let replicator = self.replica.replicator();
        let has_others = replicator.view().is_some_and(|view| view.others().next().is_some());
        // The only copy that is left looks at its lease too: readers see it as this thread last showed it.
        match replicator.reign().is_some() && (has_others || !self.lease.is_alone()) {
            true if self.waiting.is_empty() && !self.replica.wants_sync() => CALM_TICK,
            true => BUSY_TICK,
            // A lease that is over by the clock, but for the answer of a heartbeat, is seen to soon.
            false if !self.waiting.is_empty() => BUSY_TICK,
            false => IDLE_WAKE,
        }
    }

    fn group(&self) -> GroupId {
        self.replica.replicator().options().group
    }

    /// The moment, with the lease as it is by then.
    fn now(&mut self) -> u64 {
        let now = self.clock.now_ms();
        let since = self.lease.since_ms(now);
        if since > 0 {
            let extended = self.replica.extend_lease(since, now);
            self.note_end(extended);
        }
        now
    }
}
