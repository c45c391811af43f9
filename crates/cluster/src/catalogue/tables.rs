//! Interned bucket tables: one copy of each distinct layout, kept while a collection uses it.

use crate::bucket::{BUCKET_COUNT, BucketTable, BucketTableId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one table weighs: eight bytes an owner.
pub(crate) const TABLE_WEIGHT: u64 = 8 * BUCKET_COUNT as u64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) last: BucketTableId,
    pub(crate) entries: BTreeMap<BucketTableId, TableEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableEntry {
    pub(crate) table: Arc<BucketTable>,
    /// Collections laid out by it.
    pub(crate) users: u64,
}

impl Tables {
    pub(crate) fn get(&self, id: BucketTableId) -> Option<&Arc<BucketTable>> {
        self.entries.get(&id).map(|entry| &entry.table)
    }

    pub(crate) fn find(&self, table: &BucketTable) -> Option<BucketTableId> {
        self.entries.iter().find(|(_, entry)| *entry.table == *table).map(|(id, _)| *id)
    }

    /// Counts one more user of a table, which is added unless an equal one is there.
    pub(crate) fn acquire(&mut self, table: BucketTable) -> BucketTableId {
        let id = self.find(&table).unwrap_or_else(|| {
            self.last = self.last.next();
            self.last
        });
        let new = || TableEntry { table: Arc::new(table), users: 0 };
        self.entries.entry(id).or_insert_with(new).users += 1;
        id
    }

    /// Counts one user less; returns whether the table went with it.
    pub(crate) fn release(&mut self, id: BucketTableId) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else {
            return false;
        };
        entry.users = entry.users.saturating_sub(1);
        let unused = entry.users == 0;
        if unused {
            self.entries.remove(&id);
        }
        unused
    }
}
