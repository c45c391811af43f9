//! What the shard should hold, the plain way.

use crate::store::{Store, fields_of, vector_of};
use lavandin_shard::{Which, contains, deleted_ids, records};
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

    /// Every read of the store agrees with the model.
    pub fn check(&self, store: &Store) {
        let Some(view) = store.view() else {
            assert!(self.entries.is_empty(), "the store holds no collection");
            return;
        };
        let read = records(&view, &Which::All, true).expect("reads");
        let expected = self.in_order(false);
        assert_eq!(read.len(), expected.len(), "live records");
        for (record, (id, entry)) in read.iter().zip(&expected) {
            assert_eq!(&record.id, *id);
            assert_eq!(record.vector, vector_of(entry.value), "vector of {id}");
            let fields = entry.fields.map_or_else(|| FieldsRef::EMPTY.as_bytes().to_vec(), fields_of);
            assert_eq!(record.fields, fields, "fields of {id}");
            assert!(contains(&view, id));
        }
        let deleted: Vec<_> = self.in_order(true).into_iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(deleted_ids(&view), deleted, "deleted ids");
        deleted.iter().for_each(|id| assert!(!contains(&view, id)));
        let statistics = view.statistics();
        assert_eq!((statistics.live, statistics.deleted), (expected.len() as u64, deleted.len() as u64));
    }
}
