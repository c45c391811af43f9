//! Shard groups as the catalogue holds them.
//!
//! Every member of a group is exactly one of: *in sync* (it holds every acknowledged write), *joining* (one at a time;
//! the primary ships to it and proposes to grow the in-sync set by it), or *stale*. The primary is in sync. Changes are
//! compare-and-sets on [`Revision`]: `epoch` names the session of one primary and rises with each promotion and each
//! restart of a primary, `version` rises with every change. Neither ever falls.
//!
//! A copy that is stale because it is *damaged* may be thrown away by its node, which then begins with an empty one as the
//! same incarnation; so does a copy that was removed and is added again. Nowhere else a copy loses what it acknowledged
//! without another incarnation, so its admission, or its removal, begins another epoch in that one's place.
//!
//! | Command | Effect on the member |
//! |---|---|
//! | `ShrinkGroup` | in sync, not the primary → stale (`missed_write`, or as given); stale → stale (`damaged`) |
//! | `AddJoiner` | stale → joining, at the registered incarnation; another epoch begins if it was `damaged` |
//! | `DropJoiner` | joining → stale (`missed_write`) |
//! | `GrowGroup` | joining → in sync, if the incarnation is still the registered one |
//! | `Promote` | in sync → primary; the old primary → stale (`former_primary`) |
//! | `ForcePromote` | stale or joining → primary and alone in sync; everyone else → stale; remembered as unclean |
//! | `AddReplica` | absent → stale (`added`) |
//! | `RemoveReplica` | any but the primary → absent, and another epoch begins; the primary → leaving |
//! | `RegisterNode` | see `node_info` |

use crate::form;
use crate::limit;
use lavandin_types::{GroupId, NodeId, PrimaryEpoch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a member weighs in a group's entry.
pub(crate) const MEMBER_WEIGHT: u64 = 32;

/// What a change of a group expects it to be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    #[serde(with = "form::primary_epoch")]
    pub epoch: PrimaryEpoch,
    pub version: u64,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.version)
    }
}

/// Why a copy is neither in sync nor joining.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleReason {
    /// It did not acknowledge a write in time.
    #[default]
    MissedWrite,
    /// It restarted, and its log may have lost its tail, or it was joining.
    Restarted,
    /// Its disk is new.
    NewStore,
    /// It reported damage.
    Damaged,
    /// It led the group before another copy was promoted.
    FormerPrimary,
    /// It was added and never in sync.
    Added,
}

impl StaleReason {
    /// The words in replies.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::MissedWrite => "it missed a write",
            Self::Restarted => "it restarted before it had caught up",
            Self::NewStore => "its disk is new",
            Self::Damaged => "it reported damage",
            Self::FormerPrimary => "it was the primary until another copy was promoted",
            Self::Added => "it was added and has not caught up yet",
        }
    }
}

/// The copy that catches up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joiner {
    #[serde(with = "form::node_id")]
    pub node: NodeId,
    /// The incarnation that joins; another one starts over.
    pub incarnation: u64,
}

/// A promotion that may have lost acknowledged writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UncleanPromotion {
    /// The first epoch after the loss.
    #[serde(with = "form::primary_epoch")]
    pub epoch: PrimaryEpoch,
    #[serde(with = "form::node_id")]
    pub primary: NodeId,
}

/// What a member of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    InSync,
    Joining,
    Stale(StaleReason),
}

/// A shard group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupInfo {
    #[serde(with = "form::group_id")]
    pub id: GroupId,
    pub name: String,
    /// In the order in which they were given; the first to be preferred where nothing else decides.
    #[serde(with = "form::list")]
    pub members: Vec<NodeId>,
    #[serde(with = "form::node_id")]
    pub primary: NodeId,
    /// 0 until the first primary of a static layout has registered.
    #[serde(with = "form::primary_epoch")]
    pub epoch: PrimaryEpoch,
    pub version: u64,
    /// The copies that hold every acknowledged write, each with the incarnation of which that is known.
    #[serde(with = "form::pairs")]
    pub in_sync: BTreeMap<NodeId, u64>,
    #[serde(default)]
    pub joiner: Option<Joiner>,
    /// All other members.
    #[serde(default, with = "form::pairs")]
    pub stale: BTreeMap<NodeId, StaleReason>,
    /// Members that go once enough others are in sync.
    #[serde(default, with = "form::set")]
    pub leaving: BTreeSet<NodeId>,
    /// How many copies are wanted.
    #[serde(default = "one")]
    pub rf: u32,
    /// Whether replicas take part in a write (`write_mirror_replicas`). If not, the in-sync set is the primary alone.
    #[serde(default = "yes")]
    pub mirror: bool,
    /// The last in-sync copy restarted and may have lost acknowledged writes that another member still holds: nothing
    /// is served until that is decided.
    #[serde(default)]
    pub suspect: bool,
    /// The last [`limit::UNCLEAN_MAX`] of them, oldest first.
    #[serde(default)]
    pub unclean: Vec<UncleanPromotion>,
}

const fn one() -> u32 {
    1
}

const fn yes() -> bool {
    true
}

impl GroupInfo {
    pub fn revision(&self) -> Revision {
        Revision { epoch: self.epoch, version: self.version }
    }

    /// What a node is to the group; `None` if it is no member.
    pub fn state_of(&self, node: NodeId) -> Option<CopyState> {
        if self.in_sync.contains_key(&node) {
            return Some(CopyState::InSync);
        }
        if self.joiner.is_some_and(|joiner| joiner.node == node) {
            return Some(CopyState::Joining);
        }
        self.stale.get(&node).copied().map(CopyState::Stale)
    }

    /// In-sync copies that stay.
    pub fn in_sync_to_stay(&self) -> impl Iterator<Item = NodeId> {
        self.in_sync.keys().copied().filter(|node| !self.leaving.contains(node))
    }

    /// Members that stay.
    pub fn members_to_stay(&self) -> impl Iterator<Item = NodeId> {
        self.members.iter().copied().filter(|node| !self.leaving.contains(node))
    }

    /// Whether the primary should stop serving so that another copy takes over: it is leaving, and enough others are
    /// in sync. A node that finds this of itself stops first and then reports `CopyReport::yields`, so that no read
    /// is served by two primaries.
    pub fn should_yield(&self) -> bool {
        let staying = self.in_sync_to_stay().count();
        self.leaving.contains(&self.primary) && staying > 0 && staying >= self.rf as usize
    }

    pub(crate) fn weight(&self) -> u64 {
        limit::ENTRY_WEIGHT + self.name.len() as u64 + MEMBER_WEIGHT * self.members.len() as u64
    }
}
