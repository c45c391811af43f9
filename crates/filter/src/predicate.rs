//! Tests on the value of one field, in a form that columns can look into.
//!
//! Negation is already within the test: a predicate says which values are selected, and null, like a value of a kind
//! that the test does not speak of, is selected by `IsNull` alone.

use crate::expression::{Function, Value};
use crate::{Number, TextPattern};
use lavandin_types::{ArrayRef, ValueRef};
use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

/// A test on one field.
#[derive(Clone, Debug)]
pub struct Predicate {
    pub input: Input,
    pub test: Test,
}

/// How a field's value becomes the tested one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Input {
    /// Names of nested fields, outermost first.
    pub path: Vec<Box<str>>,
    /// Applied from first to last.
    pub functions: Vec<Function>,
}

/// What is asked of the value.
#[derive(Clone, Debug)]
pub enum Test {
    /// It equals one of these.
    AnyOf(Values),
    /// It is comparable with some of these and equals none.
    NoneOf(Values),
    /// It lies in a range.
    Range(Range),
    /// It is a string that matches (or, negated, does not).
    Text {
        pattern: TextPattern,
        negated: bool,
    },
    /// It is an array that holds (or, negated, does not hold) one of these.
    Contains {
        item: Values,
        negated: bool,
    },
    IsNull,
    IsNotNull,
}

/// A set of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// Ascending, distinct.
    pub numbers: Vec<Number>,
    /// Ascending by bytes, distinct.
    pub strings: Vec<Box<str>>,
    /// Whether `false` and `true` are in the set.
    pub bools: [bool; 2],
}

/// A range of numbers or of strings; strings order by their UTF-8 bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Range {
    Numbers { low: Bound<Number>, high: Bound<Number> },
    Strings { low: Bound<Box<str>>, high: Bound<Box<str>> },
}

impl Predicate {
    /// Whether the value of the field passes.
    pub fn matches(&self, value: ValueRef<'_>) -> bool {
        if self.input.is_plain() {
            return self.test.matches(value);
        }
        self.test.matches(self.input.apply(value).value())
    }

    /// Rough work per value: 1 for a comparison, more for what reads text or walks bytes.
    pub(crate) fn cost(&self) -> u32 {
        let test = match &self.test {
            Test::Text { .. } => 4,
            Test::Contains { .. } => 16,
            _ => 1,
        };
        test + 16 * self.input.path.len() as u32 + 4 * self.input.functions.len() as u32
    }
}

impl Test {
    pub fn matches(&self, value: ValueRef<'_>) -> bool {
        match self {
            Self::AnyOf(values) => values.contains(value),
            Self::NoneOf(values) => values.speaks_of(value) && !values.contains(value),
            Self::Range(range) => range.contains(value),
            Self::Text { pattern, negated } => match value {
                ValueRef::Str(text) => pattern.matches(text) != *negated,
                _ => false,
            },
            Self::Contains { item, negated } => match value {
                ValueRef::Array(array) => array_holds(array, item) != *negated,
                _ => false,
            },
            Self::IsNull => value == ValueRef::Null,
            Self::IsNotNull => value != ValueRef::Null,
        }
    }
}

fn array_holds(array: ArrayRef<'_>, item: &Values) -> bool {
    let quick = match &item.strings[..] {
        [text] if item.classes() == [false, true, false] => holds_text(array.as_bytes(), text),
        _ => None,
    };
    quick.unwrap_or_else(|| array.iter().any(|element| item.contains(element)))
}

