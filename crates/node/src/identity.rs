//! Who a data directory is: its store id, drawn once, and its place in a cluster, once it was adopted by one.
//!
//! `identity` holds the store id and the node's number (24 bytes). `seat` (JSON) is written when a cluster adopts
//! the directory: from then on it is a member of that cluster, with the number that is in there. What the directory
//! held as a node of its own, which was nothing, is removed before it is opened again. A seat that is given up ends that,
//! with all that the member held (`copied`).

use crate::error::NodeError;
use crate::groups::CopyStore;
use lavandin_cluster::LayoutSeed;
use lavandin_storage::{Directory, atomic_write, read_checked};
use lavandin_types::{ClusterId, NodeId, StoreId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

const FILE: &str = "identity";
const SEAT: &str = "seat";
/// What a node alone makes before it holds anything, besides its copy of the first group.
const METADATA: &str = "metadata";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub store: StoreId,
    pub node: NodeId,
    pub seat: Option<Seat>,
}

/// A place in a cluster, as whoever adopted the node told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seat {
    pub node: u64,
    /// Where others reach this node; as the catalogue has it.
    pub address: String,
    /// Nodes that know the cluster, by number; where it is being founded, its first voters.
    pub known: BTreeMap<u64, String>,
    /// The cluster to form, for those who found it.
    pub seed: Option<LayoutSeed>,
    /// What the directory held before was removed.
    #[serde(default)]
    pub moved_in: bool,
    /// The directory is a copy and begins anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
}

/// Reads the identity of a data directory, or gives a new directory one. Durable on return.
pub(crate) fn load_or_create(
    directory: &dyn Directory,
    path: &Path,
    copies: &dyn CopyStore,
) -> Result<Identity, NodeError> {
    // An earlier process may have ended before the names of these files were durable.
    directory.sync_dir("")?;
    let (store, node) = own(directory)?;
    if !directory.exists(SEAT)? {
        return Ok(Identity { store, node, seat: None });
    }
    let bytes = read_checked(directory, SEAT)?;
    let mut seat: Seat = serde_json::from_slice(&bytes)
        .map_err(|_| NodeError::Internal("the seat file cannot be read by this version"))?;
    if seat.given_up {
        return begin_anew(directory, path, copies);
    }
    if !seat.moved_in {
        clear(path, copies)?;
        seat.moved_in = true;
        store_seat(directory, &seat)?;
    }
    Ok(Identity { store, node: NodeId::new(seat.node), seat: Some(seat) })
}

/// Makes the directory of a member that of an empty node of another store. Durable on return, and finished by the next
/// opening if it is interrupted.
pub(crate) fn give_up_seat(
    directory: &dyn Directory,
    (path, copies): (&Path, &dyn CopyStore),
    seat: Seat,
) -> Result<Identity, NodeError> {
    store_seat(directory, &Seat { given_up: true, ..seat })?;
    begin_anew(directory, path, copies)
}

/// The seat goes last: as long as it is there, all of this is done again.
fn begin_anew(directory: &dyn Directory, path: &Path, copies: &dyn CopyStore) -> Result<Identity, NodeError> {
    clear(path, copies)?;
    let (store, node) = draw(directory)?;
    directory.remove(SEAT)?;
    directory.sync_dir("")?;
    Ok(Identity { store, node, seat: None })
}

/// Makes the directory a member of a cluster, from its next opening on. Durable on return.
pub(crate) fn store_seat(directory: &dyn Directory, seat: &Seat) -> Result<(), NodeError> {
    let bytes = serde_json::to_vec(seat).map_err(|_| NodeError::Internal("a seat has no JSON"))?;
    Ok(atomic_write(directory, SEAT, &bytes)?)
}

fn own(directory: &dyn Directory) -> Result<(StoreId, NodeId), NodeError> {
    if directory.exists(FILE)? {
        let bytes = read_checked(directory, FILE)?;
        return decode(&bytes)
            .ok_or(NodeError::Internal("the identity file has another length than 24 bytes"));
    }
    draw(directory)
}

fn draw(directory: &dyn Directory) -> Result<(StoreId, NodeId), NodeError> {
    let (store, node) = (StoreId::new(random()?), NodeId::new(1));
    let mut bytes = store.to_le_bytes().to_vec();
    bytes.extend_from_slice(&node.to_le_bytes());
    atomic_write(directory, FILE, &bytes)?;
    Ok((store, node))
}

/// Removes what a node of its own, or a former member, left.
fn clear(path: &Path, copies: &dyn CopyStore) -> Result<(), NodeError> {
    remove_folder(&path.join(METADATA))?;
    copies.remove_all(path)
}

fn remove_folder(folder: &Path) -> Result<(), NodeError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let reason = format!("what was there before cannot be removed: {error}");
            Err(NodeError::DataDirectory { path: folder.to_owned(), reason })
        }
        _ => Ok(()),
    }
}

/// An id for a cluster that is being formed.
pub(crate) fn new_cluster_id() -> Result<ClusterId, NodeError> {
    random().map(ClusterId::new)
}

fn decode(bytes: &[u8]) -> Option<(StoreId, NodeId)> {
    let (store, node) = bytes.split_at_checked(16)?;
    Some((StoreId::from_le_bytes(store.try_into().ok()?), NodeId::from_le_bytes(node.try_into().ok()?)))
}

pub(crate) fn random() -> Result<u128, NodeError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| NodeError::Internal("the system gives no random numbers"))?;
    Ok(u128::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests;
