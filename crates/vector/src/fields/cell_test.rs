//! A predicate compiled against a column: what it says of each kind of cell, with constants already in the column's
//! own terms (ranges per number kind, codes for strings).
//!
//! 1. `CellTest::new` asks the dictionary: an equality becomes a code, a pattern one bit per distinct string.
//! 2. `word` tests a block: cells of one kind go through one tight loop; a mixed block is masked kind by kind.
//! 3. Arrays and objects go back to the caller one by one where the predicate looks inside.

use super::cell::{
    ARRAY, BLOCK_ROWS, BOOL, Block, Dictionary, FLOAT, MISSING, NEGATIVE, NULL, OBJECT, Payload, STRING,
    UNSIGNED, kind_word, uniform_kind,
};
use lavandin_filter::{Number, Predicate, Range, Test, Values};
use lavandin_types::ValueRef;
use std::ops::Bound;

mod number_range;

pub(super) use number_range::NumberRange;

/// Up to this many numbers of a set are compared one by one; more are searched for.
const RANGES_MAX: usize = 8;

pub(super) struct CellTest<'a> {
    /// For missing and null cells.
    pub(super) nulls: bool,
    /// For false and for true.
    pub(super) bools: [bool; 2],
    pub(super) numbers: NumberTest<'a>,
    pub(super) strings: CodeTest,
    arrays: NestedTest,
    objects: NestedTest,
}

pub(super) enum NumberTest<'a> {
    Constant(bool),
    /// In any of these, or in none.
    Ranges {
        ranges: Vec<NumberRange>,
        negated: bool,
    },
    /// Among these, or not.
    Set {
        values: &'a Values,
        negated: bool,
    },
}

pub(super) enum CodeTest {
    Constant(bool),
    /// From `first` to `last`, both included, or outside of them.
    Range {
        first: u32,
        last: u32,
        negated: bool,
    },
    /// One bit a code.
    Set(Vec<u64>),
}

#[derive(Clone, Copy, PartialEq)]
enum NestedTest {
    Constant(bool),
    /// The value must be looked at.
    RowWise,
}

impl<'a> CellTest<'a> {
    pub(super) fn new(predicate: &'a Predicate, dictionary: &impl Dictionary) -> Self {
        if !predicate.input.is_plain() {
            return Self::of_derived(predicate, dictionary);
        }
        let never = NestedTest::Constant(false);
        let none = Self {
            nulls: false,
            bools: [false; 2],
            numbers: NumberTest::Constant(false),
            strings: CodeTest::Constant(false),
            arrays: never,
            objects: never,
        };
        match &predicate.test {
            Test::AnyOf(values) => Self {
                bools: values.bools,
                numbers: NumberTest::of_set(values, false),
                strings: CodeTest::of_set(&values.strings, false, dictionary),
                ..none
            },
            Test::NoneOf(values) => {
                let speaks_of_bools = values.bools[0] || values.bools[1];
                Self {
                    bools: values.bools.map(|present| speaks_of_bools && !present),
                    numbers: NumberTest::of_set(values, true),
                    strings: CodeTest::of_set(&values.strings, true, dictionary),
                    ..none
                }
            }
            Test::Range(Range::Numbers { low, high }) => {
                let ranges = vec![NumberRange::new(*low, *high)];
                Self { numbers: NumberTest::Ranges { ranges, negated: false }, ..none }
            }
            Test::Range(Range::Strings { low, high }) if dictionary.is_sorted() => {
                let bound = |bound: &'a Bound<Box<str>>| bound.as_ref().map(|text| &**text);
                Self { strings: CodeTest::of_range(bound(low), bound(high), dictionary), ..none }
            }
            Test::Range(Range::Strings { .. }) | Test::Text { .. } => {
                Self { strings: CodeTest::of_each(predicate, dictionary), ..none }
            }
            Test::Contains { .. } => Self { arrays: NestedTest::RowWise, ..none },
            Test::IsNull => Self { nulls: true, ..none },
            Test::IsNotNull => {
                let always = NestedTest::Constant(true);
                Self {
                    nulls: false,
                    bools: [true; 2],
                    numbers: NumberTest::Constant(true),
                    strings: CodeTest::Constant(true),
                    arrays: always,
                    objects: always,
                }
            }
        }
    }

