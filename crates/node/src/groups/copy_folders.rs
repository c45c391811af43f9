//! Where copies are on the disk: `groups/<number>`; and their removal.
//!
//! A folder that goes is renamed first, so that no half of a copy is ever opened; what a crash left of it goes at the next
//! start.

use crate::error::NodeError;
use lavandin_types::GroupId;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

const GROUPS: &str = "groups";
const REMOVED: &str = ".removed";
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

/// Removes a copy that nobody has open.
pub(super) fn remove(data_dir: &Path, group: GroupId) -> Result<(), NodeError> {
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
