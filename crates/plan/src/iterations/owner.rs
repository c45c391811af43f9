//! Who was granted a batch: the node that is to deliver it or to give it back.
//!
//! ```text
//! owner = varint node, varint incarnation, varint ticket
//! ```

use crate::iterations::bytes::{read_varint, write_varint};
use lavandin_types::NodeId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Zero where nobody is known.
    pub node: NodeId,
    /// Which start of the node: one that was started since knows nothing of the batch.
    pub incarnation: u64,
    /// The node's own number for the request, which tells it from all others of this start.
    pub ticket: u64,
}

impl Owner {
    /// Of grants from before owners were written down.
    pub const NOBODY: Self = Self { node: NodeId::ZERO, incarnation: 0, ticket: 0 };

    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        [self.node.get(), self.incarnation, self.ticket].into_iter().for_each(|part| write_varint(out, part));
    }

    pub(crate) fn decode(rest: &mut &[u8]) -> Option<Self> {
        let (node, incarnation) = (NodeId::new(read_varint(rest)?), read_varint(rest)?);
        Some(Self { node, incarnation, ticket: read_varint(rest)? })
    }
}
