//! What staged and unapplied operations will have inserted, as far as the next ones must know.
//!
//! Operations are applied in the order in which they were staged, and others are staged between the two: where other
//! copies are waited for there is always something staged. So each leaves with its own application, whatever is staged
//! behind it. Reservations hold their ids as well, until they are staged or given up.

use crate::collection::ALLOTTED_END;
use crate::op::Ids;
use crate::request::BatchIds;
use hashbrown::HashMap;
use lavandin_types::RecordIdRef;
use std::borrow::Borrow;
use std::hash::Hash;

#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub ids: PendingIds,
    /// Those of reserved adds that are not staged yet. What an upsert made of one meanwhile, the add would make again.
    pub reserved_adds: PendingIds,
    /// Of what was staged since nothing was: not lowered where something leaves.
    pub max_int: Option<u64>,
    pub rows: u64,
    operations: u64,
    reservations: u64,
}

/// Ids, each as often as operations insert it: more than once by upserts.
#[derive(Debug, Default)]
pub(crate) struct PendingIds {
    /// Ranges of integer ids, by their first and last.
    runs: Vec<(u64, u64)>,
    ints: HashMap<u64, u32>,
    strings: HashMap<Box<str>, u32>,
}

impl Pending {
    pub(crate) fn insert(&mut self, ids: &BatchIds) {
        self.ids.insert(ids);
        self.rows += ids.len() as u64;
        self.max_int = self.max_int.max(largest_int(ids));
    }

    /// An operation is staged.
    pub(crate) fn staged_one(&mut self) {
        self.operations += 1;
    }

    /// The first of the staged operations has inserted these; or another one, where none is staged.
    pub(crate) fn inserted(&mut self, ids: Ids<'_>) {
        // Of the last one all is cleared at once.
        if self.operations > 1 || self.operations == 1 && self.reservations > 0 {
            self.ids.remove(ids.range_start(), ids.count, ids.iter());
            self.rows = self.rows.saturating_sub(u64::from(ids.count));
        }
    }

    /// One staged operation has been applied; when none is left, nothing is pending.
    pub(crate) fn applied_one(&mut self) {
        self.operations = self.operations.saturating_sub(1);
        self.clear_unused();
    }

    /// A write whose ids were inserted is reserved.
    pub(crate) fn reserved(&mut self, ids: &BatchIds, is_upsert: bool) {
        self.reservations += 1;
        if !is_upsert {
            self.reserved_adds.insert(ids);
        }
    }

    /// A reserved write is about to be staged.
    pub(crate) fn reservation_ended(&mut self, ids: &BatchIds, is_upsert: bool) {
        self.reservations = self.reservations.saturating_sub(1);
        if !is_upsert {
            self.reserved_adds.take_back(ids);
        }
    }

    /// A reserved write is given up.
    pub(crate) fn release(&mut self, ids: &BatchIds, is_upsert: bool) {
        self.ids.take_back(ids);
        self.rows = self.rows.saturating_sub(ids.len() as u64);
        self.reservation_ended(ids, is_upsert);
        self.clear_unused();
    }

