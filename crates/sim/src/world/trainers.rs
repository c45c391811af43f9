//! A training job: its ranks go through one epoch after the other, at whichever host answers them.
//!
//! A host (`visits`) gives back what nobody has any more, walks over what is left, takes blocks, and answers with a batch once
//! its grant is committed. A rank completes what it got before it asks for more;
//! now and then it forgets a batch, or that it was about to complete one. The job's share of every other epoch is fixed.
//!
//! What was acknowledged as done never comes again, nothing is left out, and batches of fixed shares come whole and in
//! their order. A grant that is made from what the primary shows, with nothing of its rank on the way, is not refused.

use super::visits::{CameTo, Visit, lost};
use super::{Event, World};
use crate::host::{Waiter, Waiting};
use crate::network::Place;
use crate::oracle::Violation;
use lavandin_plan::iterations::{Create, Definition, FixedShares, Join, Owner, Request, ShardsetVersion};
use lavandin_plan::{Ending, LavenderShuffle, Order, ShardRows};
use lavandin_types::{DatasetId, GroupId, IterationId, ShardsetId};
use std::collections::BTreeSet;
use std::num::NonZeroU32;

/// How long an attempt is waited for.
const ATTEMPT_MS: u64 = 900;
/// How often a rank looks that waits for the others.
const LOOK_MS: u64 = 50;
pub(super) const BATCH: usize = 4;
const ROWS: [u32; 4] = [10, 7, 0, 14];

/// What the ranks share: the present epoch.
pub(crate) struct Job {
    seed: u64,
    group: Option<GroupId>,
    epoch: u64,
    created: bool,
    /// Samples whose completion was acknowledged to the ranks, and those of which nobody knows.
    done: BTreeSet<u64>,
    /// Those whose completion was acknowledged to anybody.
    settled: BTreeSet<u64>,
    doubtful: BTreeSet<u64>,
    ended: BTreeSet<u32>,
}

/// A rank.
pub(crate) struct Trainer {
    rank: u32,
    epoch: u64,
    /// Counts attempts, so that a late answer is known as such.
    attempt: u64,
    asked: bool,
    host: usize,
    /// A batch that is to be completed.
    batch: Option<Batch>,
    /// The last one that was.
    delivered: Option<u64>,
    /// Steps that are done; with fixed shares the next one may be done too where a completion is in doubt.
    step: u64,
    in_doubt: bool,
    pub stopped: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub number: u64,
    pub indices: Vec<u64>,
    /// Of fixed shares.
    pub step: Option<u64>,
}

/// What a rank asks of a host, about an epoch.
#[derive(Clone, Debug)]
pub(crate) struct TrainerAsk {
    epoch: u64,
    wish: Wish,
}

#[derive(Clone, Debug)]
enum Wish {
    Begin,
    Next { delivered: Option<u64> },
    Complete(Vec<u64>),
}

#[derive(Clone, Debug)]
pub(crate) enum TrainerAnswer {
    Begun,
    Batch(Batch),
    Completed(Vec<u64>),
    End,
    /// Try elsewhere, or later.
    Again,
    Unknown,
}

impl Job {
    pub(super) fn new(seed: u64) -> Self {
        let [done, settled, doubtful] = [const { BTreeSet::new() }; 3];
        Self { seed, group: None, epoch: 0, created: false, done, settled, doubtful, ended: BTreeSet::new() }
    }

    fn begin_next(&mut self) {
        *self = Self { group: self.group, epoch: self.epoch + 1, ..Self::new(self.seed) };
    }
}

impl Trainer {
    pub(super) fn new(rank: usize) -> Self {
        Self {
            rank: rank as u32,
            epoch: 0,
            attempt: 0,
            asked: false,
            host: rank,
            batch: None,
            delivered: None,
            step: 0,
            in_doubt: false,
            stopped: false,
        }
    }

    /// The batch is no longer its own.
    fn forget(&mut self) {
        (self.batch, self.delivered) = (None, None);
    }
}