    /// For paths and functions. A path leads from objects only; functions are null but for strings, and for the
    /// length of arrays. So one value of each other kind speaks for all of them.
    fn of_derived(predicate: &Predicate, dictionary: &impl Dictionary) -> Self {
        let null = predicate.matches(ValueRef::Null);
        let has_path = !predicate.input.path.is_empty();
        Self {
            nulls: null,
            bools: [false, true].map(|value| predicate.matches(ValueRef::Bool(value))),
            numbers: NumberTest::Constant(predicate.matches(ValueRef::U64(0))),
            strings: if has_path {
                CodeTest::Constant(null)
            } else {
                CodeTest::of_each(predicate, dictionary)
            },
            arrays: if has_path { NestedTest::Constant(null) } else { NestedTest::RowWise },
            objects: if has_path { NestedTest::RowWise } else { NestedTest::Constant(null) },
        }
    }

    /// Whether only numbers and strings can pass, which sorted orders can find.
    pub(super) fn is_of_numbers_and_strings(&self) -> bool {
        let never = NestedTest::Constant(false);
        !self.nulls && self.bools == [false; 2] && self.arrays == never && self.objects == never
    }

    /// One bit a row: whether its cell passes. `nested` decides for the array or object at an offset in the block.
    pub(super) fn word(&self, block: Block<'_>, nested: impl Fn(usize) -> bool) -> u64 {
        if let Some(kind) = uniform_kind(block.kinds) {
            return self.word_of_kind(kind, block, u64::MAX, &nested);
        }
        let mut word = 0;
        for kind in MISSING..=OBJECT {
            if self.refuses(kind) {
                continue;
            }
            let mask = kind_word(block.kinds, kind);
            if mask != 0 {
                word |= mask & self.word_of_kind(kind, block, mask, &nested);
            }
        }
        word
    }

    fn refuses(&self, kind: u8) -> bool {
        match kind {
            MISSING | NULL => !self.nulls,
            BOOL => self.bools == [false; 2],
            NEGATIVE | UNSIGNED | FLOAT => matches!(self.numbers, NumberTest::Constant(false)),
            STRING => matches!(self.strings, CodeTest::Constant(false)),
            ARRAY => self.arrays == NestedTest::Constant(false),
            OBJECT => self.objects == NestedTest::Constant(false),
            _ => true,
        }
    }

    /// The word if all cells in `mask` are of this kind; the other bits mean nothing.
    fn word_of_kind(&self, kind: u8, block: Block<'_>, mask: u64, nested: &impl Fn(usize) -> bool) -> u64 {
        match kind {
            MISSING | NULL => constant(self.nulls),
            BOOL => collect(block.payloads, |payload| self.bools[usize::from(payload[0] & 1)]),
            NEGATIVE | UNSIGNED | FLOAT => self.numbers.word(kind, block.payloads),
            STRING => self.strings.word(block.payloads),
            ARRAY => nested_word(self.arrays, mask, nested),
            OBJECT => nested_word(self.objects, mask, nested),
            _ => 0,
        }
    }
}

fn constant(value: bool) -> u64 {
    if value { u64::MAX } else { 0 }
}

fn nested_word(test: NestedTest, mask: u64, nested: &impl Fn(usize) -> bool) -> u64 {
    match test {
        NestedTest::Constant(value) => constant(value),
        NestedTest::RowWise => {
            let (mut word, mut rest) = (0, mask);
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                word |= u64::from(nested(bit as usize)) << bit;
            }
            word
        }
    }
}

#[inline(always)]
fn collect(payloads: &[Payload; BLOCK_ROWS], passes: impl Fn(Payload) -> bool) -> u64 {
    let mut word = 0;
    for (bit, payload) in payloads.iter().enumerate() {
        word |= u64::from(passes(*payload)) << bit;
    }
    word
}

impl<'a> NumberTest<'a> {
    fn of_set(values: &'a Values, negated: bool) -> Self {
        if values.numbers.is_empty() {
            return Self::Constant(false);
        }
        if values.numbers.len() > RANGES_MAX {
            return Self::Set { values, negated };
        }
        let point = |number: &Number| NumberRange::new(Bound::Included(*number), Bound::Included(*number));
        Self::Ranges { ranges: values.numbers.iter().map(point).collect(), negated }
    }

