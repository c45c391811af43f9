//! The traits through which a filter reads rows; whoever stores fields implements them.

use crate::Predicate;
use lavandin_types::{FieldsRef, Selection, ValueRef};

/// One field of all rows.
pub trait Column {
    /// The field's value in a row; `Null` where the record lacks it.
    fn value(&self, row: u32) -> ValueRef<'_>;

    /// Adds to `out`, which comes empty and spans all rows, those rows whose value passes the predicate. Columns
    /// that know more than single values (dictionaries, sorted orders) override it; the result must not differ.
    fn select(&self, predicate: &Predicate, out: &mut Selection) {
        for row in 0..out.len() {
            if predicate.matches(self.value(row)) {
                out.insert(row);
            }
        }
    }
}

/// The fields of all rows of a segment.
pub trait Columns {
    /// Rows are numbered `0..rows`.
    fn rows(&self) -> u32;

    /// A field's column; `None` where no row has the field.
    fn column(&self, field: &str) -> Option<Box<dyn Column + '_>>;

    /// The records' ids, for filters on the pseudo-field `id`. Without it such filters see nulls.
    fn ids(&self) -> Option<Box<dyn Column + '_>> {
        None
    }
}

/// The fields of a single record.
pub trait Record {
    /// `Null` where the record lacks the field.
    fn field(&self, field: &str) -> ValueRef<'_>;

    /// The record's id as a value, for filters on the pseudo-field `id`.
    fn id(&self) -> ValueRef<'_> {
        ValueRef::Null
    }
}

impl Record for FieldsRef<'_> {
    fn field(&self, field: &str) -> ValueRef<'_> {
        self.get(field).unwrap_or(ValueRef::Null)
    }
}
