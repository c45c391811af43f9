//! Replacing a copy by a snapshot of another one.
//!
//! 1. The snapshot's checkpoint is made durable, marked as detached. From here on it counts, whatever the log holds.
//! 2. The log is removed, newest file first. A start that finds a detached checkpoint and a log that begins at or before
//!    it does the rest.
//! 3. Older checkpoints are removed.

use super::GroupCopy;
use crate::checkpoint::{self, CheckpointHeader, Loaded};
use crate::consumer::Consumer;
use crate::error::GroupError;
use lavandin_types::{GroupId, SequenceNumber};
use std::fmt::Display;

/// Names a snapshot's bytes in errors.
const SNAPSHOT: &str = "the snapshot";

impl CheckpointHeader {
    /// A snapshot's bytes: those of a checkpoint file.
    pub fn encode_with(&self, group: GroupId, payload: &[u8]) -> Vec<u8> {
        checkpoint::encode(group, self, payload)
    }
}

impl<C: Consumer> GroupCopy<C> {
    /// Becomes the copy that a snapshot was taken of, by the bytes of `CheckpointHeader::encode_with`. `make` builds the
    /// consumer from its payload; files that it needs are in place by then. The promise stays.
    ///
    /// Refuses a snapshot that is not ahead of what is applied here. After any other failure the copy must be opened
    /// again, and is then the old one or the new one.
    pub fn install_snapshot<E: Display>(
        &mut self,
        snapshot: &[u8],
        make: impl FnOnce(&[u8]) -> Result<C, E>,
    ) -> Result<(), GroupError> {
        self.check_poison()?;
        let group = self.options.group;
        let is_outcome = |bytes: &[u8]| C::decode_outcome(bytes).is_some();
        let entries_max = self.options.request_table_entries;
        let loaded = checkpoint::decode(snapshot, SNAPSHOT, group, entries_max, is_outcome)?;
        if loaded.position.sequence <= self.committed {
            return Err(GroupError::BrokenShipment { group, what: "the snapshot is not ahead of this copy" });
        }
        self.follow();
        let consumer = make(&loaded.payload).map_err(|error| GroupError::Consumer(error.to_string()))?;
        self.replace(loaded, consumer).map_err(|error| self.poisoned_by(error))
    }

    fn replace(&mut self, loaded: Loaded, consumer: C) -> Result<(), GroupError> {
        let mut requests = Vec::new();
        loaded.requests.encode(&mut requests);
        let header = CheckpointHeader {
            position: loaded.position,
            detached: true,
            epochs: loaded.epochs.clone(),
            requests,
            logged_bytes: self.logged_bytes,
        };
        checkpoint::store(&*self.directory, self.options.group, &header, &loaded.payload)?;
        self.log.clear_to(loaded.position, loaded.epochs)?;
        checkpoint::remove_older(&*self.directory, loaded.position.sequence)?;
        (self.consumer, self.requests) = (consumer, loaded.requests);
        (self.applied, self.committed) = (loaded.position, loaded.position.sequence);
        (self.detached, self.pin) = (true, None);
        self.checkpointed_bytes = self.logged_bytes;
        Ok(())
    }

    /// The record that the log goes on from, if the log before it is gone: the newest checkpoint's.
    pub fn checkpointed(&self) -> SequenceNumber {
        self.log.floor.sequence
    }
}
