//! Copies: what is done to them, what they answer, and the checks after each.

use super::clients::ClientAnswer;
use super::trainers::TrainerAnswer;
use super::{Event, World};
use crate::group_state::{Answered, GroupState};
use crate::host::{Slot, Waiter, Waiting};
use crate::metadata::Request;
use crate::network::Place;
use crate::oracle::{CopyId, Violation};
use lavandin_cluster::{Command, Revision, StaleReason};
use lavandin_group::replication::{Message, Proposal};
use lavandin_group::{GroupError, Outcomes, Output, Position};
use lavandin_types::{GroupId, NodeId, SequenceNumber};

/// How long a proposal is waited for.
const PROPOSAL_MS: u64 = 800;
const FETCH_MS: u64 = 600;

impl World {
    /// Opens a process's copy of a group, unless it has.
    pub(super) fn open(&mut self, host: usize, group: GroupId) -> Result<(), Violation> {
        let machine = &mut self.hosts[host];
        let disk = machine.disks.entry(group).or_default().clone();
        let Some(process) = &mut machine.process else { return Ok(()) };
        let Some(identity) = process.identity.filter(|_| !process.slots.contains_key(&group)) else {
            return Ok(());
        };
        let slot = Slot::open(&self.plan, group, &disk, identity);
        let slot = slot.map_err(|error| Violation(format!("host {host} cannot open {group}: {error}")))?;
        process.slots.insert(group, slot);
        Ok(())
    }

    /// Removes what a machine has of groups that its node is no member of any more.
    pub(super) fn let_go(&mut self, host: usize, kept: &[GroupId]) {
        let held = self.hosts[host].disks.keys().copied();
        let gone: Vec<GroupId> = held.filter(|group| !kept.contains(group)).collect();
        for group in gone {
            self.note(|| format!("host {host} removes its copy of {group}"));
            self.report.removed += 1;
            let machine = &mut self.hosts[host];
            machine.disks.remove(&group);
            self.oracle.forget(group, machine.store);
            let slot = machine.process.as_mut().and_then(|process| process.slots.remove(&group));
            slot.into_iter()
                .flat_map(|slot| slot.waiting)
                .for_each(|waiting| self.leave_in_doubt(waiting.waiter));
        }
    }

    pub(super) fn copies_of(&self, host: usize) -> Vec<GroupId> {
        self.hosts[host].process.iter().flat_map(|process| process.slots.keys().copied()).collect()
    }

    /// Does something to a copy, checks it, and carries out what it leaves to others.
    pub(super) fn with_copy(
        &mut self,
        host: usize,
        group: GroupId,
        action: impl FnOnce(&mut Slot, u64) -> Result<(), GroupError>,
    ) -> Result<(), Violation> {
        let now = self.now;
        let machine = &mut self.hosts[host];
        let Some(process) = &mut machine.process else { return Ok(()) };
        let Some(slot) = process.slots.get_mut(&group) else { return Ok(()) };
        let result = action(slot, now);
        let id = CopyId { group, store: machine.store, life: process.life };
        self.oracle.observe(id, slot.replica.copy(), slot.replica.replicator().reign())?;
        if let Err(error) = result {
            return self.copy_failed(host, group, &error);
        }
        let outputs = slot.replica.take_outputs();
        if slot.replica.wants_sync() && !std::mem::replace(&mut slot.syncing, true) {
            let life = process.life;
            let pause = machine.sync_ms(now);
            let at = now + pause + self.random.below(4);
            self.plan_at(at, Event::Sync { host, life, group });
        }
        outputs.into_iter().try_for_each(|output| self.carry_out(host, group, output))
    }

    /// A copy is at its end. Where no fault of the disk was planned, that is a violation.
    fn copy_failed(&mut self, host: usize, group: GroupId, error: &GroupError) -> Result<(), Violation> {
        let process = self.hosts[host].process.as_ref();
        let planned = process
            .is_some_and(|process| process.slots.get(&group).is_some_and(|slot| slot.directory.has_struck()));
        if !planned {
            return Err(Violation(format!("host {host}, {group}: {error}")));
        }
        self.note(|| format!("host {host} stops: {error}"));
        let random = self.random.next();
        match random % 3 {
            0 => {}
            1 => self.hosts[host].lose_unsynced(),
            _ => self.hosts[host].lose_power(random),
        }
        self.stop_process(host, 100 + random % 1500);
        Ok(())
    }

