//! What each command does to a group. Every method either refuses and leaves the group as it is, or says whether it
//! changed anything; a change always raises the version. The rules are in `group_info` and `node_info`.

use crate::error::GroupRefusal;
use crate::group_info::{GroupInfo, Joiner, StaleReason, UncleanPromotion};
use crate::limit;
use crate::node_info::NodeInfo;
use lavandin_types::{GroupId, NodeId, PrimaryEpoch};
use std::collections::{BTreeMap, BTreeSet};

type Change = Result<bool, GroupRefusal>;

impl GroupInfo {
    /// A group of which only the primary is in sync, at an epoch of 0 if that has never registered.
    pub(crate) fn new(id: GroupId, name: String, members: Vec<NodeId>, primary: &NodeInfo) -> Self {
        let others = members.iter().copied().filter(|member| *member != primary.id);
        Self {
            id,
            name,
            primary: primary.id,
            epoch: PrimaryEpoch::new(u64::from(primary.is_registered())),
            version: 1,
            in_sync: BTreeMap::from([(primary.id, primary.incarnation)]),
            joiner: None,
            stale: others.map(|member| (member, StaleReason::Added)).collect(),
            leaving: BTreeSet::new(),
            rf: members.len() as u32,
            mirror: true,
            suspect: false,
            unclean: Vec::new(),
            members,
        }
    }

    pub(crate) fn shrink(&mut self, node: NodeId, reason: StaleReason) -> Change {
        if node == self.primary {
            return Err(GroupRefusal::IsPrimary { node });
        }
        if reason == StaleReason::Damaged
            && let Some(known) = self.stale.get_mut(&node)
        {
            return match std::mem::replace(known, reason) == reason {
                true => Ok(false),
                false => self.changed(),
            };
        }
        self.in_sync.remove(&node).ok_or(GroupRefusal::NotInSync { node })?;
        self.stale.insert(node, reason);
        self.changed()
    }

    pub(crate) fn add_joiner(&mut self, joiner: Joiner, registered: u64) -> Change {
        let node = joiner.node;
        if let Some(present) = self.joiner {
            return Err(GroupRefusal::JoinerPresent { node: present.node });
        }
        if !self.mirror {
            return Err(GroupRefusal::NotMirrored);
        }
        if self.suspect {
            return Err(GroupRefusal::Suspect);
        }
        check_incarnation(node, joiner.incarnation, registered)?;
        let reason = self.stale.remove(&node).ok_or(GroupRefusal::NotStale { node })?;
        if reason == StaleReason::Damaged {
            // It may have begun anew as the same incarnation: what it acknowledged before, and what its primary still
            // knows of that, must not count.
            self.epoch = self.epoch.next();
        }
        self.joiner = Some(joiner);
        self.changed()
    }

    pub(crate) fn drop_joiner(&mut self) -> Change {
        let joiner = self.joiner.take().ok_or(GroupRefusal::NoJoiner)?;
        self.stale.insert(joiner.node, StaleReason::MissedWrite);
        self.changed()
    }

    pub(crate) fn grow(&mut self, joiner: Joiner, registered: u64) -> Change {
        if self.joiner != Some(joiner) {
            return Err(GroupRefusal::NotJoining { node: joiner.node });
        }
        check_incarnation(joiner.node, joiner.incarnation, registered)?;
        self.joiner = None;
        self.in_sync.insert(joiner.node, joiner.incarnation);
        self.changed()
    }

    pub(crate) fn promote(&mut self, node: NodeId, registered: u64) -> Change {
        let recorded = *self.in_sync.get(&node).ok_or(GroupRefusal::NotInSync { node })?;
        check_incarnation(node, recorded, registered)?;
        if node == self.primary {
            if !self.suspect {
                return Err(GroupRefusal::IsPrimary { node });
            }
            self.suspect = false;
        } else {
            self.depose(node);
        }
        self.epoch = self.epoch.next();
        self.changed()
    }

    /// Makes an in-sync copy the primary in place of the present one.
    fn depose(&mut self, successor: NodeId) {
        self.in_sync.remove(&self.primary);
        self.stale.insert(self.primary, StaleReason::FormerPrimary);
        self.primary = successor;
    }

    pub(crate) fn force_promote(&mut self, node: &NodeInfo) -> Change {
        let id = node.id;
        let decides_suspicion = self.suspect && id == self.primary;
        match self.state_of(id) {
            None => return Err(GroupRefusal::NotAMember { node: id }),
            _ if !node.is_registered() || node.lost => return Err(GroupRefusal::NotRegistered { node: id }),
            _ if self.in_sync.contains_key(&id) && !decides_suspicion => {
                return Err(GroupRefusal::NeedsNoForce { node: id });
            }
            Some(_) => {}
        }
        let beside = std::mem::take(&mut self.in_sync).into_keys().chain(self.joiner.take().map(|j| j.node));
        self.stale.extend(beside.map(|other| (other, StaleReason::MissedWrite)));
        self.stale.insert(self.primary, StaleReason::FormerPrimary);
        self.stale.remove(&id);
        self.leaving.remove(&id);
        self.in_sync.insert(id, node.incarnation);
        self.primary = id;
        self.suspect = false;
        self.epoch = self.epoch.next();
        if self.unclean.len() == limit::UNCLEAN_MAX {
            self.unclean.remove(0);
        }
        self.unclean.push(UncleanPromotion { epoch: self.epoch, primary: id });
        self.changed()
    }

