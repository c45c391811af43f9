//! Main samples and the columns that other shardsets add to them.

use super::chunks::{Chunks, Place};
use super::pick::{Pick, gathered_type};
use super::{NullAs, RowsError};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::collections::HashSet;
use std::sync::Arc;

/// The columns of a joined shardset, and what nulls of each become.
#[derive(Clone, Debug)]
pub struct JoinedColumns {
    pub columns: Vec<(Field, NullAs)>,
}

/// Which columns a batch has and which shardset each comes from; made once for an iteration.
#[derive(Clone, Debug)]
pub struct JoinPlan {
    schema: SchemaRef,
    /// For each column of the schema its part: 0 is the main shardset.
    parts: Vec<usize>,
    part_count: usize,
}

/// The rows of one part: a place for each sample, in the batch's order.
#[derive(Debug)]
pub struct PartRows<'a, E> {
    pub places: &'a [Option<Place>],
    pub chunks: &'a Chunks<E>,
}

impl JoinPlan {
    /// The main shardset's columns, whose nulls are what their reader says, then those of the joined ones. The uid column is the main shardset's; of columns
    /// with one name the first counts (names are unique in a dataset, so this decides only for odd catalogues).
    pub fn new(uid: &str, main: &Schema, joined: &[JoinedColumns]) -> Self {
        let mut names = HashSet::new();
        let (mut fields, mut parts) = (Vec::new(), Vec::new());
        let mut add = |field: &Field, null: NullAs, part: usize| {
            if names.insert(field.name().clone()) {
                let kind = gathered_type(field.data_type());
                let plain = Field::new(field.name(), kind, true).with_metadata(field.metadata().clone());
                fields.push(null.mark(plain));
                parts.push(part);
            }
        };
        for field in main.fields() {
            add(field, NullAs::of_field(field), 0);
        }
        for (place, columns) in joined.iter().enumerate() {
            for (field, null) in &columns.columns {
                if field.name() != uid {
                    add(field, *null, place + 1);
                }
            }
        }
        Self { schema: Arc::new(Schema::new(fields)), parts, part_count: joined.len() + 1 }
    }

    /// The columns of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The batch of the samples at the parts' places. A part without a place for a sample gives nulls, and so does a
    /// part past the end of `parts` (a shardset without the shard in question).
    pub fn gather<E>(&self, parts: &[PartRows<'_, E>]) -> Result<RecordBatch, RowsError> {
        let samples = parts.first().map_or(0, |part| part.places.len());
        let mut rows = Vec::with_capacity(self.part_count);
        for part in parts.iter().take(self.part_count) {
            if part.places.len() != samples {
                return Err(RowsError::Count { places: part.places.len(), samples });
            }
            rows.push(part.chunks.resolve(part.places)?);
        }
        let absent = vec![(0, 0); if parts.len() < self.part_count { samples } else { 0 }];
        let mut columns = Vec::with_capacity(self.parts.len());
        for (field, &part) in self.schema.fields().iter().zip(&self.parts) {
            let sources = parts.get(part).map_or_else(Vec::new, |part| {
                part.chunks.batches.iter().map(|batch| batch.column_by_name(field.name())).collect()
            });
            let rows = rows.get(part).unwrap_or(&absent);
            let pick = Pick { column: field.name(), wanted: field.data_type(), sources, rows };
            columns.push(pick.pick()?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(samples));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| RowsError::Gather { column: "*".to_owned(), reason: error.to_string() })
    }
}

/// Which samples of a list stay, as positions in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub kept: Vec<u32>,
    pub dropped: Vec<u32>,
}

impl Split {
    /// What `items` has at the kept positions.
    pub fn pick<T: Copy>(&self, items: &[T]) -> Vec<T> {
        self.kept.iter().filter_map(|&place| items.get(place as usize).copied()).collect()
    }

    /// Splits by a test of each position.
    pub fn by(samples: usize, mut is_kept: impl FnMut(usize) -> bool) -> Self {
        let mut split = Self::default();
        for place in 0..samples {
            // A batch never has 2^32 samples.
            let list = if is_kept(place) { &mut split.kept } else { &mut split.dropped };
            list.push(place as u32);
        }
        split
    }
}

/// The samples that every joined shardset has a row for. `joined` holds each one's place for each sample; shardsets
/// without the shard in question do not take part, so they are to be left out.
pub fn inner_join(samples: usize, joined: &[&[Option<Place>]]) -> Split {
    Split::by(samples, |place| joined.iter().all(|places| places.get(place).is_some_and(Option::is_some)))
}

#[cfg(test)]
mod tests;
