//! Processes: starting, registering, heartbeats, what they learn of the metadata; and the metadata's side of it.

use super::{Event, HEALING_MS, TICK_MS, World};
use crate::host::{Process, Slot};
use crate::metadata::{Answer, Request, State, address};
use crate::network::Place;
use crate::oracle::Violation;
use lavandin_cluster::{BootId, CopyReport, Heartbeat, NodeRegistration, StartId};
use lavandin_types::GroupId;

const REGISTER_PAUSE_MS: u64 = 250;

impl World {
    pub(super) fn start(&mut self, host: usize) -> Result<(), Violation> {
        let machine = &mut self.hosts[host];
        if machine.process.is_some() {
            return Ok(());
        }
        machine.lives += 1;
        let life = machine.lives;
        machine.process = Some(Process::new(life));
        self.report.starts += 1;
        self.note(|| format!("host {host} starts, life {life}"));
        self.plan_at(self.now, Event::Tick { host, life });
        self.resume_unregistered(host)
    }

    /// The deliberate mistake of a restarted process that goes on as the incarnation that it was.
    #[cfg(feature = "mutations")]
    fn resume_unregistered(&mut self, host: usize) -> Result<(), Violation> {
        use lavandin_group::replication::Mutation;
        let Some((node, incarnation)) = self.hosts[host].last_identity else { return Ok(()) };
        let registered = self.metadata.state.catalogue.node(node).map(|info| info.store);
        let known = registered == Some(Some(self.hosts[host].store));
        if crate::host::mutation(&self.plan) == Some(Mutation::ResumeEpoch) && known {
            let state = self.metadata.state.clone();
            return self.registered(host, (node, incarnation), &state);
        }
        Ok(())
    }

    #[cfg(not(feature = "mutations"))]
    fn resume_unregistered(&mut self, _: usize) -> Result<(), Violation> {
        Ok(())
    }

    pub(super) fn process_tick(&mut self, host: usize, life: u64) -> Result<(), Violation> {
        if self.misses(host, life, || Event::Tick { host, life }) {
            return Ok(());
        }
        self.plan_at(self.now + TICK_MS, Event::Tick { host, life });
        self.speak_to_metadata(host, life);
        self.tick_copies(host)
    }

    /// Registers, or sends a heartbeat, when it is time.
    fn speak_to_metadata(&mut self, host: usize, life: u64) {
        let (now, detection_ms) = (self.now, self.plan.detection_ms);
        let machine = &mut self.hosts[host];
        let store = machine.store;
        let Some(process) = &mut machine.process else { return };
        let pause = if process.identity.is_some() { (detection_ms / 6).min(500) } else { REGISTER_PAUSE_MS };
        if process.asked_ms != 0 && now < process.asked_ms + pause {
            return;
        }
        process.asked_ms = now;
        let request = match process.identity {
            None => Request::Register(NodeRegistration {
                store,
                address: address(host),
                boot_id: BootId::new(1),
                start_id: StartId::new((u128::from(life) << 32) + host as u128 + 1),
                protocol: 1,
                ..NodeRegistration::default()
            }),
            Some((node, incarnation)) => {
                let report = |(group, slot): (&GroupId, &Slot)| CopyReport {
                    group: *group,
                    epoch: slot.replica.copy().last().epoch,
                    sequence: slot.replica.copy().last().sequence,
                    damaged: false,
                    yields: false,
                    rebuild: None,
                };
                let copies = process.slots.iter().map(report).collect();
                Request::Heartbeat {
                    heartbeat: Heartbeat { node, incarnation, copies, stopping: false },
                    sent_ms: now,
                }
            }
        };
        self.send(Place::Host(host), Place::Metadata, || Event::Ask { host, life, request: request.clone() });
    }

