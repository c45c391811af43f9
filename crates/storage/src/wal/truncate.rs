//! Taking frames off the end of a log again: what a deposed primary had logged and nobody else acknowledged.
//!
//! Newest first, each step durable before the next, so that a crash in between leaves a shorter or the same log and
//! never one with a hole: whole segment files are removed, then the one that holds the new end is cut there.

use super::segment::{Item, SegmentReader};
use super::{Active, Sealed, Wal};
use crate::StorageError;
use lavandin_types::SequenceNumber;

impl Wal {
    /// Removes every frame behind `last`, durably, those not yet written too. A log that keeps none may go on with any
    /// sequence number. Readers made before must not be used any more. After a failure the log must be opened again.
    pub fn truncate_back(&mut self, last: SequenceNumber) -> Result<(), StorageError> {
        self.check_usable()?;
        self.discard();
        let result = self.remove_behind(last).and_then(|()| self.cut_behind(last));
        self.next = self.active.as_ref().map(|active| active.next);
        self.keep_failure(result)
    }

    /// Removes the segment files that begin behind `last`.
    fn remove_behind(&mut self, last: SequenceNumber) -> Result<(), StorageError> {
        while let Some(active) = self.active.take_if(|active| active.first > last) {
            self.directory.remove(&self.path(active.first))?;
            self.directory.sync_dir(&self.folder)?;
            if let Some(Sealed { first, bytes }) = self.sealed.pop_back() {
                let file = self.directory.open(&self.path(first))?;
                self.active = Some(Active { first, end: bytes, next: active.first, unsynced: false, file });
            }
        }
        // What comes next need not go on from those that are still to be removed.
        while self.active.is_none()
            && let Some(doomed) = self.doomed.pop_back()
        {
            self.remove_if_there(doomed.first)?;
            self.directory.sync_dir(&self.folder)?;
        }
        Ok(())
    }

    /// Cuts the last segment file behind the frame `last`.
    fn cut_behind(&mut self, last: SequenceNumber) -> Result<(), StorageError> {
        let path = self.active.as_ref().map(|active| self.path(active.first)).unwrap_or_default();
        let Some(active) = self.active.as_mut().filter(|active| active.next > last.next()) else {
            return Ok(());
        };
        let mut reader = SegmentReader::open(&*self.directory, path, active.first)?;
        reader.end = reader.end.min(active.end);
        if !reader.read_header()? {
            return Err(reader.damaged("segment header is not valid"));
        }
        while reader.next <= last {
            match reader.next_item()? {
                Item::Frame(_) | Item::Mark(_) => {}
                Item::End => return Err(reader.damaged("the file is shorter than written")),
                Item::Invalid(what) => return Err(reader.damaged(what)),
            }
        }
        active.file.truncate(reader.position)?;
        active.file.sync()?;
        (active.end, active.next, active.unsynced) = (reader.position, last.next(), false);
        active.mark()
    }
}
