//! The folder of a shard's segment files.
//!
//! A shard that grew by its log alone keeps its files in `segments`. One that was installed from a snapshot keeps them in
//! `segments-<sequence number of the snapshot, 16 hex digits>`: two copies number their segments each for itself, so a
//! snapshot's files must not lie among those of the state that it replaces until it counts. Snapshots only lead forward,
//! so folders with lower numbers than the shard's own are of states that it has left behind; higher ones are of snapshots
//! that are being fetched, and are left alone.

use crate::error::Damage;
use lavandin_storage::{Directory, StorageError};
use lavandin_types::{SegmentId, SequenceNumber};
use std::sync::Arc;

const FIRST: &str = "segments";

/// A folder by its number, in a group's directory.
#[derive(Clone)]
pub(crate) struct SegmentFolder {
    pub(crate) directory: Arc<dyn Directory>,
    /// Of the snapshot that the folder began with; zero without one.
    pub(crate) number: SequenceNumber,
}

/// The name of the folder with that number, in a group's directory.
pub fn segment_folder(number: SequenceNumber) -> String {
    match number {
        SequenceNumber::ZERO => FIRST.to_owned(),
        number => format!("{FIRST}-{:016x}", number.get()),
    }
}

/// The numbers of the folders that are there, ascending.
pub fn segment_folders(directory: &dyn Directory) -> Result<Vec<SequenceNumber>, StorageError> {
    let number = |name: &String| {
        let number = match name.strip_prefix(FIRST)? {
            "" => 0,
            rest => u64::from_str_radix(rest.strip_prefix('-')?, 16).ok()?,
        };
        Some(SequenceNumber::new(number)).filter(|number| segment_folder(*number) == *name)
    };
    let mut numbers: Vec<_> = directory.list("")?.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes a folder and what is in it. No state may need it.
pub fn remove_segment_folder(directory: &dyn Directory, number: SequenceNumber) -> Result<(), StorageError> {
    let folder = segment_folder(number);
    for name in directory.list(&folder)? {
        directory.remove(&format!("{folder}/{name}"))?;
    }
    directory.sync_dir(&folder)?;
    directory.remove_dir(&folder)
}

impl SegmentFolder {
    pub(crate) fn new(directory: Arc<dyn Directory>, number: SequenceNumber) -> Self {
        Self { directory, number }
    }

    pub(crate) fn name(&self) -> String {
        segment_folder(self.number)
    }

    /// The path of a segment's rows, in the group's directory.
    pub(crate) fn rows_path(&self, id: SegmentId) -> String {
        format!("{}/{}", self.name(), rows_file_name(id))
    }

    /// The path of a segment's graph, in the group's directory.
    pub(crate) fn graph_path(&self, id: SegmentId) -> String {
        format!("{}/{}", self.name(), graph_file_name(id))
    }

    /// Makes the folder if it is not there.
    pub(crate) fn create(&self) -> Result<(), Damage> {
        self.directory.create_dir_all(&self.name()).map_err(|error| self.failed(error))
    }

    /// Makes its entries durable.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.directory.sync_dir(&self.name())
    }

    /// Removes all files but those of `kept`: what a crash left of jobs.
    pub(crate) fn remove_strays(&self, kept: impl Iterator<Item = SegmentId>) -> Result<(), Damage> {
        let folder = self.name();
        let kept: std::collections::BTreeSet<_> =
            kept.flat_map(|id| [rows_file_name(id), graph_file_name(id)]).collect();
        for name in self.directory.list(&folder).map_err(|error| self.failed(error))? {
            if !kept.contains(&name) {
                self.directory.remove(&format!("{folder}/{name}")).map_err(|error| self.failed(error))?;
            }
        }
        Ok(())
    }

    /// Removes the folders of states that this one has replaced.
    pub(crate) fn remove_older(&self) -> Result<(), StorageError> {
        let numbers = segment_folders(&*self.directory)?;
        let mut older = numbers.into_iter().filter(|number| *number < self.number);
        older.try_for_each(|number| remove_segment_folder(&*self.directory, number))
    }

    fn failed(&self, error: StorageError) -> Damage {
        Damage::new(&self.name(), error)
    }
}

/// The name of a segment's rows file, within its folder.
pub(crate) fn rows_file_name(id: SegmentId) -> String {
    format!("{:016x}.rows", id.get())
}

/// The name of a segment's graph file, within its folder.
pub(crate) fn graph_file_name(id: SegmentId) -> String {
    format!("{:016x}.graph", id.get())
}

#[cfg(test)]
mod tests;
