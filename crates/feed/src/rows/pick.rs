//! One column of a batch from the same column of several chunks.
//!
//! 1. Rows that follow one another in one chunk are a slice: nothing is copied.
//! 2. Dictionaries are looked up: the values are picked by key, and the batch has plain values. Keys of several files
//!    need not fit one dictionary, and no client needs it.
//! 3. A chunk whose column has another representation of the same values (text as views or by offsets, say) is cast, of
//!    the needed rows only; a chunk without the column, and a sample without a place, gives nulls.
//! 4. The rest is Arrow's `interleave`, which refers to the buffers of views instead of copying values.

use super::RowsError;
use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_empty_array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, interleave, take};
use arrow::datatypes::DataType;

/// The type that a gathered column has, given the one in its file.
pub(super) fn gathered_type(stored: &DataType) -> DataType {
    match stored {
        DataType::Dictionary(_, values) => gathered_type(values),
        other => other.clone(),
    }
}

/// A column of a batch.
pub(super) struct Pick<'a> {
    pub(super) column: &'a str,
    pub(super) wanted: &'a DataType,
    /// The column in each chunk, if it is there.
    pub(super) sources: Vec<Option<&'a ArrayRef>>,
    /// Source and row of each sample; a source past the last for null.
    pub(super) rows: &'a [(usize, usize)],
}

impl Pick<'_> {
    pub(super) fn pick(&self) -> Result<ArrayRef, RowsError> {
        if self.rows.is_empty() {
            return Ok(new_empty_array(self.wanted));
        }
        if let Some(slice) = self.slice() {
            return Ok(slice);
        }
        let is_direct =
            |source: &Option<&ArrayRef>| source.is_some_and(|array| array.data_type() == self.wanted);
        let absent = self.sources.len();
        if self.sources.iter().all(is_direct) && self.rows.iter().all(|(source, _)| *source < absent) {
            let arrays: Vec<&dyn Array> = self.sources.iter().flatten().map(AsRef::as_ref).collect();
            return self.interleave(&arrays, self.rows);
        }
        self.pick_mixed()
    }

    /// The rows as a slice of one chunk's column.
    fn slice(&self) -> Option<ArrayRef> {
        let (source, start) = *self.rows.first()?;
        let array = (*self.sources.get(source)?)?;
        let follows = |(place, row): (usize, &(usize, usize))| *row == (source, start + place);
        (array.data_type() == self.wanted && self.rows.iter().enumerate().all(follows))
            .then(|| array.slice(start, self.rows.len()))
    }

    /// Some sources need a cast, a look-up, or are absent.
    fn pick_mixed(&self) -> Result<ArrayRef, RowsError> {
        let mut arrays = Vec::with_capacity(self.sources.len() + 1);
        let mut rows = self.rows.to_vec();
        let nothing = new_null_array(self.wanted, 1);
        for (place, source) in self.sources.iter().enumerate() {
            let array = match source {
                None => {
                    rows.iter_mut()
                        .filter(|(of, _)| *of == place)
                        .for_each(|row| *row = (self.sources.len(), 0));
                    nothing.slice(0, 0)
                }
                Some(array) if array.data_type() == self.wanted => ArrayRef::clone(array),
                Some(array) => self.convert(array, place, &mut rows)?,
            };
            arrays.push(array);
        }
        arrays.push(nothing);
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        self.interleave(&arrays, &rows)
    }

    /// The needed rows of a source in the wanted type, to which `rows` is redirected.
    fn convert(
        &self,
        array: &ArrayRef,
        place: usize,
        rows: &mut [(usize, usize)],
    ) -> Result<ArrayRef, RowsError> {
        if !is_same_values(array.data_type(), self.wanted) {
            return Err(RowsError::Type {
                column: self.column.to_owned(),
                wanted: self.wanted.clone(),
                found: array.data_type().clone(),
            });
        }
        let mut needed = Vec::new();
        for (source, row) in rows.iter_mut().filter(|(source, _)| *source == place) {
            debug_assert_eq!(*source, place);
            needed.push(u32::try_from(*row).map_err(|_| self.failed("a chunk of more than 2^32 rows"))?);
            *row = needed.len() - 1;
        }
        let needed = UInt32Array::from(needed);
        let mut picked = match array.as_any_dictionary_opt() {
            Some(dictionary) => {
                // Taking the keys and then their values copies neither the dictionary nor, of views, the values.
                let keys = take(dictionary.keys(), &needed, None).map_err(|error| self.failed(error))?;
                take(dictionary.values(), &keys, None).map_err(|error| self.failed(error))?
            }
            None => take(array, &needed, None).map_err(|error| self.failed(error))?,
        };
        if picked.data_type() != self.wanted {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            picked = cast_with_options(&picked, self.wanted, &strict).map_err(|error| self.failed(error))?;
        }
        Ok(picked)
    }

    fn interleave(&self, arrays: &[&dyn Array], rows: &[(usize, usize)]) -> Result<ArrayRef, RowsError> {
        interleave(arrays, rows).map_err(|error| self.failed(error))
    }

    fn failed(&self, reason: impl ToString) -> RowsError {
        RowsError::Gather { column: self.column.to_owned(), reason: reason.to_string() }
    }
}

/// Whether two types hold the same values in another form.
fn is_same_values(found: &DataType, wanted: &DataType) -> bool {
    use DataType as T;
    let is_text = |kind: &T| matches!(kind, T::Utf8 | T::LargeUtf8 | T::Utf8View);
    let is_bytes = |kind: &T| matches!(kind, T::Binary | T::LargeBinary | T::BinaryView);
    match (found, wanted) {
        (T::Dictionary(_, values), _) => is_same_values(values, wanted),
        (T::Null, _) => true,
        _ if found == wanted => true,
        (T::List(a) | T::LargeList(a), T::List(b) | T::LargeList(b)) => {
            is_same_values(a.data_type(), b.data_type())
        }
        _ => (is_text(found) && is_text(wanted)) || (is_bytes(found) && is_bytes(wanted)),
    }
}
