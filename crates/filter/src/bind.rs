//! An `Expression` and a `Schema` to a `Filter`.
//!
//! 1. Names become columns, or paths into columns of objects, or the pseudo-field `id`; anything else is an error.
//! 2. Each comparison is checked against the kinds that the field has held: where none of them compares, it is an
//!    error; where some do, rows of the other kinds are not selected.
//! 3. Negation goes down to the tests (De Morgan's laws hold in three-valued logic), so that a set of rows per test
//!    suffices. Constants fold.
//! 4. Tests on one input merge (`merge`): the bounds of a range, the alternatives of a chain of equalities.

use crate::evaluate::{ColumnName, Node, Source};
use crate::expression::{CompareOp, FieldName, Function, Text, Value};
use crate::predicate::{Called, Input, Predicate, Range, Test, Values, call};
use crate::{
    Expression, Filter, FilterError, ID_FIELD, Kinds, Literal, Number, Operand, Schema, TextPattern,
};
use lavandin_types::Kind;
use std::ops::Bound;

mod merge;

use merge::{all_of, any_of};

const NUMBERS: Kinds = Kinds::of(Kind::Int).with(Kind::Float);
const STRINGS: Kinds = Kinds::of(Kind::Str);
const BOOLS: Kinds = Kinds::of(Kind::Bool);
const ARRAYS: Kinds = Kinds::of(Kind::Array);

/// Binds a filter to the fields of a collection.
pub fn bind(expression: &Expression, schema: &dyn Schema) -> Result<Filter, FilterError> {
    let root = Binder { schema }.condition(expression, false)?;
    Ok(Filter { root, canonical: expression.to_string() })
}

struct Binder<'a> {
    schema: &'a dyn Schema,
}

/// An operand after binding.
#[derive(Clone)]
enum BoundOperand {
    Field(Field),
    Constant(Value),
}

#[derive(Clone)]
struct Field {
    source: Source,
    /// For messages: the operand's text.
    text: String,
    /// The kinds it may yield; `None` where nothing is known.
    kinds: Option<Kinds>,
}

