//! The batches that a rank was granted lately: when, which samples, and whether their answer has left.
//!
//! Batches whose delivery is not known are all kept: they must be returnable. Of the others the newest are kept for what
//! progress shows, and because most of what is in progress is in them; beyond that only the time of the newest one
//! forgotten is known.

use crate::iterations::owner::Owner;
use crate::iterations::places::Places;
use std::collections::VecDeque;
use std::sync::Arc;

/// Delivered batches that are kept.
const KEPT_MAX: usize = 256;
/// Memory of the places of kept batches that were delivered. A filtered or categorised batch takes 12 bytes a gap.
const KEPT_BYTES_MAX: usize = 256 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub number: u64,
    pub granted_ms: u64,
    pub delivered: bool,
    /// Who sees to its delivery; without meaning afterwards.
    pub owner: Owner,
    pub samples: Arc<Places>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Batches {
    /// By number.
    list: VecDeque<Batch>,
    /// When the newest batch was granted that is not in the list any more.
    pub forgotten_ms: Option<u64>,
    open: usize,
    /// Of the delivered ones' places.
    delivered_bytes: usize,
}

impl Batches {
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Batch> {
        self.list.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// How many there are whose delivery is not known.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Numbers of those whose delivery is not known, and who sees to it.
    pub(crate) fn open_numbers(&self) -> impl Iterator<Item = (u64, Owner)> + '_ {
        self.list.iter().filter(|batch| !batch.delivered).map(|batch| (batch.number, batch.owner))
    }

    /// Who sees to a batch whose delivery is not known.
    pub(crate) fn owner_of_open(&self, number: u64) -> Option<Owner> {
        let batch = &self.list[self.find(number)?];
        (!batch.delivered).then_some(batch.owner)
    }

    pub(crate) fn is_open(&self, number: u64) -> bool {
        self.find(number).is_some_and(|at| !self.list[at].delivered)
    }

    /// Adds a batch whose number is larger than all before it.
    pub(crate) fn push(&mut self, batch: Batch) {
        match batch.delivered {
            true => self.delivered_bytes += batch.samples.bytes(),
            false => self.open += 1,
        }
        self.list.push_back(batch);
    }

    /// Notes that an answer has left; false if the batch is not open.
    pub(crate) fn deliver(&mut self, number: u64) -> bool {
        let Some(at) = self.find(number).filter(|at| !self.list[*at].delivered) else { return false };
        self.list[at].delivered = true;
        self.delivered_bytes += self.list[at].samples.bytes();
        self.open -= 1;
        true
    }

    /// The samples of an open batch.
    pub(crate) fn open_samples(&self, number: u64) -> Option<Arc<Places>> {
        let batch = &self.list[self.find(number)?];
        (!batch.delivered).then(|| Arc::clone(&batch.samples))
    }

    /// Takes an open batch out.
    pub(crate) fn remove_open(&mut self, number: u64) -> Option<Batch> {
        let at = self.find(number).filter(|at| !self.list[*at].delivered)?;
        self.open -= 1;
        self.list.remove(at)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes out the oldest delivered batch, if there are too many.
    pub(crate) fn forget_one(&mut self) -> Option<Batch> {
        if self.list.len() - self.open <= KEPT_MAX && self.delivered_bytes <= KEPT_BYTES_MAX {
            return None;
        }
        let at = self.list.iter().position(|batch| batch.delivered)?;
        let batch = self.list.remove(at)?;
        self.delivered_bytes -= batch.samples.bytes();
        self.forgotten_ms = self.forgotten_ms.max(Some(batch.granted_ms));
        Some(batch)
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.list.binary_search_by_key(&number, |batch| batch.number).ok()
    }
}

#[cfg(test)]
mod tests;
