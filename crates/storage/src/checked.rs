//! Small files that are replaced as a whole: either the old content or the new is there, and it is verified on reading.
//!
//! ```text
//! offset  bytes  content
//!      0      8  magic "LVNDCHK1"
//!      8      4  format version, 1
//!     12      4  zero
//!     16      8  payload length
//!     24     16  XXH3-128 of the payload
//!     40     16  zero
//!     56      8  XXH3-64 of bytes 0..56
//!     64      …  payload, to the end of the file
//! ```
//! All integers are little-endian. The header is 64 bytes so that the payload keeps the region's alignment.

use crate::directory::parent;
use crate::{Directory, Region, StorageError};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Where the payload of a checked file begins.
pub const CHECKED_HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"LVNDCHK1";
const VERSION: u32 = 1;
const HASHED_BYTES: usize = 56;
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Replaces the file `name` by `payload`. When this returns, the new content survives loss of power; if it fails, the
/// old content or the new is there, whole. Callers do not call it for one name from two threads.
pub fn atomic_write(directory: &dyn Directory, name: &str, payload: &[u8]) -> Result<(), StorageError> {
    let temporary = format!("{name}{TEMPORARY_SUFFIX}");
    if directory.exists(&temporary)? {
        directory.remove(&temporary)?;
    }
    let mut file = directory.create(&temporary)?;
    file.write_at(0, &header(payload))?;
    file.write_at(CHECKED_HEADER_BYTES as u64, payload)?;
    file.sync()?;
    drop(file);
    directory.rename(&temporary, name)?;
    directory.sync_dir(parent(name))
}

/// The payload of a file written by [`atomic_write`], verified.
pub fn read_checked(directory: &dyn Directory, name: &str) -> Result<Region, StorageError> {
    let file = directory.map(name)?;
    let Some((head, payload)) = file.split_at_checked(CHECKED_HEADER_BYTES) else {
        return Err(StorageError::damaged(name, 0, "shorter than its header"));
    };
    if !head.starts_with(MAGIC) {
        return Err(StorageError::damaged(name, 0, "wrong magic"));
    }
    if head[HASHED_BYTES..] != xxh3_64(&head[..HASHED_BYTES]).to_le_bytes() {
        return Err(StorageError::damaged(name, 0, "header checksum differs"));
    }
    let found = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    if found != VERSION {
        return Err(StorageError::Version { file: name.to_owned(), found, supported: VERSION });
    }
    if head[16..24] != (payload.len() as u64).to_le_bytes() {
        return Err(StorageError::damaged(name, 16, "payload has another length than its header says"));
    }
    if head[24..40] != xxh3_128(payload).to_le_bytes() {
        return Err(StorageError::damaged(name, CHECKED_HEADER_BYTES as u64, "payload checksum differs"));
    }
    Ok(file.slice(CHECKED_HEADER_BYTES..file.len()))
}

fn header(payload: &[u8]) -> [u8; CHECKED_HEADER_BYTES] {
    let mut bytes = [0; CHECKED_HEADER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes[24..40].copy_from_slice(&xxh3_128(payload).to_le_bytes());
    let hash = xxh3_64(&bytes[..HASHED_BYTES]);
    bytes[HASHED_BYTES..].copy_from_slice(&hash.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests;