fn iteration_of(epoch: u64) -> IterationId {
    IterationId::new(1_760_000_000_000 + epoch, [7; 20])
}

fn create_request((seed, epoch): (u64, u64), trainers: usize, now: u64) -> Request {
    let mut config_hash = [0; 32];
    config_hash[..8].copy_from_slice(&epoch.to_le_bytes());
    let lanes = NonZeroU32::new(trainers as u32).unwrap_or(NonZeroU32::MIN);
    let shares = FixedShares { lanes, ending: Ending::Balanced, first: 0 };
    let shuffle = LavenderShuffle { seed: seed as u32, block_shards: 2 };
    let shardset = ShardsetId::new(1_760_000_000_000, [1; 20]);
    Request::Create(Box::new(Create {
        id: iteration_of(epoch),
        dataset: DatasetId::new(1_760_000_000_000, [3; 20]),
        definition: Definition {
            config_hash,
            shardsets: vec![ShardsetVersion { shardset, manifest_version: 1, manifest_hash: 1 }],
            batch_size: BATCH as u32,
            drop_last: false,
            order: Order::Lavender { shuffle: Some(shuffle) },
            replication_groups: None,
            shares: (epoch % 2 == 1).then_some(shares),
            filters: None,
            categorizer: None,
            collater: None,
            preprocessors: None,
            settings: None,
        },
        rows: ShardRows::new(ROWS.to_vec()),
        join: Join { rank: 0, world_size: None, threshold_ms: 10_000 },
        now_ms: now,
    }))
}

impl World {
    /// The rank's time has come: to ask, or because nobody answered.
    pub(super) fn trainer(&mut self, trainer: usize, attempt: u64) -> Result<(), Violation> {
        let this = &mut self.trainers[trainer];
        if attempt != this.attempt {
            return Ok(());
        }
        if this.asked {
            return self.trainer_hears(trainer, attempt, TrainerAnswer::Unknown);
        }
        if this.epoch != self.job.epoch {
            *this = Trainer {
                epoch: self.job.epoch,
                attempt: this.attempt,
                host: this.host,
                stopped: this.stopped,
                ..Trainer::new(trainer)
            };
        }
        let wish = match &this.batch {
            _ if this.stopped || self.job.ended.contains(&this.rank) => None,
            Some(batch) => Some(Wish::Complete(batch.indices.clone())),
            None if self.job.created => Some(Wish::Next { delivered: this.delivered }),
            None => Some(Wish::Begin).filter(|_| this.rank == 0),
        };
        match wish {
            Some(wish) => self.ask_as_trainer(trainer, wish),
            None => self.plan_at(self.now + LOOK_MS, Event::Trainer { trainer, attempt }),
        }
        Ok(())
    }

    fn ask_as_trainer(&mut self, trainer: usize, wish: Wish) {
        if self.job.group.is_none() {
            self.job.group = self.groups().first().copied();
        }
        let (until_ms, hosts) = (self.now + ATTEMPT_MS, self.hosts.len());
        let this = &mut self.trainers[trainer];
        this.attempt += 1;
        this.asked = true;
        let (attempt, host) = (this.attempt, this.host % hosts);
        let ask = TrainerAsk { epoch: this.epoch, wish };
        self.send(Place::Client, Place::Host(host), || {
            let ask = ask.clone();
            Event::TrainerAsk { host, trainer, attempt, until_ms, ask }
        });
        self.plan_at(until_ms, Event::Trainer { trainer, attempt });
        let this = &mut self.trainers[trainer];
        if this.batch.is_some() && self.random.per_mille(50) {
            // Its process ends, and another one takes its place.
            this.asked = false;
            this.attempt += 1;
            let attempt = this.attempt;
            self.lose_track(trainer);
            let pause = self.random.range(1..30);
            self.plan_at(self.now + pause, Event::Trainer { trainer, attempt });
        }
    }

