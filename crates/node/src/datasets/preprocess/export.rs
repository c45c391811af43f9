//! What is written of a processed batch.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema};
use lavandin_feed::python::{BatchReply, Entry};
use std::collections::HashMap;
use std::sync::Arc;

/// What is written of a batch.
pub(super) struct Export {
    pub(super) columns: Vec<String>,
    pub(super) uid_column: String,
}

impl Export {
    /// The columns to write of what user code made.
    pub(super) fn of_reply(&self, rows: &RecordBatch, reply: BatchReply) -> Result<RecordBatch, String> {
        let mut columns = Vec::with_capacity(reply.entries.len());
        for (key, entry) in reply.entries {
            let (field, array) = match entry {
                Entry::Column(name) => {
                    column(rows, &name).ok_or("user code named a column that is not in its batch")?
                }
                Entry::Array(field, array) => (field, array),
                Entry::Item(_) => return Err("user code's values came in another form".to_owned()),
            };
            columns.push((key, field, array));
        }
        self.pick(rows, columns)
    }

    /// The columns to write where there is no user code.
    pub(super) fn of_rows(&self, rows: &RecordBatch) -> Result<RecordBatch, String> {
        let fields = rows.schema_ref().fields().iter().zip(rows.columns());
        self.pick(
            rows,
            fields
                .map(|(field, array)| (field.name().clone(), Arc::clone(field), Arc::clone(array)))
                .collect(),
        )
    }

    /// The wanted ones of a batch's columns, in the batch's order, and the uid column: that of the samples if user code
    /// left it out, for a batch has one element for each of them.
    fn pick(
        &self,
        rows: &RecordBatch,
        columns: Vec<(String, FieldRef, ArrayRef)>,
    ) -> Result<RecordBatch, String> {
        let has: HashMap<&str, ()> = columns.iter().map(|(key, ..)| (key.as_str(), ())).collect();
        if let Some(missing) =
            self.columns.iter().find(|name| !has.contains_key(name.as_str()) && **name != self.uid_column)
        {
            let names: Vec<_> = columns.iter().map(|(key, ..)| key.as_str()).collect();
            return Err(format!("there is no {missing:?} to export, the batch has [{}]", names.join(", ")));
        }
        let own_uid = match has.contains_key(self.uid_column.as_str()) {
            true => None,
            false => Some(column(rows, &self.uid_column).ok_or("the samples have no uid column")?),
        };
        let is_wanted = |key: &String| *key == self.uid_column || self.columns.contains(key);
        let wanted = columns.into_iter().filter(|(key, ..)| is_wanted(key));
        let wanted = wanted.chain(own_uid.map(|(field, array)| (self.uid_column.clone(), field, array)));
        let (fields, arrays): (Vec<_>, Vec<_>) = wanted
            .map(|(key, field, array)| (Field::clone(&field).with_name(key).with_nullable(true), array))
            .unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error| error.to_string())
    }
}

fn column(rows: &RecordBatch, name: &str) -> Option<(FieldRef, ArrayRef)> {
    let place = rows.schema_ref().index_of(name).ok()?;
    Some((Arc::clone(&rows.schema_ref().fields()[place]), Arc::clone(rows.column(place))))
}