impl Binder<'_> {
    fn condition(&self, expression: &Expression, negated: bool) -> Result<Node, FilterError> {
        match expression {
            Expression::And(items) => Ok(if negated { any_of } else { all_of }(self.each(items, negated)?)),
            Expression::Or(items) => Ok(if negated { all_of } else { any_of }(self.each(items, negated)?)),
            Expression::Not(inner) => self.condition(inner, !negated),
            Expression::Constant(value) => Ok(Node::Constant(*value == Some(!negated))),
            Expression::Compare { left, op, right } => self.compare(left, *op, right, negated),
            Expression::Between { operand, low, high } => {
                let from = self.compare(operand, CompareOp::GreaterOrEqual, low, negated)?;
                let to = self.compare(operand, CompareOp::LessOrEqual, high, negated)?;
                Ok(if negated { any_of } else { all_of }(vec![from, to]))
            }
            Expression::In { operand, items } => self.in_list(operand, items, negated),
            Expression::Like { operand, pattern, escape, ignore_case } => {
                let built = TextPattern::like(&pattern.text, *escape, *ignore_case);
                self.text_test(operand, pattern, built, negated)
            }
            Expression::Regexp { operand, pattern } => {
                self.text_test(operand, pattern, TextPattern::regexp(&pattern.text), negated)
            }
            Expression::IsNull(operand) => {
                let test = if negated { Test::IsNotNull } else { Test::IsNull };
                self.test(self.operand(operand)?, test)
            }
            Expression::Contains { operand, item } => self.contains(operand, item, negated),
        }
    }

    fn each(&self, items: &[Expression], negated: bool) -> Result<Vec<Node>, FilterError> {
        items.iter().map(|item| self.condition(item, negated)).collect()
    }

    fn compare(
        &self,
        left: &Operand,
        op: CompareOp,
        right: &Operand,
        negated: bool,
    ) -> Result<Node, FilterError> {
        let op = if negated { op.negate() } else { op };
        match (self.operand(left)?, self.operand(right)?) {
            (BoundOperand::Constant(left_value), BoundOperand::Constant(right_value)) => {
                check_constants(&left_value, &right_value, right)?;
                let values = (as_value(&left_value), as_value(&right_value));
                let ordering = crate::predicate::compare_values(values.0, values.1);
                Ok(Node::Constant(ordering.is_some_and(|ordering| op.holds(ordering))))
            }
            (BoundOperand::Field(field), BoundOperand::Constant(value)) => {
                check(&field, kinds_for(&value), position_of(right), &right.to_string())?;
                Ok(compare_constant(field, op, value))
            }
            (BoundOperand::Constant(value), BoundOperand::Field(field)) => {
                check(&field, kinds_for(&value), position_of(left), &left.to_string())?;
                Ok(compare_constant(field, op.flip(), value))
            }
            (BoundOperand::Field(left_field), BoundOperand::Field(right_field)) => {
                if let Some(kinds) = right_field.kinds
                    && !kinds.is_empty()
                {
                    let comparable = comparable_with(kinds);
                    check(
                        &left_field,
                        comparable,
                        position_of(right),
                        &format!("{right}, which holds {kinds}"),
                    )?;
                }
                let (left, right) = (Box::new(left_field.source), Box::new(right_field.source));
                Ok(Node::Fields { left, op, right })
            }
        }
    }

    fn in_list(&self, operand: &Operand, items: &[Literal], negated: bool) -> Result<Node, FilterError> {
        let bound = self.operand(operand)?;
        let mut values = Values::default();
        let mut has_null = false;
        for item in items {
            match &bound {
                BoundOperand::Field(field) => {
                    check(field, kinds_for(&item.value), item.position.offset(), &item.to_string())?;
                }
                BoundOperand::Constant(value) => {
                    check_constants(value, &item.value, &Operand::Literal(item.clone()))?
                }
            }
            has_null |= matches!(item.value, Value::Null);
            values.push(item.value.clone());
        }
        values.normalise();
        match (negated, has_null) {
            // Whether the value differs from null is unknown, so it is never known to differ from all.
            (true, true) => Ok(Node::Constant(false)),
            (true, false) => self.test(bound, Test::NoneOf(values)),
            (false, _) => self.test(bound, Test::AnyOf(values)),
        }
    }

    fn text_test(
        &self,
        operand: &Operand,
        pattern: &Text,
        built: Result<TextPattern, String>,
        negated: bool,
    ) -> Result<Node, FilterError> {
        let position = pattern.position.offset();
        let pattern = built.map_err(|reason| FilterError::BadPattern { position, reason })?;
        let bound = self.operand(operand)?;
        expect_kinds(&bound, STRINGS, operand, "a string to match with a pattern")?;
        self.test(bound, Test::Text { pattern, negated })
    }

    fn contains(&self, operand: &Operand, item: &Literal, negated: bool) -> Result<Node, FilterError> {
        let bound = self.operand(operand)?;
        expect_kinds(&bound, ARRAYS, operand, "an array for CONTAINS")?;
        if matches!(item.value, Value::Null) {
            return Ok(Node::Constant(false));
        }
        self.test(bound, Test::Contains { item: Values::one(item.value.clone()), negated })
    }

    fn test(&self, operand: BoundOperand, test: Test) -> Result<Node, FilterError> {
        Ok(match operand {
            BoundOperand::Constant(value) => Node::Constant(test.matches(as_value(&value))),
            BoundOperand::Field(field) => node(field, test),
        })
    }

    fn operand(&self, operand: &Operand) -> Result<BoundOperand, FilterError> {
        match operand {
            Operand::Literal(literal) => Ok(BoundOperand::Constant(literal.value.clone())),
            Operand::Field(field) => self.field(field).map(BoundOperand::Field),
            Operand::Call { function, argument, .. } => {
                let inner = self.operand(argument)?;
                let accepted = if *function == Function::Length { STRINGS.union(ARRAYS) } else { STRINGS };
                let name = function.name();
                expect_kinds(&inner, accepted, argument, &format!("{accepted} as the argument of {name}"))?;
                Ok(match inner {
                    BoundOperand::Constant(value) => BoundOperand::Constant(fold_call(*function, value)),
                    BoundOperand::Field(mut field) => {
                        field.source.input.functions.push(*function);
                        field.text = operand.to_string();
                        field.kinds =
                            Some(if *function == Function::Length { Kinds::of(Kind::Int) } else { STRINGS });
                        BoundOperand::Field(field)
                    }
                })
            }
        }
    }

    /// A field of this name; else the record's id; else, for a name with dots, a path into an object.
    fn field(&self, field: &FieldName) -> Result<Field, FilterError> {
        let name = field.name.as_str();
        let made = |column, path: Vec<Box<str>>, kinds| Field {
            source: Source { column, input: Input { path, functions: Vec::new() } },
            text: field.to_string(),
            kinds,
        };
        if let Some(kinds) = self.schema.kinds(name) {
            return Ok(made(ColumnName::Field(name.into()), Vec::new(), Some(kinds)));
        }
        if name == ID_FIELD {
            let kinds = Kinds::of(Kind::Int).with(Kind::Str);
            return Ok(made(ColumnName::Id, Vec::new(), Some(kinds)));
        }
        for (dot, _) in name.rmatch_indices('.') {
            let (outer, inner) = (&name[..dot], &name[dot + 1..]);
            if self.schema.kinds(outer).is_some_and(|kinds| kinds.contains(Kind::Object)) {
                let path = inner.split('.').map(Into::into).collect();
                return Ok(made(ColumnName::Field(outer.into()), path, None));
            }
        }
        if self.schema.is_empty() {
            return Ok(made(ColumnName::Field(name.into()), Vec::new(), None));
        }
        Err(FilterError::UnknownField {
            position: field.position.offset(),
            name: name.to_owned(),
            expected: "a field that some record has; a string stands in single quotes".to_owned(),
        })
    }
}

