//! What the shard should hold, the plain way.

use crate::store::{Store, fields_of, vector_of};
use lavandin_shard::{Record, Which, contains, deleted_ids, records};
use lavandin_types::{FieldsRef, RecordId};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub value: i32,
    /// What its fields follow from; `None` without fields.
    pub fields: Option<i32>,
    pub deleted: bool,
    pub ordinal: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub entries: BTreeMap<RecordId, Entry>,
    pub next_ordinal: u64,
}

impl Model {
    pub fn add(&mut self, ids: &[RecordId], values: &[i32], with_fields: bool) {
        for (id, value) in ids.iter().zip(values) {
            let entry = Entry {
                value: *value,
                fields: with_fields.then_some(*value),
                deleted: false,
                ordinal: self.next_ordinal,
            };
            self.next_ordinal += 1;
            assert!(self.entries.insert(id.clone(), entry).is_none(), "{id} exists");
        }
    }

    pub fn upsert(&mut self, ids: &[RecordId], values: &[i32], with_fields: bool) {
        for (id, value) in ids.iter().zip(values) {
            match self.entries.get_mut(id) {
                Some(entry) => {
                    entry.value = *value;
                    entry.deleted = false;
                    if with_fields {
                        entry.fields = Some(*value);
                    }
                }
                None => self.add(std::slice::from_ref(id), &[*value], with_fields),
            }
        }
    }

    pub fn set_deleted(&mut self, ids: &[RecordId], deleted: bool) {
        for id in ids {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.deleted = deleted;
            }
        }
    }

    pub fn compact(&mut self) {
        self.entries.retain(|_, entry| !entry.deleted);
    }

    fn in_order(&self, deleted: bool) -> Vec<(&RecordId, &Entry)> {
        let mut all: Vec<_> = self.entries.iter().filter(|(_, entry)| entry.deleted == deleted).collect();
        all.sort_by_key(|(_, entry)| entry.ordinal);
        all
    }

    /// What a store that agrees holds.
    pub fn content(&self) -> Content {
        let live = self.in_order(false).into_iter().map(|(id, entry)| Record {
            id: id.clone(),
            vector: vector_of(entry.value).to_vec(),
            fields: entry.fields.map_or_else(|| FieldsRef::EMPTY.as_bytes().to_vec(), fields_of),
            place: entry.ordinal,
        });
        let deleted = self.in_order(true).into_iter().map(|(id, _)| id.clone());
        Content { live: live.collect(), deleted: deleted.collect() }
    }

    /// Every read of the store agrees with the model.
    pub fn check(&self, store: &Store) {
        assert_eq!(Content::of(store), self.content());
    }
}

/// All that a collection shows, in the order of insertion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    pub live: Vec<Record>,
    pub deleted: Vec<RecordId>,
}

impl Content {
    /// Reads a store's collection, each way that there is.
    pub fn of(store: &Store) -> Self {
        let Some(view) = store.view() else { return Self::default() };
        let content =
            Self { live: records(&view, &Which::All, true).expect("reads"), deleted: deleted_ids(&view) };
        for record in &content.live {
            assert!(contains(&view, &record.id), "{} is live", record.id);
            let found = records(&view, &Which::Ids(vec![record.id.clone()]), true).expect("found");
            assert_eq!(found, std::slice::from_ref(record));
        }
        content.deleted.iter().for_each(|id| assert!(!contains(&view, id), "{id} is deleted"));
        let statistics = view.statistics();
        let counts = (content.live.len() as u64, content.deleted.len() as u64);
        assert_eq!((statistics.live, statistics.deleted), counts);
        content
    }
}
