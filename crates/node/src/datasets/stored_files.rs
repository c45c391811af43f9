//! Manifests and their indexes on other nodes. Each file is immutable and known by its name, so that any node that has it
//! will do: the members of the dataset's group are asked first, then the others.

use crate::datasets::peer_calls::{DatasetPeers, FilePiece, FileRequest};
use crate::error::NodeError;
use bytes::Bytes;
use lavandin_types::{ErrorCode, NodeId, ShardsetId};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long one part may take.
const PIECE_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct StoredFiles {
    peers: Option<(DatasetPeers, Handle)>,
}

impl StoredFiles {
    pub(crate) fn new(peers: DatasetPeers, handle: Handle) -> Self {
        Self { peers: Some((peers, handle)) }
    }

    /// Where there is nobody else.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { peers: None }
    }

    /// Has a file copied from one node after the other until one of them has it whole. Blocks.
    pub(crate) fn first_of(
        &self,
        name: &str,
        copy: impl Fn(Pieces) -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let nowhere = |asked: &str| {
            NodeError::Manifest(format!(
                "{name} is not here{asked}; sync its shardset again with overwrite to write it anew"
            ))
        };
        let Some((peers, handle)) = &self.peers else { return Err(nowhere("")) };
        let others = peers.others(&members(peers, name));
        let mut reasons = Vec::new();
        for node in &others {
            let mut pieces = Pieces {
                peers: peers.clone(),
                handle: handle.clone(),
                node: *node,
                name: name.to_owned(),
                next: Next::At(0),
            };
            let copied = pieces.read(0).and_then(|first| {
                pieces.next = Next::Got(first);
                copy(pieces)
            });
            match copied {
                Ok(()) => return Ok(()),
                Err(error) if error.code() == ErrorCode::NotFound => {}
                Err(error) => reasons.push(peers.told(*node, &error)),
            }
        }
        match reasons.is_empty() {
            true if others.is_empty() => Err(nowhere("")),
            true => Err(nowhere(", nor on any other node")),
            false => Err(NodeError::Unavailable(format!(
                "{name} is not here, and not all nodes that may have it can be asked ({}); try again when they are back",
                reasons.join("; ")
            ))),
        }
    }
}

/// The nodes that keep what belongs to a shardset.
fn members(peers: &DatasetPeers, name: &str) -> Vec<NodeId> {
    let catalogue = peers.catalogue();
    let is_its = |shardset: ShardsetId| name.starts_with(&format!("{shardset}-"));
    let dataset =
        catalogue.datasets().find(|dataset| dataset.shardsets.iter().any(|shardset| is_its(shardset.id)));
    let group = dataset.and_then(|dataset| catalogue.group(dataset.group));
    group.map_or_else(Vec::new, |group| group.in_sync.keys().copied().collect())
}

/// A file's parts, from one node.
pub(crate) struct Pieces {
    peers: DatasetPeers,
    handle: Handle,
    node: NodeId,
    name: String,
    next: Next,
}

enum Next {
    At(u64),
    Got(FilePiece),
    End,
}

impl Pieces {
    fn read(&self, offset: u64) -> Result<FilePiece, NodeError> {
        let request = FileRequest::Stored { name: self.name.clone(), offset };
        self.handle.block_on(self.peers.piece(self.node, &request, PIECE_PATIENCE))
    }
}

impl Iterator for Pieces {
    type Item = Result<Bytes, NodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (offset, piece) = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return None,
            Next::Got(piece) => (0, Ok(piece)),
            Next::At(offset) => (offset, self.read(offset)),
        };
        Some(piece.and_then(|piece| {
            let end = offset + piece.bytes.len() as u64;
            if piece.bytes.is_empty() && end < piece.length {
                return Err(NodeError::Unavailable(format!(
                    "node {} sent nothing of {}",
                    self.node, self.name
                )));
            }
            self.next = if end < piece.length { Next::At(end) } else { Next::End };
            Ok(piece.bytes)
        }))
    }
}
