//! What every implementation of `Columns` is tested with: random records and filters, and an evaluation of the syntax
//! tree that shares nothing with binding.
//!
//! Driven by tests only (feature `conformance`). A failure prints the seed and the filter.

mod naive;
mod random;

pub use naive::{RecordView, evaluate};
pub use random::Random;

use crate::{Column, Columns, FilterError, Kinds, bind, parse};
use lavandin_types::{FieldsRef, ValueRef};

/// One row's field object, or none.
pub type Row = Option<Vec<u8>>;

/// Compares an implementation with the naive evaluation: `rounds` tables, each with some dozens of filters.
pub fn check_columns(rounds: u64, build: impl Fn(&[Row]) -> Box<dyn Columns>) {
    for seed in 0..rounds {
        let mut random = Random::new(seed);
        let count = [0, 1, 5, 63, 64, 65, 200, 700][random.below(8) as usize];
        let rows: Vec<Row> = (0..count).map(|row| random.row(row)).collect();
        let columns = build(&rows);
        assert_eq!(columns.rows() as usize, rows.len());
        let schema = schema_of(&rows);
        check_values(&rows, &schema, &*columns);
        for _ in 0..60 {
            check_filter(seed, &random.expression(3).to_string(), &rows, &schema, &*columns);
        }
    }
}

/// The fields of the rows in the order in which they appear, with their kinds.
pub fn schema_of(rows: &[Row]) -> Vec<(String, Kinds)> {
    let mut schema: Vec<(String, Kinds)> = Vec::new();
    for (name, value) in rows.iter().flatten().flat_map(|row| FieldsRef::from_stored(row).iter()) {
        let place = schema.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            schema.push((name.to_owned(), Kinds::NONE));
            schema.len() - 1
        });
        schema[place].1 = schema[place].1.with(value.kind());
    }
    schema
}

fn check_values(rows: &[Row], schema: &[(String, Kinds)], columns: &dyn Columns) {
    for (name, _) in schema {
        let Some(column) = columns.column(name) else { panic!("no column {name}") };
        for (row, fields) in rows.iter().enumerate() {
            let expected = fields.as_ref().and_then(|fields| FieldsRef::from_stored(fields).get(name));
            assert_eq!(column.value(row as u32), expected.unwrap_or(ValueRef::Null), "{name} in row {row}");
        }
    }
    assert!(
        columns
            .column("no such field")
            .is_none_or(|column| { (0..columns.rows()).all(|row| column.value(row) == ValueRef::Null) })
    );
}

fn check_filter(seed: u64, text: &str, rows: &[Row], schema: &Vec<(String, Kinds)>, columns: &dyn Columns) {
    let expression = parse(text).unwrap_or_else(|error| panic!("seed {seed}: {text}: {error}"));
    let filter = match bind(&expression, schema) {
        Ok(filter) => filter,
        Err(FilterError::TypeMismatch { .. } | FilterError::UnknownField { .. }) => return,
        Err(error) => panic!("seed {seed}: {text}: {error}"),
    };
    let selected = filter.select(columns);
    assert_eq!(selected.len() as usize, rows.len());
    for (row, fields) in rows.iter().enumerate() {
        let fields = fields.as_ref().map_or(FieldsRef::EMPTY, |fields| FieldsRef::from_stored(fields));
        let expected = evaluate(&expression, &RecordView { fields, schema }) == Some(true);
        assert_eq!(selected.contains(row as u32), expected, "seed {seed}, row {row} {fields:?}: {text}");
        assert_eq!(filter.matches(&fields), expected, "one record: seed {seed}, row {row}: {text}");
    }
}

/// The plainest implementation: rows as they are, every trait method by default.
pub struct PlainColumns(pub Vec<Row>);

struct PlainColumn<'a> {
    rows: &'a [Row],
    name: String,
}

impl Columns for PlainColumns {
    fn rows(&self) -> u32 {
        self.0.len() as u32
    }

    fn column(&self, field: &str) -> Option<Box<dyn Column + '_>> {
        Some(Box::new(PlainColumn { rows: &self.0, name: field.to_owned() }))
    }
}

impl Column for PlainColumn<'_> {
    fn value(&self, row: u32) -> ValueRef<'_> {
        let fields = self.rows[row as usize].as_ref();
        fields.and_then(|fields| FieldsRef::from_stored(fields).get(&self.name)).unwrap_or(ValueRef::Null)
    }
}

#[cfg(test)]
mod tests;
