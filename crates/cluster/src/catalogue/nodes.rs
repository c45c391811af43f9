//! Applying what concerns nodes and the cluster as a whole: forming, registering, removing, options, chores.

use super::Catalogue;
use super::apply::{check_address, check_count};
use super::groups::check_seed;
use crate::chores::ChoresNode;
use crate::command::{LayoutSeed, NodeSeed};
use crate::error::CatalogueError;
use crate::group_info::{GroupInfo, MEMBER_WEIGHT};
use crate::limit;
use crate::node_info::{NodeInfo, NodeRegistration, NodeRole, StartId};
use crate::options::{ClusterOptions, OptionsChange};
use crate::reply::Reply;
use lavandin_types::{ClusterId, GroupId, NodeId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The first group.
const FIRST_GROUP: GroupId = GroupId::new(1);
/// Its name in a cluster of one.
const FIRST_GROUP_NAME: &str = "sg0";

impl Catalogue {
    pub(super) fn form_cluster(
        &mut self,
        cluster: ClusterId,
        seed: NodeSeed,
    ) -> Result<Reply, CatalogueError> {
        if let Some(reply) = self.formed(cluster)? {
            return Ok(reply);
        }
        check_address(&seed.address)?;
        let node = NodeInfo { incarnation: 1, ..seat(seed.id, seed.address) };
        let node = NodeInfo { store: Some(seed.store), ..node };
        let group = GroupInfo::new(FIRST_GROUP, FIRST_GROUP_NAME.to_owned(), vec![node.id], &node);
        self.found(cluster, vec![node], vec![group])
    }

    pub(super) fn form_layout(&mut self, seed: LayoutSeed) -> Result<Reply, CatalogueError> {
        if let Some(reply) = self.formed(seed.cluster)? {
            return Ok(reply);
        }
        check_layout(&seed)?;
        let numbers = (1..).map(NodeId::new);
        let nodes: Vec<NodeInfo> = numbers.zip(seed.nodes).map(|(id, address)| seat(id, address)).collect();
        let find = |id: NodeId| {
            nodes.iter().find(|node| node.id == id).ok_or(CatalogueError::NodeNotFound { node: id })
        };
        let mut groups = Vec::new();
        for (id, group) in (1..).map(GroupId::new).zip(seed.groups) {
            group.members.iter().try_for_each(|member| find(*member).map(drop))?;
            let primary = find(group.primary)?;
            let (mirror, rf) = (seed.options.mirror, seed.options.copies_of(group.members.len()));
            groups.push(GroupInfo { mirror, rf, ..GroupInfo::new(id, group.name, group.members, primary) });
        }
        for owner in &seed.options.owners {
            find(*owner)?;
        }
        let weight = nodes.iter().map(NodeInfo::weight).sum::<u64>()
            + groups.iter().map(GroupInfo::weight).sum::<u64>();
        self.check_room(weight, 0)?;
        self.options = seed.options;
        self.found(seed.cluster, nodes, groups)
    }

    /// The reply where the cluster is formed already.
    fn formed(&self, cluster: ClusterId) -> Result<Option<Reply>, CatalogueError> {
        match self.cluster {
            Some(present) if present != cluster => Err(CatalogueError::AlreadyFormed { cluster: present }),
            present => Ok(present.map(|cluster| Reply::Formed { cluster, group: FIRST_GROUP })),
        }
    }

    fn found(
        &mut self,
        cluster: ClusterId,
        nodes: Vec<NodeInfo>,
        groups: Vec<GroupInfo>,
    ) -> Result<Reply, CatalogueError> {
        self.cluster = Some(cluster);
        for node in nodes {
            self.last_node = self.last_node.max(node.id);
            self.put_node(node);
        }
        for group in groups {
            self.bytes += group.weight();
            self.last_group = self.last_group.max(group.id);
            self.groups.insert(group.id, Arc::new(group));
        }
        Ok(Reply::Formed { cluster, group: FIRST_GROUP })
    }

    /// The rules are those of `node_info`.
    pub(super) fn register_node(&mut self, new: NodeRegistration) -> Result<Reply, CatalogueError> {
        self.check_formed()?;
        check_address(&new.address)?;
        let intact = new.intact.as_ref().map_or(0, Vec::len);
        check_count("intact copies", intact.saturating_sub(1), limit::GROUPS_MAX)?;
        let known = self.node_of_store(new.store).cloned();
        if let Some(known) = &known
            && new.start_id != StartId::default()
            && new.start_id == known.start_id
        {
            return Ok(Reply::Node(NodeInfo::clone(known)));
        }
        let beside = known.as_ref().map(|known| known.id);
        let holder = self.node_at(&new.address).filter(|holder| Some(holder.id) != beside).cloned();
        match (known, holder) {
            (Some(known), None) => self.restart(&known, new),
            (Some(known), Some(holder)) => {
                if holder.store.is_none() {
                    return Err(CatalogueError::AddressInUse { address: new.address, holder: holder.id });
                }
                let reply = self.restart(&known, new)?;
                self.put_node(NodeInfo { address: String::new(), ..NodeInfo::clone(&holder) });
                Ok(reply)
            }
            (None, Some(seat)) if seat.store.is_none() => self.restart(&seat, new),
            (None, holder) => {
                // A lost node may have to stay beside the one that takes its place.
                check_count("nodes", self.nodes.len(), limit::NODES_MAX)?;
                let grown: u64 = holder.as_ref().map_or(0, |old| self.groups_of(old.id).count() as u64);
                self.check_room(limit::ENTRY_WEIGHT + new.address.len() as u64 + MEMBER_WEIGHT * grown, 0)?;
                let node = self.last_node.next();
                let reply = self.restart(&seat(node, String::new()), new)?;
                self.last_node = node;
                if let Some(holder) = holder {
                    self.replace_store(&holder, node);
                }
                Ok(reply)
            }
        }
    }

    /// Starts another incarnation of a node, which may be new.
    fn restart(&mut self, present: &NodeInfo, new: NodeRegistration) -> Result<Reply, CatalogueError> {
        // A node that was never seen has nothing to lose.
        let keeps = |group: GroupId| !present.is_registered() || new.keeps(group);
        let node = NodeInfo {
            id: present.id,
            store: Some(new.store),
            incarnation: present.incarnation + 1,
            address: new.address.clone(),
            role: new.role,
            boot_id: new.boot_id,
            start_id: new.start_id,
            protocol: new.protocol,
            lost: false,
            retiring: present.retiring,
        };
        let freed = self.node(node.id).map_or(0, |known| known.weight());
        self.check_room(node.weight(), freed)?;
        for group in self.groups.values_mut().filter(|group| group.members.contains(&node.id)) {
            let intact = keeps(group.id);
            Arc::make_mut(group).reregister(node.id, node.incarnation, intact);
        }
        self.put_node(node.clone());
        Ok(Reply::Node(node))
    }

    /// The disk behind a node's address is new, and `successor` is the node of the new one.
    fn replace_store(&mut self, old: &NodeInfo, successor: NodeId) {
        for group in self.groups.values_mut().filter(|group| group.members.contains(&old.id)) {
            let group = Arc::make_mut(group);
            let before = group.weight();
            group.replace_store(old.id, successor);
            self.bytes = self.bytes + group.weight() - before;
        }
        for owner in self.options.owners.iter_mut().filter(|owner| **owner == old.id) {
            *owner = successor;
        }
        self.put_node(NodeInfo { address: String::new(), lost: true, ..NodeInfo::clone(old) });
        self.forget_node_without_copies(old.id);
    }

    pub(super) fn remove_node(&mut self, node: NodeId) -> Result<Reply, CatalogueError> {
        if self.options.owners.contains(&node) {
            return Err(CatalogueError::PinnedOwner { node });
        }
        let groups: Vec<GroupId> = self.groups_of(node).map(|group| group.id).collect();
        if !groups.is_empty() {
            return Err(CatalogueError::NodeHoldsCopies { node, groups });
        }
        self.forget_node_without_copies(node);
        Ok(Reply::Done)
    }

    pub(super) fn forget_node_without_copies(&mut self, node: NodeId) {
        if self.groups_of(node).next().is_none()
            && let Some(info) = self.nodes.remove(&node)
        {
            self.bytes -= info.weight();
        }
    }

    pub(super) fn put_node(&mut self, node: NodeInfo) {
        self.bytes += node.weight();
        if let Some(replaced) = self.nodes.insert(node.id, Arc::new(node)) {
            self.bytes -= replaced.weight();
        }
    }

    pub(super) fn set_options(&mut self, change: OptionsChange) -> Result<Reply, CatalogueError> {
        self.check_formed()?;
        let options = change.applied_to(&self.options);
        options.check()?;
        for owner in &options.owners {
            self.node_or_error(*owner)?;
        }
        self.options = options.clone();
        Ok(Reply::Options(options))
    }

    pub(super) fn appoint_chores(&mut self, node: NodeId, expected: u64) -> Result<Reply, CatalogueError> {
        self.node_or_error(node)?;
        if self.chores.map_or(0, |chores| chores.epoch) != expected {
            return Err(CatalogueError::ChoresMoved { expected, present: self.chores });
        }
        let chores = ChoresNode { node, epoch: expected + 1 };
        self.chores = Some(chores);
        Ok(Reply::Chores(chores))
    }
}

/// A node that was never seen.
pub(super) fn seat(id: NodeId, address: String) -> NodeInfo {
    NodeInfo {
        id,
        store: None,
        incarnation: 0,
        address,
        role: NodeRole::Data,
        boot_id: Default::default(),
        start_id: Default::default(),
        protocol: 0,
        lost: false,
        retiring: false,
    }
}

pub(super) fn check_layout(seed: &LayoutSeed) -> Result<(), CatalogueError> {
    let limit_reached =
        |what: &str, max: usize| Err(CatalogueError::LimitReached { what: what.to_owned(), max: max as u64 });
    if seed.nodes.len() > limit::NODES_MAX {
        return limit_reached("nodes", limit::NODES_MAX);
    }
    if seed.groups.len() > limit::GROUPS_MAX {
        return limit_reached("groups", limit::GROUPS_MAX);
    }
    if seed.groups.is_empty() {
        return Err(CatalogueError::Empty { what: "list of shard groups".to_owned() });
    }
    let mut addresses = BTreeSet::new();
    for address in &seed.nodes {
        check_address(address)?;
        if address.is_empty() || !addresses.insert(address) {
            return Err(CatalogueError::OutOfRange {
                what: format!("the number of nodes at {address:?}"),
                got: 2,
                allowed: "one, at an address that is not empty".to_owned(),
            });
        }
    }
    let mut names = BTreeSet::new();
    for group in &seed.groups {
        check_seed(group)?;
        if !names.insert(&group.name) {
            return Err(CatalogueError::GroupExists { name: group.name.clone() });
        }
    }
    ClusterOptions::check(&seed.options)
}
