//! The node that does the cluster's chores: what the documents call the leader coordinator and the head.
//!
//! It is written in the catalogue, so that every node names the same one; its epoch rises whenever it moves. A live
//! coordinator comes before any other node. Each chore's result is a compare-and-set, so two nodes that believe to be
//! it do no harm.

use crate::form;
use lavandin_types::NodeId;
use serde::{Deserialize, Serialize};

/// Who does the chores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoresNode {
    #[serde(with = "form::node_id")]
    pub node: NodeId,
    /// From 1; rises each time that the chores move.
    pub epoch: u64,
}