fn node(field: Field, test: Test) -> Node {
    let Source { column, input } = field.source;
    Node::Test { column, predicate: Box::new(Predicate { input, test }) }
}

fn compare_constant(field: Field, op: CompareOp, value: Value) -> Node {
    let test = match (op, value) {
        (_, Value::Null) => return Node::Constant(false),
        (CompareOp::Equal, value) => Test::AnyOf(Values::one(value)),
        (CompareOp::NotEqual, value) => Test::NoneOf(Values::one(value)),
        (op, Value::Number(number)) => {
            let (low, high) = bounds(op, number);
            Test::Range(Range::Numbers { low, high })
        }
        (op, Value::Str(text)) => {
            let (low, high) = bounds(op, text.into_boxed_str());
            Test::Range(Range::Strings { low, high })
        }
        (op, Value::Bool(limit)) => {
            let bools = [false, true].map(|value| op.holds(value.cmp(&limit)));
            Test::AnyOf(Values { bools, ..Values::default() })
        }
    };
    node(field, test)
}

fn bounds<T>(op: CompareOp, limit: T) -> (Bound<T>, Bound<T>) {
    match op {
        CompareOp::Less => (Bound::Unbounded, Bound::Excluded(limit)),
        CompareOp::LessOrEqual => (Bound::Unbounded, Bound::Included(limit)),
        CompareOp::Greater => (Bound::Excluded(limit), Bound::Unbounded),
        _ => (Bound::Included(limit), Bound::Unbounded),
    }
}

/// The kinds that compare with a value; `NONE` for null, which compares with nothing and offends nobody.
fn kinds_for(value: &Value) -> Kinds {
    match value {
        Value::Null => Kinds::NONE,
        Value::Bool(_) => BOOLS,
        Value::Number(_) => NUMBERS,
        Value::Str(_) => STRINGS,
    }
}

