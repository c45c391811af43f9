//! What can be wrong with a copy: its bytes, or that there is no space for more of them.

use crate::error::NodeError;
use lavandin_group::GroupError;
use lavandin_storage::{Operation, StorageError};
use std::io::{Error, ErrorKind};

/// ENFILE and EMFILE.
const FILES_EXHAUSTED: [i32; 2] = [23, 24];

/// With the reason, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ailment {
    /// What it holds is not to be trusted, or its disk fails: it has to be rebuilt.
    Damaged(String),
    /// Its disk was full, or the system had no more files or memory for it. What it acknowledged is whole: it goes on once
    /// there is space.
    NoSpace(String),
    /// It cannot be opened for a reason that another copy of it would not change.
    Unusable(String),
}

impl Ailment {
    /// Of a copy that takes no more writes, or cannot be opened.
    pub(crate) fn of(error: &NodeError) -> Self {
        let reason = error.to_string();
        match cause_of(error) {
            Some(StorageError::Io { operation, source, .. }) if is_shortage(*operation, source) => {
                Self::NoSpace(reason)
            }
            // A program that is too old, or may not read the file.
            Some(StorageError::Version { .. }) => Self::Unusable(reason),
            Some(StorageError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                Self::Unusable(reason)
            }
            Some(_) => Self::Damaged(reason),
            None => match error {
                NodeError::Group(_) | NodeError::Damaged(_) => Self::Damaged(reason),
                _ => Self::Unusable(reason),
            },
        }
    }

    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Damaged(reason) | Self::NoSpace(reason) | Self::Unusable(reason) => reason,
        }
    }
}

/// What went wrong with a file.
fn cause_of(error: &NodeError) -> Option<&StorageError> {
    let mut group = match error {
        NodeError::Group(error) => error,
        NodeError::Storage(error) => return Some(innermost(error)),
        _ => return None,
    };
    while let GroupError::Poisoned { cause, .. } = group {
        group = cause;
    }
    if let GroupError::Storage(error) = group { Some(innermost(error)) } else { None }
}

fn innermost(mut error: &StorageError) -> &StorageError {
    while let StorageError::Poisoned { cause, .. } = error {
        error = cause;
    }
    error
}

/// After a sync that failed, for whatever reason, nobody knows what the file holds.
fn is_shortage(operation: Operation, error: &Error) -> bool {
    let short =
        matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::OutOfMemory)
            || error.raw_os_error().is_some_and(|code| FILES_EXHAUSTED.contains(&code));
    short && !matches!(operation, Operation::Sync | Operation::SyncDir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lavandin_types::GroupId;
    use std::sync::Arc;

    fn failed(operation: Operation, kind: ErrorKind) -> Ailment {
        let source = Arc::new(Error::from(kind));
        let cause = StorageError::Io { operation, file: "log/1.log".to_owned(), source };
        let cause = Arc::new(GroupError::Storage(cause));
        Ailment::of(&GroupError::Poisoned { group: GroupId::new(1), cause }.into())
    }

    #[test]
    fn a_full_disk_is_no_damage_unless_a_sync_failed() {
        let full = failed(Operation::Write, ErrorKind::StorageFull);
        assert!(matches!(full, Ailment::NoSpace(_)), "{full:?}");
        assert!(matches!(failed(Operation::Create, ErrorKind::QuotaExceeded), Ailment::NoSpace(_)));
        assert!(matches!(failed(Operation::Sync, ErrorKind::StorageFull), Ailment::Damaged(_)));
        assert!(matches!(failed(Operation::Write, ErrorKind::Other), Ailment::Damaged(_)));
        assert!(matches!(failed(Operation::Open, ErrorKind::PermissionDenied), Ailment::Unusable(_)));
        assert!(matches!(Ailment::of(&NodeError::Internal("no threads")), Ailment::Unusable(_)));
        assert!(full.reason().contains("log/1.log"));
    }
}
