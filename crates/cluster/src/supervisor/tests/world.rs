//! A cluster in virtual time: nodes that beat, a leader that ticks every 100 ms, primaries that grow their joiners.

use crate::*;
use lavandin_types::{ClusterId, GroupId, NodeId, SequenceNumber, StoreId};
use std::collections::BTreeMap;

pub(super) const GROUP: GroupId = GroupId::new(1);

pub(super) fn node(id: u64) -> NodeId {
    NodeId::new(id)
}

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) up: bool,
    pub(super) incarnation: u64,
    pub(super) sequence: u64,
    pub(super) damaged: bool,
    /// It goes down on purpose, and its primaries have stopped.
    pub(super) stopping: bool,
}

pub(super) struct World {
    pub(super) catalogue: Catalogue,
    pub(super) supervisor: Supervisor,
    pub(super) now_ms: u64,
    pub(super) nodes: BTreeMap<NodeId, Process>,
    /// What was proposed of groups, as text.
    pub(super) proposed: Vec<String>,
    /// Whether proposals are carried out and answered.
    pub(super) answers: bool,
    /// Whether joiners catch up.
    pub(super) grows: bool,
    /// Whether primaries that should yield do.
    pub(super) yields: bool,
    last_store: u128,
}

impl World {
    /// `count` data nodes, all registered, and groups of them; the first of each leads.
    pub(super) fn new(count: u64, groups: &[&[u64]]) -> Self {
        let mut world = Self::unregistered(count, groups);
        for id in 1..=count {
            world.start(id);
        }
        world
    }

    /// One registered node that leads one group, of a cluster that places so many copies by itself.
    pub(super) fn placing(copies: u32) -> Self {
        let mut world =
            Self::with_options(1, &[&[1]], ClusterOptions { copies, ..ClusterOptions::default() });
        world.start(1);
        world
    }

    pub(super) fn unregistered(count: u64, groups: &[&[u64]]) -> Self {
        Self::with_options(count, groups, ClusterOptions::default())
    }

    fn with_options(count: u64, groups: &[&[u64]], options: ClusterOptions) -> Self {
        let seed = |(index, members): (usize, &&[u64])| GroupSeed {
            name: format!("sg{index}"),
            members: members.iter().copied().map(node).collect(),
            primary: node(members[0]),
        };
        let seed = LayoutSeed {
            cluster: ClusterId::new(1),
            nodes: (1..=count).map(|id| format!("a{id}:1")).collect(),
            groups: groups.iter().enumerate().map(seed).collect(),
            options,
        };
        let mut catalogue = Catalogue::default();
        catalogue.apply(Command::FormLayout(seed)).unwrap();
        let now_ms = 1_000_000;
        Self {
            catalogue,
            supervisor: Supervisor::new(now_ms),
            now_ms,
            nodes: BTreeMap::new(),
            proposed: Vec::new(),
            answers: true,
            grows: true,
            yields: true,
            last_store: 1_000,
        }
    }

    pub(super) fn group(&self) -> GroupInfo {
        GroupInfo::clone(self.catalogue.group(GROUP).unwrap())
    }

    /// The process dies, or stops for a while.
    pub(super) fn kill(&mut self, id: u64) {
        self.nodes.get_mut(&node(id)).unwrap().up = false;
    }

    pub(super) fn resume(&mut self, id: u64) {
        self.nodes.get_mut(&node(id)).unwrap().up = true;
    }

    /// A process starts on the store that node `id` has or, the first time, gets.
    pub(super) fn start(&mut self, id: u64) {
        self.start_with(id, None);
    }

    pub(super) fn start_doubtful(&mut self, id: u64) {
        self.start_with(id, Some(Vec::new()));
    }

    fn start_with(&mut self, id: u64, intact: Option<Vec<GroupId>>) {
        let info = self.catalogue.node(node(id)).unwrap().clone();
        let store = info.store.unwrap_or(StoreId::new(id.into()));
        let registration = NodeRegistration {
            store,
            address: info.address.clone(),
            role: info.role,
            intact,
            ..NodeRegistration::default()
        };
        self.register(registration);
    }

    /// The disk behind a node's address is replaced by an empty one.
    pub(super) fn wipe(&mut self, id: u64) {
        let address = self.catalogue.node(node(id)).unwrap().address.clone();
        self.nodes.remove(&node(id));
        self.last_store += 1;
        let store = StoreId::new(self.last_store);
        self.register(NodeRegistration { store, address, ..NodeRegistration::default() });
    }

