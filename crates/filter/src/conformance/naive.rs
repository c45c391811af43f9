//! Three-valued evaluation of the syntax tree, one record at a time: what a filter means, in the plainest terms.

use crate::expression::{Function, Value};
use crate::{Expression, Kinds, Number, Operand, Schema};
use lavandin_types::{FieldsRef, Kind, ValueRef};
use std::cmp::Ordering;

/// A record, seen with its collection's schema.
pub struct RecordView<'a> {
    pub fields: FieldsRef<'a>,
    pub schema: &'a Vec<(String, Kinds)>,
}

#[derive(Clone, Debug)]
enum Owned {
    Null,
    Bool(bool),
    Number(Number),
    Str(String),
    Array(Vec<Owned>),
    Object,
}

/// True, false or unknown.
pub fn evaluate(expression: &Expression, record: &RecordView<'_>) -> Option<bool> {
    let value = |operand: &Operand| operand_value(operand, record);
    match expression {
        Expression::And(items) => all(items.iter().map(|item| evaluate(item, record))),
        Expression::Or(items) => not(all(items.iter().map(|item| not(evaluate(item, record))))),
        Expression::Not(inner) => not(evaluate(inner, record)),
        Expression::Constant(value) => *value,
        Expression::Compare { left, op, right } => {
            compare(&value(left), &value(right)).map(|ordering| op.holds(ordering))
        }
        Expression::Between { operand, low, high } => {
            let middle = value(operand);
            let above = compare(&middle, &value(low)).map(Ordering::is_ge);
            all([above, compare(&middle, &value(high)).map(Ordering::is_le)])
        }
        Expression::In { operand, items } => {
            let sought = value(operand);
            let outcomes =
                items.iter().map(|item| compare(&sought, &literal(&item.value)).map(Ordering::is_eq));
            let outcomes: Vec<_> = outcomes.collect();
            if outcomes.contains(&Some(true)) {
                return Some(true);
            }
            let has_null = items.iter().any(|item| matches!(item.value, Value::Null));
            if has_null || !outcomes.contains(&Some(false)) { None } else { Some(false) }
        }
        Expression::Like { operand, pattern, escape, ignore_case } => {
            let Owned::Str(text) = value(operand) else { return None };
            let fold = |character: char| -> Vec<char> {
                if *ignore_case { character.to_lowercase().collect() } else { vec![character] }
            };
            let text: Vec<char> = text.chars().flat_map(fold).collect();
            let mut steps = Vec::new();
            let mut characters = pattern.text.chars();
            while let Some(character) = characters.next() {
                if Some(character) == *escape {
                    steps.extend(fold(characters.next()?).into_iter().map(|it| (it, false)));
                } else if character == '%' || character == '_' {
                    steps.push((character, true));
                } else {
                    steps.extend(fold(character).into_iter().map(|it| (it, false)));
                }
            }
            Some(like(&steps, &text))
        }
        Expression::Regexp { operand, pattern } => {
            let Owned::Str(text) = value(operand) else { return None };
            let regex = regex_lite::Regex::new(&pattern.text).ok()?;
            Some(regex.is_match(&text))
        }
        Expression::IsNull(operand) => Some(matches!(value(operand), Owned::Null)),
        Expression::Contains { operand, item } => {
            let (Owned::Array(elements), item) = (value(operand), literal(&item.value)) else { return None };
            if matches!(item, Owned::Null) {
                return None;
            }
            Some(elements.iter().any(|element| compare(element, &item) == Some(Ordering::Equal)))
        }
    }
}

/// False where one is false, else unknown where one is unknown.
fn all(values: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let values: Vec<_> = values.into_iter().collect();
    if values.contains(&Some(false)) {
        Some(false)
    } else if values.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn not(value: Option<bool>) -> Option<bool> {
    value.map(|value| !value)
}

/// By recursion over the pattern; a marked `%` or `_` is a wildcard.
fn like(steps: &[(char, bool)], text: &[char]) -> bool {
    match steps.split_first() {
        None => text.is_empty(),
        Some((('%', true), rest)) => (0..=text.len()).any(|skip| like(rest, &text[skip..])),
        Some((('_', true), rest)) => !text.is_empty() && like(rest, &text[1..]),
        Some(((wanted, _), rest)) => text.first() == Some(wanted) && like(rest, &text[1..]),
    }
}

fn operand_value(operand: &Operand, record: &RecordView<'_>) -> Owned {
    match operand {
        Operand::Literal(item) => literal(&item.value),
        Operand::Field(field) => field_value(&field.name, record),
        Operand::Call { function, argument, .. } => match (function, operand_value(argument, record)) {
            (Function::Upper, Owned::Str(text)) => Owned::Str(text.to_uppercase()),
            (Function::Lower, Owned::Str(text)) => Owned::Str(text.to_lowercase()),
            (Function::Length, Owned::Str(text)) => Owned::Number(Number::Int(text.chars().count() as i128)),
            (Function::Length, Owned::Array(items)) => Owned::Number(Number::Int(items.len() as i128)),
            _ => Owned::Null,
        },
    }
}

fn field_value(name: &str, record: &RecordView<'_>) -> Owned {
    if record.schema.kinds(name).is_some() {
        return record.fields.get(name).map_or(Owned::Null, owned);
    }
    for (dot, _) in name.rmatch_indices('.') {
        if record.schema.kinds(&name[..dot]).is_some_and(|kinds| kinds.contains(Kind::Object)) {
            let mut value = record.fields.get(&name[..dot]).unwrap_or(ValueRef::Null);
            for part in name[dot + 1..].split('.') {
                value = match value {
                    ValueRef::Object(object) => object.get(part).unwrap_or(ValueRef::Null),
                    _ => ValueRef::Null,
                };
            }
            return owned(value);
        }
    }
    Owned::Null
}

fn literal(value: &Value) -> Owned {
    match value {
        Value::Null => Owned::Null,
        Value::Bool(value) => Owned::Bool(*value),
        Value::Number(value) => Owned::Number(*value),
        Value::Str(value) => Owned::Str(value.clone()),
    }
}

fn owned(value: ValueRef<'_>) -> Owned {
    match value {
        ValueRef::Null => Owned::Null,
        ValueRef::Bool(value) => Owned::Bool(value),
        ValueRef::I64(value) => Owned::Number(Number::Int(value.into())),
        ValueRef::U64(value) => Owned::Number(Number::Int(value.into())),
        ValueRef::F64(value) => Owned::Number(Number::Float(value)),
        ValueRef::Str(value) => Owned::Str(value.to_owned()),
        ValueRef::Array(array) => Owned::Array(array.iter().map(owned).collect()),
        ValueRef::Object(_) => Owned::Object,
    }
}

fn compare(left: &Owned, right: &Owned) -> Option<Ordering> {
    match (left, right) {
        (Owned::Bool(left), Owned::Bool(right)) => Some(left.cmp(right)),
        (Owned::Number(left), Owned::Number(right)) => Some(left.compare(*right)),
        (Owned::Str(left), Owned::Str(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
