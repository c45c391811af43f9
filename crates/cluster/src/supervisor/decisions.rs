//! What should be done about each group, from the catalogue, the heartbeats and the time. The first that applies:
//!
//! 1. Its primary is down, reports damage or yields: promote the best other in-sync copy that is up.
//! 2. It is suspect: if all copies are up and none holds more than the primary, lift the suspicion; else wait.
//! 3. An in-sync replica reports damage, or its node goes down: shrink. A stale one that reports damage is marked as
//!    such, so that its node may begin anew.
//! 4. The joining copy is down, damaged or leaving: drop it.
//! 5. Fewer copies than wanted are in sync: let the stale copy join that holds most.
//! 6. Enough copies are in sync: remove those that are leaving.
//! 7. A copy is missing, or its node was down for too long: put one on a spare node (a data node without copies). Where the
//!    cluster places copies (`ClusterOptions::copies`), any data node that holds fewest is one.
//!
//! There the cluster also adds groups, one after the other, until there are as many as data nodes: each led by the node
//! that leads fewest. Where all groups are whole and one node holds two copies more than another, a copy moves there.
//!
//! A retiring node without copies is removed. A copy of a node that goes down on purpose is treated as if it were down
//! already, as soon as it has stopped serving: nobody has to wait for its silence.

use super::{CopyReport, Subject, Supervisor, subject_of};
use crate::catalogue::Catalogue;
use crate::command::{Command, GroupSeed};
use crate::group_info::{GroupInfo, StaleReason};
use crate::limit;
use crate::liveness::Liveness;
use crate::node_info::{NodeInfo, NodeRole};
use lavandin_types::{NodeId, PrimaryEpoch, SequenceNumber};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that a decision looks at.
struct View<'a> {
    supervisor: &'a Supervisor,
    catalogue: &'a Catalogue,
    liveness: Liveness,
    /// Copies of each data node that is up and stays, those included that it was promised.
    loads: BTreeMap<NodeId, usize>,
}

impl Supervisor {
    pub(super) fn decide(&self, catalogue: &Catalogue, now_ms: u64) -> Vec<Command> {
        let liveness = self.liveness(now_ms);
        let mut view = View { supervisor: self, catalogue, liveness, loads: BTreeMap::new() };
        view.loads = view.loads_of_nodes();
        let mut commands = Vec::new();
        if !self.pending.contains_key(&Subject::Chores) {
            commands.extend(view.chores());
        }
        commands.extend(view.retired());
        for group in catalogue.groups().filter(|group| !self.pending.contains_key(&Subject::Group(group.id)))
        {
            commands.extend(view.group(group));
        }
        if commands.is_empty() && self.pending.is_empty() && view.places() && view.all_whole() {
            commands.extend(view.new_group().or_else(|| view.shift()));
        }
        debug_assert!(commands.iter().all(|command| subject_of(command).is_some()));
        commands
    }
}

