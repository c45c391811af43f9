//! A snapshot as whoever carries it sees it: where it stands, and the consumer's payload. Only `install_snapshot` looks
//! at the rest.

use crate::checkpoint::{self, CheckpointHeader, Loaded};
use crate::error::GroupError;
use crate::position::Position;
use lavandin_storage::{Directory, StorageError};
use lavandin_types::GroupId;

/// How often the newest checkpoint is looked for again where a newer one has just replaced it.
const ATTEMPTS: usize = 5;

/// A snapshot in parts.
pub struct Snapshot {
    header: CheckpointHeader,
    pub payload: Vec<u8>,
}

impl Snapshot {
    /// The newest intact checkpoint of a copy; `None` without one. The copy may be at work meanwhile.
    pub fn newest(directory: &dyn Directory, group: GroupId) -> Result<Option<Self>, GroupError> {
        let mut attempt = 1;
        loop {
            match checkpoint::load(directory, group, usize::MAX, |_| true) {
                Err(GroupError::Storage(StorageError::NotFound { .. })) if attempt < ATTEMPTS => attempt += 1,
                found => return found.map(|found| found.loaded.map(Self::of)),
            }
        }
    }

    /// From the bytes of `encode`, or of `CheckpointHeader::encode_with`.
    pub fn decode(bytes: &[u8], group: GroupId) -> Result<Self, GroupError> {
        checkpoint::decode(bytes, "the snapshot", group, usize::MAX, |_| true).map(Self::of)
    }

    /// The bytes that a copy is given.
    pub fn encode(&self, group: GroupId) -> Vec<u8> {
        self.header.encode_with(group, &self.payload)
    }

    /// The last record in it.
    pub fn position(&self) -> Position {
        self.header.position
    }

    fn of(loaded: Loaded) -> Self {
        let mut requests = Vec::new();
        loaded.requests.encode(&mut requests);
        let header = CheckpointHeader {
            position: loaded.position,
            detached: loaded.detached,
            epochs: loaded.epochs,
            requests,
            logged_bytes: 0,
        };
        Self { header, payload: loaded.payload }
    }
}