/// Whether an array holds a string, found by comparing bytes: checking the UTF-8 of every element costs more than the
/// comparison. `None` where a nested value or a cut end comes first.
fn holds_text(array: &[u8], text: &str) -> Option<bool> {
    let (count, mut rest) = array.split_first_chunk()?;
    for _ in 0..u32::from_le_bytes(*count) {
        let (tag, after) = rest.split_first()?;
        rest = match tag {
            0..=2 => after,
            3..=5 => after.get(8..)?,
            6 => {
                let (len, after) = after.split_first_chunk()?;
                let (element, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
                if element == text.as_bytes() {
                    return Some(true);
                }
                after
            }
            _ => return None,
        };
    }
    Some(false)
}

/// The number in a value, if it is one.
pub(crate) fn number_of(value: ValueRef<'_>) -> Option<Number> {
    match value {
        ValueRef::I64(number) => Some(Number::Int(i128::from(number))),
        ValueRef::U64(number) => Some(Number::Int(i128::from(number))),
        ValueRef::F64(number) => Some(Number::Float(number)),
        _ => None,
    }
}

impl Values {
    /// The set of one value; the empty set for null.
    pub(crate) fn one(value: Value) -> Self {
        let mut values = Self::default();
        values.push(value);
        values
    }

    /// Adds a value; `normalise` must follow.
    pub(crate) fn push(&mut self, value: Value) {
        match value {
            Value::Null => {}
            Value::Bool(value) => self.bools[usize::from(value)] = true,
            Value::Number(value) => self.numbers.push(value),
            Value::Str(value) => self.strings.push(value.into_boxed_str()),
        }
    }

    /// Adds another set's values; `normalise` must follow.
    pub(crate) fn extend(&mut self, other: Self) {
        self.numbers.extend(other.numbers);
        self.strings.extend(other.strings);
        self.bools = [self.bools[0] || other.bools[0], self.bools[1] || other.bools[1]];
    }

    pub(crate) fn normalise(&mut self) {
        self.numbers.sort_unstable();
        self.numbers.dedup();
        self.strings.sort_unstable();
        self.strings.dedup();
    }

    /// Which of numbers, strings and booleans are present.
    pub(crate) fn classes(&self) -> [bool; 3] {
        [!self.numbers.is_empty(), !self.strings.is_empty(), self.bools[0] || self.bools[1]]
    }

    pub fn contains(&self, value: ValueRef<'_>) -> bool {
        match value {
            ValueRef::Str(text) => self.strings.binary_search_by(|item| (**item).cmp(text)).is_ok(),
            ValueRef::Bool(value) => self.bools[usize::from(value)],
            _ => number_of(value).is_some_and(|number| self.numbers.binary_search(&number).is_ok()),
        }
    }

    /// Whether the set holds a value that compares with this one.
    pub fn speaks_of(&self, value: ValueRef<'_>) -> bool {
        let [numbers, strings, bools] = self.classes();
        match value {
            ValueRef::Str(_) => strings,
            ValueRef::Bool(_) => bools,
            ValueRef::I64(_) | ValueRef::U64(_) | ValueRef::F64(_) => numbers,
            ValueRef::Null | ValueRef::Array(_) | ValueRef::Object(_) => false,
        }
    }
}

impl Range {
    pub fn contains(&self, value: ValueRef<'_>) -> bool {
        match self {
            Self::Numbers { low, high } => {
                number_of(value).is_some_and(|number| (low.as_ref(), high.as_ref()).contains(&number))
            }
            Self::Strings { low, high } => match value {
                ValueRef::Str(text) => {
                    (low.as_ref().map(|it| &**it), high.as_ref().map(|it| &**it)).contains(text)
                }
                _ => false,
            },
        }
    }

    /// Keeps the part in common with another range of the same sort; one of the other sort changes nothing.
    pub(crate) fn intersect(&mut self, other: Self) {
        match (self, other) {
            (Self::Numbers { low, high }, Self::Numbers { low: other_low, high: other_high }) => {
                tighten(low, other_low, Ordering::Greater);
                tighten(high, other_high, Ordering::Less);
            }
            (Self::Strings { low, high }, Self::Strings { low: other_low, high: other_high }) => {
                tighten(low, other_low, Ordering::Greater);
                tighten(high, other_high, Ordering::Less);
            }
            _ => {}
        }
    }
}

/// Takes the other bound where it excludes more: where its limit is on the `wins` side, or is the same and excluded.
fn tighten<T: Ord>(held: &mut Bound<T>, other: Bound<T>, wins: Ordering) {
    let ordering = match (&*held, &other) {
        (_, Bound::Unbounded) => return,
        (Bound::Unbounded, _) => wins,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => b.cmp(a),
    };
    if ordering == wins || (ordering.is_eq() && matches!(other, Bound::Excluded(_))) {
        *held = other;
    }
}

impl Input {
    /// Whether the field's own value is tested.
    pub fn is_plain(&self) -> bool {
        self.path.is_empty() && self.functions.is_empty()
    }

    pub(crate) fn apply<'a>(&self, value: ValueRef<'a>) -> Applied<'a> {
        let mut value = value;
        for name in &self.path {
            value = match value {
                ValueRef::Object(object) => object.get(name).unwrap_or(ValueRef::Null),
                _ => ValueRef::Null,
            };
        }
        self.functions.iter().fold(Applied::Value(value), |applied, function| applied.call(*function))
    }
}

/// The outcome of an input.
pub(crate) enum Applied<'a> {
    Value(ValueRef<'a>),
    Text(String),
}

impl Applied<'_> {
    pub(crate) fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Value(value) => *value,
            Self::Text(text) => ValueRef::Str(text),
        }
    }

    /// Functions of what they do not apply to are null.
    fn call(self, function: Function) -> Self {
        let value = self.value();
        if let (Function::Length, ValueRef::Array(array)) = (function, value) {
            return Self::Value(ValueRef::U64(array.len() as u64));
        }
        let ValueRef::Str(text) = value else {
            return Self::Value(ValueRef::Null);
        };
        match call(function, text) {
            Called::Text(text) => Self::Text(text),
            Called::Length(length) => Self::Value(ValueRef::U64(length)),
        }
    }
}

pub(crate) enum Called {
    Text(String),
    Length(u64),
}

/// A function of a string.
pub(crate) fn call(function: Function, text: &str) -> Called {
    match function {
        Function::Upper => Called::Text(text.to_uppercase()),
        Function::Lower => Called::Text(text.to_lowercase()),
        Function::Length => Called::Length(text.chars().count() as u64),
    }
}

/// How a value of a row compares with another: `None` for null and for values of kinds that do not compare.
pub(crate) fn compare_values(left: ValueRef<'_>, right: ValueRef<'_>) -> Option<Ordering> {
    match (left, right) {
        (ValueRef::Str(left), ValueRef::Str(right)) => Some(left.cmp(right)),
        (ValueRef::Bool(left), ValueRef::Bool(right)) => Some(left.cmp(&right)),
        _ => Some(number_of(left)?.compare(number_of(right)?)),
    }
}
