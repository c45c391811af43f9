//! The bytes of a record (docs/formats/record.md). Made once, at the primary; its hash is the XXH3-128 of all of them.
//!
//! ```text
//!  0  u64  group          24  16 bytes  hash of the previous record
//!  8  u64  primary epoch  40  16 bytes  request id (0: none)
//! 16  u64  sequence       56  u64       collection id (0: barrier, the consumer does not see it)
//!                         64  the operation
//! ```

use lavandin_storage::wal::PAYLOAD_BYTES_MAX;
use lavandin_types::{CollectionId, GroupId, PrimaryEpoch, RecordHash, RequestId, SequenceNumber};
use xxhash_rust::xxh3::xxh3_128;

/// Bytes before the operation.
pub const RECORD_HEADER_BYTES: usize = 64;
/// The longest operation that a record can hold.
pub const OP_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - RECORD_HEADER_BYTES;

/// A decoded record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub group: GroupId,
    pub epoch: PrimaryEpoch,
    pub sequence: SequenceNumber,
    pub previous: RecordHash,
    pub request_id: RequestId,
    pub collection: CollectionId,
    pub op: &'a [u8],
}

impl<'a> Record<'a> {
    /// `None` where the bytes are too short; what they say is checked by whoever follows the chain.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (header, op) = bytes.split_at_checked(RECORD_HEADER_BYTES)?;
        let long = |at: usize| -> Option<[u8; 8]> { header.get(at..at + 8)?.try_into().ok() };
        let wide = |at: usize| -> Option<[u8; 16]> { header.get(at..at + 16)?.try_into().ok() };
        Some(Self {
            group: GroupId::from_le_bytes(long(0)?),
            epoch: PrimaryEpoch::from_le_bytes(long(8)?),
            sequence: SequenceNumber::from_le_bytes(long(16)?),
            previous: RecordHash::from_le_bytes(wide(24)?),
            request_id: RequestId::from_le_bytes(wide(40)?),
            collection: CollectionId::from_le_bytes(long(56)?),
            op,
        })
    }

    /// Writes the header into the first bytes of `record`, whose operation is in place already.
    pub(crate) fn write_header(&self, record: &mut [u8]) {
        let parts: [&[u8]; 6] = [
            &self.group.to_le_bytes(),
            &self.epoch.to_le_bytes(),
            &self.sequence.to_le_bytes(),
            &self.previous.to_le_bytes(),
            &self.request_id.to_le_bytes(),
            &self.collection.to_le_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            record[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }
}

/// The hash that the next record names.
pub(crate) fn hash(record: &[u8]) -> RecordHash {
    RecordHash::new(xxh3_128(record))
}

#[cfg(test)]
mod tests;