    fn word(&self, kind: u8, payloads: &[Payload; BLOCK_ROWS]) -> u64 {
        match self {
            Self::Constant(value) => constant(*value),
            Self::Ranges { ranges, negated } => {
                let within = ranges.iter().fold(0, |word, range| word | range_word(range, kind, payloads));
                within ^ constant(*negated)
            }
            Self::Set { values, negated } => {
                let contains = |payload| values.contains(number_value(kind, payload));
                collect(payloads, contains) ^ constant(*negated)
            }
        }
    }
}

fn range_word(range: &NumberRange, kind: u8, payloads: &[Payload; BLOCK_ROWS]) -> u64 {
    match kind {
        UNSIGNED => range.unsigned.map_or(0, |(low, span)| span_word(payloads, low, span)),
        NEGATIVE => range.negative.map_or(0, |(low, span)| span_word(payloads, low as u64, span)),
        _ => range.float.map_or(0, |(low, high)| {
            collect(payloads, |payload| {
                let value = f64::from_le_bytes(payload);
                value >= low && value <= high
            })
        }),
    }
}

/// Whether each payload lies in `low..=low + span`, in wrapping arithmetic: one comparison a value.
#[inline(never)]
fn span_word(payloads: &[Payload; BLOCK_ROWS], low: u64, span: u64) -> u64 {
    collect(payloads, |payload| u64::from_le_bytes(payload).wrapping_sub(low) <= span)
}

/// The number in a cell of one of the three number kinds.
pub(super) fn number_value(kind: u8, payload: Payload) -> ValueRef<'static> {
    match kind {
        UNSIGNED => ValueRef::U64(u64::from_le_bytes(payload)),
        NEGATIVE => ValueRef::I64(i64::from_le_bytes(payload)),
        _ => ValueRef::F64(f64::from_le_bytes(payload)),
    }
}

impl CodeTest {
    fn of_set(strings: &[Box<str>], negated: bool, dictionary: &impl Dictionary) -> Self {
        if strings.is_empty() {
            return Self::Constant(false);
        }
        let codes: Vec<u32> = strings.iter().filter_map(|text| dictionary.find(text)).collect();
        match codes[..] {
            [] => Self::Constant(negated),
            [code] => Self::Range { first: code, last: code, negated },
            _ => {
                let mut set = vec![constant(negated); (dictionary.len() as usize).div_ceil(64)];
                for code in codes {
                    if let Some(word) = set.get_mut(code as usize / 64) {
                        *word ^= 1 << (code % 64);
                    }
                }
                Self::Set(set)
            }
        }
    }

    fn of_range(low: Bound<&str>, high: Bound<&str>, dictionary: &impl Dictionary) -> Self {
        // Codes whose string lies before the range; then those that lie before its end.
        let first = partition(dictionary, |text| match low {
            Bound::Unbounded => false,
            Bound::Included(low) => text < low,
            Bound::Excluded(low) => text <= low,
        });
        let end = partition(dictionary, |text| match high {
            Bound::Unbounded => true,
            Bound::Included(high) => text <= high,
            Bound::Excluded(high) => text < high,
        });
        if first < end { Self::Range { first, last: end - 1, negated: false } } else { Self::Constant(false) }
    }

    /// Asks the predicate once for each distinct string.
    fn of_each(predicate: &Predicate, dictionary: &impl Dictionary) -> Self {
        let mut set = vec![0; (dictionary.len() as usize).div_ceil(64)];
        for code in 0..dictionary.len() {
            let passes = dictionary.text(code).is_some_and(|text| predicate.matches(ValueRef::Str(text)));
            set[code as usize / 64] |= u64::from(passes) << (code % 64);
        }
        Self::Set(set)
    }

    fn word(&self, payloads: &[Payload; BLOCK_ROWS]) -> u64 {
        match self {
            Self::Constant(value) => constant(*value),
            Self::Range { first, last, negated } => {
                let span = u64::from(last - first);
                span_word(payloads, u64::from(*first), span) ^ constant(*negated)
            }
            Self::Set(set) => collect(payloads, |payload| {
                let code = u64::from_le_bytes(payload);
                set.get((code / 64) as usize).is_some_and(|word| word >> (code % 64) & 1 == 1)
            }),
        }
    }
}

/// The first code for which `before` is false.
fn partition(dictionary: &impl Dictionary, before: impl Fn(&str) -> bool) -> u32 {
    let (mut low, mut high) = (0, dictionary.len());
    while low < high {
        let middle = low.midpoint(high);
        if dictionary.text(middle).is_some_and(&before) { low = middle + 1 } else { high = middle }
    }
    low
}
