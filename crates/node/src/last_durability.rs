//! How the last process on a data directory acknowledged. With `--durability os` a loss of power may take back what it told;
//! whoever starts the next process with `fsync`, as one does after that, must not be believed to have it all.

use crate::error::NodeError;
use lavandin_storage::{Directory, Durability, StorageError, atomic_write, read_checked};

const FILE: &str = "durability";

/// Whether all that was acknowledged on this directory was synced before. Directories from before this file are taken
/// for such.
pub(crate) fn was_synced(directory: &dyn Directory) -> Result<bool, NodeError> {
    match read_checked(directory, FILE) {
        Ok(text) => Ok(*text == *Durability::Fsync.to_string().as_bytes()),
        Err(error) if error.is_not_found() => Ok(true),
        Err(StorageError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// To be called before anything is acknowledged, and after it was decided what the copies are worth. Durable on return.
pub(crate) fn remember(directory: &dyn Directory, durability: Durability) -> Result<(), NodeError> {
    let text = durability.to_string();
    if read_checked(directory, FILE).is_ok_and(|known| *known == *text.as_bytes()) {
        return Ok(());
    }
    Ok(atomic_write(directory, FILE, text.as_bytes())?)
}

#[cfg(test)]
mod tests;