    fn clear_unused(&mut self) {
        if self.operations == 0 && self.reservations == 0 {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl PendingIds {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.ints.is_empty() && self.strings.is_empty()
    }

    pub(crate) fn contains(&self, id: RecordIdRef<'_>) -> bool {
        match id {
            RecordIdRef::Int(value) => self.runs_contain(value) || self.ints.contains_key(&value),
            RecordIdRef::Str(text) => self.strings.contains_key(text),
        }
    }

    fn runs_contain(&self, value: u64) -> bool {
        self.runs.iter().any(|(first, last)| (*first..=*last).contains(&value))
    }

    /// How many of them, each once, no record has. Looks at every one.
    pub(crate) fn count_new(&self, is_known: impl Fn(RecordIdRef<'_>) -> bool) -> u64 {
        let is_new = |value: &u64| !is_known(RecordIdRef::Int(*value));
        let mut runs = self.runs.clone();
        runs.sort_unstable();
        let (mut new, mut next) = (0, 0);
        for (first, last) in runs {
            new += (first.max(next)..=last).filter(is_new).count();
            next = next.max(last.saturating_add(1));
        }
        let ints = self.ints.keys().filter(|value| !self.runs_contain(**value) && is_new(value));
        let strings = self.strings.keys().filter(|text| !is_known(RecordIdRef::Str(text)));
        (new + ints.count() + strings.count()) as u64
    }

    fn insert(&mut self, ids: &BatchIds) {
        match ids.range_start() {
            Some(start) => self.runs.push(run(start, ids.len() as u32)),
            None => ids.iter().for_each(|id| match id {
                RecordIdRef::Int(value) => *self.ints.entry(value).or_default() += 1,
                RecordIdRef::Str(text) => *self.strings.entry_ref(text).or_default() += 1,
            }),
        }
    }

    fn take_back(&mut self, ids: &BatchIds) {
        self.remove(ids.range_start(), ids.len() as u32, ids.iter());
    }

    /// Takes back what `insert` did. A range is named by its start and never looked through.
    fn remove<'a>(&mut self, range: Option<u64>, count: u32, ids: impl Iterator<Item = RecordIdRef<'a>>) {
        match range {
            Some(start) => {
                let at = self.runs.iter().position(|other| *other == run(start, count));
                at.map(|at| self.runs.remove(at));
            }
            None => ids.for_each(|id| match id {
                RecordIdRef::Int(value) => one_less(&mut self.ints, &value),
                RecordIdRef::Str(text) => one_less(&mut self.strings, text),
            }),
        }
    }
}

fn run(start: u64, count: u32) -> (u64, u64) {
    (start, start.saturating_add(u64::from(count.saturating_sub(1))))
}

/// One operation less inserts the id.
fn one_less<K: Hash + Eq + Borrow<Q>, Q: Hash + Eq + ?Sized>(operations: &mut HashMap<K, u32>, id: &Q) {
    let Some(count) = operations.get_mut(id) else { return };
    *count -= 1;
    if *count == 0 {
        operations.remove(id);
    }
}

/// The largest integer id below those that are never allotted.
fn largest_int(ids: &BatchIds) -> Option<u64> {
    let below = |value: &u64| *value < ALLOTTED_END;
    match ids {
        BatchIds::Range { start, count } => {
            Some((start + u64::from(*count - 1)).min(ALLOTTED_END - 1)).filter(|_| below(start))
        }
        _ => ids
            .iter()
            .filter_map(|id| match id {
                RecordIdRef::Int(value) => Some(value).filter(below),
                RecordIdRef::Str(_) => None,
            })
            .max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lavandin_types::RecordId;

    fn mixed(ints: &[u64], string: &str) -> BatchIds {
        let ints = ints.iter().copied().map(RecordId::Int);
        BatchIds::Mixed(ints.chain([RecordId::from(string)]).collect())
    }

    #[test]
    fn what_comes_twice_leaves_twice() {
        for ids in [BatchIds::Range { start: 3, count: 2 }, BatchIds::Ints(vec![3, 4]), mixed(&[4], "x")] {
            let mut pending = PendingIds::default();
            pending.insert(&ids);
            pending.insert(&ids);
            pending.take_back(&ids);
            assert!(pending.contains(RecordIdRef::Int(4)), "{ids:?}");
            pending.take_back(&ids);
            assert!(!pending.contains(RecordIdRef::Int(4)) && pending.is_empty(), "{ids:?}");
            // Of what was never there nothing is taken.
            pending.take_back(&ids);
            assert!(pending.is_empty());
        }
    }

    #[test]
    fn each_new_id_is_counted_once() {
        let mut pending = PendingIds::default();
        let ranges = [(10, 5), (12, 5), (10, 2), (u64::MAX, 1), (40, 1)];
        for (start, count) in ranges {
            pending.insert(&BatchIds::Range { start, count });
        }
        pending.insert(&mixed(&[9, 10, 17], "x"));
        pending.insert(&mixed(&[9], "y"));
        // 9 to 17, 40, the largest, and two strings.
        assert_eq!(pending.count_new(|_| false), 9 + 1 + 1 + 2);
        let is_known = |id: RecordIdRef<'_>| match id {
            RecordIdRef::Int(value) => value >= 14,
            RecordIdRef::Str(text) => text == "x",
        };
        assert_eq!(pending.count_new(is_known), 5 + 1);
    }

    #[test]
    fn an_add_is_held_apart_until_it_is_staged() {
        let (mut pending, ids) = (Pending::default(), BatchIds::Ints(vec![7]));
        for is_upsert in [false, true] {
            pending.insert(&ids);
            pending.reserved(&ids, is_upsert);
            assert_eq!(pending.reserved_adds.is_empty(), is_upsert);
            pending.reservation_ended(&ids, is_upsert);
            pending.staged_one();
            assert!(pending.reserved_adds.is_empty() && pending.ids.contains(RecordIdRef::Int(7)));
            pending.applied_one();
            assert!(pending.ids.is_empty() && pending.rows == 0);
            pending.insert(&ids);
            pending.reserved(&ids, is_upsert);
            pending.release(&ids, is_upsert);
            assert!(pending.ids.is_empty() && pending.reserved_adds.is_empty() && pending.max_int.is_none());
        }
    }
}
