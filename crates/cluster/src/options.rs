//! Options of the whole cluster, and the times that follow from them.
//!
//! There is one time to choose, how long a node may be silent before it counts as dead (T); all others are functions of
//! it, so that they keep their order: a lease ends (0.6 T) before anybody may be promoted (T), also after a change of
//! the metadata's leader, who waits for a lease and an election first. All are spans of monotonic clocks.

use crate::error::CatalogueError;
use crate::form;
use crate::limit;
use lavandin_types::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The longest that an election of a metadata leader takes to start, in ms; the shortest is half of it.
pub const ELECTION_MS_MAX: u64 = 1_200;
pub const ELECTION_MS_MIN: u64 = 600;

/// What the cluster as a whole was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterOptions {
    /// A node that is silent for so long is dead.
    pub detection_ms: u64,
    /// In-sync copies that a write needs.
    pub min_in_sync: u32,
    /// Metadata voters of a cluster of five nodes and more: 5 or 3.
    pub voters_max: u32,
    /// Nodes that a user pinned as the metadata voters; none to have them chosen.
    #[serde(with = "form::list")]
    pub owners: Vec<NodeId>,
    /// A copy or voter that is dead for so long is replaced where a spare node is there.
    pub replace_after_ms: u64,
    /// Buckets of collections to come.
    pub bucket_count: u16,
    /// Whether replicas of groups to come take part in a write.
    pub mirror: bool,
    /// Copies that each group is to have. The cluster then places copies and groups on its nodes by itself; 0 where people do.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copies: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            detection_ms: 3_000,
            min_in_sync: 1,
            voters_max: 5,
            owners: Vec::new(),
            replace_after_ms: 600_000,
            bucket_count: crate::bucket::BUCKET_COUNT,
            mirror: true,
            copies: 0,
        }
    }
}

impl ClusterOptions {
    /// Refuses values that do not fit together.
    pub(crate) fn check(&self) -> Result<(), CatalogueError> {
        let ranges = [
            ("detection_ms", self.detection_ms, 1_000, 600_000),
            ("min_in_sync", u64::from(self.min_in_sync), 1, limit::COPIES_MAX as u64),
            ("copies", u64::from(self.copies), 0, limit::COPIES_MAX as u64),
            ("replace_after_ms", self.replace_after_ms, 10_000, 30 * 86_400_000),
            ("bucket_count", u64::from(self.bucket_count), 1, u64::from(u16::MAX)),
        ];
        for (what, got, low, high) in ranges {
            check_allowed(what, got, (low..=high).contains(&got), &format!("{low} to {high}"))?;
        }
        let voters = u64::from(self.voters_max);
        check_allowed("voters_max", voters, matches!(voters, 3 | 5), "3 and 5")?;
        let owners = self.owners.len();
        let allowed = owners != 2 && owners <= limit::OWNERS_MAX;
        check_allowed("the number of metadata owners", owners as u64, allowed, "none, one, and 3 to 9")?;
        let mut seen = BTreeSet::new();
        match self.owners.iter().find(|owner| !seen.insert(**owner)) {
            Some(node) => Err(CatalogueError::NodeGivenTwice { node: *node }),
            None => Ok(()),
        }
    }

    /// Copies that a group of so many members is to have.
    pub(crate) fn copies_of(&self, members: usize) -> u32 {
        self.copies.max(members as u32)
    }

    /// How long a primary serves after it *sent* a heartbeat that was answered.
    pub fn lease_ms(&self) -> u64 {
        self.detection_ms / 10 * 6
    }

    /// How long after the last heartbeat *received* of a primary another copy may be promoted.
    pub fn promotion_ms(&self) -> u64 {
        self.detection_ms
    }

    /// How long a new metadata leader waits before it decides on anybody's silence: the leases that its predecessor
    /// granted until an election earlier end first.
    pub fn new_leader_ms(&self) -> u64 {
        self.lease_ms() + ELECTION_MS_MAX
    }

    /// The time between two heartbeats of a node: a lease lasts over the loss of two.
    pub fn heartbeat_ms(&self) -> u64 {
        (self.detection_ms / 6).min(500)
    }

    /// How long a primary waits for a replica's acknowledgement before it proposes to go on without it: well below
    /// the lease, so that the change is known before the lease ends.
    pub fn replica_silence_ms(&self) -> u64 {
        self.detection_ms / 10 * 4
    }
}

/// The parts of `Command::SetClusterOptions`; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptionsChange {
    pub detection_ms: Option<u64>,
    pub min_in_sync: Option<u32>,
    pub voters_max: Option<u32>,
    /// Empty to have them chosen again.
    #[serde(with = "form::optional_list")]
    pub owners: Option<Vec<NodeId>>,
    pub replace_after_ms: Option<u64>,
}

impl OptionsChange {
    pub(crate) fn applied_to(self, present: &ClusterOptions) -> ClusterOptions {
        ClusterOptions {
            detection_ms: self.detection_ms.unwrap_or(present.detection_ms),
            min_in_sync: self.min_in_sync.unwrap_or(present.min_in_sync),
            voters_max: self.voters_max.unwrap_or(present.voters_max),
            owners: self.owners.unwrap_or_else(|| present.owners.clone()),
            replace_after_ms: self.replace_after_ms.unwrap_or(present.replace_after_ms),
            ..*present
        }
    }
}

fn check_allowed(what: &str, got: u64, is_allowed: bool, allowed: &str) -> Result<(), CatalogueError> {
    if is_allowed {
        return Ok(());
    }
    Err(CatalogueError::OutOfRange { what: what.to_owned(), got, allowed: allowed.to_owned() })
}

#[cfg(test)]
mod tests;
