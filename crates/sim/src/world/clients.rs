//! Clients: one operation at a time, tried with one request id until it is answered or given up.

use super::{Event, World};
use crate::group_state::{Answered, Asked};
use crate::host::{Waiter, Waiting};
use crate::ledger::Claim;
use crate::network::Place;
use crate::oracle::Violation;
use lavandin_group::{GroupError, StageError, Staged};
use lavandin_types::{GroupId, RequestId};
use std::collections::BTreeSet;

/// How long an attempt is waited for.
const ATTEMPT_MS: u64 = 900;
const ATTEMPTS_MAX: u64 = 40;
/// Names that are fought for.
const NAMES: u64 = 60;

pub(crate) struct Client {
    number: usize,
    task: Option<Task>,
    /// Counts attempts of all tasks, so that a late answer is known as such.
    attempt: u64,
    host: usize,
    pub stopped: bool,
}

struct Task {
    claim: Claim,
    group: GroupId,
    attempts: u64,
    /// For a read: what had been acknowledged when it was asked for.
    read: Option<BTreeSet<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAnswer {
    Done,
    Refused,
    /// Nothing was logged: try elsewhere, or later.
    Again,
    Unknown,
}

impl Client {
    pub(super) fn new(number: usize) -> Self {
        Self { number, task: None, attempt: 0, host: number, stopped: false }
    }
}

impl World {
    /// The client's time has come: for its next operation, or because nobody answered.
    pub(super) fn client(&mut self, client: usize, attempt: u64) -> Result<(), Violation> {
        if attempt != self.clients[client].attempt {
            return Ok(());
        }
        if self.clients[client].task.is_some() {
            return self.client_answer(client, attempt, ClientAnswer::Unknown);
        }
        if self.clients[client].stopped {
            return Ok(());
        }
        let groups = self.groups();
        let Some(group) = self.random.pick(&groups) else { return Ok(()) };
        let operation = self.next_operation;
        self.next_operation += 1;
        let name = if self.random.per_mille(300) { 1 + self.random.below(NAMES) } else { 0 };
        let is_read = self.random.per_mille(200);
        let read = is_read.then(BTreeSet::new);
        self.clients[client].task = Some(Task { claim: Claim { operation, name }, group, attempts: 0, read });
        self.attempt(client);
        Ok(())
    }

    /// Clients and trainers that had stopped go on.
    pub(super) fn wake_clients(&mut self) {
        for trainer in &mut self.trainers {
            trainer.stopped = false;
        }
        for client in 0..self.clients.len() {
            let this = &mut self.clients[client];
            if std::mem::take(&mut this.stopped) && this.task.is_none() {
                let attempt = this.attempt;
                self.plan_at(self.now, Event::Client { client, attempt });
            }
        }
    }

    fn attempt(&mut self, client: usize) {
        let now = self.now;
        let acknowledged = self.clients[client]
            .task
            .as_ref()
            .filter(|task| task.read.is_some())
            .map(|task| self.oracle.acknowledged_by_now(task.group));
        let this = &mut self.clients[client];
        let Some(task) = &mut this.task else { return };
        task.attempts += 1;
        if task.read.is_some() {
            task.read = acknowledged;
        }
        this.attempt += 1;
        let (attempt, host) = (this.attempt, this.host % self.hosts.len());
        let until_ms = now + ATTEMPT_MS;
        self.send(Place::Client, Place::Host(host), || Event::ClientAsk { host, client, attempt, until_ms });
        self.plan_at(until_ms, Event::Client { client, attempt });
    }