    /// At the metadata.
    pub(super) fn ask(&mut self, host: usize, life: u64, request: Request) -> Result<(), Violation> {
        let index = self.metadata.state.index;
        let answer = self.metadata.handle(request, self.now)?;
        if self.metadata.state.index != index {
            self.spread_news();
        }
        let (per_mille, until) = self.lost_answers;
        let lost = self.now < until && self.random.per_mille(per_mille);
        if let Some(answer) = answer.filter(|_| !lost) {
            let state = self.metadata.state.clone();
            self.send(Place::Metadata, Place::Host(host), || Event::Answer {
                host,
                life,
                answer: answer.clone(),
                state: state.clone(),
            });
        }
        Ok(())
    }

    /// Every process hears of a new state, if nothing comes between.
    fn spread_news(&mut self) {
        let state = self.metadata.state.clone();
        let group_lines: Vec<_> = state
            .catalogue
            .groups()
            .map(|group| {
                let joiner = group.joiner.map(|joiner| joiner.node.get());
                let in_sync: Vec<_> = group.in_sync.iter().map(|(node, inc)| (node.get(), *inc)).collect();
                format!(
                    "{} {} led by {} in sync {in_sync:?} joiner {joiner:?}",
                    group.id,
                    group.revision(),
                    group.primary
                )
            })
            .collect();
        self.note(|| format!("metadata {}: {}", state.index, group_lines.join("; ")));
        for host in 0..self.hosts.len() {
            let Some(life) = self.hosts[host].process.as_ref().map(|process| process.life) else { continue };
            let state = state.clone();
            self.send(Place::Metadata, Place::Host(host), || Event::Answer {
                host,
                life,
                answer: Answer::News,
                state: state.clone(),
            });
        }
    }

    /// Back at the process.
    pub(super) fn answer(
        &mut self,
        host: usize,
        life: u64,
        answer: Answer,
        state: &State,
    ) -> Result<(), Violation> {
        let again = || Event::Answer { host, life, answer: answer.clone(), state: state.clone() };
        if self.misses(host, life, again) {
            return Ok(());
        }
        match answer {
            Answer::Registered { node, incarnation } => self.registered(host, (node, incarnation), state)?,
            Answer::Renewed { sent_ms } => {
                self.learn(host, state)?;
                self.renewed(host, sent_ms)?;
            }
            Answer::Proposed { group } => {
                self.learn(host, state)?;
                self.proposal_ended(host, group);
            }
            Answer::News => self.learn(host, state)?,
            Answer::Superseded => {
                self.note(|| format!("host {host} was superseded"));
                self.stop_process(host, 20);
            }
            Answer::Wait => {}
        }
        Ok(())
    }

    fn registered(
        &mut self,
        host: usize,
        identity: (lavandin_types::NodeId, u64),
        state: &State,
    ) -> Result<(), Violation> {
        let machine = &mut self.hosts[host];
        let Some(process) = &mut machine.process else { return Ok(()) };
        if process.identity.is_some() {
            return Ok(());
        }
        process.identity = Some(identity);
        process.index = state.index.saturating_sub(1);
        machine.last_identity = Some(identity);
        self.note(|| format!("host {host} is {} incarnation {}", identity.0, identity.1));
        self.learn(host, state)
    }

    /// Takes in a state of the metadata, unless it knows a later one, or is not registered and cannot tell.
    fn learn(&mut self, host: usize, state: &State) -> Result<(), Violation> {
        let Some(process) = &mut self.hosts[host].process else { return Ok(()) };
        let Some((node, _)) = process.identity.filter(|_| state.index > process.index) else { return Ok(()) };
        process.index = state.index;
        if state.catalogue.node(node).is_none_or(|info| info.lost) {
            self.note(|| format!("{node} at host {host} lost its place"));
            self.stop_process(host, 20);
            return Ok(());
        }
        let groups: Vec<GroupId> = state.catalogue.groups_of(node).map(|group| group.id).collect();
        self.let_go(host, &groups);
        for group in groups {
            self.open(host, group)?;
        }
        for group in self.copies_of(host) {
            if let Some(view) = state.view(group) {
                self.with_copy(host, group, |slot, now| slot.replica.learn(view, now))?;
            }
        }
        Ok(())
    }

