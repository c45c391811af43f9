//! The types that openraft is instantiated with, under the names that this crate uses.

use lavandin_cluster::{CatalogueError, Command, Reply};
use openraft::alias;

/// What applying a command gave.
pub(crate) type Outcome = Result<Reply, CatalogueError>;

openraft::declare_raft_types!(
    /// Commands of the catalogue between voters that are known by number and address.
    pub(crate) TypeConfig: D = Command, R = Outcome, NodeId = u64, Node = openraft::BasicNode,
);

pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type LeaderId = alias::LeaderIdOf<TypeConfig>;
pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, openraft::BasicNode>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = alias::SnapshotOf<TypeConfig, Vec<u8>>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
