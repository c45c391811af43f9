//! The bytes of string and binary arrays of every layout, by row, as a slice or as a reference that outlives the array.
//!
//! `share` does not copy: it keeps the Arrow buffer alive, whole. Used by `lavender` and `ipc`, which copy small values
//! and share large ones.

use arrow::array::{Array, AsArray, ByteView};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use bytes::Bytes;
use std::cell::OnceCell;
use std::ops::Range;

/// Views of this many bytes and fewer hold their value themselves.
const INLINE_MAX: usize = 12;

/// A string or binary array, borrowed.
pub(crate) struct Blobs<'a> {
    kind: Kind<'a>,
    /// The array's data buffers, each made shareable when it is first needed.
    shared: Vec<OnceCell<Bytes>>,
}

enum Kind<'a> {
    Offsets32(&'a [i32], &'a Buffer),
    Offsets64(&'a [i64], &'a Buffer),
    Views(&'a [u128], &'a [Buffer]),
    Fixed(usize, &'a Buffer),
}

impl<'a> Blobs<'a> {
    /// `None` if `array` holds neither strings nor bytes.
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
        let kind = match array.data_type() {
            DataType::Utf8 => {
                let array = array.as_string::<i32>();
                Kind::Offsets32(array.value_offsets(), array.values())
            }
            DataType::LargeUtf8 => {
                let array = array.as_string::<i64>();
                Kind::Offsets64(array.value_offsets(), array.values())
            }
            DataType::Binary => {
                let array = array.as_binary::<i32>();
                Kind::Offsets32(array.value_offsets(), array.values())
            }
            DataType::LargeBinary => {
                let array = array.as_binary::<i64>();
                Kind::Offsets64(array.value_offsets(), array.values())
            }
            DataType::Utf8View => {
                let array = array.as_string_view();
                Kind::Views(array.views(), array.data_buffers())
            }
            DataType::BinaryView => {
                let array = array.as_binary_view();
                Kind::Views(array.views(), array.data_buffers())
            }
            DataType::FixedSizeBinary(width) => {
                let width = usize::try_from(*width).unwrap_or(0);
                Kind::Fixed(width, array.as_fixed_size_binary().values())
            }
            _ => return None,
        };
        let buffers = if let Kind::Views(_, buffers) = kind { buffers.len() } else { 1 };
        Some(Self { kind, shared: vec![OnceCell::new(); buffers] })
    }

    /// The bytes of `row`; of a null, any.
    pub(crate) fn get(&self, row: usize) -> &'a [u8] {
        match self.kind {
            Kind::Offsets32(offsets, values) => &values.as_slice()[range(offsets, row)],
            Kind::Offsets64(offsets, values) => &values.as_slice()[range(offsets, row)],
            Kind::Fixed(width, values) => &values.as_slice()[row * width..(row + 1) * width],
            Kind::Views(views, buffers) => {
                let view = &views[row];
                let length = *view as u32 as usize;
                if length <= INLINE_MAX {
                    return &bytes_of(view)[4..4 + length];
                }
                let view = ByteView::from(*view);
                let start = view.offset as usize;
                &buffers[view.buffer_index as usize].as_slice()[start..start + length]
            }
        }
    }

    /// The length of `row` in bytes; of a null, any.
    pub(crate) fn len(&self, row: usize) -> usize {
        match self.kind {
            Kind::Offsets32(offsets, _) => range(offsets, row).len(),
            Kind::Offsets64(offsets, _) => range(offsets, row).len(),
            Kind::Fixed(width, _) => width,
            Kind::Views(views, _) => views[row] as u32 as usize,
        }
    }

    /// The bytes of `row` without copying them; a view's own (at most 12) are copied.
    pub(crate) fn share(&self, row: usize) -> Bytes {
        let (index, buffer, range) = match self.kind {
            Kind::Offsets32(offsets, values) => (0, values, range(offsets, row)),
            Kind::Offsets64(offsets, values) => (0, values, range(offsets, row)),
            Kind::Fixed(width, values) => (0, values, row * width..(row + 1) * width),
            Kind::Views(views, buffers) => {
                let view = ByteView::from(views[row]);
                if view.length as usize <= INLINE_MAX {
                    return Bytes::copy_from_slice(self.get(row));
                }
                let (index, start) = (view.buffer_index as usize, view.offset as usize);
                (index, &buffers[index], start..start + view.length as usize)
            }
        };
        self.shared[index].get_or_init(|| Bytes::from_owner(buffer.clone())).slice(range)
    }
}

fn range<O: Copy + TryInto<usize>>(offsets: &[O], row: usize) -> Range<usize> {
    // Offsets of a valid array are never negative.
    let at = |place: usize| offsets[place].try_into().unwrap_or(0);
    at(row)..at(row + 1)
}

fn bytes_of(view: &u128) -> &[u8; 16] {
    // SAFETY: a u128 is 16 initialised bytes, of alignment no smaller than a byte's, and the reference's lifetime is
    // that of the view. Arrow defines views as little-endian, which the supported targets are.
    unsafe { &*std::ptr::from_ref(view).cast::<[u8; 16]>() }
}

#[cfg(test)]
mod tests;
