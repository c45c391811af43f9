//! Changing the cluster's members, as people ask for it: nodes by URI or number, groups by name.
//!
//! Each change is one entry of the metadata's log at most (a new node: two steps that are made up for after a crash).
//! What follows from it, such as copying and handing over, the metadata's leader sees to, so that it is not lost with
//! whoever was asked. Asking for the same change again does no harm.

use crate::cluster_status::ClusterStatus;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use futures_util::future::BoxFuture;
use lavandin_cluster::{
    Catalogue, CatalogueError, Command, GroupInfo, GroupSeed, NodeInfo, NodeRole, OptionsChange, node_uri,
};
use lavandin_consensus::MetadataError;
use lavandin_types::NodeId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the leader's view of who is up is waited for.
const STATUS_MAX: Duration = Duration::from_secs(2);
/// How often a compare-and-set is tried again that missed.
const ATTEMPTS: u32 = 4;

/// A change to make. Nodes are given by URI or number.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberChange {
    /// Takes in the empty data node at a URI. It holds no copies until it is given some.
    AddNode { uri: String },
    /// Adds a shard group for collections to come.
    AddGroup { name: String, primary: String, replicas: Vec<String> },
    /// Adds a copy of a group.
    AddReplica { group: String, node: String },
    /// Moves the copies of one node to another: of one group, or all.
    Replace { old: String, new: String, group: Option<String> },
    /// Moves a node's copies to a spare node and removes the node. With `fewer_copies`, or of one group, nobody takes
    /// them over.
    Remove { node: String, group: Option<String>, fewer_copies: bool },
    /// Makes a copy the primary that may lack acknowledged writes.
    ForcePromote { group: String, node: String },
    /// Changes what the cluster as a whole was told; `None` leaves a part as it is.
    Options { detection_ms: Option<u64>, min_in_sync: Option<u32>, owners: Option<Vec<String>> },
}

/// What was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersChanged {
    /// A sentence.
    pub message: String,
    /// The node that the change was about.
    pub node: Option<u64>,
}

