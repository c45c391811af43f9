//! What the leader of the metadata decides about nodes and groups: fed with heartbeats and ticks, it answers commands
//! to propose. It has no clock: `now_ms` is the leader's monotonic clock, and never falls.
//!
//! 1. A new leader makes a new supervisor, which knows nobody. It decides on nobody's silence before the leases that
//!    its predecessor granted have ended (`ClusterOptions::new_leader_ms`).
//! 2. `heartbeat` records what a node says and tells the caller whether to renew its lease.
//! 3. `tick` looks at every group ([`decisions`]) and answers at most one command for each. A command is proposed once
//!    until it is answered or [`PROPOSAL_MS`] have passed; one that was refused waits for [`RETRY_MS`].
//!
//! Safety never rests on it: every command is checked again where it is applied. Deliberately absent: who the voters
//! are (`desired_voters`), and what a primary proposes of its own group (shrink, grow, drop its joiner).

mod decisions;

use crate::catalogue::Catalogue;
use crate::command::Command;
use crate::error::CatalogueError;
use crate::limit;
use crate::liveness::{Heard, Liveness};
use crate::node_info::{NodeInfo, NodeRegistration, StartId};
use lavandin_types::{GroupId, NodeId, PrimaryEpoch, SequenceNumber, StoreId};
use std::collections::BTreeMap;

/// How long an unanswered proposal is waited for.
pub const PROPOSAL_MS: u64 = 3_000;
/// How long a refused proposal is not repeated.
pub const RETRY_MS: u64 = 500;
/// Registrations that are waiting at a time.
const WAITING_MAX: usize = 2 * limit::NODES_MAX;

/// What a node says of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyReport {
    pub group: GroupId,
    /// The epoch and place of its last record, durable or not.
    pub epoch: PrimaryEpoch,
    pub sequence: SequenceNumber,
    /// Its bytes are damaged; a primary stops serving before it says so.
    pub damaged: bool,
    /// It leads the group, has stopped serving and waits to be replaced: see `GroupInfo::should_yield`.
    pub yields: bool,
    /// It is being rebuilt from a snapshot: for whoever watches.
    pub rebuild: Option<Rebuild>,
}

/// How much of a snapshot has arrived, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuild {
    pub done: u64,
    pub total: u64,
}

/// What a node sends every `ClusterOptions::heartbeat_ms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub node: NodeId,
    pub incarnation: u64,
    /// Every copy that it holds.
    pub copies: Vec<CopyReport>,
    /// It goes down on purpose: what of it yields never serves again as this incarnation.
    pub stopping: bool,
}

/// What to answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAnswer {
    /// The node's lease is renewed.
    Renewed,
    /// Another start registered on its store: it must register again, and serve nothing until then.
    Superseded { registered: u64 },
    /// The node was removed.
    Unknown,
}

/// Whether a registration may be proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Admit,
    /// Ask again after a moment: the node that holds the store or the address may be alive.
    Wait,
    /// It is alive: it was heard after this start asked.
    Refuse(CatalogueError),
}

#[derive(Clone, Debug)]
struct Seen {
    incarnation: u64,
    at_ms: u64,
    stopping: bool,
    copies: BTreeMap<GroupId, CopyReport>,
}

/// What proposals are counted by: one at a time for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Chores,
    Group(GroupId),
    Node(NodeId),
    /// The next group.
    NewGroup,
}

#[derive(Clone, Debug)]
struct Pending {
    command: Command,
    until_ms: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Supervisor {
    since_ms: u64,
    seen: BTreeMap<NodeId, Seen>,
    pending: BTreeMap<Subject, Pending>,
    /// When a copy was last told to join, so that one that fails at it does not keep the others from trying.
    joined_ms: BTreeMap<(GroupId, NodeId), u64>,
    /// When a start first asked to register in the place of another.
    asked_ms: BTreeMap<(StoreId, StartId), u64>,
}

impl Supervisor {
    /// The node became the leader of the metadata.
    pub fn new(now_ms: u64) -> Self {
        Self {
            since_ms: now_ms,
            seen: BTreeMap::new(),
            pending: BTreeMap::new(),
            joined_ms: BTreeMap::new(),
            asked_ms: BTreeMap::new(),
        }
    }

    pub fn heartbeat(&mut self, catalogue: &Catalogue, heartbeat: Heartbeat, now_ms: u64) -> HeartbeatAnswer {
        let Heartbeat { node, incarnation, copies, stopping } = heartbeat;
        let Some(registered) = catalogue.node(node).map(|info| info.incarnation) else {
            return HeartbeatAnswer::Unknown;
        };
        if incarnation < registered {
            return HeartbeatAnswer::Superseded { registered };
        }
        let copies =
            copies.into_iter().take(limit::GROUPS_MAX).map(|report| (report.group, report)).collect();
        self.seen.insert(node, Seen { incarnation, at_ms: now_ms, stopping, copies });
        HeartbeatAnswer::Renewed
    }

