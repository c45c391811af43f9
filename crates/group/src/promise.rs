//! The promise: the highest primary epoch that this copy has led or followed, durable before its first record is taken.
//! Records of an epoch below it are refused for ever.

use crate::error::GroupError;
use lavandin_storage::{Directory, atomic_write, read_checked};
use lavandin_types::PrimaryEpoch;

const FILE: &str = "epoch";

/// The stored epoch; zero before the first.
pub(crate) fn load(directory: &dyn Directory) -> Result<PrimaryEpoch, GroupError> {
    if !directory.exists(FILE)? {
        return Ok(PrimaryEpoch::ZERO);
    }
    let bytes = read_checked(directory, FILE)?;
    let bytes = bytes.as_ref().try_into().map_err(|_| GroupError::MalformedCheckpoint {
        file: FILE.to_owned(),
        what: "an epoch has eight bytes",
    })?;
    Ok(PrimaryEpoch::from_le_bytes(bytes))
}

/// Stores an epoch; durable on return.
pub(crate) fn store(directory: &dyn Directory, epoch: PrimaryEpoch) -> Result<(), GroupError> {
    Ok(atomic_write(directory, FILE, &epoch.to_le_bytes())?)
}
