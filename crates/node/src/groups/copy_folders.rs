//! Where copies are on the disk: `groups/<number>`; their removal; and `groups/<number>.damaged`, what was set aside of a
//! copy that was rebuilt, for whoever wants to know what was wrong with it: one for each group.
//!
//! A folder that goes is renamed first, so that no half of a copy is ever opened; what a crash left of it goes at the next
//! start.

use crate::error::NodeError;
use lavandin_types::GroupId;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};

const GROUPS: &str = "groups";
const REMOVED: &str = ".removed";
const ASIDE: &str = "damaged";
/// What is written to find out whether a full disk has space again.
const SPACE_BYTES: usize = 32 << 20;
const SPACE_FILE: &str = "space.probe";
const LOG: &str = "log";

pub(crate) fn folder(data_dir: &Path, group: GroupId) -> PathBuf {
    data_dir.join(GROUPS).join(group.get().to_string())
}

/// The groups of which there is a copy; what has no log is none.
pub(super) fn list(data_dir: &Path) -> Result<BTreeSet<GroupId>, NodeError> {
    let groups = names(data_dir)?.into_iter().filter_map(|name| name.parse().ok()).map(GroupId::new);
    Ok(groups.filter(|group| folder(data_dir, *group).join(LOG).is_dir()).collect())
}

/// Removes what is left of folders that were to go.
pub(super) fn clear(data_dir: &Path) -> Result<(), NodeError> {
    let names = names(data_dir)?;
    // What somebody else put there stays.
    let is_left = |name: &&String| name.strip_suffix(REMOVED).is_some_and(|rest| rest.parse::<u64>().is_ok());
    names.iter().filter(is_left).try_for_each(|name| {
        let path = data_dir.join(GROUPS).join(name);
        fs::remove_dir_all(&path).map_err(|error| unusable(&path, &error))
    })
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

/// Gives the folder of a copy that nobody has open another name; durable on return.
pub(super) fn set_aside(data_dir: &Path, group: GroupId) -> Result<Option<PathBuf>, NodeError> {
    discard_aside(data_dir, group)?;
    let (present, aside) = (folder(data_dir, group), aside(data_dir, group));
    match fs::rename(&present, &aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        renamed => renamed.map_err(|error| unusable(&present, &error))?,
    }
    let synced = fs::File::open(data_dir.join(GROUPS)).and_then(|groups| groups.sync_all());
    synced.map_err(|error| unusable(&present, &error))?;
    Ok(Some(aside))
}

pub(super) fn discard_aside(data_dir: &Path, group: GroupId) -> Result<(), NodeError> {
    let aside = aside(data_dir, group);
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unusable(&aside, &error)),
        _ => Ok(()),
    }
}

fn aside(data_dir: &Path, group: GroupId) -> PathBuf {
    folder(data_dir, group).with_extension(ASIDE)
}

/// Whether some bytes can be written and synced.
pub(super) fn has_space(data_dir: &Path) -> bool {
    let path = data_dir.join(SPACE_FILE);
    let written = fs::File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0x5a; SPACE_BYTES])?;
        file.sync_all()
    });
    // One that stays is written over the next time.
    drop(fs::remove_file(&path));
    written.is_ok()
}

/// Removes a copy that nobody has open, and what was set aside of it.
pub(super) fn remove(data_dir: &Path, group: GroupId) -> Result<(), NodeError> {
    discard_aside(data_dir, group)?;
    let present = folder(data_dir, group);
    let removed = present.with_extension(&REMOVED[1..]);
    match fs::rename(&present, &removed) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        renamed => renamed.map_err(|error| unusable(&present, &error))?,
    }
    fs::remove_dir_all(&removed).map_err(|error| unusable(&removed, &error))
}

fn unusable(path: &Path, error: &Error) -> NodeError {
    NodeError::DataDirectory { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_one_folder_and_no_copy() {
        let data_dir = tempfile::tempdir().unwrap();
        let (path, group) = (data_dir.path(), GroupId::new(7));
        assert_eq!(set_aside(path, group).unwrap(), None);
        for life in ["first", "second"] {
            fs::create_dir_all(folder(path, group).join(LOG)).unwrap();
            fs::write(folder(path, group).join("life"), life).unwrap();
            let aside = set_aside(path, group).unwrap().unwrap();
            assert_eq!(fs::read_to_string(aside.join("life")).unwrap(), life);
        }
        assert_eq!(list(path).unwrap(), BTreeSet::new());
        clear(path).unwrap();
        assert!(aside(path, group).exists());
        assert!(has_space(path));
        remove(path, group).unwrap();
        assert_eq!(fs::read_dir(path.join(GROUPS)).unwrap().count(), 0);
        assert_eq!(fs::read_dir(path).unwrap().count(), 1);
    }

    #[test]
    fn a_removed_copy_is_gone_and_half_of_one_is_never_found() {
        let data_dir = tempfile::tempdir().unwrap();
        let path = data_dir.path();
        assert_eq!(list(path).unwrap(), BTreeSet::new());
        for group in [1, 2, 3] {
            fs::create_dir_all(folder(path, GroupId::new(group)).join(LOG)).unwrap();
        }
        fs::create_dir_all(folder(path, GroupId::new(4)).join("segments")).unwrap();
        fs::create_dir_all(path.join(GROUPS).join("notes")).unwrap();
        fs::rename(folder(path, GroupId::new(3)), path.join(GROUPS).join("3.removed")).unwrap();
        remove(path, GroupId::new(1)).unwrap();
        remove(path, GroupId::new(9)).unwrap();
        assert_eq!(list(path).unwrap(), [GroupId::new(2)].into());
        clear(path).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(path.join(GROUPS)).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["2", "4", "notes"]);
    }
}
