//! Conjunctions and disjunctions of bound tests, simplified: constants drop out, nested lists of one sort become one,
//! and tests on one input become one test. `n >= 2 AND n < 4` is one range, a chain of equalities one set.

use crate::evaluate::{ColumnName, Node};
use crate::predicate::{Input, Predicate, Range, Test, Values};
use std::collections::HashMap;

/// All of these, cheapest first.
pub(super) fn all_of(nodes: Vec<Node>) -> Node {
    combine(nodes, true)
}

/// Any of these.
pub(super) fn any_of(nodes: Vec<Node>) -> Node {
    combine(nodes, false)
}

fn combine(nodes: Vec<Node>, all: bool) -> Node {
    let mut merger = Merger::default();
    for node in nodes {
        let flat = match node {
            Node::And(inner) if all => inner,
            Node::Or(inner) if !all => inner,
            other => vec![other],
        };
        for node in flat {
            match node {
                // `true AND x` is x, `false OR x` is x; the other constant decides.
                Node::Constant(value) if value == all => {}
                Node::Constant(_) => return Node::Constant(!all),
                Node::Test { column, predicate } => merger.push(column, *predicate, all),
                other => merger.nodes.push(other),
            }
        }
    }
    merger.finish(all)
}

#[derive(Default)]
struct Merger {
    nodes: Vec<Node>,
    /// Where in `nodes` a test with this key stands.
    places: HashMap<Key, usize>,
}

/// Tests with equal keys merge.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    column: ColumnName,
    input: Input,
    form: Mergeable,
}

#[derive(PartialEq, Eq, Hash)]
enum Mergeable {
    NumberRange,
    StringRange,
    AnyOf,
    /// Which classes of values the set speaks of: sets that differ here select rows of different kinds.
    NoneOf([bool; 3]),
}

impl Merger {
    fn push(&mut self, column: ColumnName, predicate: Predicate, all: bool) {
        let form = match &predicate.test {
            Test::Range(Range::Numbers { .. }) if all => Mergeable::NumberRange,
            Test::Range(Range::Strings { .. }) if all => Mergeable::StringRange,
            Test::NoneOf(values) if all => Mergeable::NoneOf(values.classes()),
            Test::AnyOf(_) if !all => Mergeable::AnyOf,
            _ => {
                self.nodes.push(Node::Test { column, predicate: Box::new(predicate) });
                return;
            }
        };
        let key = Key { column: column.clone(), input: predicate.input.clone(), form };
        let place = *self.places.entry(key).or_insert(self.nodes.len());
        match self.nodes.get_mut(place) {
            Some(Node::Test { predicate: held, .. }) => merge(&mut held.test, predicate.test),
            _ => self.nodes.push(Node::Test { column, predicate: Box::new(predicate) }),
        }
    }

    fn finish(mut self, all: bool) -> Node {
        for node in &mut self.nodes {
            if let Node::Test { predicate, .. } = node
                && let Test::AnyOf(values) | Test::NoneOf(values) = &mut predicate.test
            {
                values.normalise();
            }
        }
        self.nodes.sort_by_key(Node::cost);
        match self.nodes.pop() {
            None => Node::Constant(all),
            Some(only) if self.nodes.is_empty() => only,
            Some(last) => {
                self.nodes.push(last);
                if all { Node::And(self.nodes) } else { Node::Or(self.nodes) }
            }
        }
    }
}

/// Joins a test into one with an equal key.
fn merge(held: &mut Test, other: Test) {
    match (held, other) {
        (Test::Range(held), Test::Range(other)) => held.intersect(other),
        (Test::AnyOf(held) | Test::NoneOf(held), Test::AnyOf(other) | Test::NoneOf(other)) => {
            Values::extend(held, other);
        }
        _ => {}
    }
}