    /// Adds a copy; a member that was leaving stays.
    pub(crate) fn add_member(&mut self, node: NodeId, replaces: Option<NodeId>) -> Change {
        if let Some(old) = replaces.filter(|old| !self.members.contains(old)) {
            return Err(GroupRefusal::NotAMember { node: old });
        }
        if self.members.contains(&node) {
            if !self.leaving.remove(&node) {
                return Ok(false);
            }
        } else {
            self.members.push(node);
            self.stale.insert(node, StaleReason::Added);
        }
        self.leaving.extend(replaces.filter(|old| *old != node));
        self.rf = self.rf.max(self.members_to_stay().count() as u32);
        self.changed()
    }

    /// Adds a copy in place of another member's.
    pub(crate) fn hand_over(&mut self, from: NodeId, to: NodeId) -> Change {
        if self.members.contains(&to) {
            return Err(GroupRefusal::AlreadyAMember { node: to });
        }
        self.add_member(to, Some(from))
    }

    /// A copy goes once another is in sync in its place.
    pub(crate) fn let_leave(&mut self, node: NodeId) -> Change {
        match self.members.contains(&node) && self.leaving.insert(node) {
            true => self.changed(),
            false => Ok(false),
        }
    }

    /// Removes a copy, or marks it as leaving where it has to hand over first: the primary, and an in-sync copy that
    /// was promised to stay until others are in sync.
    pub(crate) fn remove_member(&mut self, node: NodeId) -> Change {
        if !self.members.contains(&node) {
            return Ok(false);
        }
        let leaving = self.leaving.contains(&node);
        let needed = self.in_sync_to_stay().count() < self.rf as usize;
        if leaving && (node == self.primary || needed && self.in_sync.contains_key(&node)) {
            return Ok(false);
        }
        if !leaving {
            if node == self.primary && !self.in_sync_to_stay().any(|other| other != node) {
                return Err(GroupRefusal::LastCopy { node });
            }
            self.rf = (self.rf - 1).max(1);
        }
        if node == self.primary {
            self.leaving.insert(node);
        } else {
            self.members.retain(|member| *member != node);
            self.forget(node);
            // Nobody is left who could hold more.
            self.suspect &= self.members.len() > 1;
            // Added again, it begins with nothing: what it acknowledged before must not count.
            if self.epoch > PrimaryEpoch::new(0) {
                self.epoch = self.epoch.next();
            }
        }
        self.changed()
    }

    /// A member's node started another incarnation; `intact` if its copy holds every record that it acknowledged.
    pub(crate) fn reregister(&mut self, node: NodeId, incarnation: u64, intact: bool) {
        let mut other_members = self.members.iter().copied().filter(|member| *member != node);
        let heir = other_members.find(|member| self.in_sync.contains_key(member));
        match (self.in_sync.contains_key(&node), heir) {
            (true, Some(heir)) if !intact => {
                if node == self.primary {
                    self.depose(heir);
                    self.epoch = self.epoch.next();
                }
                self.in_sync.remove(&node);
                self.stale.insert(node, StaleReason::Restarted);
            }
            (true, _) => {
                self.in_sync.insert(node, incarnation);
                if !intact && self.members.len() > 1 {
                    self.suspect = true;
                    // It would cut off what it holds beyond the primary's log: what the decision is about.
                    let joiner = self.joiner.take().map(|joiner| (joiner.node, StaleReason::MissedWrite));
                    self.stale.extend(joiner);
                }
                if node == self.primary {
                    self.epoch = self.epoch.next();
                }
            }
            (false, _) if self.joiner.is_some_and(|joiner| joiner.node == node) => {
                self.joiner = None;
                self.stale.insert(node, StaleReason::Restarted);
            }
            (false, _) => return,
        }
        self.version += 1;
    }

    /// The disk behind a member's address is new: `successor` takes its place.
    pub(crate) fn replace_store(&mut self, node: NodeId, successor: NodeId) {
        let Some(place) = self.members.iter().position(|member| *member == node) else {
            return;
        };
        let leaving = self.leaving.contains(&node);
        if node == self.primary {
            // It is dead unless its disk comes back; what it held, another copy has to be promoted for.
            self.leaving.insert(node);
        } else {
            self.members.remove(place);
            self.forget(node);
        }
        if !leaving {
            self.members.insert(place, successor);
            self.stale.insert(successor, StaleReason::NewStore);
        }
        self.version += 1;
    }

    fn forget(&mut self, node: NodeId) {
        self.in_sync.remove(&node);
        self.stale.remove(&node);
        self.leaving.remove(&node);
        self.joiner.take_if(|joiner| joiner.node == node);
    }

    fn changed(&mut self) -> Change {
        self.version += 1;
        Ok(true)
    }

    /// What is wrong with a group read from a snapshot.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let members: BTreeSet<NodeId> = self.members.iter().copied().collect();
        let joiner = self.joiner.map(|joiner| joiner.node);
        let states: Vec<NodeId> =
            self.in_sync.keys().chain(self.stale.keys()).copied().chain(joiner).collect();
        if members.len() != self.members.len() {
            return Some("has a member twice");
        }
        if states.len() != members.len() || BTreeSet::from_iter(states) != members {
            return Some("has a member that is not exactly one of in sync, joining and stale");
        }
        if !self.in_sync.contains_key(&self.primary) {
            return Some("has a primary that is not in sync");
        }
        if self.suspect && (self.in_sync.len() > 1 || self.joiner.is_some()) {
            return Some("is suspect and has more than one copy that counts");
        }
        if !self.leaving.is_subset(&members) || self.rf == 0 {
            return Some("wants no copies, or has a leaving node that is no member");
        }
        None
    }
}

fn check_incarnation(node: NodeId, expected: u64, found: u64) -> Result<(), GroupRefusal> {
    if expected != found {
        return Err(GroupRefusal::OtherIncarnation { node, expected, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