/// The kinds that compare with some value of these kinds.
fn comparable_with(kinds: Kinds) -> Kinds {
    let classes = [BOOLS, NUMBERS, STRINGS];
    let compares =
        classes.into_iter().filter(|class| class.intersects(kinds)).fold(Kinds::NONE, Kinds::union);
    // A field that holds only nulls so far may come to hold anything; arrays and objects compare with nothing.
    if compares.is_empty() && kinds != Kinds::of(Kind::Null) { Kinds::of(Kind::Null) } else { compares }
}

/// Refuses a comparison of a field that has never held a comparable kind.
fn check(field: &Field, comparable: Kinds, position: usize, found: &str) -> Result<(), FilterError> {
    if comparable.is_empty() || may_hold(field.kinds, comparable) {
        return Ok(());
    }
    let held = field.kinds.unwrap_or_default();
    Err(FilterError::TypeMismatch {
        position,
        found: found.to_owned(),
        expected: format!("something comparable with {}, which holds {held}", field.text),
    })
}

fn check_constants(left: &Value, right: &Value, right_operand: &Operand) -> Result<(), FilterError> {
    let (left_kinds, right_kinds) = (kinds_for(left), kinds_for(right));
    if left_kinds.is_empty() || right_kinds.is_empty() || left_kinds == right_kinds {
        return Ok(());
    }
    Err(FilterError::TypeMismatch {
        position: position_of(right_operand),
        found: right_operand.to_string(),
        expected: format!("{left_kinds}, as on the left side"),
    })
}

/// Refuses an operand that cannot be of the kinds an operator or function takes.
fn expect_kinds(
    bound: &BoundOperand,
    accepted: Kinds,
    operand: &Operand,
    expected: &str,
) -> Result<(), FilterError> {
    let found = match bound {
        BoundOperand::Constant(value) => {
            let kinds = kinds_for(value);
            if kinds.is_empty() || kinds.intersects(accepted) {
                return Ok(());
            }
            operand.to_string()
        }
        BoundOperand::Field(field) if may_hold(field.kinds, accepted) => return Ok(()),
        BoundOperand::Field(field) => {
            format!("{}, which holds {}", field.text, field.kinds.unwrap_or_default())
        }
    };
    Err(FilterError::TypeMismatch { position: position_of(operand), found, expected: expected.to_owned() })
}

/// Whether a field of these kinds may hold one of `wanted`: it has, or nothing but null is known of it.
fn may_hold(kinds: Option<Kinds>, wanted: Kinds) -> bool {
    kinds.is_none_or(|kinds| kinds.is_empty() || kinds == Kinds::of(Kind::Null) || kinds.intersects(wanted))
}

fn position_of(operand: &Operand) -> usize {
    match operand {
        Operand::Field(field) => field.position.offset(),
        Operand::Literal(literal) => literal.position.offset(),
        Operand::Call { position, .. } => position.offset(),
    }
}

fn as_value(value: &Value) -> lavandin_types::ValueRef<'_> {
    use lavandin_types::ValueRef;
    match value {
        Value::Null => ValueRef::Null,
        Value::Bool(value) => ValueRef::Bool(*value),
        Value::Str(value) => ValueRef::Str(value),
        Value::Number(Number::Float(value)) => ValueRef::F64(*value),
        // Literals are integers only within the union of `i64` and `u64`.
        Value::Number(Number::Int(value)) => match u64::try_from(*value) {
            Ok(value) => ValueRef::U64(value),
            Err(_) => ValueRef::I64(i64::try_from(*value).unwrap_or(i64::MIN)),
        },
    }
}

fn fold_call(function: Function, value: Value) -> Value {
    match value {
        Value::Str(text) => match call(function, &text) {
            Called::Text(text) => Value::Str(text),
            Called::Length(length) => Value::Number(Number::Int(i128::from(length))),
        },
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests;
