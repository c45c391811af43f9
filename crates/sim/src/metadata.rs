//! The catalogue behind a service: one order of commands, a leader that may change, a supervisor of that leader.
//!
//! That the order is one and what was answered is kept is what `consensus` is for, and is taken for granted here.

use crate::oracle::Violation;
use crate::plan::Plan;
use lavandin_cluster::{
    Admission, Catalogue, ClusterOptions, Command, GroupSeed, Heartbeat, HeartbeatAnswer, LayoutSeed,
    NodeRegistration, Reply, Supervisor,
};
use lavandin_group::replication::View;
use lavandin_types::{ClusterId, GroupId, NodeId};
use std::sync::Arc;

/// What a host asks.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Register(NodeRegistration),
    Heartbeat { heartbeat: Heartbeat, sent_ms: u64 },
    Propose { group: GroupId, command: Command },
}

/// What it is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Registered {
        node: NodeId,
        incarnation: u64,
    },
    /// Not yet: the node in whose place it wants to register may be alive.
    Wait,
    Renewed {
        sent_ms: u64,
    },
    /// Another start on its store, or another store at its address, registered since, perhaps an earlier one late: it
    /// has to start over.
    Superseded,
    Proposed {
        group: GroupId,
    },
    /// Nothing but the state.
    News,
}

/// A committed state and its number.
#[derive(Clone)]
pub(crate) struct State {
    pub index: u64,
    pub catalogue: Arc<Catalogue>,
}

pub(crate) struct Metadata {
    pub state: State,
    supervisor: Supervisor,
    down_until_ms: u64,
    #[cfg(feature = "mutations")]
    mutant: Option<crate::plan::Mutant>,
}

/// A member that is gone for so long is replaced: a store that was wiped and registered late.
const REPLACE_AFTER_MS: u64 = 10_000;

pub(crate) fn address(host: usize) -> String {
    format!("host{host}:7637")
}

impl Metadata {
    pub(crate) fn new(plan: &Plan) -> Result<Self, Violation> {
        let seat = |host: &usize| NodeId::new(*host as u64 + 1);
        let groups = plan.shape.groups().into_iter().enumerate().map(|(number, hosts)| GroupSeed {
            name: format!("sg{number}"),
            members: hosts.iter().map(seat).collect(),
            primary: seat(&hosts[0]),
        });
        let options = ClusterOptions {
            detection_ms: plan.detection_ms,
            min_in_sync: plan.min_in_sync,
            mirror: plan.mirror,
            replace_after_ms: REPLACE_AFTER_MS,
            copies: plan.shape.copies(),
            ..ClusterOptions::default()
        };
        let seed = LayoutSeed {
            cluster: ClusterId::new(1),
            nodes: (0..plan.shape.hosts()).map(address).collect(),
            groups: groups.collect(),
            options,
        };
        let mut catalogue = Catalogue::default();
        let formed = catalogue.apply(Command::FormLayout(seed));
        formed.map_err(|error| Violation(format!("the layout was refused: {error}")))?;
        Ok(Self {
            state: State { index: 1, catalogue: Arc::new(catalogue) },
            supervisor: Supervisor::new(0),
            down_until_ms: 0,
            #[cfg(feature = "mutations")]
            mutant: plan.mutant,
        })
    }

    /// No leader until then, and then a new one, who knows nobody.
    pub(crate) fn change_leader(&mut self, until_ms: u64) {
        self.down_until_ms = until_ms;
        self.supervisor = Supervisor::new(until_ms);
    }

    pub(crate) fn is_down(&self, now: u64) -> bool {
        now < self.down_until_ms
    }

    /// What a request is answered; `None` for one that nobody heard.
    pub(crate) fn handle(&mut self, request: Request, now: u64) -> Result<Option<Answer>, Violation> {
        if self.is_down(now) {
            return Ok(None);
        }
        Ok(match request {
            Request::Heartbeat { heartbeat, sent_ms } => {
                match self.supervisor.heartbeat(&self.state.catalogue, heartbeat, now) {
                    HeartbeatAnswer::Renewed => Some(Answer::Renewed { sent_ms }),
                    HeartbeatAnswer::Superseded { .. } | HeartbeatAnswer::Unknown => Some(Answer::Superseded),
                }
            }
            Request::Register(registration) => {
                match self.supervisor.may_register(&self.state.catalogue, &registration, now) {
                    Admission::Wait => Some(Answer::Wait),
                    Admission::Refuse(_) => Some(Answer::Wait),
                    Admission::Admit => match self.apply(Command::RegisterNode(registration))? {
                        Some(Reply::Node(node)) => {
                            Some(Answer::Registered { node: node.id, incarnation: node.incarnation })
                        }
                        _ => None,
                    },
                }
            }
            Request::Propose { group, command } => {
                self.apply(command)?;
                Some(Answer::Proposed { group })
            }
        })
    }

