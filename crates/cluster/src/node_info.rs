//! Nodes as the catalogue holds them, and what a node says of itself when it registers.
//!
//! A node is one data directory (a *store*) and its *incarnations*: every start of a process on that store is another
//! one, numbered by the catalogue. Whether a node is alive is not written here; see `Liveness`.
//!
//! What `RegisterNode` means, in the order in which it is tried:
//!
//! 1. The store is known: its node starts another incarnation, unless the same start registers again, which changes
//!    nothing.
//! 2. The address belongs to a node of the static layout that was never seen: the store takes that seat.
//! 3. The address belongs to a node with another store: the disk behind the address is new. It is another node, which
//!    takes the old one's place in every group as a stale copy; the old node is *lost*. A group that the old node
//!    leads keeps it as the primary, marked as leaving, until another copy is promoted.
//! 4. Otherwise it is a new node without copies.
//!
//! An address belongs to the node that registered it last. Whether the node that held it (or, for a copied data
//! directory, the store) is still alive is asked before the command is proposed: `Supervisor::may_register`.
//!
//! Another incarnation of a node changes its groups, each with a rise of the version (`GroupInfo::reregister`):
//!
//! - a group that it leads gets another epoch: each session of a primary has one of its own, so that nothing that an
//!   earlier session proposed can still commit;
//! - an in-sync copy whose log is intact stays, recorded with the new incarnation;
//! - one whose log may have lost its tail becomes stale; if it leads, the first other in-sync copy is promoted. The
//!   last in-sync copy stays in any case; if another member might hold more, the group is *suspect*: it serves
//!   nothing, and nobody joins it, until that is decided;
//! - a joining copy starts over: it becomes stale.

use crate::form;
use crate::limit;
use lavandin_types::{GroupId, NodeId, StoreId};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! wide {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            pub const fn new(value: u128) -> Self {
                Self(value)
            }

            pub const fn get(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
    };
}

wide!(
    /// One boot of a machine's kernel; 0 where it is not known.
    BootId
);
wide!(
    /// One start of a process, drawn at random by it, so that a registration may be proposed twice; 0 for none.
    StartId
);

/// What a node is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// Holds copies of shard groups.
    #[default]
    Data,
    /// Routes requests and does chores; holds no copies.
    Coordinator,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeInfo {
    #[serde(with = "form::node_id")]
    pub id: NodeId,
    /// `None` for a node of the static layout that never registered.
    #[serde(with = "form::optional")]
    pub store: Option<StoreId>,
    /// From 1, 0 before the first registration; raised by each start of a process on the store.
    pub incarnation: u64,
    /// Where other nodes reach it; empty where it has none (a node alone, a lost one).
    pub address: String,
    #[serde(default)]
    pub role: NodeRole,
    /// The kernel's boot when it registered last.
    #[serde(default, with = "form::boot_id")]
    pub boot_id: BootId,
    /// The start that registered last.
    #[serde(default, with = "form::start_id")]
    pub start_id: StartId,
    /// The highest protocol that its program speaks; 0 for a program that did not say.
    #[serde(default)]
    pub protocol: u32,
    /// Another store took its address: it comes back only if its own store does.
    #[serde(default)]
    pub lost: bool,
    /// It gets no more copies, and is removed once it holds none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retiring: bool,
}

impl NodeInfo {
    /// Whether a process ever registered for it.
    pub fn is_registered(&self) -> bool {
        self.incarnation > 0
    }

    pub(crate) fn weight(&self) -> u64 {
        limit::ENTRY_WEIGHT + self.address.len() as u64
    }
}

/// What a process says of itself when it starts on a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRegistration {
    #[serde(with = "form::store_id")]
    pub store: StoreId,
    pub address: String,
    #[serde(default)]
    pub role: NodeRole,
    #[serde(default, with = "form::boot_id")]
    pub boot_id: BootId,
    #[serde(default, with = "form::start_id")]
    pub start_id: StartId,
    #[serde(default)]
    pub protocol: u32,
    /// The groups of which its copy surely holds every record that it ever acknowledged (see [`is_intact`]); `None`
    /// for all of its copies.
    #[serde(default, with = "form::optional_list")]
    pub intact: Option<Vec<GroupId>>,
}

impl NodeRegistration {
    pub(crate) fn keeps(&self, group: GroupId) -> bool {
        self.intact.as_ref().is_none_or(|groups| groups.contains(&group))
    }
}

/// What a start knows of one copy's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCondition {
    /// It was read to its end and every checksum is right.
    pub verified: bool,
    /// Every acknowledgement waited for a sync.
    pub synced: bool,
}

/// Whether a copy surely holds every record that it acknowledged before the process started: without a sync that is
/// so as long as the same kernel runs. `recorded` is the boot of the node's last registration.
pub fn is_intact(log: LogCondition, recorded: BootId, present: BootId) -> bool {
    let same_boot = recorded == present && present != BootId::default();
    log.verified && (log.synced || same_boot)
}
