//! Who a node says it is, what a connection is for, and which protocol numbers a program speaks.

use lavandin_types::{ClusterId, NodeId, StoreId};

pub(crate) const IDENTITY_BYTES: usize = 48;

/// Who is at the other end. It knows the cluster's secret; that it is the node it says to be rests on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerIdentity {
    /// None before the node was registered.
    pub node: Option<NodeId>,
    /// The registration that this process runs under, 0 before the first.
    pub incarnation: u64,
    pub store: StoreId,
    /// None before the node belongs to a cluster.
    pub cluster: Option<ClusterId>,
}

impl PeerIdentity {
    /// An absent id is written as zero, which no id in use has.
    pub(crate) fn to_bytes(self) -> [u8; IDENTITY_BYTES] {
        let mut bytes = [0; IDENTITY_BYTES];
        bytes[..8].copy_from_slice(&self.node.unwrap_or_default().to_le_bytes());
        bytes[8..16].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store.to_le_bytes());
        bytes[32..].copy_from_slice(&self.cluster.unwrap_or_default().to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; IDENTITY_BYTES]) -> Self {
        let node = NodeId::from_le_bytes(array(bytes, 0));
        let cluster = ClusterId::from_le_bytes(array(bytes, 32));
        Self {
            node: (node != NodeId::ZERO).then_some(node),
            incarnation: u64::from_le_bytes(array(bytes, 8)),
            store: StoreId::from_le_bytes(array(bytes, 16)),
            cluster: (cluster != ClusterId::default()).then_some(cluster),
        }
    }
}

/// `N` bytes from `at`. The callers' offsets are constants within arrays of fixed length.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut found = [0; N];
    found.copy_from_slice(&bytes[at..at + N]);
    found
}

/// What a connection carries. Each target has one connection a class, because a node that has no room for more
/// stops reading, and everything behind the bytes that it does not read waits: heartbeats and votes must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// Small and urgent: heartbeats, votes, routes, metadata.
    Control = 0,
    /// Appends, snapshots.
    Bulk = 1,
    /// Parts of clients' requests. Both sides serve it where they serve their clients.
    Requests = 2,
}

impl Class {
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Control),
            1 => Some(Self::Bulk),
            2 => Some(Self::Requests),
            _ => None,
        }
    }
}

/// The protocol numbers that a program speaks. A connection uses the highest that both speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    pub lowest: u16,
    pub highest: u16,
}

impl Protocols {
    /// The highest number that both speak.
    pub(crate) fn common(self, other: Self) -> Option<u16> {
        let number = self.highest.min(other.highest);
        (number >= self.lowest.max(other.lowest)).then_some(number)
    }
}