    /// At a host.
    pub(super) fn trainer_asks(
        &mut self,
        host: usize,
        (trainer, attempt): (usize, u64),
        until_ms: u64,
        ask: TrainerAsk,
    ) -> Result<(), Violation> {
        if let Some(awake) = self.asleep_until(host) {
            self.plan_at(awake, Event::TrainerAsk { host, trainer, attempt, until_ms, ask });
            return Ok(());
        }
        // A completion that arrives late does what it says, whoever waits for it.
        let is_late = self.now >= until_ms || self.trainers[trainer].attempt != attempt;
        if is_late && !matches!(ask.wish, Wish::Complete(_)) {
            return Ok(());
        }
        let Some(group) = self.job.group else { return Ok(()) };
        let (seed, trainers, rank) = (self.job.seed, self.trainers.len(), self.trainers[trainer].rank);
        let done: Vec<u64> = match ask.epoch == self.job.epoch {
            true => self.job.done.iter().copied().collect(),
            false => Vec::new(),
        };
        let identity = self.hosts[host].process.as_ref().and_then(|process| process.identity);
        let Some((node, incarnation)) = identity else {
            self.answer_trainer(trainer, attempt, TrainerAnswer::Again);
            return Ok(());
        };
        let owner = Owner { node, incarnation, ticket: attempt };
        let mut came_to = CameTo::Answer(TrainerAnswer::Again);
        self.with_copy(host, group, |slot, now| {
            let mut visit = Visit { slot, now, rank, owner, iteration: iteration_of(ask.epoch) };
            came_to = match ask.wish {
                _ if !visit.slot.replica.replicator().can_read_as_primary(now) => return Ok(()),
                Wish::Begin => visit.begin(create_request((seed, ask.epoch), trainers, now))?,
                Wish::Next { delivered } => visit.next(delivered, &done)?,
                Wish::Complete(indices) => visit.complete(indices)?,
            };
            if let CameTo::Waits(sequence, answer) = &came_to {
                let (epoch, answer) = (ask.epoch, answer.clone());
                let waiter = Waiter::Trainer { trainer, epoch, attempt, answer };
                visit.slot.waiting.push(Waiting { sequence: *sequence, waiter });
            }
            Ok(())
        })?;
        match came_to {
            CameTo::Waits(..) => Ok(()),
            CameTo::Wrong(what) => Err(Violation(format!("rank {rank} of epoch {}: {what}", ask.epoch))),
            CameTo::Answer(answer) => {
                if !matches!(answer, TrainerAnswer::Again) {
                    self.check_acknowledgement(host, group)?;
                }
                self.answer_trainer(trainer, attempt, answer);
                Ok(())
            }
        }
    }

    /// A grant or a completion is committed.
    pub(super) fn acknowledge(
        &mut self,
        (trainer, epoch, attempt): (usize, u64, u64),
        answer: TrainerAnswer,
    ) -> Result<(), Violation> {
        let job = &mut self.job;
        match &answer {
            _ if epoch != job.epoch => {}
            TrainerAnswer::Completed(indices) => job.settled.extend(indices),
            TrainerAnswer::Batch(batch) if batch.indices.iter().any(|index| job.settled.contains(index)) => {
                return Err(Violation(format!("of {batch:?} samples were acknowledged as done before")));
            }
            _ => {}
        }
        self.answer_trainer(trainer, attempt, answer);
        Ok(())
    }

    pub(super) fn answer_trainer(&mut self, trainer: usize, attempt: u64, answer: TrainerAnswer) {
        self.send(Place::Client, Place::Client, || {
            let answer = answer.clone();
            Event::TrainerAnswer { trainer, attempt, answer }
        });
    }

