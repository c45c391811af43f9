//! Which group of a collection gets what of a change. Pure.

use crate::error::NodeError;
use bytes::BytesMut;
use lavandin_cluster::{BucketTable, Catalogue, CollectionInfo, bucket_hash};
use lavandin_shard::{BatchIds, Change, Places, RecordBatch, VectorBatch};
use lavandin_types::{FieldsRef, GroupId, RecordId, RecordIdRef};
use std::collections::BTreeMap;

/// How a collection lies over groups.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'a> {
    pub info: &'a CollectionInfo,
    pub table: &'a BucketTable,
}

impl<'a> Layout<'a> {
    pub(crate) fn of(catalogue: &'a Catalogue, info: &'a CollectionInfo) -> Result<Self, NodeError> {
        // A table goes with its last collection, and `info` is from a moment ago.
        let dropped = || NodeError::CollectionNotFound(format!("{} (it was dropped)", info.name));
        let table = catalogue.bucket_table(info.buckets).ok_or_else(dropped)?;
        Ok(Self { info, table })
    }

    /// The group that has a record.
    pub(crate) fn owner(&self, id: RecordIdRef<'_>) -> GroupId {
        if let [only] = self.table.groups() {
            return *only;
        }
        let CollectionInfo { database, name, integer_ids, .. } = self.info;
        self.table.owner_of(bucket_hash(database, name, id, *integer_ids))
    }

    /// The parts of a change, by group. Ids that the server allots have been allotted; fields were checked. A group
    /// whose part is empty has none.
    pub(crate) fn split(&self, change: Change) -> BTreeMap<GroupId, Change> {
        match change {
            Change::Add(batch) => each(self.split_batch(&batch), Change::Add),
            Change::Upsert(batch) => each(self.split_batch(&batch), Change::Upsert),
            Change::Delete(ids) => each(self.split_ids(ids), Change::Delete),
            Change::Restore(ids) => each(self.split_ids(ids), Change::Restore),
            Change::Compact => self.table.groups().iter().map(|group| (*group, Change::Compact)).collect(),
            // It is for one group, whichever is chosen for it.
            Change::Allot { .. } => {
                self.table.groups().iter().take(1).map(|one| (*one, change.clone())).collect()
            }
        }
    }

    /// Ids by group, each group's in the order given.
    pub(crate) fn split_ids(&self, ids: Vec<RecordId>) -> BTreeMap<GroupId, Vec<RecordId>> {
        let mut parts: BTreeMap<GroupId, Vec<RecordId>> = BTreeMap::new();
        for id in ids {
            parts.entry(self.owner(id.as_ref())).or_default().push(id);
        }
        parts
    }

    fn split_batch(&self, batch: &RecordBatch) -> BTreeMap<GroupId, RecordBatch> {
        let VectorBatch { element, dim, bytes } = &batch.vectors;
        let row_bytes = *dim as usize * element.size();
        let mut fields = batch.fields.as_deref().map(FieldRows);
        let share = part_bytes(bytes.len(), self.table.groups().len());
        let mut parts: BTreeMap<GroupId, Part> = BTreeMap::new();
        for (row, id) in batch.ids.iter().enumerate() {
            let part = parts.entry(self.owner(id)).or_insert_with(|| Part::with_capacity(share));
            part.push_id(id);
            part.rows.push(row as u32);
            part.vectors
                .extend_from_slice(bytes.get(row * row_bytes..(row + 1) * row_bytes).unwrap_or_default());
            part.fields.extend_from_slice(fields.as_mut().and_then(FieldRows::next).unwrap_or_default());
        }
        let finish = |part: Part| RecordBatch {
            ids: part.ids.unwrap_or(BatchIds::Ints(Vec::new())),
            vectors: VectorBatch { element: *element, dim: *dim, bytes: part.vectors.freeze() },
            fields: batch.fields.is_some().then(|| part.fields.freeze()),
            places: batch.places.as_ref().map(|places| Places {
                first: places.first,
                offsets: part
                    .rows
                    .iter()
                    .filter_map(|row| places.offsets.get(*row as usize).copied())
                    .collect(),
            }),
        };
        each(parts, finish)
    }
}

/// Room for a group's share and an eighth more, since hashes do not divide evenly.
fn part_bytes(bytes: usize, groups: usize) -> usize {
    bytes.min(bytes / groups.max(1) / 8 * 9)
}

fn each<T, U>(parts: BTreeMap<GroupId, T>, make: impl Fn(T) -> U) -> BTreeMap<GroupId, U> {
    parts.into_iter().map(|(group, part)| (group, make(part))).collect()
}

/// A group's share of a batch.
#[derive(Default)]
struct Part {
    ids: Option<BatchIds>,
    /// Their places in the whole batch.
    rows: Vec<u32>,
    vectors: BytesMut,
    fields: BytesMut,
}

impl Part {
    fn with_capacity(vector_bytes: usize) -> Self {
        Self { vectors: BytesMut::with_capacity(vector_bytes), ..Self::default() }
    }

    /// Integers stay a list of integers until a string is among them.
    fn push_id(&mut self, id: RecordIdRef<'_>) {
        match (self.ids.get_or_insert_with(|| BatchIds::Ints(Vec::new())), id) {
            (BatchIds::Ints(ids), RecordIdRef::Int(value)) => ids.push(value),
            (BatchIds::Mixed(ids), id) => ids.push(id.to_owned()),
            (other, id) => {
                let mut ids: Vec<RecordId> = other.iter().map(RecordIdRef::to_owned).collect();
                ids.push(id.to_owned());
                *other = BatchIds::Mixed(ids);
            }
        }
    }
}

/// The fields of a batch, row by row: a byte 0, or a byte 1 and an object.
struct FieldRows<'a>(&'a [u8]);

impl<'a> FieldRows<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (&first, after) = self.0.split_first()?;
        let rest = if first == 0 { after } else { FieldsRef::split(after).ok()?.1 };
        let (row, rest) = self.0.split_at(self.0.len() - rest.len());
        self.0 = rest;
        Some(row)
    }
}

#[cfg(test)]
mod tests;