    fn carry_out(&mut self, host: usize, group: GroupId, output: Output<Answered>) -> Result<(), Violation> {
        let Some(process) = &mut self.hosts[host].process else { return Ok(()) };
        let (life, now) = (process.life, self.now);
        let (Some((me, _)), Some(slot)) = (process.identity, process.slots.get_mut(&group)) else {
            return Ok(());
        };
        match output {
            Output::Send { to, message, records } => self.send_message(host, me, to, message, records),
            Output::Propose(proposal) => {
                slot.proposal_until_ms = Some(now + PROPOSAL_MS);
                self.note(|| format!("{me} proposes {proposal:?}"));
                let request = Request::Propose { group, command: command(group, proposal) };
                self.send(Place::Host(host), Place::Metadata, || Event::Ask {
                    host,
                    life,
                    request: request.clone(),
                });
            }
            Output::Outcomes { outcomes, certain } => self.answer_waiting(host, group, &outcomes, certain)?,
            Output::ReignEnded => {
                self.note(|| format!("{me} no longer leads {group}"));
                let Some(slot) = self.slot(host, group) else { return Ok(()) };
                for waiting in std::mem::take(&mut slot.waiting) {
                    self.leave_in_doubt(waiting.waiter);
                }
            }
            // No disk here changes what it holds.
            Output::LogDamaged(error) => {
                return Err(Violation(format!("host {host}, {group}: {error}")));
            }
            Output::FetchSnapshot { from } => {
                slot.fetch_until_ms = Some(now + FETCH_MS);
                let Some(at) = self.host_of(from) else { return Ok(()) };
                self.send(Place::Host(host), Place::Host(at), || Event::SnapshotAsked {
                    host: at,
                    by: host,
                    life,
                    group,
                });
            }
        }
        Ok(())
    }

    fn slot(&mut self, host: usize, group: GroupId) -> Option<&mut Slot> {
        self.hosts[host].process.as_mut()?.slots.get_mut(&group)
    }

    fn send_message(&mut self, host: usize, from: NodeId, to: NodeId, message: Message, records: Vec<u8>) {
        let Some(at) = self.host_of(to) else { return };
        // The bytes are those of the wire.
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes.extend_from_slice(&records);
        self.send(Place::Host(host), Place::Host(at), || {
            let mut rest = &bytes[..];
            let message = Message::decode(&mut rest).expect("it was encoded above");
            Event::Deliver { from, to, message, records: rest.to_vec() }
        });
    }

    pub(super) fn deliver(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: Message,
        records: Vec<u8>,
    ) -> Result<(), Violation> {
        let Some(host) = self.host_of(to) else { return Ok(()) };
        let Some(process) = self.hosts[host].process.as_ref() else { return Ok(()) };
        if process.identity.is_none_or(|(node, _)| node != to) {
            return Ok(());
        }
        if let Some(awake) = self.asleep_until(host) {
            self.plan_at(awake, Event::Deliver { from, to, message, records });
            return Ok(());
        }
        let group = message.group;
        if self.plan.trace_messages {
            self.note(|| format!("{from} to {to}, {} bytes of records: {message:?}", records.len()));
        }
        self.with_copy(host, group, |slot, now| slot.replica.receive(from, message, &records, now))
    }

    pub(super) fn sync(&mut self, host: usize, life: u64, group: GroupId) -> Result<(), Violation> {
        if self.misses(host, life, || Event::Sync { host, life, group }) {
            return Ok(());
        }
        self.with_copy(host, group, |slot, now| {
            slot.syncing = false;
            slot.replica.sync(|| now)
        })
    }

    pub(super) fn tick_copies(&mut self, host: usize) -> Result<(), Violation> {
        for group in self.copies_of(host) {
            let checkpoint = self.random.per_mille(self.plan.checkpoints_per_mille);
            self.with_copy(host, group, |slot, now| {
                if slot.proposal_until_ms.is_some_and(|until| now >= until) {
                    slot.proposal_until_ms = None;
                    slot.replica.proposal_ended(now);
                }
                if slot.fetch_until_ms.take_if(|until| now >= *until).is_some() {
                    slot.replica.snapshot_failed();
                }
                if checkpoint {
                    slot.make_checkpoint(group)?;
                }
                slot.replica.tick(now)
            })?;
        }
        Ok(())
    }

