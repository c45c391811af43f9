//! WHERE text to a set of rows: grammar, binding to a collection's fields, evaluation over columns.
//!
//! A filter passes three stages, each with its own module:
//! 1. `parse` (`token`, `parser`): text to an `Expression`, the syntax tree; its `Display` is the canonical text.
//! 2. `bind` (`bind`): an `Expression` and a `Schema` to a `Filter`: names resolved, kinds checked, constants folded,
//!    negations pushed down to the tests, tests on one column merged.
//! 3. `Filter::select` (`evaluate`): a `Filter` over `Columns`, the trait of whoever stores fields, to a `Selection`.
//!    `Filter::matches` does it for one record.
//!
//! Logic is SQL's three-valued logic: a missing field is null, and what is not true is not selected. The grammar and
//! its meaning are described for users in docs/filters.md. Deliberately absent: storage of columns (`vector`), the
//! choice between scanning and walking an index (`shard`), anything that executes SQL.

mod bind;
mod columns;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod evaluate;
mod expression;
mod number;
mod parser;
mod pattern;
mod predicate;
mod schema;
mod token;

pub use bind::bind;
pub use columns::{Column, Columns, Record};
pub use error::FilterError;
pub use evaluate::Filter;
pub use expression::{CompareOp, Expression, FieldName, Function, Literal, Operand, Position, Text, Value};
pub use number::Number;
pub use parser::{DEPTH_MAX, ITEMS_MAX, TEXT_BYTES_MAX, parse};
pub use pattern::{REGEXP_BYTES_MAX, TextPattern};
pub use predicate::{Input, Predicate, Range, Test, Values};
pub use schema::{Kinds, Schema};

/// The pseudo-field that stands for a record's id where no field has this name.
pub const ID_FIELD: &str = "id";
