//! Interned bucket tables: one copy of each distinct layout, kept while a collection uses it.

use crate::bucket::{BucketTable, BucketTableId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one table weighs: eight bytes an owner.
pub(crate) fn table_weight(table: &BucketTable) -> u64 {
    8 * u64::from(table.count())
}

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

    /// Counts one user less; returns what the table weighed if it went with it.
    pub(crate) fn release(&mut self, id: BucketTableId) -> u64 {
        let Some(entry) = self.entries.get_mut(&id) else {
            return 0;
        };
        entry.users = entry.users.saturating_sub(1);
        if entry.users > 0 {
            return 0;
        }
        let freed = table_weight(&entry.table);
        self.entries.remove(&id);
        freed
    }
}