    /// At the primary.
    pub(super) fn snapshot_asked(
        &mut self,
        host: usize,
        by: usize,
        life: u64,
        group: GroupId,
    ) -> Result<(), Violation> {
        let is_asleep = self.asleep_until(host).is_some();
        let Some((to, _)) = self.hosts[by].last_identity.filter(|_| !is_asleep) else { return Ok(()) };
        let Some(slot) = self.slot(host, group) else { return Ok(()) };
        let snapshot = slot.snapshot(group);
        if let Some((position, _)) = &snapshot {
            slot.replica.snapshot_taken(to, *position);
        }
        let bytes = snapshot.map(|(_, bytes)| bytes);
        self.send(Place::Host(host), Place::Host(by), || Event::Snapshot {
            host: by,
            life,
            group,
            bytes: bytes.clone(),
        });
        Ok(())
    }

    pub(super) fn snapshot(
        &mut self,
        host: usize,
        life: u64,
        group: GroupId,
        bytes: Option<Vec<u8>>,
    ) -> Result<(), Violation> {
        if self.misses(host, life, || Event::Snapshot { host, life, group, bytes: bytes.clone() }) {
            return Ok(());
        }
        let mut installed = false;
        self.with_copy(host, group, |slot, now| {
            if slot.fetch_until_ms.take().is_none() {
                return Ok(());
            }
            let Some(bytes) = bytes else {
                slot.replica.snapshot_failed();
                return Ok(());
            };
            match slot.replica.install_snapshot(
                &bytes,
                |payload| GroupState::from_payload(Some(payload)),
                now,
            ) {
                Err(GroupError::BrokenShipment { .. }) => Ok(()),
                done => {
                    installed = done.is_ok();
                    done
                }
            }
        })?;
        self.report.snapshots += u64::from(installed);
        Ok(())
    }

    fn answer_waiting(
        &mut self,
        host: usize,
        group: GroupId,
        outcomes: &Outcomes<Answered>,
        certain: bool,
    ) -> Result<(), Violation> {
        let Some(slot) = self.slot(host, group) else { return Ok(()) };
        let (done, waiting) = std::mem::take(&mut slot.waiting)
            .into_iter()
            .partition(|waiting: &Waiting| outcomes.get(waiting.sequence).is_some());
        slot.waiting = waiting;
        for Waiting { sequence, waiter } in done {
            if !certain {
                self.leave_in_doubt(waiter);
                continue;
            }
            self.check_acknowledgement(host, group)?;
            self.check_in_sync(host, group, sequence)?;
            self.spread(host, group, sequence);
            match (waiter, outcomes.get(sequence)) {
                (Waiter::Client { client, attempt, operation }, Some(Answered::Claim(outcome))) => {
                    self.oracle.acknowledged(group, operation, *outcome, Some(sequence))?;
                    self.answer_client(client, attempt, ClientAnswer::Done);
                }
                (Waiter::Trainer { trainer, epoch, attempt, answer }, Some(Answered::Iterations(_))) => {
                    self.acknowledge((trainer, epoch, attempt), answer)?;
                }
                (_, outcome) => return Err(Violation(format!("{sequence} of {group} came to {outcome:?}"))),
            }
        }
        Ok(())
    }

    fn leave_in_doubt(&mut self, waiter: Waiter) {
        match waiter {
            Waiter::Client { client, attempt, .. } => {
                self.answer_client(client, attempt, ClientAnswer::Unknown)
            }
            Waiter::Trainer { trainer, attempt, .. } => {
                self.answer_trainer(trainer, attempt, TrainerAnswer::Unknown);
            }
        }
    }

    /// Now and then a router tells a copy, in sync or not, of a record that was acknowledged.
    fn spread(&mut self, host: usize, group: GroupId, sequence: SequenceNumber) {
        let Some(record) = self.position_in(host, group, sequence) else { return };
        let to = self.random.below(4 * self.hosts.len() as u64) as usize;
        let Some(life) = self.hosts.get(to).and_then(|host| Some(host.process.as_ref()?.life)) else {
            return;
        };
        self.send(Place::Host(host), Place::Host(to), || Event::Acknowledged {
            host: to,
            life,
            group,
            record,
        });
    }

    pub(super) fn hear_of_acknowledged(
        &mut self,
        host: usize,
        life: u64,
        group: GroupId,
        record: Position,
    ) -> Result<(), Violation> {
        if self.misses(host, life, || Event::Acknowledged { host, life, group, record }) {
            return Ok(());
        }
        self.with_copy(host, group, |slot, now| {
            slot.replica.learn_committed(record.epoch, record.sequence, now)
        })
    }

