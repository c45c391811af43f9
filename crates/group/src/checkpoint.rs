//! Checkpoint files: the consumer's state as of one record, so that the log before it can go.
//!
//! A checkpoint is a checked file `checkpoint-<sequence, 16 hex digits>` (docs/formats/checkpoint.md):
//!
//! ```text
//! u32 version (2), u64 group, u64 sequence, u64 primary epoch, 16 bytes hash of that record,
//! u8 detached, the epoch table, the request table, then the consumer's payload to the end
//! ```
//! The new file is durable before the old one and the log's front are removed, so one intact checkpoint that the log
//! continues is always there. A *detached* one came from another copy: the log begins behind it, or is what is left of
//! the log that it replaced.
//!
//! The same bytes, header and payload, are what another copy is given as a snapshot.

use crate::epoch_table::EpochTable;
use crate::error::GroupError;
use crate::position::Position;
use crate::request_table::{RequestTable, take};
use lavandin_storage::{Directory, StorageError, atomic_write, read_checked};
use lavandin_types::{GroupId, SequenceNumber};

const VERSION: u32 = 2;
/// Version 1 has neither the mark nor the epoch table.
const VERSION_WITHOUT_EPOCHS: u32 = 1;
const PREFIX: &str = "checkpoint-";
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Where a checkpoint stands, taken at the same moment as the consumer's state.
#[derive(Clone, Debug)]
pub struct CheckpointHeader {
    pub position: Position,
    /// The log begins behind it.
    pub(crate) detached: bool,
    pub(crate) epochs: EpochTable,
    /// The encoded request table.
    pub(crate) requests: Vec<u8>,
    /// Bytes of records that this session had logged or replayed by then.
    pub(crate) logged_bytes: u64,
}

/// A checkpoint read back.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub position: Position,
    pub detached: bool,
    pub epochs: EpochTable,
    pub requests: RequestTable,
    pub payload: Vec<u8>,
}

/// What the checkpoint files hold.
pub(crate) struct Found {
    /// The newest intact one.
    pub loaded: Option<Loaded>,
    /// The newest one's number, by its name, damaged or not; zero without any.
    pub newest: SequenceNumber,
    /// What is wrong with the newest one, if it had to be passed over.
    pub damage: Option<GroupError>,
}

/// Makes a checkpoint durable. A failed one gives back the space that it took.
pub(crate) fn store(
    directory: &dyn Directory,
    group: GroupId,
    header: &CheckpointHeader,
    payload: &[u8],
) -> Result<(), GroupError> {
    let bytes = encode(group, header, payload);
    let stored = atomic_write(directory, &file_name(header.position.sequence), &bytes);
    if stored.is_err() {
        // The failure to store it is what is reported; what stays is removed by the next start.
        let _ = remove_unfinished(directory);
    }
    Ok(stored?)
}

/// Removes every checkpoint older than `newest`.
pub(crate) fn remove_older(directory: &dyn Directory, newest: SequenceNumber) -> Result<(), GroupError> {
    let older: Vec<_> = sequences(directory)?.into_iter().filter(|sequence| *sequence < newest).collect();
    for sequence in &older {
        directory.remove(&file_name(*sequence))?;
    }
    if !older.is_empty() {
        directory.sync_dir("")?;
    }
    Ok(())
}

/// Removes what a crash or a failure left of checkpoints that were being written.
pub(crate) fn remove_unfinished(directory: &dyn Directory) -> Result<(), GroupError> {
    for name in directory.list("")? {
        if name.starts_with(PREFIX) && name.ends_with(TEMPORARY_SUFFIX) {
            directory.remove(&name)?;
        }
    }
    Ok(())
}

