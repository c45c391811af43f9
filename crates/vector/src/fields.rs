//! The fields of a segment's records: the objects themselves, and one typed column per field name for filters.
//!
//! Two forms answer the same questions (`SegmentFields`, and `Columns` for filters):
//! - `GrowingFields`: one writer appends a record's fields row by row while readers hold views of earlier lengths;
//! - `SealedFields`: an immutable section of a segment file, read in place, with sorted orders besides.
//!
//! A column is made of cells in blocks of 64 rows, one word of a `Selection` each (`cell`). A block is stored only if
//! some row in it has the field, so that thousands of rare fields do not cost memory by the row. Filters compile to a
//! `CellTest` (`cell_test`), which both forms run over their blocks; what only one value can tell (arrays, objects) is
//! read from the object's bytes. Fields beyond the first `TYPED_FIELDS_MAX` names have no column and are read from
//! the objects always.
//!
//! Deliberately absent: which rows are alive (`shard`), ids, the meaning of filters (`filter`).

mod cell;
mod cell_test;
mod growing;
mod growing_column;
mod once_list;
mod sealed;
mod section;
mod section_writer;

pub use growing::{GrowingFields, GrowingFieldsWriter, GrowingView};
pub use sealed::SealedFields;
pub use section::SectionError;
pub use section_writer::{SectionWriter, write_section};

use lavandin_filter::{Columns, Kinds};
use lavandin_types::FieldsRef;

/// Names that get a typed column.
pub const TYPED_FIELDS_MAX: usize = 1024;

/// What both forms offer besides columns.
pub trait SegmentFields: Columns {
    /// A record's fields; `None` where the record was stored without any. Panics beyond `rows()`.
    fn record(&self, row: u32) -> Option<FieldsRef<'_>>;

    /// Every field's name with the kinds it has held, in the order in which they first appeared.
    fn schema(&self) -> Vec<(String, Kinds)>;
}

#[cfg(test)]
mod tests;
