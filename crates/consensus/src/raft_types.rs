//! The types that openraft is instantiated with, under the names that this crate uses.

use crate::directory::DirectoryId;
use crate::state_machine::StateMachine;
use lavandin_cluster::{CatalogueError, Command, Reply};
use openraft::alias;
use serde::{Deserialize, Serialize};

/// What applying a command gave.
pub(crate) type Outcome = Result<Reply, CatalogueError>;

/// What the group's membership says of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Where other members reach it; empty for a node that was always alone.
    pub(crate) address: String,
    /// The metadata directory that may answer under its number; absent in what older versions wrote.
    pub(crate) directory: Option<DirectoryId>,
}

openraft::declare_raft_types!(
    /// Commands of the catalogue between voters that are known by number and address.
    pub(crate) TypeConfig: D = Command, R = Outcome, NodeId = u64, Node = Member,
);

pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type LeaderId = alias::LeaderIdOf<TypeConfig>;
pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = alias::SnapshotOf<TypeConfig, Vec<u8>>;
pub(crate) type Payload = openraft::EntryPayload<Command, u64, Member>;
pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
