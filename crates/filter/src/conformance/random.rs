//! Random records and filters, the same for the same seed.

use super::Row;
use crate::expression::Text;
use crate::{CompareOp, Expression, FieldName, Function, Literal, Number, Operand, Position, Value};
use lavandin_types::{ArrayRef, FieldsBuilder, FieldsRef, ValueRef, write_value};

/// A generator of 64-bit numbers (SplitMix64, public domain algorithm by Sebastiano Vigna).
pub struct Random(u64);

const STRINGS: [&str; 10] = ["", "a", "b", "ab", "abc", "A", "\u{e4}", "b%", "it's", "a.b"];
const INTS: [i128; 10] =
    [0, 1, 2, -1, -7, 9_007_199_254_740_993, 9_007_199_254_740_992, u64::MAX as i128, i64::MIN as i128, 50];
const FLOATS: [f64; 8] =
    [0.5, 1.0, 2.0, -0.0, -7.0, 9_007_199_254_740_992.0, 1e300, 1.844_674_407_370_955_2e19];
/// Fields and, by position, how their values are drawn.
const FIELDS: [&str; 11] = ["i", "f", "s", "b", "m", "tags", "o", "rare", "late", "two words", "o.x"];

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A record's fields: most fields mostly of one kind, some missing, null, repeated or of mixed kinds.
    pub fn row(&mut self, row: usize) -> Row {
        if self.chance(5) {
            return None;
        }
        let mut fields = FieldsBuilder::new();
        for name in &FIELDS[..10] {
            let skipped = match *name {
                "rare" => 98,
                "late" if row < 100 => 100,
                _ => 20,
            };
            if self.chance(skipped) {
                continue;
            }
            let buffer = self.value(name);
            fields = fields.with(name, first_value(&buffer));
            if self.chance(2) {
                fields = fields.with(name, ValueRef::U64(1));
            }
        }
        Some(fields.build())
    }

    /// A value as bytes of an array of one element.
    fn value(&mut self, field: &str) -> Vec<u8> {
        let kind = if self.chance(4) { "null" } else { field };
        let mut bytes = 1u32.to_le_bytes().to_vec();
        match kind {
            "null" => write_value(&mut bytes, ValueRef::Null),
            "i" | "late" => self.write_int(&mut bytes),
            "f" if self.chance(70) => write_value(&mut bytes, ValueRef::F64(self.pick(&FLOATS))),
            "f" => self.write_int(&mut bytes),
            "b" => write_value(&mut bytes, ValueRef::Bool(self.chance(50))),
            "m" => self.write_scalar(&mut bytes),
            "tags" => {
                let count = self.below(4) as u32;
                let mut array = count.to_le_bytes().to_vec();
                (0..count).for_each(|_| self.write_scalar(&mut array));
                write_value(&mut bytes, ValueRef::Array(ArrayRef::from_stored(&array)));
            }
            "o" => {
                let inner = self.value("m");
                let object = FieldsBuilder::new().with("x", first_value(&inner)).build();
                let object = FieldsBuilder::new()
                    .with("x", first_value(&inner))
                    .with("y", ValueRef::Object(FieldsRef::from_stored(&object)))
                    .build();
                write_value(&mut bytes, ValueRef::Object(FieldsRef::from_stored(&object)));
            }
            _ => write_value(&mut bytes, ValueRef::Str(self.pick(&STRINGS))),
        }
        bytes
    }

    fn write_int(&mut self, out: &mut Vec<u8>) {
        let int = self.pick(&INTS);
        match u64::try_from(int) {
            Ok(int) => write_value(out, ValueRef::U64(int)),
            Err(_) => write_value(out, ValueRef::I64(int as i64)),
        }
    }

    fn write_scalar(&mut self, out: &mut Vec<u8>) {
        match self.below(5) {
            0 => self.write_int(out),
            1 => write_value(out, ValueRef::F64(self.pick(&FLOATS))),
            2 => write_value(out, ValueRef::Str(self.pick(&STRINGS))),
            3 => write_value(out, ValueRef::Bool(self.chance(50))),
            _ => write_value(out, ValueRef::Null),
        }
    }

    /// A syntax tree, nested at most `depth` deep.
    pub fn expression(&mut self, depth: u64) -> Expression {
        match self.below(if depth == 0 { 7 } else { 12 }) {
            7 | 8 => Expression::And(self.expressions(depth)),
            9 | 10 => Expression::Or(self.expressions(depth)),
            11 => Expression::Not(Box::new(self.expression(depth - 1))),
            0 if self.chance(10) => Expression::Constant(self.pick(&[None, Some(true), Some(false)])),
            0 => Expression::In { operand: self.left(), items: self.items() },
            1 => Expression::Between { operand: self.left(), low: self.right(), high: self.right() },
            2 => Expression::IsNull(self.left()),
            3 => self.text_test(),
            4 => {
                let operand = if self.chance(80) { field("tags") } else { self.left() };
                Expression::Contains { operand, item: self.literal() }
            }
            _ => Expression::Compare { left: self.left(), op: self.op(), right: self.right() },
        }
    }

    fn expressions(&mut self, depth: u64) -> Vec<Expression> {
        (0..2 + self.below(3)).map(|_| self.expression(depth - 1)).collect()
    }

    fn op(&mut self) -> CompareOp {
        use CompareOp::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        self.pick(&[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
    }

    fn items(&mut self) -> Vec<Literal> {
        (0..1 + self.below(4)).map(|_| self.literal()).collect()
    }

    fn text_test(&mut self) -> Expression {
        let operand = if self.chance(80) { field("s") } else { self.left() };
        let pattern = self.pick(&["%", "a%", "%b", "_", "%B%", "a_c", "b!%", "", "A%c"]);
        let pattern = Text { text: pattern.to_owned(), position: Position::default() };
        if self.chance(20) {
            let text = self.pick(&["^a", "b$", "[abc]+", "", "(?i)AB"]).to_owned();
            return Expression::Regexp { operand, pattern: Text { text, ..pattern } };
        }
        let escape = self.chance(50).then_some('!');
        Expression::Like { operand, pattern, escape, ignore_case: self.chance(40) }
    }

    fn left(&mut self) -> Operand {
        match self.below(20) {
            0 => Operand::Literal(self.literal()),
            1 | 2 => {
                let function = self.pick(&[Function::Upper, Function::Lower, Function::Length]);
                let argument = Box::new(field(self.pick(&["s", "s", "m", "tags"])));
                Operand::Call { function, argument, position: Position::default() }
            }
            3 => field("o.y.x"),
            _ => field(self.pick(&FIELDS)),
        }
    }

    fn right(&mut self) -> Operand {
        if self.chance(10) { field(self.pick(&FIELDS)) } else { Operand::Literal(self.literal()) }
    }

    fn literal(&mut self) -> Literal {
        let value = match self.below(12) {
            0 => Value::Null,
            1 | 2 => Value::Bool(self.chance(50)),
            3..=5 => Value::Number(Number::Int(self.pick(&INTS))),
            6..=7 => Value::Number(Number::Float(self.pick(&FLOATS))),
            _ => Value::Str(self.pick(&STRINGS).to_owned()),
        };
        Literal { value, position: Position::default() }
    }
}

fn field(name: &str) -> Operand {
    Operand::Field(FieldName { name: name.to_owned(), position: Position::default() })
}

fn first_value(array: &[u8]) -> ValueRef<'_> {
    ArrayRef::from_stored(array).iter().next().unwrap_or(ValueRef::Null)
}