impl Node {
    /// Begins a change of the members; the status tells how far it is.
    pub fn change_members<'a>(
        &'a self,
        context: &'a CallContext,
        change: MemberChange,
    ) -> BoxFuture<'a, Result<MembersChanged, NodeError>> {
        Box::pin(async move {
            if self.metadata.catalogue().cluster().is_none() {
                return Err(NodeError::Refused("this node belongs to no cluster yet".to_owned()));
            }
            self.metadata.read_barrier(left(context)).await?;
            self.begin_change(context, change).await.map_err(|error| match error {
                NodeError::Metadata(MetadataError::Refused(CatalogueError::NotPossible {
                    group,
                    reason,
                })) => {
                    let catalogue = self.metadata.catalogue();
                    let name = catalogue.group(group).map_or("", |info| info.name.as_str());
                    NodeError::Refused(format!("group {name}: {reason}"))
                }
                other => other,
            })
        })
    }

    async fn begin_change(
        &self,
        context: &CallContext,
        change: MemberChange,
    ) -> Result<MembersChanged, NodeError> {
        match change {
            MemberChange::AddNode { uri } => self.add_node(context, &uri).await,
            MemberChange::AddGroup { name, primary, replicas } => {
                self.add_group(context, name, &primary, &replicas).await
            }
            MemberChange::AddReplica { group, node } => {
                let (info, node) = (self.group_named(&group)?, self.node_named(&node)?);
                let (id, number) = (info.id, node.id);
                self.propose_command(
                    context,
                    Command::AddReplica { group: id, node: number, replaces: None },
                )
                .await?;
                said(&node, format!("{} gets a copy of group {group}", place(&node)))
            }
            MemberChange::Replace { old, new, group } => self.replace(context, (&old, &new), group).await,
            MemberChange::Remove { node, group: Some(group), .. } => {
                let (info, node) = (self.group_named(&group)?, self.node_named(&node)?);
                let remove = Command::RemoveReplica { group: info.id, node: node.id };
                self.propose_command(context, remove).await?;
                said(&node, format!("the copy of group {group} on {} goes", place(&node)))
            }
            MemberChange::Remove { node, group: None, fewer_copies } => {
                self.remove_node(context, &node, fewer_copies).await
            }
            MemberChange::ForcePromote { group, node } => self.force_promote(context, &group, &node).await,
            MemberChange::Options { detection_ms, min_in_sync, owners } => {
                let owners = owners.map(|owners| self.nodes_named(&owners)).transpose()?;
                let change = OptionsChange { detection_ms, min_in_sync, owners, ..OptionsChange::default() };
                self.propose_command(context, Command::SetClusterOptions(change)).await?;
                Ok(MembersChanged { message: "the cluster's options are changed".to_owned(), node: None })
            }
        }
    }

    async fn add_node(&self, context: &CallContext, uri: &str) -> Result<MembersChanged, NodeError> {
        let uri = node_uri(uri).ok_or_else(|| {
            NodeError::Invalid(format!("{uri:?} is not a URI of the form http://host:port"))
        })?;
        let (membership, deadline) = (Arc::clone(&self.membership), context.deadline.into());
        let address = uri.clone();
        let adding = self.runtime.spawn(async move { membership.add_node(&address, deadline).await });
        let node = adding.await.map_err(|_| NodeError::Stopping)??;
        let message =
            format!("{uri} is node {node} of the cluster; it holds no copies until it is given some");
        Ok(MembersChanged { message, node: Some(node.get()) })
    }

    async fn add_group(
        &self,
        context: &CallContext,
        name: String,
        primary: &str,
        replicas: &[String],
    ) -> Result<MembersChanged, NodeError> {
        let primary = self.node_named(primary)?;
        let mut members = vec![primary.id];
        members.extend(self.nodes_named(replicas)?);
        let message = format!("group {name} serves collections that are created from now on");
        let seed = GroupSeed { name, members, primary: primary.id };
        self.propose_command(context, Command::AddGroup(seed)).await?;
        said(&primary, message)
    }

    async fn replace(
        &self,
        context: &CallContext,
        (old, new): (&str, &str),
        group: Option<String>,
    ) -> Result<MembersChanged, NodeError> {
        let (old, new) = (self.node_named(old)?, self.node_named(new)?);
        let message = format!("{} takes the copies over from {}", place(&new), place(&old));
        let command = match &group {
            Some(name) => {
                let group = self.group_named(name)?;
                let holds = |node: &NodeInfo| group.members.contains(&node.id);
                match (holds(&old) && !group.leaving.contains(&old.id), holds(&new)) {
                    // It is done, or under way.
                    (false, true) => return said(&new, message),
                    (true, true) => {
                        let reason = format!(
                            "{} holds a copy of group {name} already; choose another node",
                            place(&new)
                        );
                        return Err(NodeError::Refused(reason));
                    }
                    _ => Command::AddReplica { group: group.id, node: new.id, replaces: Some(old.id) },
                }
            }
            None => Command::MoveCopies { from: old.id, to: Some(new.id), retires: false },
        };
        self.propose_command(context, command).await?;
        said(&new, message)
    }

    async fn remove_node(
        &self,
        context: &CallContext,
        node: &str,
        fewer_copies: bool,
    ) -> Result<MembersChanged, NodeError> {
        let Some(info) = self.find_node(node) else {
            // It was removed already, or a number or URI was mistyped: the same to whoever wants it gone.
            return Ok(MembersChanged {
                message: format!("there is no node {node} in the cluster"),
                node: None,
            });
        };
        let catalogue = self.metadata.catalogue();
        let moving = catalogue.groups_of(info.id).filter(|group| !group.leaving.contains(&info.id));
        let names: Vec<&str> = moving.map(|group| group.name.as_str()).collect();
        let mut copies = catalogue.groups_of(info.id);
        let are_placed = !names.is_empty() && copies.all(|group| catalogue.places_beside(info.id, group));
        let to = match names.is_empty() || fewer_copies || are_placed {
            true => None,
            false => {
                let status = self.cluster_status(STATUS_MAX).await;
                let spare = spare(&catalogue, &status, info.id);
                Some(spare.ok_or_else(|| NodeError::Refused(no_spare(&info, &names)))?)
            }
        };
        self.propose_command(context, Command::MoveCopies { from: info.id, to, retires: true }).await?;
        let takes_over = to.and_then(|to| catalogue.node(to)).map(|to| format!(" {} takes over", place(to)));
        said(
            &info,
            format!(
                "{} is removed once its copies are elsewhere;{}",
                place(&info),
                takes_over.unwrap_or_else(|| match are_placed {
                    true => " the other nodes take them over".to_owned(),
                    false => " nobody takes them over".to_owned(),
                })
            ),
        )
    }

    async fn force_promote(
        &self,
        context: &CallContext,
        group: &str,
        node: &str,
    ) -> Result<MembersChanged, NodeError> {
        let node = self.node_named(node)?;
        let mut attempt = 1;
        loop {
            let info = self.group_named(group)?;
            if info.primary == node.id && !info.suspect {
                return said(&node, format!("{} is the primary of group {group}", place(&node)));
            }
            let (id, expected, primary) = (info.id, info.revision(), node.id);
            let promote = Command::ForcePromote { group: id, expected, primary };
            match self.propose_command(context, promote).await {
                Ok(_) => {
                    return said(
                        &node,
                        format!("{} was made the primary of group {group} by force", place(&node)),
                    );
                }
                Err(NodeError::Metadata(MetadataError::Refused(CatalogueError::GroupMoved { .. })))
                    if attempt < ATTEMPTS =>
                {
                    self.metadata.read_barrier(left(context)).await?;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn group_named(&self, name: &str) -> Result<Arc<GroupInfo>, NodeError> {
        let catalogue = self.metadata.catalogue();
        let found = catalogue.groups().find(|group| group.name == name).cloned();
        found.ok_or_else(|| {
            let names: Vec<&str> = catalogue.groups().map(|group| group.name.as_str()).collect();
            NodeError::Refused(format!("there is no shard group {name:?}; there are {}", names.join(", ")))
        })
    }

    fn node_named(&self, name: &str) -> Result<Arc<NodeInfo>, NodeError> {
        self.find_node(name).ok_or_else(|| {
            let reason = format!(
                "there is no node {name:?} in the cluster; add it first (lavandin cluster add-node URI), or see the status for \
                 the nodes that there are"
            );
            NodeError::Refused(reason)
        })
    }

    fn nodes_named(&self, names: &[String]) -> Result<Vec<NodeId>, NodeError> {
        names.iter().map(|name| self.node_named(name).map(|node| node.id)).collect()
    }

    /// Whether the cluster has a node of this number or URI.
    pub fn has_member(&self, name: &str) -> bool {
        self.find_node(name).is_some()
    }

    /// By its number, or by its URI.
    fn find_node(&self, name: &str) -> Option<Arc<NodeInfo>> {
        let catalogue = self.metadata.catalogue();
        match name.trim().parse::<u64>() {
            Ok(number) => catalogue.node(NodeId::new(number)).cloned(),
            Err(_) => catalogue.node_at(&node_uri(name)?).cloned(),
        }
    }
}

fn left(context: &CallContext) -> Duration {
    context.deadline.saturating_duration_since(Instant::now())
}

fn place(node: &NodeInfo) -> String {
    if node.address.is_empty() { format!("node {}", node.id) } else { node.address.clone() }
}

fn said(node: &NodeInfo, message: String) -> Result<MembersChanged, NodeError> {
    Ok(MembersChanged { message, node: Some(node.id.get()) })
}

fn no_spare(node: &NodeInfo, groups: &[&str]) -> String {
    format!(
        "no spare node is there to take over {}'s copies of {}; add one (lavandin cluster add-node URI), name one that \
         holds others (lavandin cluster replace), or ask for fewer copies (--fewer-copies)",
        place(node),
        groups.join(", ")
    )
}

/// A data node that is up and holds nothing.
fn spare(catalogue: &Catalogue, status: &ClusterStatus, beside: NodeId) -> Option<NodeId> {
    let up: BTreeSet<u64> =
        status.nodes.iter().filter(|node| node.state == "up").map(|node| node.node).collect();
    let is_spare = |info: &&Arc<NodeInfo>| {
        info.role == NodeRole::Data
            && info.id != beside
            && !info.retiring
            && up.contains(&info.id.get())
            && catalogue.groups_of(info.id).next().is_none()
    };
    catalogue.nodes().find(is_spare).map(|info| info.id)
}
