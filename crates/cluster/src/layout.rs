//! The static layout of a cluster: what `cluster.json` says, and how it differs from what the metadata holds.
//!
//! Pure: whoever starts a coordinator reads the file. Nodes are numbered by their first place in the file (the primary
//! of the first group, its replicas, the primary of the second group, …), so that every coordinator that reads it forms
//! the same cluster. Once there is metadata, that counts; a later, different layout is only compared with it.

mod compare;
mod parse;

pub use parse::node_uri;

use crate::command::{GroupSeed, LayoutSeed};
use crate::options::ClusterOptions;
use lavandin_types::{ClusterId, ErrorCode, NodeId};
use thiserror::Error;

/// Why a configuration is no layout. The first text is part of the documented interface.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    #[error("cluster config requires at least one shard group")]
    NoGroups,
    #[error("cluster config is not valid JSON of the documented form: {reason}")]
    Malformed { reason: String },
    #[error("cluster config: {place}: {uri:?} is not a URI of the form http://host:port")]
    NotAUri { place: String, uri: String },
    #[error("cluster config: two shard groups are named {name:?}; give each its own name")]
    NameTwice { name: String },
    #[error(
        "cluster config: {name:?} is not a group name of 1 to 128 characters among letters, digits, '.', '_', '-'"
    )]
    NotAName { name: String },
    #[error("cluster config: group {group:?} lists {uri} twice; each copy needs a node of its own")]
    CopyTwice { group: String, uri: String },
    #[error("cluster config: {what}: {got} is more than the {max} allowed")]
    TooMany { what: String, got: usize, max: usize },
    #[error("cluster config: bucket_count is 0; leave it out or give 1 to 65535")]
    NoBuckets,
    #[error("cluster config: the state {state:?} of {uri} is unknown; use \"active\" or \"stale\"")]
    UnknownState { uri: String, state: String },
    #[error("two metadata owners cannot agree when one is lost: give one, or three and more")]
    TwoOwners,
    #[error("the metadata owner {uri} is given twice")]
    OwnerTwice { uri: String },
    #[error(
        "the metadata owner {uri} is not a node of any shard group; choose among the primaries and replicas"
    )]
    UnknownOwner { uri: String },
}

impl LayoutError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

/// A replica as the file lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaLayout {
    pub uri: String,
    /// Whether the file calls it stale. Every replica of a new cluster catches up before it is in sync, so that this
    /// changes nothing today.
    pub stale: bool,
}

/// A shard group as the file lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLayout {
    pub name: String,
    pub primary: String,
    pub replicas: Vec<ReplicaLayout>,
}

impl GroupLayout {
    /// Its URIs, the primary first.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        let replicas = self.replicas.iter().map(|replica| replica.uri.as_str());
        std::iter::once(self.primary.as_str()).chain(replicas)
    }
}

/// A checked `cluster.json`. URIs are without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticLayout {
    pub groups: Vec<GroupLayout>,
    pub bucket_count: u16,
    pub write_mirror_replicas: bool,
    /// `metadata_owners` or `metadata.owners`; none if they are not given.
    pub owners: Vec<String>,
    pub state_path: Option<String>,
    pub shard_api_key: Option<String>,
}

impl StaticLayout {
    /// The nodes' URIs; the first is node 1.
    pub fn nodes(&self) -> Vec<&str> {
        let mut nodes: Vec<&str> = Vec::new();
        for uri in self.groups.iter().flat_map(GroupLayout::uris) {
            if !nodes.contains(&uri) {
                nodes.push(uri);
            }
        }
        nodes
    }

    pub fn node_count(&self) -> usize {
        self.nodes().len()
    }

    /// The number of the node at a URI, with or without a trailing slash.
    pub fn node_at(&self, uri: &str) -> Option<NodeId> {
        let uri = plain(uri);
        let place = self.nodes().iter().position(|node| *node == uri)?;
        Some(NodeId::new(place as u64 + 1))
    }

    /// The members of a group of this layout, the primary first.
    pub fn members_of(&self, group: &GroupLayout) -> Vec<NodeId> {
        group.uris().filter_map(|uri| self.node_at(uri)).collect()
    }

    /// The numbers of metadata owners, which are given by URI: none, one, or three and more.
    pub fn owner_nodes(&self, owners: &[String]) -> Result<Vec<NodeId>, LayoutError> {
        let mut nodes = Vec::new();
        for uri in owners {
            let node = self.node_at(uri).ok_or_else(|| LayoutError::UnknownOwner { uri: uri.clone() })?;
            if nodes.contains(&node) {
                return Err(LayoutError::OwnerTwice { uri: uri.clone() });
            }
            nodes.push(node);
        }
        match nodes.len() {
            2 => Err(LayoutError::TwoOwners),
            got if got > crate::limit::OWNERS_MAX => {
                let what = "metadata owners".to_owned();
                Err(LayoutError::TooMany { what, got, max: crate::limit::OWNERS_MAX })
            }
            _ => Ok(nodes),
        }
    }

    /// What `FormLayout` carries. The layout's own parts take the place of those in `options`; `owners` are the pinned
    /// ones, by URI.
    pub fn seed(
        &self,
        cluster: ClusterId,
        owners: &[String],
        options: ClusterOptions,
    ) -> Result<LayoutSeed, LayoutError> {
        let group = |group: &GroupLayout| {
            let members = self.members_of(group);
            GroupSeed { name: group.name.clone(), primary: members[0], members }
        };
        Ok(LayoutSeed {
            cluster,
            nodes: self.nodes().into_iter().map(str::to_owned).collect(),
            groups: self.groups.iter().map(group).collect(),
            options: ClusterOptions {
                owners: self.owner_nodes(owners)?,
                bucket_count: self.bucket_count,
                mirror: self.write_mirror_replicas,
                ..options
            },
        })
    }
}

/// A URI without what makes no difference.
fn plain(uri: &str) -> &str {
    uri.trim().trim_end_matches('/')
}

#[cfg(test)]
mod tests;
