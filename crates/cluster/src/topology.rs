//! Nodes, shard groups and keys as the catalogue holds them.
//!
//! A group's `epoch` names the reign of its primary and its `version` every change of its members; changes are
//! compare-and-sets on both. Only forming a cluster and registering a node change them so far.

use crate::form;
use crate::limit;
use lavandin_types::{GroupId, NodeId, PrimaryEpoch, StoreId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeInfo {
    #[serde(with = "form::node_id")]
    pub id: NodeId,
    #[serde(with = "form::store_id")]
    pub store: StoreId,
    /// From 1; raised by each registration of the same store: a restart is another incarnation.
    pub incarnation: u64,
    /// Where other nodes reach it; empty where it has none (a node alone).
    pub address: String,
}

impl NodeInfo {
    pub(crate) fn weight(&self) -> u64 {
        limit::ENTRY_WEIGHT + self.address.len() as u64
    }
}

/// A shard group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupInfo {
    #[serde(with = "form::group_id")]
    pub id: GroupId,
    pub name: String,
    #[serde(with = "form::list")]
    pub members: Vec<NodeId>,
    #[serde(with = "form::node_id")]
    pub primary: NodeId,
    #[serde(with = "form::primary_epoch")]
    pub epoch: PrimaryEpoch,
    pub version: u64,
    /// The copies that hold every acknowledged write, each with the incarnation of which that is known.
    #[serde(with = "form::pairs")]
    pub in_sync: BTreeMap<NodeId, u64>,
}

impl GroupInfo {
    pub(crate) fn weight(&self) -> u64 {
        limit::ENTRY_WEIGHT + (self.name.len() + 32 * self.members.len()) as u64
    }
}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    Admin,
    Write,
    Read,
}

/// An API key. The secret itself is never stored, only its SHA-256.
///
/// Nothing here reads a clock: whoever checks a key compares `expires_at_s` with its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// What a client sends before the colon: `la-…`.
    pub id: String,
    #[serde(with = "form::digest")]
    pub secret_hash: [u8; 32],
    pub role: KeyRole,
    #[serde(default)]
    pub note: Option<String>,
    /// A locked key is refused until it is unlocked.
    #[serde(default)]
    pub locked: bool,
    /// Seconds since 1970; `None` for never.
    #[serde(default)]
    pub expires_at_s: Option<u64>,
    #[serde(default)]
    pub created_at_s: u64,
}

impl ApiKey {
    /// Whether it has expired by then.
    pub fn is_expired(&self, now_s: u64) -> bool {
        self.expires_at_s.is_some_and(|end| end <= now_s)
    }

    pub(crate) fn weight(&self) -> u64 {
        let note = self.note.as_ref().map_or(0, String::len);
        limit::ENTRY_WEIGHT + (self.id.len() + note) as u64
    }
}