    fn renewed(&mut self, host: usize, sent_ms: u64) -> Result<(), Violation> {
        let lease_ms = self.plan.detection_ms * 6 / 10;
        if let Some(process) = &mut self.hosts[host].process {
            process.lease_until_ms = process.lease_until_ms.max(sent_ms + lease_ms);
        }
        for group in self.copies_of(host) {
            self.with_copy(host, group, |slot, now| slot.replica.extend_lease(sent_ms, now))?;
        }
        Ok(())
    }

    fn proposal_ended(&mut self, host: usize, group: GroupId) {
        let now = self.now;
        let process = self.hosts[host].process.as_mut();
        if let Some(slot) = process.and_then(|process| process.slots.get_mut(&group)) {
            slot.proposal_until_ms = None;
            slot.replica.proposal_ended(now);
        }
    }

    pub(super) fn metadata_tick(&mut self) -> Result<(), Violation> {
        let index = self.metadata.state.index;
        self.metadata.tick(self.now)?;
        if self.metadata.state.index != index {
            self.spread_news();
        }
        self.check_healing()?;
        let pause = 5 * TICK_MS;
        self.plan_at(self.now + pause, Event::MetadataTick);
        Ok(())
    }

    /// I16: after the last fault every group becomes whole, takes writes, and its copies become equal.
    fn check_healing(&mut self) -> Result<(), Violation> {
        let end = self.plan.faults_end_ms;
        if self.now < end {
            return Ok(());
        }
        let trouble = self.trouble()?;
        if let Some(what) = trouble {
            if self.now > end + HEALING_MS {
                return Err(Violation(format!("I16: {what}, {HEALING_MS} ms after the last fault")));
            }
            return Ok(());
        }
        self.report.healed_ms = self.now - end;
        self.finish()
    }

    /// Why the cluster is not whole; as of now, or because clients have not been served since.
    fn trouble(&mut self) -> Result<Option<String>, Violation> {
        let groups = self.live_groups();
        for group in &groups {
            if let Some(what) = self.trouble_of(*group) {
                self.whole_since = None;
                self.wake_clients();
                return Ok(Some(what));
            }
        }
        let counts: Vec<_> = groups.iter().map(|group| self.oracle.count(*group)).collect();
        let since = self.whole_since.get_or_insert_with(|| counts.clone());
        if since.iter().zip(&counts).any(|(before, now)| now <= before) {
            return Ok(Some("no write was acknowledged".to_owned()));
        }
        for client in &mut self.clients {
            client.stopped = true;
        }
        for trainer in &mut self.trainers {
            trainer.stopped = true;
        }
        Ok(groups.into_iter().find_map(|group| self.unequal(group)))
    }

    fn trouble_of(&self, group: GroupId) -> Option<String> {
        let state = &self.metadata.state;
        let info = state.catalogue.group(group)?;
        let wanted = if info.mirror { info.members.len() } else { 1 };
        if info.in_sync.len() != wanted || info.joiner.is_some() {
            return Some(format!("{group} has {:?} in sync of {:?}", info.in_sync, info.members));
        }
        let everyone = info.members.iter().all(|node| {
            let process = self.host_of(*node).and_then(|host| self.hosts[host].process.as_ref());
            let registered = state.catalogue.node(*node).map(|info| (info.id, info.incarnation));
            process.is_some_and(|process| process.identity == registered)
        });
        (!everyone).then(|| format!("a member of {group} is down"))
    }

    /// Groups that still have a copy in sync whose disk is there.
    pub(super) fn live_groups(&mut self) -> Vec<GroupId> {
        let catalogue = self.metadata.state.catalogue.clone();
        let stores: Vec<_> = self.hosts.iter().map(|host| host.store).collect();
        let is_there = |node: &lavandin_types::NodeId| {
            catalogue.node(*node).and_then(|info| info.store).is_some_and(|store| stores.contains(&store))
        };
        let lives =
            |group: &GroupId| catalogue.group(*group).is_some_and(|info| info.in_sync.keys().any(is_there));
        let (live, dead): (Vec<_>, Vec<_>) = self.groups().into_iter().partition(lives);
        self.report.forfeited = dead.len();
        live
    }
}