    /// Back at the rank.
    pub(super) fn trainer_hears(
        &mut self,
        trainer: usize,
        attempt: u64,
        answer: TrainerAnswer,
    ) -> Result<(), Violation> {
        let this = &mut self.trainers[trainer];
        if attempt != this.attempt || !this.asked {
            return Ok(());
        }
        this.asked = false;
        this.attempt += 1;
        let next = this.attempt;
        let pause = match answer {
            TrainerAnswer::Again => self.random.range(10..80),
            TrainerAnswer::Unknown => 1,
            _ => self.random.range(1..40),
        };
        let forgets = self.random.per_mille(50);
        match answer {
            TrainerAnswer::Begun => self.job.created = true,
            TrainerAnswer::Batch(batch) => {
                self.receive(trainer, batch)?;
                if forgets {
                    self.trainers[trainer].forget();
                }
            }
            TrainerAnswer::Completed(_) => self.completed(trainer),
            TrainerAnswer::End => self.end_of_rank(trainer)?,
            TrainerAnswer::Again | TrainerAnswer::Unknown => {
                self.trainers[trainer].host = self.random.below(self.hosts.len() as u64) as usize;
                if forgets && matches!(answer, TrainerAnswer::Unknown) {
                    self.lose_track(trainer);
                }
            }
        }
        self.plan_at(self.now + pause, Event::Trainer { trainer, attempt: next });
        Ok(())
    }

    fn receive(&mut self, trainer: usize, batch: Batch) -> Result<(), Violation> {
        let (job, this) = (&self.job, &mut self.trainers[trainer]);
        if let Some(index) = batch.indices.iter().find(|index| job.done.contains(index)) {
            return Err(Violation(format!(
                "sample {index} was acknowledged as done, and comes again: {batch:?}"
            )));
        }
        if let Some(step) = batch.step {
            if this.in_doubt && step == this.step + 1 {
                this.step = step;
            }
            if step != this.step {
                return Err(Violation(format!(
                    "rank {} is at step {}, and gets {batch:?}",
                    this.rank, this.step
                )));
            }
        }
        this.batch = Some(batch);
        Ok(())
    }

    fn completed(&mut self, trainer: usize) {
        let this = &mut self.trainers[trainer];
        let Some(batch) = this.batch.take() else { return };
        self.job.done.extend(batch.indices);
        (this.delivered, this.in_doubt) = (Some(batch.number), false);
        this.step += 1;
    }

    /// The rank forgets what it was about to complete, which may be done.
    fn lose_track(&mut self, trainer: usize) {
        let this = &mut self.trainers[trainer];
        if let Some(batch) = this.batch.take() {
            self.job.doubtful.extend(batch.indices);
            this.in_doubt = true;
            this.forget();
        }
    }

    fn end_of_rank(&mut self, trainer: usize) -> Result<(), Violation> {
        let job = &mut self.job;
        job.ended.insert(self.trainers[trainer].rank);
        if job.ended.len() < self.trainers.len() {
            return Ok(());
        }
        let total = ROWS.iter().copied().map(u64::from).sum();
        let is_left_out = |index: &u64| !job.done.contains(index) && !job.doubtful.contains(index);
        if let Some(index) = (0..total).find(is_left_out) {
            return Err(Violation(format!("sample {index} was left out of epoch {}", job.epoch)));
        }
        self.report.trained += 1;
        self.report.samples += total;
        job.begin_next();
        Ok(())
    }

    /// The copies of the job's group at the end.
    pub(super) fn finish_job(&self, group: GroupId) -> Result<(), Violation> {
        if self.job.group != Some(group) {
            return Ok(());
        }
        let slots = self.hosts.iter().filter_map(|host| host.process.as_ref()?.slots.get(&group));
        let mut first: Option<Vec<u8>> = None;
        for slot in slots {
            let state = slot.replica.copy().consumer();
            let part = state.iterations_part();
            if *first.get_or_insert_with(|| part.clone()) != part {
                return Err(Violation(format!("I12: copies of {group} differ in their iterations")));
            }
            let reader = state.iterations.reader();
            let done: Vec<u64> = self.job.done.iter().copied().collect();
            if self.job.created
                && let Some(what) = lost(&reader, iteration_of(self.job.epoch), &done)
            {
                return Err(Violation(what));
            }
        }
        Ok(())
    }
}
