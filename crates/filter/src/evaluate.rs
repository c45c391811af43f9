//! A bound filter, evaluated over the columns of a segment or over one record.
//!
//! Binding has pushed negation into the tests, so a node only has to say for which rows it is true; AND and OR of
//! such sets are exact under three-valued logic.

use crate::expression::CompareOp;
use crate::predicate::{Input, compare_values};
use crate::{Column, Columns, Predicate, Record};
use lavandin_types::{Selection, ValueRef};

/// From this cost on, a test in a conjunction looks only at the rows that the tests before it left.
const ROW_WISE_COST: u32 = 8;
/// Cheaper tests do so when they are left with at most this part of the rows.
const ROW_WISE_PART: u32 = 32;

/// A filter bound to a collection's fields.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(crate) root: Node,
    pub(crate) canonical: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// All rows or none.
    Constant(bool),
    /// Cheapest first.
    And(Vec<Node>),
    Or(Vec<Node>),
    Test {
        column: ColumnName,
        predicate: Box<Predicate>,
    },
    /// Two fields compared row by row.
    Fields {
        left: Box<Source>,
        op: CompareOp,
        right: Box<Source>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ColumnName {
    Field(Box<str>),
    Id,
}

/// A field and what is done to its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) column: ColumnName,
    pub(crate) input: Input,
}

impl Filter {
    /// The filter's text in one spelling: filters bound to one schema with equal texts select the same rows.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The rows for which the filter is true.
    pub fn select(&self, columns: &dyn Columns) -> Selection {
        self.root.select(columns)
    }

    /// Whether the filter is true for one record.
    pub fn matches(&self, record: &dyn Record) -> bool {
        self.root.matches(record)
    }
}

impl Node {
    pub(crate) fn cost(&self) -> u32 {
        match self {
            Self::Constant(_) => 0,
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().map(Self::cost).sum(),
            Self::Test { predicate, .. } => predicate.cost(),
            Self::Fields { .. } => ROW_WISE_COST,
        }
    }

    fn select(&self, columns: &dyn Columns) -> Selection {
        let rows = columns.rows();
        match self {
            Self::Constant(true) => Selection::all(rows),
            Self::Constant(false) => Selection::none(rows),
            Self::And(nodes) => {
                let mut nodes = nodes.iter();
                let mut selected =
                    nodes.next().map_or_else(|| Selection::all(rows), |node| node.select(columns));
                for node in nodes {
                    node.narrow(columns, &mut selected);
                }
                selected
            }
            Self::Or(nodes) => {
                let mut selected = Selection::none(rows);
                for node in nodes {
                    selected.or(&node.select(columns));
                }
                selected
            }
            Self::Test { column, predicate } => {
                let mut selected = Selection::none(rows);
                match column.open(columns) {
                    Some(column) => column.select(predicate, &mut selected),
                    None if predicate.matches(ValueRef::Null) => selected = Selection::all(rows),
                    None => {}
                }
                selected
            }
            Self::Fields { .. } => {
                let mut selected = Selection::all(rows);
                self.narrow(columns, &mut selected);
                selected
            }
        }
    }

    /// Drops the rows for which this is not true.
    fn narrow(&self, columns: &dyn Columns, selected: &mut Selection) {
        let left = selected.count();
        if left == 0 {
            return;
        }
        match self {
            Self::Test { column, predicate }
                if predicate.cost() >= ROW_WISE_COST || left < columns.rows() / ROW_WISE_PART =>
            {
                let column = column.open(columns);
                let value = |row| column.as_ref().map_or(ValueRef::Null, |column| column.value(row));
                retain(selected, |row| predicate.matches(value(row)));
            }
            Self::Fields { left, op, right } => {
                let (Some(left_column), Some(right_column)) =
                    (left.column.open(columns), right.column.open(columns))
                else {
                    *selected = Selection::none(columns.rows());
                    return;
                };
                retain(selected, |row| {
                    compare(left, left_column.value(row), *op, right, right_column.value(row))
                });
            }
            _ => selected.and(&self.select(columns)),
        }
    }

    fn matches(&self, record: &dyn Record) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::And(nodes) => nodes.iter().all(|node| node.matches(record)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(record)),
            Self::Test { column, predicate } => predicate.matches(column.value(record)),
            Self::Fields { left, op, right } => {
                compare(left, left.column.value(record), *op, right, right.column.value(record))
            }
        }
    }
}

impl ColumnName {
    fn open<'a>(&self, columns: &'a dyn Columns) -> Option<Box<dyn Column + 'a>> {
        match self {
            Self::Field(name) => columns.column(name),
            Self::Id => columns.ids(),
        }
    }

    fn value<'a>(&self, record: &'a dyn Record) -> ValueRef<'a> {
        match self {
            Self::Field(name) => record.field(name),
            Self::Id => record.id(),
        }
    }
}

fn compare(
    left: &Source,
    left_value: ValueRef<'_>,
    op: CompareOp,
    right: &Source,
    right_value: ValueRef<'_>,
) -> bool {
    let (left, right) = (left.input.apply(left_value), right.input.apply(right_value));
    compare_values(left.value(), right.value()).is_some_and(|ordering| op.holds(ordering))
}

fn retain(selected: &mut Selection, keep: impl Fn(u32) -> bool) {
    for (index, word) in selected.words_mut().iter_mut().enumerate() {
        let mut rest = *word;
        while rest != 0 {
            let bit = rest.trailing_zeros();
            rest &= rest - 1;
            if !keep((index as u32) << 6 | bit) {
                *word &= !(1 << bit);
            }
        }
    }
}

#[cfg(test)]
mod tests;