    pub fn liveness(&self, now_ms: u64) -> Liveness {
        let heard = |seen: &Seen| Heard {
            incarnation: seen.incarnation,
            silent_ms: now_ms.saturating_sub(seen.at_ms),
        };
        Liveness {
            observed_ms: now_ms.saturating_sub(self.since_ms),
            heard: self.seen.iter().map(|(node, seen)| (*node, heard(seen))).collect(),
        }
    }

    /// What a node said last of its copy of a group, as the incarnation that is registered now.
    pub fn report(&self, catalogue: &Catalogue, node: NodeId, group: GroupId) -> Option<&CopyReport> {
        self.seen_now(catalogue, node)?.copies.get(&group)
    }

    /// Whether a node said that it goes down.
    fn is_stopping(&self, catalogue: &Catalogue, node: NodeId) -> bool {
        self.seen_now(catalogue, node).is_some_and(|seen| seen.stopping)
    }

    fn seen_now(&self, catalogue: &Catalogue, node: NodeId) -> Option<&Seen> {
        let registered = catalogue.node(node)?.incarnation;
        self.seen.get(&node).filter(|seen| seen.incarnation == registered)
    }

    /// The commands to propose now. Each must be `answered`, or counts as lost after [`PROPOSAL_MS`].
    pub fn tick(&mut self, catalogue: &Catalogue, now_ms: u64) -> Vec<Command> {
        self.seen.retain(|node, _| catalogue.node(*node).is_some());
        self.pending.retain(|_, pending| now_ms < pending.until_ms);
        let rejoin_ms = catalogue.options().detection_ms;
        self.joined_ms.retain(|_, at_ms| now_ms < at_ms.saturating_add(rejoin_ms));
        let commands = self.decide(catalogue, now_ms);
        for command in &commands {
            if let Command::AddJoiner { group, node, .. } = command {
                self.joined_ms.insert((*group, *node), now_ms);
            }
            if let Some(subject) = subject_of(command) {
                let pending = Pending { command: command.clone(), until_ms: now_ms + PROPOSAL_MS };
                self.pending.insert(subject, pending);
            }
        }
        commands
    }

    /// A proposal of `tick` was applied, or refused.
    pub fn answered(&mut self, command: &Command, accepted: bool, now_ms: u64) {
        let Some(subject) = subject_of(command) else {
            return;
        };
        if let Some(pending) = self.pending.get_mut(&subject).filter(|pending| pending.command == *command) {
            pending.until_ms = if accepted { now_ms } else { now_ms + RETRY_MS };
        }
    }

    /// Whether a node may register: not in the place of one that is alive. A data directory that was copied finds its
    /// store in use and must draw a new id for it.
    pub fn may_register(&mut self, catalogue: &Catalogue, new: &NodeRegistration, now_ms: u64) -> Admission {
        let known = catalogue.node_of_store(new.store);
        let moved = known.filter(|known| known.start_id != new.start_id && known.address != new.address);
        let beside = known.map(|known| known.id);
        let holder = catalogue.node_at(&new.address);
        let holder = holder.filter(|holder| Some(holder.id) != beside && holder.is_registered());
        let liveness = self.liveness(now_ms);
        let may_live = |node: &&NodeInfo| !liveness.is_down(catalogue, node.id);
        let place = new.address.clone();
        let refusal = |node: &NodeInfo| match moved.is_some_and(|moved| moved.id == node.id) {
            true => CatalogueError::StoreInUse { node: node.id, address: node.address.clone() },
            false => CatalogueError::AddressInUse { address: place.clone(), holder: node.id },
        };
        let asked = (new.store, new.start_id);
        let Some(other) = [moved, holder].into_iter().flatten().map(|info| &**info).find(may_live) else {
            self.asked_ms.remove(&asked);
            return Admission::Admit;
        };
        if self.asked_ms.len() >= WAITING_MAX {
            self.asked_ms.clear();
        }
        let asked_ms = *self.asked_ms.entry(asked).or_insert(now_ms);
        if self.seen.get(&other.id).is_some_and(|seen| seen.at_ms > asked_ms) {
            return Admission::Refuse(refusal(other));
        }
        Admission::Wait
    }
}

/// `None` for commands that no supervisor proposes.
fn subject_of(command: &Command) -> Option<Subject> {
    match command {
        Command::Promote { group, .. }
        | Command::ShrinkGroup { group, .. }
        | Command::AddJoiner { group, .. }
        | Command::DropJoiner { group, .. }
        | Command::AddReplica { group, .. }
        | Command::RemoveReplica { group, .. } => Some(Subject::Group(*group)),
        Command::AppointChores { .. } => Some(Subject::Chores),
        Command::RemoveNode { node } => Some(Subject::Node(*node)),
        Command::AddGroup(_) => Some(Subject::NewGroup),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
