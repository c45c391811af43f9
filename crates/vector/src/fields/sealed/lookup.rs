//! Rows through a sealed column's sorted orders: time by the matches, not by the rows.

use super::SealedColumn;
use crate::fields::cell::{Blocks, FLOAT, NEGATIVE};
use crate::fields::cell_test::{CellTest, CodeTest, NumberTest};
use crate::fields::section_writer::number;
use lavandin_filter::Number;
use lavandin_types::Selection;
use std::ops::{Bound, Range};

/// More matches than this part of the rows are found faster by a scan, which is sequential.
const MATCHES_PART: usize = 16;
/// Single numbers that are searched for; each costs some random reads.
const SEARCHES_MAX: usize = 256;

impl SealedColumn<'_> {
    /// Selects by the sorted orders if the test can be answered by them and finds few rows; otherwise leaves `out`.
    pub(super) fn select_by_order(&self, test: &CellTest<'_>, out: &mut Selection) -> bool {
        if !test.is_of_numbers_and_strings() {
            return false;
        }
        let limit = out.len() as usize / MATCHES_PART;
        let Some(numbers) = self.number_places(&test.numbers) else { return false };
        let Some(strings) = self.string_places(&test.strings, limit) else { return false };
        if numbers.iter().chain(&strings).map(ExactSizeIterator::len).sum::<usize>() > limit {
            return false;
        }
        for (places, rows) in [(numbers, self.number_rows), (strings, self.string_rows)] {
            for places in places {
                insert_all(rows.get(places).unwrap_or_default(), out);
            }
        }
        true
    }

    /// Rows whose array holds a string.
    pub(super) fn select_elements(&self, text: &str, out: &mut Selection) {
        if let Some(code) = super::Dictionary::find(self, text) {
            let places = self.start(code, ELEMENTS)..self.start(code + 1, ELEMENTS);
            insert_all(self.element_rows.get(places).unwrap_or_default(), out);
        }
    }

    /// Where in `number_rows` the matches are; `None` where the order does not help.
    fn number_places(&self, test: &NumberTest<'_>) -> Option<Vec<Range<usize>>> {
        let bounds: Vec<(Bound<Number>, Bound<Number>)> = match test {
            NumberTest::Constant(false) => Vec::new(),
            NumberTest::Ranges { ranges, negated: false } => {
                ranges.iter().map(|range| (range.low, range.high)).collect()
            }
            NumberTest::Set { values, negated: false } if values.numbers.len() <= SEARCHES_MAX => {
                values.numbers.iter().map(|it| (Bound::Included(*it), Bound::Included(*it))).collect()
            }
            _ => return None,
        };
        Some(bounds.into_iter().map(|(low, high)| self.number_range(low, high)).collect())
    }

    fn number_range(&self, low: Bound<Number>, high: Bound<Number>) -> Range<usize> {
        let start = self.number_rows.partition_point(|row| {
            self.number(*row).is_some_and(|number| match low {
                Bound::Unbounded => false,
                Bound::Included(low) => number < low,
                Bound::Excluded(low) => number <= low,
            })
        });
        let end = self.number_rows.partition_point(|row| {
            self.number(*row).is_some_and(|number| match high {
                Bound::Unbounded => true,
                Bound::Included(high) => number <= high,
                Bound::Excluded(high) => number < high,
            })
        });
        start..end.max(start)
    }

    /// The number in a row of `number_rows`; `None` where damage leads elsewhere.
    fn number(&self, row: [u8; 4]) -> Option<Number> {
        let (kind, payload) = self.cell(u32::from_le_bytes(row));
        (NEGATIVE..=FLOAT).contains(&kind).then(|| number(kind, payload))
    }

    /// Where in `string_rows` the matches are; `None` where the order does not help.
    fn string_places(&self, test: &CodeTest, limit: usize) -> Option<Vec<Range<usize>>> {
        match test {
            CodeTest::Constant(false) => Some(Vec::new()),
            CodeTest::Range { first, last, negated: false } => {
                Some(std::iter::once(self.start(*first, ROWS)..self.start(last + 1, ROWS)).collect())
            }
            CodeTest::Set(set) => {
                let codes = set.iter().enumerate().flat_map(|(index, word)| {
                    let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
                    bits.map(move |bit| index as u32 * 64 + bit)
                });
                let mut total = 0;
                let mut places = Vec::new();
                for code in codes.take_while(|code| (*code as usize) < self.strings.len()) {
                    let place = self.start(code, ROWS)..self.start(code + 1, ROWS);
                    total += place.len();
                    if total > limit {
                        return None;
                    }
                    places.push(place);
                }
                Some(places)
            }
            _ => None,
        }
    }

    /// Where a code's rows begin in the table that `order` names; the table's end for the code after the last.
    fn start(&self, code: u32, order: Order) -> usize {
        match self.strings.get(code as usize).and_then(|entry| entry.get(order.offset..order.offset + 4)) {
            Some(bytes) => bytes.try_into().map_or(0, u32::from_le_bytes) as usize,
            None if order.offset == ROWS.offset => self.string_rows.len(),
            None => self.element_rows.len(),
        }
    }
}

/// Which start of a dictionary entry.
#[derive(Clone, Copy)]
struct Order {
    offset: usize,
}

const ROWS: Order = Order { offset: 12 };
const ELEMENTS: Order = Order { offset: 16 };

fn insert_all(rows: &[[u8; 4]], out: &mut Selection) {
    for row in rows {
        let row = u32::from_le_bytes(*row);
        // Beyond the rows only in damaged bytes.
        if row < out.len() {
            out.insert(row);
        }
    }
}
