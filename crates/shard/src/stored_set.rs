//! A set of rows as a checkpoint stores it.
//!
//! ```text
//! set = u8 0 (empty) | u8 1, u32 count, rows as u32 | u8 2, u32 universe, its 64-bit words
//! ```
//! Read in two steps: its bytes first, and the set once it is known how many rows there are, so that nothing is
//! allocated on the word of a payload.

use crate::op::{read_u32, take};
use lavandin_types::Selection;

/// The bytes of a set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoredSet<'a> {
    Empty,
    Rows(&'a [[u8; 4]]),
    Words { universe: u32, words: &'a [[u8; 8]] },
}

/// Writes the smaller of the two forms.
pub(crate) fn encode_set(set: &Selection, out: &mut Vec<u8>) {
    let count = set.count();
    if count == 0 {
        out.push(0);
    } else if count as usize * 4 <= set.words().len() * 8 {
        out.push(1);
        out.extend_from_slice(&count.to_le_bytes());
        set.iter().for_each(|row| out.extend_from_slice(&row.to_le_bytes()));
    } else {
        out.push(2);
        out.extend_from_slice(&set.len().to_le_bytes());
        set.words().iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }
}

impl<'a> StoredSet<'a> {
    /// Takes a set off the front of `rest`; `None` where it ends too early.
    pub(crate) fn read(rest: &mut &'a [u8]) -> Option<Self> {
        Some(match take(rest, 1)?[0] {
            0 => Self::Empty,
            1 => {
                let count = read_u32(rest)? as usize;
                Self::Rows(take(rest, count.checked_mul(4)?)?.as_chunks().0)
            }
            2 => {
                let universe = read_u32(rest)?;
                let words = (universe as usize).div_ceil(64);
                Self::Words { universe, words: take(rest, words * 8)?.as_chunks().0 }
            }
            _ => return None,
        })
    }

    /// The set; `None` where it names a row beyond the segment's.
    pub(crate) fn within(self, rows: u32) -> Option<Selection> {
        match self {
            Self::Empty => Some(Selection::default()),
            Self::Rows(numbers) => {
                let mut set = Selection::none(rows);
                for number in numbers {
                    let row = Some(u32::from_le_bytes(*number)).filter(|row| *row < rows)?;
                    set.insert(row);
                }
                Some(set)
            }
            Self::Words { universe, words } if universe <= rows => {
                let mut set = Selection::none(universe);
                for (word, bytes) in set.words_mut().iter_mut().zip(words) {
                    *word = u64::from_le_bytes(*bytes);
                }
                set.clear_tail();
                Some(set)
            }
            Self::Words { .. } => None,
        }
    }
}