    /// The supervisor's decisions, each applied at once.
    pub(crate) fn tick(&mut self, now: u64) -> Result<(), Violation> {
        if self.is_down(now) {
            return Ok(());
        }
        for command in self.supervisor.tick(&self.state.catalogue, now) {
            let command = self.mutated(command);
            let accepted = self.apply(command.clone())?.is_some();
            self.supervisor.answered(&command, accepted, now);
        }
        Ok(())
    }

    /// `None` if the command was refused.
    fn apply(&mut self, command: Command) -> Result<Option<Reply>, Violation> {
        let command = self.mutated(command);
        let before = Arc::clone(&self.state.catalogue);
        let Ok(reply) = Arc::make_mut(&mut self.state.catalogue).apply(command.clone()) else {
            return Ok(None);
        };
        self.state.index += 1;
        self.check(&before, &command)?;
        Ok(Some(reply))
    }

    /// I3: epochs and versions never fall. I11: only a copy in sync is promoted.
    fn check(&self, before: &Catalogue, command: &Command) -> Result<(), Violation> {
        for group in self.state.catalogue.groups() {
            let Some(old) = before.group(group.id) else { continue };
            if group.revision() < old.revision() || group.version < old.version {
                return Err(Violation(format!(
                    "I3: {} fell from {} at {command:?}",
                    group.id,
                    old.revision()
                )));
            }
            if group.primary != old.primary && !old.in_sync.contains_key(&group.primary) {
                return Err(Violation(format!(
                    "I11: stale {} leads {} by {command:?}",
                    group.primary, group.id
                )));
            }
        }
        Ok(())
    }

    #[cfg(not(feature = "mutations"))]
    fn mutated(&self, command: Command) -> Command {
        command
    }

    #[cfg(feature = "mutations")]
    fn mutated(&self, mut command: Command) -> Command {
        use crate::plan::Mutant;
        match (self.mutant, &mut command) {
            (Some(Mutant::PromoteStale), Command::Promote { group, expected, .. }) => {
                let stale = self.state.catalogue.group(*group).and_then(|info| {
                    let registered =
                        |node: &&NodeId| self.state.catalogue.node(**node).is_some_and(|n| n.incarnation > 0);
                    info.stale.keys().find(registered).copied()
                });
                if let Some(primary) = stale {
                    return Command::ForcePromote { group: *group, expected: *expected, primary };
                }
            }
            (
                Some(Mutant::NoCompare),
                Command::ShrinkGroup { group, expected, .. }
                | Command::AddJoiner { group, expected, .. }
                | Command::DropJoiner { group, expected }
                | Command::GrowGroup { group, expected, .. }
                | Command::Promote { group, expected, .. },
            ) => {
                if let Some(info) = self.state.catalogue.group(*group) {
                    *expected = info.revision();
                }
            }
            (Some(Mutant::AdmitAnyIncarnation), Command::GrowGroup { group, node, incarnation, .. }) => {
                if let Some(joiner) = self.state.catalogue.group(*group).and_then(|info| info.joiner)
                    && joiner.node == *node
                {
                    *incarnation = joiner.incarnation;
                }
            }
            _ => {}
        }
        command
    }
}

impl State {
    /// A group as its copies see it.
    pub(crate) fn view(&self, group: GroupId) -> Option<View> {
        let info = self.catalogue.group(group)?;
        let incarnation = |node: &NodeId| self.catalogue.node(*node).map_or(0, |info| info.incarnation);
        let observers = info.stale.keys().filter(|node| !info.mirror && incarnation(node) > 0);
        Some(View {
            group,
            epoch: info.epoch,
            version: info.version,
            primary: info.primary,
            in_sync: info.in_sync.clone(),
            joiner: info.joiner.map(|joiner| (joiner.node, joiner.incarnation)),
            observers: observers.map(|node| (*node, incarnation(node))).collect(),
            min_in_sync: self.catalogue.options().min_in_sync as usize,
            mirror: info.mirror,
        })
    }
}
