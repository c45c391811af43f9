//! Which row of a shard file has a uid: immutable bytes kept beside the manifest, made by sync, read for joins.
//!
//! uids are compared as texts, as Python's `str` gives them, so that an integer column joins a string column of the
//! same digits. The index holds hashes of the texts only: [`UidIndex::rows`] gives candidates, and who asks compares
//! the uid itself ([`UidColumn`]). Candidates are rarely more than one.
//!
//! ```text
//! offset  bytes      content
//!      0      8      magic "LVNDUID1"
//!      8      4      format version, 1
//!     12      4      zero
//!     16      8      rows
//!     24      8      XXH3-64 of bytes 64 to the end
//!     32     24      zero
//!     56      8      XXH3-64 of bytes 0..56
//!     64      8·rows XXH3-64 of the uids' texts, ascending
//!      …      4·rows the row of each, ascending among equal hashes
//! ```
//! All integers are little-endian; nothing is aligned beyond its offset.
//!
//! Invariants: an index that opens is whole (its checksum was compared); no bytes make it panic. Driven by `inspect`
//! (makes them) and `node` (keeps and reads them). Absent: changes; an index is replaced with its shard file.

mod uid_text;

pub use uid_text::UidColumn;
pub(crate) use uid_text::{python_bytes, python_bytes_length, python_float};

use bytes::Bytes;
use lavandin_types::ErrorCode;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"LVNDUID1";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;
const HASHED_BYTES: usize = 56;
const HASH_BYTES: usize = 8;
const ROW_BYTES: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UidIndexError {
    #[error("uid index {file} is damaged ({detail}): sync the shardset again with overwrite")]
    Damaged { file: String, detail: &'static str },
    #[error("uid index {file} is of version {found}, which this program does not read")]
    Version { file: String, found: u32 },
}

impl UidIndexError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::DataCorrupt
    }
}

/// The index of one shard file.
#[derive(Clone, Debug)]
pub struct UidIndex {
    bytes: Bytes,
    rows: usize,
}

/// The hash under which a uid's text is found.
pub fn hash_uid(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

impl UidIndex {
    /// The index in these bytes; `name` is for errors.
    pub fn new(bytes: Bytes, name: &str) -> Result<Self, UidIndexError> {
        let damaged = |detail| UidIndexError::Damaged { file: name.to_owned(), detail };
        let Some((header, content)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(damaged("it is shorter than its header"));
        };
        if !header.starts_with(MAGIC) {
            return Err(damaged("it does not begin as one does"));
        }
        if word(header, HASHED_BYTES) != xxh3_64(&header[..HASHED_BYTES]) {
            return Err(damaged("the checksum of its header differs"));
        }
        let found = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if found != VERSION {
            return Err(UidIndexError::Version { file: name.to_owned(), found });
        }
        let rows = usize::try_from(word(header, 16)).ok();
        let rows = rows.filter(|rows| rows.checked_mul(HASH_BYTES + ROW_BYTES) == Some(content.len()));
        let rows = rows.ok_or_else(|| damaged("it has another length than its header says"))?;
        if word(header, 24) != xxh3_64(content) {
            return Err(damaged("the checksum of its content differs"));
        }
        Ok(Self { bytes, rows })
    }

    /// Rows of the shard file.
    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows whose uid may be this text, ascending.
    pub fn rows(&self, uid: &str) -> impl Iterator<Item = u32> + '_ {
        self.rows_of_hash(hash_uid(uid))
    }

    /// As [`Self::rows`], for a text that was hashed before ([`hash_uid`]).
    pub fn rows_of_hash(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let first = self.first_at_least(hash);
        (first..self.rows).take_while(move |place| self.hash(*place) == hash).map(|place| self.row(place))
    }

    fn first_at_least(&self, hash: u64) -> usize {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.hash(middle) < hash { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn hash(&self, place: usize) -> u64 {
        word(&self.bytes, HEADER_BYTES + place * HASH_BYTES)
    }

    fn row(&self, place: usize) -> u32 {
        let at = HEADER_BYTES + self.rows * HASH_BYTES + place * ROW_BYTES;
        let bytes: [u8; ROW_BYTES] =
            self.bytes[at..at + ROW_BYTES].try_into().expect("a slice of four bytes");
        u32::from_le_bytes(bytes)
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let bytes: [u8; 8] = bytes[at..at + 8].try_into().expect("a slice of eight bytes");
    u64::from_le_bytes(bytes)
}

/// Collects the uids of a file, chunk by chunk: 16 bytes a row.
#[derive(Default)]
pub(crate) struct UidIndexBuilder {
    entries: Vec<(u64, u32)>,
}

impl UidIndexBuilder {
    /// Adds the next rows; the error is the first row of them without a uid.
    pub(crate) fn add(&mut self, uids: &UidColumn<'_>) -> Result<(), usize> {
        let first = self.entries.len();
        self.entries.reserve(uids.len());
        let mut text = String::new();
        for row in 0..uids.len() {
            let hash = uids.hash(row, &mut text).ok_or(row)?;
            let row = u32::try_from(first + row).expect("a file's rows are checked to be of 32 bits");
            self.entries.push((hash, row));
        }
        Ok(())
    }

    pub(crate) fn sort(&mut self) {
        self.entries.sort_unstable();
    }

    /// Rows of equal hashes, which may be equal uids; after [`Self::sort`].
    pub(crate) fn suspects(&self) -> impl Iterator<Item = Vec<u32>> + '_ {
        let groups = self.entries.chunk_by(|one, other| one.0 == other.0);
        groups.filter(|group| group.len() > 1).map(|group| group.iter().map(|(_, row)| *row).collect())
    }

    /// The file's bytes; after [`Self::sort`].
    pub(crate) fn finish(self) -> Vec<u8> {
        let rows = self.entries.len();
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.reserve_exact(rows * (HASH_BYTES + ROW_BYTES));
        self.entries.iter().for_each(|(hash, _)| bytes.extend_from_slice(&hash.to_le_bytes()));
        self.entries.iter().for_each(|(_, row)| bytes.extend_from_slice(&row.to_le_bytes()));
        let content = xxh3_64(&bytes[HEADER_BYTES..]);
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&(rows as u64).to_le_bytes());
        bytes[24..32].copy_from_slice(&content.to_le_bytes());
        let header = xxh3_64(&bytes[..HASHED_BYTES]);
        bytes[HASHED_BYTES..HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests;
