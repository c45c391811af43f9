//! The hash of one record, from which a collection's multiset hash is summed.

use lavandin_types::RecordIdRef;
use lavandin_vector::block::Row;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// The hash of a live record: its id, its vector as stored, its fields' bytes (none: empty).
pub(crate) fn record_hash(id: RecordIdRef<'_>, vector: &[u8], fields: &[u8]) -> u128 {
    let id_hash = match id {
        RecordIdRef::Int(value) => xxh3_64(&value.to_le_bytes()),
        // Keeps a string of eight bytes apart from the integer of the same bytes.
        RecordIdRef::Str(text) => xxh3_64(text.as_bytes()) ^ 0x5354_5249_4e47_4944,
    };
    let seed = id_hash.rotate_left(17) ^ xxh3_64(fields);
    xxh3_128_with_seed(vector, seed)
}

/// A row's elements as they are stored: little-endian.
pub(crate) fn row_bytes<'a>(row: &Row<'a>) -> &'a [u8] {
    match row {
        Row::F32(values) => bytemuck::cast_slice(values),
        Row::F16(bits) => bytemuck::cast_slice(bits),
    }
}

const _: () = assert!(cfg!(target_endian = "little"), "vectors are stored as the machine has them");