    /// I1: every copy that is in sync now has the record that was acknowledged.
    fn check_in_sync(&self, host: usize, group: GroupId, sequence: SequenceNumber) -> Result<(), Violation> {
        let record = self.position_in(host, group, sequence);
        let catalogue = &self.metadata.state.catalogue;
        for node in catalogue.group(group).into_iter().flat_map(|info| info.in_sync.keys()) {
            let Some(store) = catalogue.node(*node).and_then(|info| info.store) else { continue };
            self.oracle.in_sync(group, (*node, store), sequence)?;
            let other = self.hosts.iter().position(|host| host.store == store);
            let theirs = other.and_then(|other| self.position_in(other, group, sequence));
            if theirs.is_some() && theirs != record {
                return Err(Violation(format!(
                    "I1: {node} in sync has {theirs:?} where {record:?} is acknowledged"
                )));
            }
        }
        Ok(())
    }

    fn position_in(&self, host: usize, group: GroupId, sequence: SequenceNumber) -> Option<Position> {
        let slot = self.hosts[host].process.as_ref()?.slots.get(&group)?;
        slot.replica.copy().position_at(sequence).ok().flatten()
    }

    /// I8.
    pub(super) fn check_acknowledgement(&self, host: usize, group: GroupId) -> Result<(), Violation> {
        let lease = self.hosts[host].process.as_ref().map_or(0, |process| process.lease_until_ms);
        match self.now < lease {
            true => Ok(()),
            false => {
                Err(Violation(format!("I8: host {host} serves {group}, and its lease ended at {lease} ms")))
            }
        }
    }

    /// Why the copies of a group are not equal yet.
    pub(super) fn unequal(&self, group: GroupId) -> Option<String> {
        let mut positions = Vec::new();
        for host in &self.hosts {
            let slot = host.process.as_ref().and_then(|process| process.slots.get(&group));
            positions.extend(slot.map(|slot| (slot.replica.copy().applied(), slot.replica.copy().last())));
        }
        let equal = positions.iter().all(|(applied, last)| applied == last && *applied == positions[0].0);
        (!equal).then(|| format!("the copies of {group} are at {positions:?}"))
    }

    pub(super) fn finish(&mut self) -> Result<(), Violation> {
        for group in self.live_groups() {
            let info = self.metadata.state.catalogue.group(group);
            self.report.epochs += info.map_or(0, |info| info.epoch.get());
            for host in &self.hosts {
                if let Some(slot) = host.process.as_ref().and_then(|process| process.slots.get(&group)) {
                    self.oracle.finish(group, &slot.replica.copy().consumer().ledger)?;
                }
            }
            self.finish_job(group)?;
        }
        self.stopped = true;
        Ok(())
    }
}

impl Slot {
    fn make_checkpoint(&mut self, group: GroupId) -> Result<(), GroupError> {
        let copy = self.replica.copy_mut();
        if !copy.is_settled() {
            return Ok(());
        }
        let (header, payload) = (copy.checkpoint_header(), copy.consumer().payload());
        match copy.install_checkpoint(&header, &payload) {
            Ok(()) => self.checkpoint = Some((header.position.sequence, header.encode_with(group, &payload))),
            Err(error @ GroupError::Poisoned { .. }) => return Err(error),
            // The copy goes on; a later one may succeed.
            Err(_) => {}
        }
        Ok(())
    }

    /// The present state where it can be had, else that of the last checkpoint.
    fn snapshot(&self, group: GroupId) -> Option<(SequenceNumber, Vec<u8>)> {
        let copy = self.replica.copy();
        if !copy.is_settled() {
            return self.checkpoint.clone();
        }
        let header = copy.checkpoint_header();
        Some((header.position.sequence, header.encode_with(group, &copy.consumer().payload())))
    }
}

fn command(group: GroupId, proposal: Proposal) -> Command {
    let at = |expected: lavandin_group::replication::Revision| Revision {
        epoch: expected.epoch,
        version: expected.version,
    };
    match proposal {
        Proposal::Shrink { expected, remove } => {
            Command::ShrinkGroup { group, expected: at(expected), remove, reason: StaleReason::MissedWrite }
        }
        Proposal::Grow { expected, node, incarnation } => {
            Command::GrowGroup { group, expected: at(expected), node, incarnation }
        }
        Proposal::DropJoiner { expected } => Command::DropJoiner { group, expected: at(expected) },
    }
}
