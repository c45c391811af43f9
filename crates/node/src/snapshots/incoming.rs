//! The files of a snapshot that is being fetched, on this copy's disk.
//!
//! They are gathered in the folder that the snapshot's payload names, which no state has used before. A file grows as
//! `<name>.<checksum>.part`; once all of it is there it is synced, read against its checksum, and renamed. So whatever
//! has its name is whole, and what an attempt leaves is of use to the next one: in the same folder if it is given the same
//! snapshot, else taken over from the folder of the earlier one. Files that the copy's present state has are copied.

use crate::snapshots::SnapshotError;
use lavandin_shard::{SegmentFile, remove_segment_folder, segment_folder, segment_folders};
use lavandin_storage::{Directory, StorageError};
use lavandin_types::SequenceNumber;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes that are copied from one file to another at a time.
const COPY_BYTES: usize = 1 << 20;

#[derive(Clone)]
pub(super) struct Incoming {
    pub directory: Arc<dyn Directory>,
    /// The number of the snapshot's folder.
    pub folder: SequenceNumber,
    /// That of the state that the copy has now.
    pub live: SequenceNumber,
}

/// A file that is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// Its number in the offer, from 0.
    pub index: usize,
    pub file: SegmentFile,
    /// So much of it is.
    pub present: u64,
}

/// Removes what fetches left that are not needed any more, because the log has brought the copy up to date. `live` is the
/// folder of its state; no fetch is under way.
pub(crate) fn discard_unfinished(
    directory: &dyn Directory,
    live: SequenceNumber,
) -> Result<(), StorageError> {
    let folders = segment_folders(directory)?;
    let mut unfinished = folders.into_iter().filter(|folder| *folder > live);
    unfinished.try_for_each(|folder| remove_segment_folder(directory, folder))
}

impl Incoming {
    /// Makes the folder, takes over what is on this disk, and removes what the snapshot does not name.
    pub(super) fn prepare(&self, files: &[SegmentFile]) -> Result<Vec<Missing>, SnapshotError> {
        self.directory.create_dir_all(&segment_folder(self.folder))?;
        for folder in segment_folders(&*self.directory)? {
            if folder > self.live && folder != self.folder {
                self.take_over(folder, files)?;
            }
        }
        self.remove_strangers(files)?;
        self.missing(files)
    }

    /// The files that are not whole. Those that are were read against their checksums.
    pub(super) fn missing(&self, files: &[SegmentFile]) -> Result<Vec<Missing>, SnapshotError> {
        let mut missing = Vec::new();
        for (index, file) in files.iter().enumerate() {
            if let Some(present) = self.present(file)? {
                missing.push(Missing { index, file: *file, present });
            }
        }
        Ok(missing)
    }

    /// Appends to a file; `true` once all of it is there.
    pub(super) fn write(&self, file: &SegmentFile, offset: u64, bytes: &[u8]) -> Result<bool, SnapshotError> {
        let part = self.part(file);
        let mut target = match offset {
            0 => self.recreate(&part)?,
            _ => self.directory.open(&part)?,
        };
        target.write_at(offset, bytes)?;
        Ok(offset + bytes.len() as u64 == file.bytes)
    }

    /// Makes a file that is all there count; `false`, and the file is gone, if it is not what was offered.
    pub(super) fn finish(&self, file: &SegmentFile) -> Result<bool, SnapshotError> {
        let part = self.part(file);
        self.directory.open(&part)?.sync()?;
        if !file.check(&self.directory.map(&part)?) {
            self.directory.remove(&part)?;
            return Ok(false);
        }
        self.directory.rename(&part, &file.path(self.folder))?;
        Ok(true)
    }

    /// Makes durable what there is of a file.
    pub(super) fn sync_part(&self, file: &SegmentFile) -> Result<(), SnapshotError> {
        Ok(self.directory.open(&self.part(file))?.sync()?)
    }

    /// Makes the names of all files durable.
    pub(super) fn sync(&self) -> Result<(), SnapshotError> {
        Ok(self.directory.sync_dir(&segment_folder(self.folder))?)
    }

    /// Gives the space back.
    pub(super) fn discard(&self) {
        if let Err(error) = remove_segment_folder(&*self.directory, self.folder) {
            tracing::warn!(%error, "what was fetched of a snapshot could not be removed");
        }
    }

    /// `None` for a file that is whole, else how much of it is there.
    fn present(&self, file: &SegmentFile) -> Result<Option<u64>, SnapshotError> {
        let path = file.path(self.folder);
        if self.directory.exists(&path)? {
            if file.check(&self.directory.map(&path)?) {
                return Ok(None);
            }
            self.directory.remove(&path)?;
        }
        let part = self.part(file);
        let length = if self.directory.exists(&part)? { self.directory.len(&part)? } else { 0 };
        if length >= file.bytes {
            return Ok((!self.finish(file)?).then_some(0));
        }
        if length == 0 && self.copy_live(file)? {
            return Ok((!self.finish(file)?).then_some(0));
        }
        Ok(Some(length))
    }

    /// Copies a file that the present state has alike.
    fn copy_live(&self, file: &SegmentFile) -> Result<bool, SnapshotError> {
        let path = file.path(self.live);
        if !self.directory.exists(&path)? {
            return Ok(false);
        }
        // A job may remove it at any time.
        let Ok(source) = self.directory.map(&path) else { return Ok(false) };
        if !file.check(&source) {
            return Ok(false);
        }
        let mut target = self.recreate(&self.part(file))?;
        for (number, bytes) in source.chunks(COPY_BYTES).enumerate() {
            target.write_at((number * COPY_BYTES) as u64, bytes)?;
        }
        Ok(true)
    }

    /// Moves what an attempt at another snapshot left of these files, and removes the rest of it.
    fn take_over(&self, folder: SequenceNumber, files: &[SegmentFile]) -> Result<(), SnapshotError> {
        for file in files {
            let names = [(file.path(folder), file.path(self.folder)), (part(file, folder), self.part(file))];
            for (from, to) in names {
                if self.directory.exists(&from)? && !self.directory.exists(&to)? {
                    self.directory.rename(&from, &to)?;
                }
            }
        }
        self.sync()?;
        Ok(remove_segment_folder(&*self.directory, folder)?)
    }

    fn remove_strangers(&self, files: &[SegmentFile]) -> Result<(), SnapshotError> {
        let named: BTreeSet<_> =
            files.iter().flat_map(|file| [file.path(self.folder), self.part(file)]).collect();
        let folder = segment_folder(self.folder);
        for name in self.directory.list(&folder)? {
            let path = format!("{folder}/{name}");
            if !named.contains(&path) {
                self.directory.remove(&path)?;
            }
        }
        Ok(())
    }

    fn recreate(&self, path: &str) -> Result<Box<dyn lavandin_storage::File>, StorageError> {
        if self.directory.exists(path)? {
            self.directory.remove(path)?;
        }
        self.directory.create(path)
    }

    fn part(&self, file: &SegmentFile) -> String {
        part(file, self.folder)
    }
}

fn part(file: &SegmentFile, folder: SequenceNumber) -> String {
    format!("{}.{:032x}.part", file.path(folder), file.checksum)
}
