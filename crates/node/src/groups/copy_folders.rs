//! Where copies are kept: each in a directory of its own; and their removal.
//!
//! On a node's disk that is `groups/<number>`; and `groups/<number>.damaged`, what was set aside of a copy that was rebuilt,
//! for whoever wants to know what was wrong with it: one for each group. A folder that goes is renamed first, so that no half
//! of a copy is ever opened; what a crash left of it goes at the next start. Tests give nodes other disks
//! (docs/decisions/0023).

use crate::error::NodeError;
use lavandin_storage::{Directory, LocalDirectory};
use lavandin_types::GroupId;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the node of a data directory keeps its copies.
pub trait CopyStore: fmt::Debug + Send + Sync {
    /// The directory of a copy, which is made if it is not there.
    fn open(&self, data_dir: &Path, group: GroupId) -> Result<Arc<dyn Directory>, NodeError>;

    /// Whether there is a directory for a copy, be it empty.
    fn exists(&self, data_dir: &Path, group: GroupId) -> Result<bool, NodeError>;

    /// The groups of which there is a copy; what has no log is none.
    fn list(&self, data_dir: &Path) -> Result<BTreeSet<GroupId>, NodeError>;

    /// Gives the directory of a copy that nobody has open another name, in the place of what was set aside before; durable
    /// on return. Where that is; `None` where there was nothing.
    fn set_aside(&self, data_dir: &Path, group: GroupId) -> Result<Option<PathBuf>, NodeError>;

    /// Removes what was set aside of a group's copy.
    fn discard_aside(&self, data_dir: &Path, group: GroupId) -> Result<(), NodeError>;

    /// Whether some bytes can be written and synced.
    fn has_space(&self, data_dir: &Path) -> bool;

    /// Removes a copy that nobody has open, and what was set aside of it.
    fn remove(&self, data_dir: &Path, group: GroupId) -> Result<(), NodeError>;

    /// Removes what a crash left of copies that were being removed.
    fn clear_removed(&self, data_dir: &Path) -> Result<(), NodeError>;

    /// Removes all that is there.
    fn remove_all(&self, data_dir: &Path) -> Result<(), NodeError>;
}

const GROUPS: &str = "groups";
const REMOVED: &str = ".removed";
const ASIDE: &str = "damaged";
/// What is written to find out whether a full disk has space again.
const SPACE_BYTES: usize = 32 << 20;
const SPACE_FILE: &str = "space.probe";
const LOG: &str = "log";

/// Folders on the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyFolders;

impl CopyStore for CopyFolders {
    fn open(&self, data_dir: &Path, group: GroupId) -> Result<Arc<dyn Directory>, NodeError> {
        let folder = folder(data_dir, group);
        Ok(Arc::new(LocalDirectory::new(&folder).map_err(|error| unusable(&folder, &error))?))
    }

    fn exists(&self, data_dir: &Path, group: GroupId) -> Result<bool, NodeError> {
        let folder = folder(data_dir, group);
        folder.try_exists().map_err(|error| unusable(&folder, &error))
    }

    fn list(&self, data_dir: &Path) -> Result<BTreeSet<GroupId>, NodeError> {
        let groups = names(data_dir)?.into_iter().filter_map(|name| name.parse().ok()).map(GroupId::new);
        Ok(groups.filter(|group| folder(data_dir, *group).join(LOG).is_dir()).collect())
    }

    fn set_aside(&self, data_dir: &Path, group: GroupId) -> Result<Option<PathBuf>, NodeError> {
        self.discard_aside(data_dir, group)?;
        let (present, aside) = (folder(data_dir, group), aside(data_dir, group));
        match fs::rename(&present, &aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            renamed => renamed.map_err(|error| unusable(&present, &error))?,
        }
        sync_groups(data_dir).map_err(|error| unusable(&present, &error))?;
        Ok(Some(aside))
    }