    /// At a host.
    pub(super) fn client_ask(
        &mut self,
        host: usize,
        client: usize,
        attempt: u64,
        until_ms: u64,
    ) -> Result<(), Violation> {
        if let Some(awake) = self.asleep_until(host) {
            self.plan_at(awake, Event::ClientAsk { host, client, attempt, until_ms });
            return Ok(());
        }
        let this = &self.clients[client];
        let Some(task) = this.task.as_ref().filter(|_| this.attempt == attempt && self.now < until_ms) else {
            return Ok(());
        };
        let (group, claim) = (task.group, task.claim);
        if let Some(before) = task.read.clone() {
            return self.read(host, client, attempt, (group, before));
        }
        let mut staged = None;
        self.with_copy(host, group, |slot, now| {
            let request = RequestId::new(u128::from(claim.operation));
            match slot.replica.stage(request, Asked::Claim(claim), now) {
                Ok(Staged::Pending(sequence)) => {
                    let waiter = Waiter::Client { client, attempt, operation: claim.operation };
                    slot.waiting.push(Waiting { sequence, waiter });
                    staged = Some(None);
                }
                Ok(other) => staged = Some(Some(other)),
                Err(StageError::Group(error @ (GroupError::Poisoned { .. } | GroupError::Storage(_)))) => {
                    return Err(error);
                }
                Err(_) => {}
            }
            Ok(())
        })?;
        match staged {
            Some(None) => {}
            Some(Some(Staged::Answered(outcome))) => {
                self.check_acknowledgement(host, group)?;
                let Answered::Claim(outcome) = outcome else {
                    return Err(Violation(format!("operation {} was answered {outcome:?}", claim.operation)));
                };
                self.oracle.acknowledged(group, claim.operation, outcome, None)?;
                self.answer_client(client, attempt, ClientAnswer::Done);
            }
            Some(Some(_)) => {
                self.oracle.refused(group, claim.operation);
                self.answer_client(client, attempt, ClientAnswer::Refused);
            }
            None => self.answer_client(client, attempt, ClientAnswer::Again),
        }
        Ok(())
    }

    fn read(
        &mut self,
        host: usize,
        client: usize,
        attempt: u64,
        (group, before): (GroupId, BTreeSet<u64>),
    ) -> Result<(), Violation> {
        let slot = self.hosts[host].process.as_ref().and_then(|process| process.slots.get(&group));
        let Some(slot) = slot.filter(|slot| slot.replica.replicator().can_read_as_primary(self.now)) else {
            self.answer_client(client, attempt, ClientAnswer::Again);
            return Ok(());
        };
        self.oracle.read(group, &before, &slot.replica.copy().consumer().ledger)?;
        self.check_acknowledgement(host, group)?;
        self.answer_client(client, attempt, ClientAnswer::Done);
        Ok(())
    }

    pub(super) fn answer_client(&mut self, client: usize, attempt: u64, answer: ClientAnswer) {
        self.send(Place::Client, Place::Client, || Event::ClientAnswer { client, attempt, answer });
    }

    /// Back at the client.
    pub(super) fn client_answer(
        &mut self,
        client: usize,
        attempt: u64,
        answer: ClientAnswer,
    ) -> Result<(), Violation> {
        let give_up = self.random.per_mille(150);
        let (hosts, number) = (self.hosts.len() as u64, self.clients[client].number as u64);
        let this = &mut self.clients[client];
        if attempt != this.attempt {
            return Ok(());
        }
        let Some(task) = &this.task else { return Ok(()) };
        let unknown = answer == ClientAnswer::Unknown;
        let over = matches!(answer, ClientAnswer::Done | ClientAnswer::Refused)
            || task.attempts >= ATTEMPTS_MAX
            || unknown && give_up
            || this.stopped;
        if over {
            this.task = None;
            this.attempt += 1;
            let attempt = this.attempt;
            let pause = self.random.range(5..60) + number;
            self.plan_at(self.now + pause, Event::Client { client, attempt });
            return Ok(());
        }
        this.host = self.random.below(hosts) as usize;
        let pause = if unknown { 0 } else { self.random.range(10..80) };
        // The next attempt is a new one; until it starts, the client waits.
        self.queue_attempt(client, pause);
        Ok(())
    }

    fn queue_attempt(&mut self, client: usize, pause: u64) {
        if pause == 0 {
            return self.attempt(client);
        }
        self.clients[client].attempt += 1;
        let attempt = self.clients[client].attempt;
        self.plan_at(
            self.now + pause,
            Event::ClientAnswer { client, attempt, answer: ClientAnswer::Unknown },
        );
    }
}
