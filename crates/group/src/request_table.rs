//! Answers by request id, so that a retried request is applied once. Part of the replicated state: every record
//! carries its request id, and the table evicts by count, oldest first, never by a clock.

use lavandin_types::RequestId;
use std::collections::{HashMap, VecDeque};

/// Answers kept, oldest evicted first.
#[derive(Debug, Default)]
pub(crate) struct RequestTable {
    entries_max: usize,
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// Where an id's entry stands, counted from the first entry that there ever was.
    places: HashMap<RequestId, u64>,
    /// The place of the front entry.
    evicted: u64,
}

#[derive(Debug)]
struct Entry {
    id: RequestId,
    outcome: Box<[u8]>,
}

impl RequestTable {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries_max, entries: VecDeque::new(), places: HashMap::new(), evicted: 0 }
    }

    /// The encoded outcome of a request that was applied.
    pub(crate) fn get(&self, id: RequestId) -> Option<&[u8]> {
        let place = self.places.get(&id)? - self.evicted;
        self.entries.get(place as usize).map(|entry| &*entry.outcome)
    }

    pub(crate) fn insert(&mut self, id: RequestId, outcome: &[u8]) {
        if id.is_none() || self.entries_max == 0 {
            return;
        }
        let outcome = outcome.into();
        if let Some(place) = self.places.get(&id) {
            self.entries[(place - self.evicted) as usize].outcome = outcome;
            return;
        }
        self.places.insert(id, self.evicted + self.entries.len() as u64);
        self.entries.push_back(Entry { id, outcome });
        if self.entries.len() > self.entries_max
            && let Some(oldest) = self.entries.pop_front()
        {
            self.places.remove(&oldest.id);
            self.evicted += 1;
        }
    }

    /// `u32 count`, then for each, oldest first: 16 bytes id, `u32` length, outcome.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for Entry { id, outcome } in &self.entries {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&(outcome.len() as u32).to_le_bytes());
            out.extend_from_slice(outcome);
        }
    }

    /// Reads a table off the front of `rest`; `None` on malformed bytes, or if `is_outcome` refuses an outcome.
    pub(crate) fn decode(
        rest: &mut &[u8],
        entries_max: usize,
        is_outcome: impl Fn(&[u8]) -> bool,
    ) -> Option<Self> {
        let mut table = Self::new(entries_max);
        let count = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
        for _ in 0..count {
            let id = RequestId::from_le_bytes(take(rest, 16)?.try_into().ok()?);
            let length = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
            let outcome = take(rest, length as usize)?;
            if id.is_none() || !is_outcome(outcome) {
                return None;
            }
            table.insert(id, outcome);
        }
        Some(table)
    }
}

pub(crate) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests;