    pub(super) fn register_new(&mut self, address: &str, role: NodeRole) -> NodeId {
        self.last_store += 1;
        let (store, address) = (StoreId::new(self.last_store), address.to_owned());
        self.register(NodeRegistration { store, address, role, ..NodeRegistration::default() })
    }

    /// Registers a data node that is not heard of before `resume`.
    pub(super) fn register_silent(&mut self, address: &str) -> NodeId {
        self.last_store += 1;
        let (store, address) = (StoreId::new(self.last_store), address.to_owned());
        let node = self.enter(NodeRegistration { store, address, ..NodeRegistration::default() });
        self.kill(node.get());
        node
    }

    fn register(&mut self, registration: NodeRegistration) -> NodeId {
        let node = self.enter(registration);
        self.beat(node);
        node
    }

    fn enter(&mut self, registration: NodeRegistration) -> NodeId {
        let Ok(Reply::Node(info)) = self.catalogue.apply(Command::RegisterNode(registration)) else {
            panic!()
        };
        let sequence = self.nodes.get(&info.id).map_or(0, |process| process.sequence);
        let process =
            Process { up: true, incarnation: info.incarnation, sequence, damaged: false, stopping: false };
        self.nodes.insert(info.id, process);
        info.id
    }

    fn beat(&mut self, id: NodeId) {
        let Some(process) = self.nodes.get(&id).filter(|process| process.up) else { return };
        let report = |group: &GroupInfo| CopyReport {
            group: group.id,
            epoch: Default::default(),
            sequence: SequenceNumber::new(process.sequence),
            damaged: process.damaged,
            yields: self.yields && group.primary == id && (group.should_yield() || process.stopping),
            rebuild: None,
        };
        let copies = self.catalogue.groups_of(id).map(|group| report(group)).collect();
        let (incarnation, stopping) = (process.incarnation, process.stopping);
        let heartbeat = Heartbeat { node: id, incarnation, copies, stopping };
        self.supervisor.heartbeat(&self.catalogue, heartbeat, self.now_ms);
    }

    pub(super) fn shrink(&mut self, id: u64) {
        let (expected, reason) = (self.group().revision(), StaleReason::MissedWrite);
        let remove = node(id);
        self.catalogue.apply(Command::ShrinkGroup { group: GROUP, expected, remove, reason }).unwrap();
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.step();
        }
    }

    pub(super) fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        let end = self.now_ms + 100_000;
        while !done(self) {
            assert!(self.now_ms < end, "it did not happen within 100 s");
            self.step();
        }
    }

    /// 100 ms: heartbeats every 500, primaries that grow, and a tick.
    pub(super) fn step(&mut self) {
        self.now_ms += 100;
        if self.now_ms.is_multiple_of(500) {
            let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
            ids.into_iter().for_each(|id| self.beat(id));
        }
        if self.grows {
            self.grow();
        }
        for command in self.supervisor.tick(&self.catalogue, self.now_ms) {
            self.note(&command);
            if self.answers {
                let accepted = self.catalogue.apply(command.clone()).is_ok();
                assert!(accepted, "{command:?} was refused at once");
                self.supervisor.answered(&command, accepted, self.now_ms);
            }
        }
    }

    fn note(&mut self, command: &Command) {
        let of = match command {
            Command::Promote { group, primary, .. } => format!("{group} {primary}"),
            Command::ShrinkGroup { group, remove, .. } => format!("{group} {remove}"),
            Command::AddJoiner { group, node, .. }
            | Command::AddReplica { group, node, .. }
            | Command::RemoveReplica { group, node } => format!("{group} {node}"),
            Command::DropJoiner { group, .. } => group.to_string(),
            Command::RemoveNode { node } => node.to_string(),
            Command::AddGroup(seed) => format!("{} {}", seed.name, seed.primary),
            Command::AppointChores { .. } => return,
            other => panic!("a supervisor does not propose {other:?}"),
        };
        self.proposed.push(format!("{} {of}", command.name()));
    }

    /// What primaries that are up propose once their joiner, up as well, has caught up.
    fn grow(&mut self) {
        let is_up = |id: NodeId| self.nodes.get(&id).is_some_and(|process| process.up);
        let grown: Vec<Command> = self
            .catalogue
            .groups()
            .filter(|group| is_up(group.primary))
            .filter_map(|group| {
                let joiner = group.joiner.filter(|joiner| is_up(joiner.node))?;
                let (node, incarnation) = (joiner.node, joiner.incarnation);
                Some(Command::GrowGroup { group: group.id, expected: group.revision(), node, incarnation })
            })
            .collect();
        for command in grown {
            self.catalogue.apply(command).unwrap();
        }
    }
}