/// Reads the newest checkpoint. Damaged ones are passed over for older ones, or for none: whether the log reaches
/// back that far is the caller's to find. Any other trouble (a disk that does not answer, a later format) is an
/// error, for older data must not stand in for what may be fine.
pub(crate) fn load(
    directory: &dyn Directory,
    group: GroupId,
    request_entries_max: usize,
    is_outcome: impl Fn(&[u8]) -> bool,
) -> Result<Found, GroupError> {
    let sequences = sequences(directory)?;
    let newest = sequences.last().copied().unwrap_or_default();
    let mut damage = None;
    for sequence in sequences.into_iter().rev() {
        let name = file_name(sequence);
        let read = read_checked(directory, &name).map_err(GroupError::from);
        match read.and_then(|bytes| decode(&bytes, &name, group, request_entries_max, &is_outcome)) {
            Ok(loaded) if loaded.position.sequence == sequence => {
                return Ok(Found { loaded: Some(loaded), newest, damage });
            }
            Ok(_) => {
                let what = "its name and its content differ";
                damage.get_or_insert(GroupError::MalformedCheckpoint { file: name, what });
            }
            Err(error) if is_damage(&error) => {
                damage.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Found { loaded: None, newest, damage })
}

fn is_damage(error: &GroupError) -> bool {
    matches!(
        error,
        GroupError::Storage(StorageError::Damaged { .. }) | GroupError::MalformedCheckpoint { .. }
    )
}

/// The bytes of a checkpoint; also of a snapshot.
pub(crate) fn encode(group: GroupId, header: &CheckpointHeader, payload: &[u8]) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    bytes.extend_from_slice(&group.to_le_bytes());
    header.position.encode(&mut bytes);
    bytes.push(u8::from(header.detached));
    header.epochs.encode(&mut bytes);
    bytes.extend_from_slice(&header.requests);
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn decode(
    bytes: &[u8],
    name: &str,
    group: GroupId,
    request_entries_max: usize,
    is_outcome: impl Fn(&[u8]) -> bool,
) -> Result<Loaded, GroupError> {
    let malformed = |what| GroupError::MalformedCheckpoint { file: name.to_owned(), what };
    let Some((version, mut rest)) = bytes.split_first_chunk::<4>() else {
        return Err(malformed("it is too short"));
    };
    let found = u32::from_le_bytes(*version);
    if !matches!(found, VERSION | VERSION_WITHOUT_EPOCHS) {
        return Err(StorageError::Version { file: name.to_owned(), found, supported: VERSION }.into());
    }
    let (stored_group, position) = decode_position(&mut rest).ok_or_else(|| malformed("it is too short"))?;
    if stored_group != group {
        return Err(malformed("it belongs to another group"));
    }
    let (detached, epochs) = match found {
        VERSION => {
            decode_epochs(&mut rest, &position).ok_or_else(|| malformed("its epoch table is malformed"))?
        }
        _ => (false, EpochTable::of(&position)),
    };
    let requests = RequestTable::decode(&mut rest, request_entries_max, is_outcome)
        .ok_or_else(|| malformed("its request table is malformed"))?;
    Ok(Loaded { position, detached, epochs, requests, payload: rest.to_vec() })
}

fn decode_position(rest: &mut &[u8]) -> Option<(GroupId, Position)> {
    let group = GroupId::from_le_bytes(take(rest, 8)?.try_into().ok()?);
    Some((group, Position::decode(rest)?))
}

/// The mark and the table, which must end in the epoch of the checkpoint's own record.
fn decode_epochs(rest: &mut &[u8], position: &Position) -> Option<(bool, EpochTable)> {
    let detached = match take(rest, 1)? {
        [0] => false,
        [1] => true,
        _ => return None,
    };
    let epochs = EpochTable::decode(rest)?;
    let last = epochs.entries().last().copied().unwrap_or_default();
    (last.0 == position.epoch && last.1 <= position.sequence).then_some((detached, epochs))
}

/// The sequence numbers of the checkpoint files, ascending. Left-over temporary files do not parse.
fn sequences(directory: &dyn Directory) -> Result<Vec<SequenceNumber>, GroupError> {
    let parse = |name: &String| {
        let number = u64::from_str_radix(name.strip_prefix(PREFIX)?, 16).ok()?;
        Some(SequenceNumber::new(number)).filter(|sequence| file_name(*sequence) == *name)
    };
    let mut sequences: Vec<_> = directory.list("")?.iter().filter_map(parse).collect();
    sequences.sort_unstable();
    Ok(sequences)
}

/// The names of the files.
pub(crate) fn names(directory: &dyn Directory) -> Result<Vec<String>, GroupError> {
    Ok(sequences(directory)?.into_iter().map(file_name).collect())
}

fn file_name(sequence: SequenceNumber) -> String {
    format!("{PREFIX}{:016x}", sequence.get())
}

#[cfg(test)]
mod tests;