    fn discard_aside(&self, data_dir: &Path, group: GroupId) -> Result<(), NodeError> {
        let aside = aside(data_dir, group);
        match fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unusable(&aside, &error)),
            _ => Ok(()),
        }
    }

    fn has_space(&self, data_dir: &Path) -> bool {
        let path = data_dir.join(SPACE_FILE);
        let written = fs::File::create(&path).and_then(|mut file| {
            file.write_all(&vec![0x5a; SPACE_BYTES])?;
            file.sync_all()
        });
        // One that stays is written over the next time.
        drop(fs::remove_file(&path));
        written.is_ok()
    }

    fn remove(&self, data_dir: &Path, group: GroupId) -> Result<(), NodeError> {
        self.discard_aside(data_dir, group)?;
        let present = folder(data_dir, group);
        let removed = present.with_extension(&REMOVED[1..]);
        match fs::rename(&present, &removed) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(|error| unusable(&present, &error))?,
        }
        // Before its files go: half a copy must not come back under its name.
        sync_groups(data_dir).map_err(|error| unusable(&present, &error))?;
        fs::remove_dir_all(&removed).map_err(|error| unusable(&removed, &error))
    }

    fn clear_removed(&self, data_dir: &Path) -> Result<(), NodeError> {
        let names = names(data_dir)?;
        // What somebody else put there stays.
        let is_left =
            |name: &&String| name.strip_suffix(REMOVED).is_some_and(|rest| rest.parse::<u64>().is_ok());
        names.iter().filter(is_left).try_for_each(|name| {
            let path = data_dir.join(GROUPS).join(name);
            fs::remove_dir_all(&path).map_err(|error| unusable(&path, &error))
        })
    }

    fn remove_all(&self, data_dir: &Path) -> Result<(), NodeError> {
        let groups = data_dir.join(GROUPS);
        match fs::remove_dir_all(&groups) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unusable(&groups, &error)),
            _ => Ok(()),
        }
    }
}

fn folder(data_dir: &Path, group: GroupId) -> PathBuf {
    data_dir.join(GROUPS).join(group.get().to_string())
}

fn aside(data_dir: &Path, group: GroupId) -> PathBuf {
    folder(data_dir, group).with_extension(ASIDE)
}

fn names(data_dir: &Path) -> Result<Vec<String>, NodeError> {
    let groups = data_dir.join(GROUPS);
    let read =
        || fs::read_dir(&groups)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, Error>>();
    match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        names => {
            let names = names.map_err(|error| unusable(&groups, &error))?;
            Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
        }
    }
}

fn sync_groups(data_dir: &Path) -> std::io::Result<()> {
    fs::File::open(data_dir.join(GROUPS))?.sync_all()
}

fn unusable(path: &Path, error: &dyn fmt::Display) -> NodeError {
    NodeError::DataDirectory { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_one_folder_and_no_copy() {
        let data_dir = tempfile::tempdir().unwrap();
        let (path, group) = (data_dir.path(), GroupId::new(7));
        assert_eq!(CopyFolders.set_aside(path, group).unwrap(), None);
        for life in ["first", "second"] {
            fs::create_dir_all(folder(path, group).join(LOG)).unwrap();
            fs::write(folder(path, group).join("life"), life).unwrap();
            let aside = CopyFolders.set_aside(path, group).unwrap().unwrap();
            assert_eq!(fs::read_to_string(aside.join("life")).unwrap(), life);
        }
        assert_eq!(CopyFolders.list(path).unwrap(), BTreeSet::new());
        CopyFolders.clear_removed(path).unwrap();
        assert!(aside(path, group).exists());
        assert!(CopyFolders.has_space(path));
        CopyFolders.remove(path, group).unwrap();
        assert_eq!(fs::read_dir(path.join(GROUPS)).unwrap().count(), 0);
        assert_eq!(fs::read_dir(path).unwrap().count(), 1);
    }

    #[test]
    fn a_removed_copy_is_gone_and_half_of_one_is_never_found() {
        let data_dir = tempfile::tempdir().unwrap();
        let path = data_dir.path();
        assert_eq!(CopyFolders.list(path).unwrap(), BTreeSet::new());
        for group in [1, 2, 3] {
            fs::create_dir_all(folder(path, GroupId::new(group)).join(LOG)).unwrap();
        }
        fs::create_dir_all(folder(path, GroupId::new(4)).join("segments")).unwrap();
        fs::create_dir_all(path.join(GROUPS).join("notes")).unwrap();
        fs::rename(folder(path, GroupId::new(3)), path.join(GROUPS).join("3.removed")).unwrap();
        CopyFolders.remove(path, GroupId::new(1)).unwrap();
        CopyFolders.remove(path, GroupId::new(9)).unwrap();
        assert_eq!(CopyFolders.list(path).unwrap(), [GroupId::new(2)].into());
        CopyFolders.clear_removed(path).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(path.join(GROUPS)).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["2", "4", "notes"]);
        CopyFolders.remove_all(path).unwrap();
        CopyFolders.remove_all(path).unwrap();
        assert!(!path.join(GROUPS).exists());
    }
}
