//! The chunks that a list of places needs, each read once.

use super::RowsError;
use arrow::array::RecordBatch;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Where one sample's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The caller's number of the file.
    pub file: u32,
    pub chunk: u32,
    /// The row in the chunk.
    pub row: u32,
}

/// Chunks at hand, and those that could not be read.
#[derive(Debug)]
pub struct Chunks<E> {
    slots: HashMap<(u32, u32), Result<u32, E>>,
    pub(super) batches: Vec<Arc<RecordBatch>>,
}

impl<E> Chunks<E> {
    /// Reads each chunk of `places` once, in the order of its first sample. `read` is called with file and chunk.
    pub fn read(
        places: impl IntoIterator<Item = Place>,
        mut read: impl FnMut(u32, u32) -> Result<Arc<RecordBatch>, E>,
    ) -> Self {
        let mut chunks = Self { slots: HashMap::new(), batches: Vec::new() };
        let mut last = None;
        for Place { file, chunk, .. } in places {
            // Neighbours mostly share a chunk.
            if last == Some((file, chunk)) {
                continue;
            }
            last = Some((file, chunk));
            if let Entry::Vacant(slot) = chunks.slots.entry((file, chunk)) {
                let batches = &mut chunks.batches;
                slot.insert(read(file, chunk).map(|batch| {
                    batches.push(batch);
                    batches.len() as u32 - 1
                }));
            }
        }
        chunks
    }

    /// Why the chunk of `place` could not be read, if so.
    pub fn failure(&self, place: Place) -> Option<&E> {
        self.slots.get(&(place.file, place.chunk)).and_then(|slot| slot.as_ref().err())
    }

    /// Distinct chunks that were read.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The chunk of `place`.
    pub fn batch(&self, place: Place) -> Result<&Arc<RecordBatch>, RowsError> {
        Ok(&self.batches[self.slot(place)?])
    }

    pub(super) fn slot(&self, place: Place) -> Result<usize, RowsError> {
        let Place { file, chunk, row } = place;
        let slot = match self.slots.get(&(file, chunk)) {
            Some(Ok(slot)) => *slot as usize,
            _ => return Err(RowsError::NotRead { file, chunk }),
        };
        let rows = self.batches[slot].num_rows();
        if row as usize >= rows {
            return Err(RowsError::NoRow { file, chunk, row, rows });
        }
        Ok(slot)
    }

    /// Source and row of each place; a sample without one has the source after the last, row 0.
    pub(super) fn resolve(&self, places: &[Option<Place>]) -> Result<Vec<(usize, usize)>, RowsError> {
        let absent = (self.batches.len(), 0);
        let mut last: Option<(Place, usize)> = None;
        let mut rows = Vec::with_capacity(places.len());
        for place in places {
            let Some(place) = *place else {
                rows.push(absent);
                continue;
            };
            let slot = match last {
                Some((known, slot))
                    if (known.file, known.chunk) == (place.file, place.chunk)
                        && (place.row as usize) < self.batches[slot].num_rows() =>
                {
                    slot
                }
                _ => self.slot(place)?,
            };
            last = Some((place, slot));
            rows.push((slot, place.row as usize));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;
