//! Applying changes of shard groups: the compare-and-set around what `group_change` does, and the id ranges.

use super::Catalogue;
use super::apply::check_count;
use crate::command::GroupSeed;
use crate::error::{CatalogueError, GroupRefusal, NameKind};
use crate::group_info::{GroupInfo, Joiner, Revision};
use crate::limit;
use crate::name::check_name;
use crate::node_info::{NodeInfo, NodeRole};
use crate::reply::Reply;
use lavandin_types::{CollectionId, GroupId, NodeId};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Catalogue {
    /// Changes a group that is still where the proposer saw it.
    pub(super) fn change_group(
        &mut self,
        id: GroupId,
        expected: Revision,
        change: impl FnOnce(&mut GroupInfo) -> Result<bool, GroupRefusal>,
    ) -> Result<Reply, CatalogueError> {
        let group = self.group_or_error(id)?;
        if group.revision() != expected {
            return Err(CatalogueError::GroupMoved { expected, group: Box::new(GroupInfo::clone(group)) });
        }
        self.replace_group(id, change)
    }

    /// Changes a group wherever it is.
    fn replace_group(
        &mut self,
        id: GroupId,
        change: impl FnOnce(&mut GroupInfo) -> Result<bool, GroupRefusal>,
    ) -> Result<Reply, CatalogueError> {
        let present = self.group_or_error(id)?;
        let mut info = GroupInfo::clone(present);
        let changed =
            change(&mut info).map_err(|reason| CatalogueError::NotPossible { group: id, reason })?;
        if !changed {
            return Ok(Reply::Group { info: present.clone(), changed });
        }
        let (weight, freed) = (info.weight(), present.weight());
        self.check_room(weight, freed)?;
        self.bytes = self.bytes + weight - freed;
        let info = Arc::new(info);
        self.groups.insert(id, info.clone());
        Ok(Reply::Group { info, changed })
    }

    pub(super) fn join_group(
        &mut self,
        id: GroupId,
        expected: Revision,
        joiner: Joiner,
    ) -> Result<Reply, CatalogueError> {
        let registered = self.registered_incarnation(joiner.node)?;
        self.change_group(id, expected, |group| group.add_joiner(joiner, registered))
    }

    pub(super) fn grow_group(
        &mut self,
        id: GroupId,
        expected: Revision,
        joiner: Joiner,
    ) -> Result<Reply, CatalogueError> {
        let registered = self.registered_incarnation(joiner.node)?;
        self.change_group(id, expected, |group| group.grow(joiner, registered))
    }

    pub(super) fn promote(
        &mut self,
        id: GroupId,
        expected: Revision,
        node: NodeId,
    ) -> Result<Reply, CatalogueError> {
        let registered = self.registered_incarnation(node)?;
        self.change_group(id, expected, |group| group.promote(node, registered))
    }

    pub(super) fn force_promote(
        &mut self,
        id: GroupId,
        expected: Revision,
        node: NodeId,
    ) -> Result<Reply, CatalogueError> {
        let node = self.node_or_error(node)?.clone();
        self.change_group(id, expected, |group| group.force_promote(&node))
    }

    pub(super) fn add_group(&mut self, seed: GroupSeed) -> Result<Reply, CatalogueError> {
        self.check_formed()?;
        if let Some(present) = self.groups.values().find(|group| group.name == seed.name) {
            let members = |members: &[NodeId]| members.iter().copied().collect::<BTreeSet<_>>();
            if members(&present.members) != members(&seed.members) {
                return Err(CatalogueError::GroupExists { name: seed.name });
            }
            return Ok(Reply::Group { info: present.clone(), changed: false });
        }
        check_count("groups", self.groups.len(), limit::GROUPS_MAX)?;
        check_seed(&seed)?;
        for member in &seed.members {
            self.data_node(*member)?;
        }
        let primary = self.data_node(seed.primary)?;
        let id = self.last_group.next();
        let (mirror, rf) = (self.options.mirror, self.options.copies_of(seed.members.len()));
        let info = GroupInfo { mirror, rf, ..GroupInfo::new(id, seed.name, seed.members, primary) };
        self.check_room(info.weight(), 0)?;
        self.bytes += info.weight();
        self.last_group = id;
        let info = Arc::new(info);
        self.groups.insert(id, info.clone());
        info.members.iter().for_each(|member| self.set_retiring(*member, false));
        Ok(Reply::Group { info, changed: true })
    }

    pub(super) fn add_replica(
        &mut self,
        id: GroupId,
        node: NodeId,
        replaces: Option<NodeId>,
    ) -> Result<Reply, CatalogueError> {
        let group = self.group_or_error(id)?;
        self.data_node(node)?;
        if !group.members.contains(&node) {
            check_count("copies of one group", group.members.len(), limit::COPIES_MAX)?;
        }
        let reply = self.replace_group(id, |group| group.add_member(node, replaces))?;
        self.set_retiring(node, false);
        Ok(reply)
    }

    /// Moves what `from` has and what was not on its way elsewhere yet. Where the cluster places copies, whoever takes them
    /// over is found later.
    pub(super) fn move_copies(
        &mut self,
        from: NodeId,
        to: Option<NodeId>,
        retires: bool,
    ) -> Result<Reply, CatalogueError> {
        self.node_or_error(from)?;
        if let Some(to) = to {
            self.data_node(to)?;
        }
        if retires && self.options.owners.contains(&from) {
            return Err(CatalogueError::PinnedOwner { node: from });
        }
        let mut moved = Vec::new();
        for group in self.groups_of(from).filter(|group| !group.leaving.contains(&from)) {
            let mut info = GroupInfo::clone(group);
            if to.is_some() {
                check_count("copies of one group", info.members.len(), limit::COPIES_MAX)?;
            }
            let change = match to {
                Some(to) => info.hand_over(from, to),
                None if self.places_beside(from, group) => info.let_leave(from),
                None => info.remove_member(from),
            };
            change.map_err(|reason| CatalogueError::NotPossible { group: group.id, reason })?;
            moved.push(info);
        }
        let freed: u64 =
            moved.iter().filter_map(|info| self.groups.get(&info.id)).map(|old| old.weight()).sum();
        let weight: u64 = moved.iter().map(GroupInfo::weight).sum();
        self.check_room(weight, freed)?;
        self.bytes = self.bytes + weight - freed;
        self.groups.extend(moved.into_iter().map(|info| (info.id, Arc::new(info))));
        if retires {
            self.set_retiring(from, true);
        }
        to.into_iter().for_each(|to| self.set_retiring(to, false));
        Ok(Reply::Node(NodeInfo::clone(self.node_or_error(from)?)))
    }

    /// Whether the cluster itself places the copy of a group that a node gives up, and has nodes enough beside that one.
    pub fn places_beside(&self, node: NodeId, group: &GroupInfo) -> bool {
        let stays = |info: &&Arc<NodeInfo>| {
            info.id != node && info.role == NodeRole::Data && !info.lost && !info.retiring
        };
        self.options.copies > 0 && self.nodes().filter(stays).count() >= group.rf as usize
    }

    fn set_retiring(&mut self, node: NodeId, retiring: bool) {
        if let Some(info) = self.node(node).filter(|info| info.retiring != retiring) {
            self.put_node(NodeInfo { retiring, ..NodeInfo::clone(info) });
        }
    }

    pub(super) fn remove_replica(&mut self, id: GroupId, node: NodeId) -> Result<Reply, CatalogueError> {
        let reply = self.replace_group(id, |group| group.remove_member(node))?;
        if self.node(node).is_some_and(|info| info.lost) {
            self.forget_node_without_copies(node);
        }
        Ok(reply)
    }

    /// The range starts above every id of an earlier lease and above what is known to be in the collection. Ids that
    /// users choose later inside of it are skipped by the primaries.
    pub(super) fn lease_ids(
        &mut self,
        collection: CollectionId,
        count: u64,
        largest_known: Option<u64>,
    ) -> Result<Reply, CatalogueError> {
        self.collection_by_id(collection)?;
        let out_of_range = |what: &str, got, allowed: String| {
            Err(CatalogueError::OutOfRange { what: what.to_owned(), got, allowed })
        };
        if count == 0 || count > limit::IDS_PER_LEASE_MAX {
            return out_of_range("count", count, format!("1 to {}", limit::IDS_PER_LEASE_MAX));
        }
        if let Some(known) = largest_known.filter(|known| *known > limit::GENERATED_ID_MAX) {
            return out_of_range("largest_known", known, format!("0 to {}", limit::GENERATED_ID_MAX));
        }
        let first = self.next_id(collection).max(largest_known.map_or(0, |known| known + 1));
        // Neither sum overflows: all of them are below 2^63 + 2^32.
        let end = first + count;
        if end > limit::GENERATED_ID_MAX + 1 {
            let what = "generated ids of a collection".to_owned();
            return Err(CatalogueError::LimitReached { what, max: limit::GENERATED_ID_MAX });
        }
        if !self.id_ranges.contains_key(&collection) {
            self.check_room(limit::ID_RANGE_WEIGHT, 0)?;
            self.bytes += limit::ID_RANGE_WEIGHT;
        }
        self.id_ranges.insert(collection, end);
        Ok(Reply::Ids { first, count })
    }

    fn group_or_error(&self, group: GroupId) -> Result<&Arc<GroupInfo>, CatalogueError> {
        self.groups.get(&group).ok_or(CatalogueError::GroupNotFound { group })
    }

    pub(super) fn node_or_error(&self, node: NodeId) -> Result<&Arc<NodeInfo>, CatalogueError> {
        self.nodes.get(&node).ok_or(CatalogueError::NodeNotFound { node })
    }

    fn registered_incarnation(&self, node: NodeId) -> Result<u64, CatalogueError> {
        self.node_or_error(node).map(|info| info.incarnation)
    }

    fn data_node(&self, node: NodeId) -> Result<&NodeInfo, CatalogueError> {
        let info = self.node_or_error(node)?;
        if info.role != NodeRole::Data {
            return Err(CatalogueError::NotADataNode { node });
        }
        Ok(info)
    }
}

/// Refuses a group whose parts do not fit together.
pub(super) fn check_seed(seed: &GroupSeed) -> Result<(), CatalogueError> {
    check_name(NameKind::Group, &seed.name)?;
    if seed.members.len() > limit::COPIES_MAX {
        let what = "copies of one group".to_owned();
        return Err(CatalogueError::LimitReached { what, max: limit::COPIES_MAX as u64 });
    }
    let mut seen = BTreeSet::new();
    if let Some(node) = seed.members.iter().find(|member| !seen.insert(**member)) {
        return Err(CatalogueError::NodeGivenTwice { node: *node });
    }
    if !seen.contains(&seed.primary) {
        return Err(CatalogueError::PrimaryIsNoMember { name: seed.name.clone(), primary: seed.primary });
    }
    Ok(())
}
