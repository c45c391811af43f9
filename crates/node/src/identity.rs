//! Who a data directory is: its store id, drawn once, and the number of the node that lives in it.

use crate::error::NodeError;
use lavandin_storage::{Directory, atomic_write, read_checked};
use lavandin_types::{ClusterId, NodeId, StoreId};

const FILE: &str = "identity";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub store: StoreId,
    pub node: NodeId,
}

/// Reads the identity of a data directory, or gives a new directory one. Durable on return.
pub(crate) fn load_or_create(directory: &dyn Directory) -> Result<Identity, NodeError> {
    if directory.exists(FILE)? {
        let bytes = read_checked(directory, FILE)?;
        return decode(&bytes)
            .ok_or(NodeError::Internal("the identity file has another length than 24 bytes"));
    }
    let identity = Identity { store: StoreId::new(random()?), node: NodeId::new(1) };
    let mut bytes = identity.store.to_le_bytes().to_vec();
    bytes.extend_from_slice(&identity.node.to_le_bytes());
    atomic_write(directory, FILE, &bytes)?;
    Ok(identity)
}

/// An id for a cluster that is being formed.
pub(crate) fn new_cluster_id() -> Result<ClusterId, NodeError> {
    random().map(ClusterId::new)
}

fn decode(bytes: &[u8]) -> Option<Identity> {
    let (store, node) = bytes.split_at_checked(16)?;
    Some(Identity {
        store: StoreId::from_le_bytes(store.try_into().ok()?),
        node: NodeId::from_le_bytes(node.try_into().ok()?),
    })
}

pub(crate) fn random() -> Result<u128, NodeError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| NodeError::Internal("the system gives no random numbers"))?;
    Ok(u128::from_le_bytes(bytes))
}