impl View<'_> {
    fn group(&mut self, group: &GroupInfo) -> Option<Command> {
        if self.needs_another_primary(group)
            && let Some(primary) = self.heir(group)
        {
            return Some(Command::Promote { group: group.id, expected: group.revision(), primary });
        }
        if group.suspect {
            return self.suspicion(group);
        }
        // All that follows needs a primary that carries it out.
        if !self.is_up(group.primary) {
            return None;
        }
        self.lost_replica(group)
            .or_else(|| self.damaged_stale(group))
            .or_else(|| self.failed_joiner(group))
            .or_else(|| self.next_joiner(group))
            .or_else(|| self.departure(group))
            .or_else(|| self.replacement(group))
    }

    fn needs_another_primary(&self, group: &GroupInfo) -> bool {
        let yields =
            |report: &CopyReport| report.yields && (group.should_yield() || self.is_stopping(group.primary));
        self.liveness.is_down(self.catalogue, group.primary)
            || self.report(group, group.primary).is_some_and(|report| report.damaged || yields(report))
    }

    /// The in-sync copy to promote: one that stays rather than one that leaves, then the longest log, then the order
    /// of the members. Every in-sync copy holds all that was acknowledged; the longest log spares the others a cut.
    fn heir(&self, group: &GroupInfo) -> Option<NodeId> {
        let eligible = |node: &NodeId| {
            let registered = self.catalogue.node(*node).map(|info| info.incarnation);
            *node != group.primary
                && group.in_sync.contains_key(node)
                && group.in_sync.get(node).copied() == registered
                && self.is_up(*node)
                && !self.is_stopping(*node)
                && !self.is_damaged(group, *node)
        };
        let heirs = group.members.iter().copied().filter(eligible);
        heirs.min_by_key(|node| (group.leaving.contains(node), Reverse(self.position(group, *node))))
    }

    fn suspicion(&self, group: &GroupInfo) -> Option<Command> {
        let primary = group.primary;
        let whole = self.report(group, primary).filter(|report| !report.damaged);
        let last = whole.map(|_| self.position(group, primary))?;
        let holds_nothing =
            |node: &NodeId| matches!(group.stale.get(node), Some(StaleReason::Added | StaleReason::NewStore));
        let holds_no_more =
            |node: &NodeId| self.report(group, *node).is_some() && self.position(group, *node) <= last;
        let mut members = group.members.iter();
        members
            .all(|node| self.is_up(*node) && holds_no_more(node) || holds_nothing(node))
            .then(|| Command::Promote { group: group.id, expected: group.revision(), primary })
    }

    /// Writes need not wait until its silence is noticed.
    fn lost_replica(&self, group: &GroupInfo) -> Option<Command> {
        let goes = |node: &NodeId| self.is_stopping(*node) && !self.is_stopping(group.primary);
        let mut replicas = group.in_sync.keys().copied().filter(|node| *node != group.primary);
        let remove = replicas.find(|node| self.is_damaged(group, *node) || goes(node))?;
        let reason = match self.is_damaged(group, remove) {
            true => StaleReason::Damaged,
            false => StaleReason::Restarted,
        };
        let expected = group.revision();
        Some(Command::ShrinkGroup { group: group.id, expected, remove, reason })
    }

    /// Not where the primary is damaged too: what the copy holds may be needed yet.
    fn damaged_stale(&self, group: &GroupInfo) -> Option<Command> {
        let marked = |reason: &StaleReason| *reason == StaleReason::Damaged;
        let mut stale = group.stale.iter().filter(|(_, reason)| !marked(reason)).map(|(node, _)| *node);
        let remove = stale.find(|node| self.is_up(*node) && self.is_damaged(group, *node))?;
        let (id, expected, reason) = (group.id, group.revision(), StaleReason::Damaged);
        let whole = !self.is_damaged(group, group.primary);
        whole.then_some(Command::ShrinkGroup { group: id, expected, remove, reason })
    }

    fn failed_joiner(&self, group: &GroupInfo) -> Option<Command> {
        let node = group.joiner?.node;
        let failed = self.liveness.is_down(self.catalogue, node)
            || self.is_damaged(group, node)
            || self.is_stopping(node)
            || group.leaving.contains(&node);
        failed.then(|| Command::DropJoiner { group: group.id, expected: group.revision() })
    }

    fn next_joiner(&self, group: &GroupInfo) -> Option<Command> {
        if group.joiner.is_some() || !group.mirror || group.in_sync_to_stay().count() >= group.rf as usize {
            return None;
        }
        let eligible = |node: &NodeId| {
            group.stale.contains_key(node)
                && self.is_up(*node)
                && !self.is_stopping(*node)
                && !self.is_damaged(group, *node)
                && !self.supervisor.joined_ms.contains_key(&(group.id, *node))
        };
        let candidates = group.members_to_stay().filter(eligible);
        let node = candidates.min_by_key(|node| Reverse(self.position(group, *node)))?;
        let incarnation = self.catalogue.node(node)?.incarnation;
        Some(Command::AddJoiner { group: group.id, expected: group.revision(), node, incarnation })
    }

    fn departure(&self, group: &GroupInfo) -> Option<Command> {
        if group.in_sync_to_stay().count() < group.rf as usize {
            return None;
        }
        let node = group.leaving.iter().copied().find(|node| *node != group.primary)?;
        Some(Command::RemoveReplica { group: group.id, node })
    }

    fn replacement(&mut self, group: &GroupInfo) -> Option<Command> {
        let missing = group.members_to_stay().count() < self.wanted(group);
        let mut members = group.members_to_stay();
        let dead = members.find(|node| self.liveness.is_given_up(self.catalogue, *node));
        if !missing && dead.is_none() {
            return None;
        }
        let node = self.place_for(group)?;
        self.loads.entry(node).and_modify(|copies| *copies += 1);
        Some(Command::AddReplica { group: group.id, node, replaces: dead.filter(|_| !missing) })
    }

    /// Whether the cluster places copies by itself.
    fn places(&self) -> bool {
        self.catalogue.cluster().is_some() && self.catalogue.options().copies > 0
    }

    /// Copies that a group is to have: where the cluster places them it makes up for those that were given up for want of
    /// nodes.
    fn wanted(&self, group: &GroupInfo) -> usize {
        group.rf.max(self.catalogue.options().copies) as usize
    }

    /// Whether every group has its copies, and keeps them.
    fn all_whole(&self) -> bool {
        let is_whole = |group: &Arc<GroupInfo>| {
            group.in_sync_to_stay().count() >= self.wanted(group) && group.leaving.is_empty()
        };
        self.catalogue.groups().all(is_whole)
    }

    /// The node to hold one more copy of a group.
    fn place_for(&self, group: &GroupInfo) -> Option<NodeId> {
        let is_place = |(node, copies): &(&NodeId, &usize)| {
            !group.members.contains(node) && (self.places() || **copies == 0)
        };
        let places = self.loads.iter().filter(is_place);
        places.min_by_key(|(node, copies)| (**copies, **node)).map(|(node, _)| *node)
    }

    /// One more group, where there are fewer than data nodes that are up.
    fn new_group(&self) -> Option<Command> {
        let catalogue = self.catalogue;
        if catalogue.groups().len() >= self.loads.len().min(limit::PLACED_GROUPS_MAX) {
            return None;
        }
        let led = |node: &NodeId| catalogue.groups().filter(|group| group.primary == *node).count();
        let primary = self.loads.iter().min_by_key(|(node, copies)| (led(node), **copies, **node));
        let primary = *primary?.0;
        let is_free = |name: &String| catalogue.groups().all(|group| group.name != *name);
        let name = (0..).map(|number| format!("sg{number}")).find(is_free)?;
        Some(Command::AddGroup(GroupSeed { name, members: vec![primary], primary }))
    }

    /// Moves a copy from who holds most to who holds fewest, a replica rather than a primary.
    fn shift(&self) -> Option<Command> {
        let (from, most) = self.loads.iter().max_by_key(|(node, copies)| (**copies, Reverse(**node)))?;
        let (to, fewest) = self.loads.iter().min_by_key(|(node, copies)| (**copies, **node))?;
        if most - fewest < 2 {
            return None;
        }
        let movable = self.catalogue.groups_of(*from).filter(|group| !group.members.contains(to));
        let group = movable.min_by_key(|group| (group.primary == *from, group.id))?.id;
        Some(Command::AddReplica { group, node: *to, replaces: Some(*from) })
    }

    /// Nodes whose copies have all moved away.
    fn retired(&self) -> Vec<Command> {
        let is_empty = |node: NodeId| self.catalogue.groups_of(node).next().is_none();
        let retired = self.catalogue.nodes().filter(|info| info.retiring && is_empty(info.id));
        let idle = retired.filter(|info| !self.supervisor.pending.contains_key(&Subject::Node(info.id)));
        idle.map(|info| Command::RemoveNode { node: info.id }).collect()
    }

    /// A live coordinator before any other node; who does them keeps them while alive.
    fn chores(&self) -> Option<Command> {
        let up = |role| {
            let nodes = self.catalogue.nodes().filter(move |node| node.role == role).map(|node| node.id);
            nodes.filter(|node| self.is_up(*node))
        };
        let is_coordinator =
            |node| self.catalogue.node(node).is_some_and(|info| info.role == NodeRole::Coordinator);
        let best = up(NodeRole::Coordinator).next().or_else(|| up(NodeRole::Data).next())?;
        let present = self.catalogue.chores();
        let keeps = present.is_some_and(|chores| {
            self.catalogue.node(chores.node).is_some()
                && !self.liveness.is_down(self.catalogue, chores.node)
                && (is_coordinator(chores.node) || !is_coordinator(best))
        });
        let expected = present.map_or(0, |chores| chores.epoch);
        (!keeps).then_some(Command::AppointChores { node: best, expected })
    }

    fn loads_of_nodes(&self) -> BTreeMap<NodeId, usize> {
        let promised = |node: NodeId| {
            let commands = self.supervisor.pending.values().map(|pending| &pending.command);
            commands
                .filter(|command| matches!(command, Command::AddReplica { node: to, .. } if *to == node))
                .count()
        };
        let stays = |node: &&Arc<NodeInfo>| node.role == NodeRole::Data && !node.retiring;
        let data = self.catalogue.nodes().filter(stays).map(|node| node.id);
        let present = data.filter(|node| self.is_up(*node) && !self.is_stopping(*node));
        present.map(|node| (node, self.catalogue.groups_of(node).count() + promised(node))).collect()
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.liveness.is_up(self.catalogue, node)
    }

    fn is_stopping(&self, node: NodeId) -> bool {
        self.supervisor.is_stopping(self.catalogue, node)
    }

    fn is_damaged(&self, group: &GroupInfo, node: NodeId) -> bool {
        self.report(group, node).is_some_and(|report| report.damaged)
    }

    fn report(&self, group: &GroupInfo, node: NodeId) -> Option<&CopyReport> {
        self.supervisor.report(self.catalogue, node, group.id)
    }

    /// The last record of a copy, by its report.
    fn position(&self, group: &GroupInfo, node: NodeId) -> (PrimaryEpoch, SequenceNumber) {
        self.report(group, node).map_or_else(Default::default, |report| (report.epoch, report.sequence))
    }
}
