//! Applying `ExtendLayout`: a cluster of one, which holds data, becomes the layout that has it as a primary.
//!
//! The layout's nodes are told apart by address. The one keeps its number and its group, which takes the name and the
//! members that the layout gives it; all other nodes and groups are as in a layout that is formed. Collections that
//! are there stay in the one's group.

use super::Catalogue;
use super::nodes::{check_layout, seat};
use crate::command::LayoutSeed;
use crate::error::CatalogueError;
use crate::group_info::{GroupInfo, StaleReason};
use crate::node_info::{NodeInfo, NodeRole};
use crate::options::ClusterOptions;
use crate::reply::Reply;
use lavandin_types::NodeId;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Catalogue {
    pub(super) fn extend_layout(&mut self, seed: LayoutSeed) -> Result<Reply, CatalogueError> {
        match self.cluster {
            None => return Err(CatalogueError::NotFormed),
            Some(present) if present != seed.cluster => {
                return Err(CatalogueError::AlreadyFormed { cluster: present });
            }
            Some(_) => {}
        }
        check_layout(&seed)?;
        let mut data = self.nodes.values().filter(|node| node.role == NodeRole::Data);
        let (Some(one), None) = (data.next().cloned(), data.next()) else {
            return Ok(self.formed_reply(&seed));
        };
        let seats = self.seats(&seed, &one)?;
        let groups = self.groups_of_layout(&seed, &seats, &one)?;
        let new_seats = || seats.iter().filter(|seat| seat.id != one.id);
        let freed: u64 =
            groups.iter().filter_map(|group| self.groups.get(&group.id)).map(|old| old.weight()).sum();
        let weight = new_seats().map(NodeInfo::weight).sum::<u64>()
            + groups.iter().map(GroupInfo::weight).sum::<u64>();
        self.check_room(weight, freed)?;
        let reply = self.formed_reply(&seed);
        let owners = seed.options.owners.iter().map(|owner| number(&seats, *owner));
        self.options = ClusterOptions { owners: owners.collect::<Result<_, _>>()?, ..seed.options };
        for node in new_seats() {
            self.last_node = self.last_node.max(node.id);
            self.put_node(node.clone());
        }
        for group in groups {
            self.last_group = self.last_group.max(group.id);
            self.bytes += group.weight();
            if let Some(replaced) = self.groups.insert(group.id, Arc::new(group)) {
                self.bytes -= replaced.weight();
            }
        }
        Ok(reply)
    }

    fn formed_reply(&self, seed: &LayoutSeed) -> Reply {
        let group = self.groups.keys().next().copied().unwrap_or_default();
        Reply::Formed { cluster: seed.cluster, group }
    }

    /// The layout's nodes in its order, the one among them.
    fn seats(&self, seed: &LayoutSeed, one: &NodeInfo) -> Result<Vec<NodeInfo>, CatalogueError> {
        let mut last = self.last_node;
        let mut seats = Vec::new();
        for address in &seed.nodes {
            match self.node_at(address) {
                Some(present) if present.id == one.id => seats.push(one.clone()),
                Some(holder) => {
                    let (address, holder) = (address.clone(), holder.id);
                    return Err(CatalogueError::AddressInUse { address, holder });
                }
                None => {
                    last = last.next();
                    seats.push(seat(last, address.clone()));
                }
            }
        }
        Ok(seats)
    }

    fn groups_of_layout(
        &self,
        seed: &LayoutSeed,
        seats: &[NodeInfo],
        one: &NodeInfo,
    ) -> Result<Vec<GroupInfo>, CatalogueError> {
        let mut own = self.groups.values().next().filter(|group| group.primary == one.id);
        // It gets another name.
        let kept = self.groups.values().filter(|group| own.is_none_or(|own| own.id != group.id));
        let names: BTreeSet<&str> = kept.map(|group| group.name.as_str()).collect();
        let mut last = self.last_group;
        let mut groups = Vec::new();
        for group in &seed.groups {
            let members = group.members.iter().map(|member| number(seats, *member));
            let members: Vec<NodeId> = members.collect::<Result<_, _>>()?;
            let primary = number(seats, group.primary)?;
            if names.contains(group.name.as_str()) {
                return Err(CatalogueError::GroupExists { name: group.name.clone() });
            }
            let info = match own.take_if(|_| primary == one.id) {
                Some(present) => extended(present, group.name.clone(), members),
                None => {
                    last = last.next();
                    let primary = seats.iter().find(|seat| seat.id == primary).unwrap_or(one);
                    GroupInfo::new(last, group.name.clone(), members, primary)
                }
            };
            let rf = seed.options.copies_of(info.members.len());
            groups.push(GroupInfo { mirror: seed.options.mirror, rf, ..info });
        }
        if own.is_some() {
            return Err(CatalogueError::OutOfRange {
                what: format!(
                    "the number of the layout's groups that node {} leads, which holds data,",
                    one.id
                ),
                got: 0,
                allowed: "one or more".to_owned(),
            });
        }
        Ok(groups)
    }
}

/// The group of the one with copies that have everything before them.
fn extended(present: &GroupInfo, name: String, members: Vec<NodeId>) -> GroupInfo {
    let added = members.iter().filter(|member| !present.members.contains(member));
    GroupInfo {
        name,
        stale: added.map(|member| (*member, StaleReason::Added)).collect(),
        version: present.version + 1,
        members,
        ..present.clone()
    }
}

/// The number that a node of the layout has here.
fn number(seats: &[NodeInfo], of_layout: NodeId) -> Result<NodeId, CatalogueError> {
    let place = usize::try_from(of_layout.get()).ok().and_then(|number| number.checked_sub(1));
    let found = place.and_then(|place| seats.get(place));
    found.map(|seat| seat.id).ok_or(CatalogueError::NodeNotFound { node: of_layout })
}
