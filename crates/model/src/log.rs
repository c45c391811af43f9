//! Logs of at most seven entries, as flat bytes.
//!
//! A place holds an entry of some epoch; request 0 is the barrier with which an epoch begins. Unused places are zero, so
//! equal logs are equal bytes.

use bytemuck::{Pod, Zeroable};
use std::fmt;

/// Longest log; the bounds of a configuration must fit.
pub(crate) const ENTRIES_MAX: usize = 7;

/// A record: four bits of epoch, four bits of request id.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Entry(u8);

impl Entry {
    pub(crate) fn barrier(epoch: u8) -> Self {
        Self::write(epoch, 0)
    }

    pub(crate) fn write(epoch: u8, request: u8) -> Self {
        assert!(epoch < 16 && request < 16, "epoch and request have four bits each");
        Self(epoch << 4 | request)
    }

    pub(crate) fn epoch(self) -> u8 {
        self.0 >> 4
    }

    /// 0 for a barrier.
    pub(crate) fn request(self) -> u8 {
        self.0 & 15
    }
}

/// A sequence of entries; sequence numbers count from 1.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Log {
    len: u8,
    entries: [Entry; ENTRIES_MAX],
}

impl Log {
    pub(crate) const EMPTY: Self = Self { len: 0, entries: [Entry(0); ENTRIES_MAX] };

    /// The highest sequence number, 0 if empty.
    pub(crate) fn last(&self) -> u8 {
        self.len
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries[..usize::from(self.len)]
    }

    /// The entry at a sequence number; `None` for 0 and past the end.
    pub(crate) fn at(&self, sequence: u8) -> Option<Entry> {
        self.entries().get(usize::from(sequence).checked_sub(1)?).copied()
    }

    /// The epoch at a sequence number, 0 before the first entry: what an append names as its predecessor.
    pub(crate) fn epoch_at(&self, sequence: u8) -> Option<u8> {
        if sequence == 0 { Some(0) } else { self.at(sequence).map(Entry::epoch) }
    }

    pub(crate) fn is_full(&self) -> bool {
        usize::from(self.len) == ENTRIES_MAX
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries[usize::from(self.len)] = entry;
        self.len += 1;
    }

    pub(crate) fn truncate(&mut self, last: u8) {
        while self.len > last {
            self.len -= 1;
            self.entries[usize::from(self.len)] = Entry(0);
        }
    }

    pub(crate) fn has_request(&self, request: u8) -> bool {
        self.entries().iter().any(|entry| entry.request() == request)
    }

    pub(crate) fn starts_with(&self, prefix: &Self) -> bool {
        self.entries().starts_with(prefix.entries())
    }

    /// Up to where two logs are equal.
    pub(crate) fn common(&self, other: &Self) -> u8 {
        let equal = self.entries().iter().zip(other.entries()).take_while(|(a, b)| a == b).count();
        u8::try_from(equal).expect("a log has at most seven entries")
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.entries().iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            match entry.request() {
                0 => write!(f, "{gap}{}:barrier", entry.epoch())?,
                request => write!(f, "{gap}{}:w{request}", entry.epoch())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
