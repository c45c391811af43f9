//! Where samples stand in an iteration's order.
//!
//! A list of places is kept and written as runs of neighbours, because a batch without filters is one run:
//!
//! ```text
//! places = varint count, runs
//! run    = zigzag block less the run before's block (0 at first),
//!          zigzag offset less the run before's end (0 at first), varint length less 1
//! ```

use crate::iterations::bytes::{read_count, read_varint_u32, read_zigzag, write_varint, write_zigzag};
use crate::iterations::limits::BLOCK_SAMPLES_MAX;
use std::ops::Range;

/// A sample's place: which block, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub block: u32,
    pub offset: u32,
}

/// Places one after the other in one block; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub block: u32,
    pub start: u32,
    pub length: u32,
}

impl Run {
    /// As `u64`, whose end cannot overflow.
    pub(crate) fn end(self) -> u64 {
        u64::from(self.start) + u64::from(self.length)
    }

    /// The last offset; those that are written end within 32 bits.
    pub(crate) fn last(self) -> u32 {
        self.start.saturating_add(self.length.saturating_sub(1))
    }

    pub(crate) fn offsets(self) -> Range<u64> {
        u64::from(self.start)..self.end()
    }
}

/// Places in an order that matters, such as a batch's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    runs: Vec<Run>,
}

impl Places {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, place: Place) {
        if let Some(run) = self.runs.last_mut()
            && run.block == place.block
            && run.end() == u64::from(place.offset)
            && let Some(length) = run.length.checked_add(1)
        {
            run.length = length;
            return;
        }
        self.runs.push(Run { block: place.block, start: place.offset, length: 1 });
    }

    pub fn len(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(u64::from(run.length)))
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.runs
            .iter()
            .flat_map(|run| run.offsets().map(|offset| Place { block: run.block, offset: offset as u32 }))
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Memory that the list takes.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.len() * size_of::<Run>()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        write_varint(out, self.runs.len() as u64);
        let (mut block, mut end) = (0, 0);
        for run in &self.runs {
            write_zigzag(out, i64::from(run.block) - block);
            write_zigzag(out, i64::from(run.start) - end);
            write_varint(out, u64::from(run.length - 1));
            (block, end) = (i64::from(run.block), run.end() as i64);
        }
    }

    pub(crate) fn decode(rest: &mut &[u8]) -> Option<Self> {
        let count = read_count(rest)?;
        let mut runs = Vec::new();
        let (mut block, mut end) = (0_i64, 0_i64);
        for _ in 0..count {
            let at = block.checked_add(read_zigzag(rest)?)?;
            let start = end.checked_add(read_zigzag(rest)?)?;
            let run = Run {
                block: u32::try_from(at).ok()?,
                start: u32::try_from(start).ok()?,
                length: read_varint_u32(rest)?.checked_add(1)?,
            };
            if run.end() > BLOCK_SAMPLES_MAX {
                return None;
            }
            runs.push(run);
            (block, end) = (at, run.end() as i64);
        }
        Some(Self { runs })
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        let mut list = Self::new();
        places.into_iter().for_each(|place| list.push(place));
        list
    }
}

#[cfg(test)]
mod tests;
