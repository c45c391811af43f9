//! One field of one row as a cell: a kind byte and eight bytes of payload.
//!
//! ```text
//! kind          payload (little-endian)
//! 0 missing     -
//! 1 null        -
//! 2 boolean     0 or 1
//! 3 negative    i64
//! 4 unsigned    u64
//! 5 float       f64
//! 6 string      code in the column's dictionary
//! 7 array       u32 offset and u32 length of its bytes within the row's object
//! 8 object      as for arrays
//! ```

use lavandin_types::ValueRef;

pub(super) const MISSING: u8 = 0;
pub(super) const NULL: u8 = 1;
pub(super) const BOOL: u8 = 2;
pub(super) const NEGATIVE: u8 = 3;
pub(super) const UNSIGNED: u8 = 4;
pub(super) const FLOAT: u8 = 5;
pub(super) const STRING: u8 = 6;
pub(super) const ARRAY: u8 = 7;
pub(super) const OBJECT: u8 = 8;

/// Rows of a block: the bits of a selection's word.
pub(super) const BLOCK_ROWS: usize = 64;

pub(super) type Payload = [u8; 8];

/// The cells of 64 consecutive rows.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) kinds: &'a [u8; BLOCK_ROWS],
    pub(super) payloads: &'a [Payload; BLOCK_ROWS],
}

/// The stored blocks of a column, ascending by number; block n holds the rows from 64 n on.
pub(super) trait Blocks {
    fn count(&self) -> usize;

    /// The number of the stored block at a position below `count`.
    fn number(&self, position: usize) -> u32;

    fn block(&self, position: usize) -> Block<'_>;

    /// The cell of a row; a missing one where its block is not stored.
    fn cell(&self, row: u32) -> (u8, Payload) {
        let wanted = row / BLOCK_ROWS as u32;
        let Some(position) = self.find(wanted) else {
            return (MISSING, [0; 8]);
        };
        let block = self.block(position);
        let offset = row as usize % BLOCK_ROWS;
        (block.kinds[offset], block.payloads[offset])
    }

    /// Where a block is stored. A column without gaps before it has it at its own number.
    fn find(&self, wanted: u32) -> Option<usize> {
        let guess = wanted as usize;
        if guess < self.count() && self.number(guess) == wanted {
            return Some(guess);
        }
        let (mut low, mut high) = (0, self.count().min(guess));
        while low < high {
            let middle = low.midpoint(high);
            match self.number(middle).cmp(&wanted) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// The distinct strings of a column, by code.
pub(super) trait Dictionary {
    fn len(&self) -> u32;

    /// `None` for a code that damage made up.
    fn text(&self, code: u32) -> Option<&str>;

    fn find(&self, text: &str) -> Option<u32>;

    /// Whether codes ascend with their strings.
    fn is_sorted(&self) -> bool;
}

/// A cell for a value that is part of `object`, the row's bytes. A string's payload is its place, as for arrays; the
/// writer turns it into a code.
pub(super) fn cell_of(value: ValueRef<'_>, object: &[u8]) -> (u8, Payload) {
    match value {
        ValueRef::Null => (NULL, [0; 8]),
        ValueRef::Bool(value) => (BOOL, u64::from(value).to_le_bytes()),
        ValueRef::I64(value) => (NEGATIVE, value.to_le_bytes()),
        ValueRef::U64(value) => (UNSIGNED, value.to_le_bytes()),
        ValueRef::F64(value) => (FLOAT, value.to_le_bytes()),
        ValueRef::Str(value) => (STRING, place(value.as_bytes(), object)),
        ValueRef::Array(value) => (ARRAY, place(value.as_bytes(), object)),
        ValueRef::Object(value) => (OBJECT, place(value.as_bytes(), object)),
    }
}

/// Where `part` lies within `object`, which it borrows from.
fn place(part: &[u8], object: &[u8]) -> Payload {
    let offset = part.as_ptr().addr().wrapping_sub(object.as_ptr().addr());
    // Objects come from one request and are far below 2^32 bytes.
    (offset as u64 | (part.len() as u64) << 32).to_le_bytes()
}

/// The bytes that `place` described; nothing where the place is not within the object.
pub(super) fn placed(object: &[u8], payload: Payload) -> Option<&[u8]> {
    let place = u64::from_le_bytes(payload);
    let (offset, len) = (place as u32 as usize, (place >> 32) as usize);
    object.get(offset..offset.checked_add(len)?)
}

/// One bit a cell: whether it is of this kind.
pub(super) fn kind_word(kinds: &[u8; BLOCK_ROWS], kind: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    let sought = u64::from(kind) * LOW;
    let mut word = 0;
    for (index, eight) in kinds.as_chunks::<8>().0.iter().enumerate() {
        let differences = u64::from_le_bytes(*eight) ^ sought;
        // The high bit of each byte that is zero, without borrows between bytes; then those bits gathered.
        let equal = !(((differences & !HIGH) + !HIGH) | differences) & HIGH;
        word |= (equal >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56 << (8 * index);
    }
    word
}

/// The kind of all cells, if they agree.
pub(super) fn uniform_kind(kinds: &[u8; BLOCK_ROWS]) -> Option<u8> {
    let pattern = [kinds[0]; 8];
    kinds.as_chunks::<8>().0.iter().all(|eight| *eight == pattern).then_some(kinds[0])
}

#[cfg(test)]
mod tests;
