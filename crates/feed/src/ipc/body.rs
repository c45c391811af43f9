//! The body of a record batch: nodes, buffers, and their bytes as segments.
//!
//! 1. Arrays are walked in depth first order, as the format demands; slices are cut out on the way, so nothing is sent
//!    that the rows do not need, and offsets begin at 0.
//! 2. Text and bytes are written value by value into one data buffer: small values are copied, large ones are segments
//!    that refer to their Arrow buffer. On the wire the buffer is contiguous either way.
//! 3. Every buffer begins at a multiple of 16 bytes, the size of the largest element.

use crate::lavender::blobs::Blobs;
use crate::lavender::segments::{COPY_MAX, SegmentWriter};
use arrow::array::{Array, AsArray, ByteView, GenericListArray, OffsetSizeTrait};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef};
use arrow::ipc;
use bytes::Bytes;

/// Alignment of buffers and of the body itself.
pub(super) const ALIGNMENT: usize = 16;

/// Most bytes of one data buffer of a view column: offsets are signed 32-bit numbers.
const VIEW_BUFFER_BYTES_MAX: usize = i32::MAX as usize;

/// Why an array cannot be sent.
#[derive(Debug)]
pub(super) enum Refused {
    TooLong,
    Type(DataType),
}

#[derive(Default)]
pub(super) struct Body {
    pub(super) out: SegmentWriter,
    pub(super) nodes: Vec<ipc::FieldNode>,
    pub(super) buffers: Vec<ipc::Buffer>,
    pub(super) variadic: Vec<i64>,
}

impl Body {
    /// Appends an array in the form of the type `sent`.
    pub(super) fn write(&mut self, array: &dyn Array, sent: &DataType) -> Result<(), Refused> {
        use DataType as T;
        match (array.data_type(), sent) {
            (T::Null, T::Null) => {
                self.nodes.push(ipc::FieldNode::new(array.len() as i64, array.len() as i64));
                Ok(())
            }
            (_, T::Utf8) if is_blob(array) => self.offsets::<i32>(array),
            (_, T::LargeUtf8 | T::LargeBinary) if is_blob(array) => self.offsets::<i64>(array),
            (_, T::Utf8View | T::BinaryView) if is_blob(array) => self.views(array),
            (T::List(_), T::List(field)) => self.list(array.as_list::<i32>(), field),
            (T::LargeList(_), T::LargeList(field)) => self.list(array.as_list::<i64>(), field),
            (T::Map(..), T::Map(field, _)) => {
                let map = array.as_map();
                self.node(array);
                let (start, len) = self.rebased(map.offsets());
                self.write(&map.entries().slice(start, len), field.data_type())
            }
            (T::FixedSizeList(_, width), T::FixedSizeList(field, _)) => {
                self.node(array);
                let values = array.as_fixed_size_list().values();
                let length = array.len() * usize::try_from(*width).unwrap_or(0);
                self.write(values.slice(0, length).as_ref(), field.data_type())
            }
            (T::Struct(_), T::Struct(fields)) => {
                self.node(array);
                let columns = array.as_struct().columns();
                fields
                    .iter()
                    .zip(columns)
                    .try_for_each(|(field, column)| self.write(column, field.data_type()))
            }
            (T::Union(..), T::Union(fields, _)) => {
                let union = array.as_union();
                self.nodes.push(ipc::FieldNode::new(array.len() as i64, 0));
                self.buffer(|out| put(out, union.type_ids().inner()));
                if let Some(offsets) = union.offsets() {
                    self.buffer(|out| put(out, offsets.inner()));
                }
                fields.iter().try_for_each(|(id, field)| self.write(union.child(id), field.data_type()))
            }
            (T::Boolean, T::Boolean) => {
                self.node(array);
                self.buffer(|out| put(out, &array.as_boolean().values().sliced()));
                Ok(())
            }
            (held, sent) if held == sent => self.fixed_width(array),
            (held, sent) => {
                let strict = CastOptions { safe: false, ..CastOptions::default() };
                let refused = || Refused::Type(held.clone());
                let array = cast_with_options(array, sent, &strict).map_err(|_| refused())?;
                // A cast that changes nothing must not come back here.
                if array.data_type() == sent { self.write(array.as_ref(), sent) } else { Err(refused()) }
            }
        }
    }

    /// Numbers of any kind, and bytes of one length.
    fn fixed_width(&mut self, array: &dyn Array) -> Result<(), Refused> {
        let width = match array.data_type() {
            DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
            other => other.primitive_width(),
        };
        let data = array.to_data();
        let (Some(width), [values]) = (width, data.buffers()) else {
            return Err(Refused::Type(array.data_type().clone()));
        };
        self.node(array);
        let values = values.slice_with_length(data.offset() * width, data.len() * width);
        self.buffer(|out| put(out, &values));
        Ok(())
    }

    fn list<O: OffsetSizeTrait>(
        &mut self,
        list: &GenericListArray<O>,
        field: &FieldRef,
    ) -> Result<(), Refused> {
        self.node(list);
        let (start, len) = self.rebased(list.offsets());
        self.write(list.values().slice(start, len).as_ref(), field.data_type())
    }

    /// Appends offsets that begin at 0; returns the part of the values they are about.
    fn rebased<O: OffsetSizeTrait>(&mut self, offsets: &OffsetBuffer<O>) -> (usize, usize) {
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        let rebased: Vec<O> = offsets.iter().map(|offset| *offset - first).collect();
        self.buffer(|out| out.put(Buffer::from_vec(rebased).as_slice()));
        (first.as_usize(), (last - first).as_usize())
    }

    /// Text or bytes with offsets of the width of `O`.
    fn offsets<O: OffsetSizeTrait>(&mut self, array: &dyn Array) -> Result<(), Refused> {
        self.node(array);
        let blobs = blobs(array)?;
        let nulls = array.nulls();
        let mut offsets = Vec::with_capacity(array.len() + 1);
        let mut end = 0;
        offsets.push(O::usize_as(0));
        for row in 0..array.len() {
            if !is_null(nulls, row) {
                end += blobs.len(row);
            }
            offsets.push(O::from_usize(end).ok_or(Refused::TooLong)?);
        }
        self.buffer(|out| out.put(Buffer::from_vec(offsets).as_slice()));
        self.buffer(|out| {
            out.small().reserve(end.min(array.len() * 256));
            (0..array.len()).filter(|&row| !is_null(nulls, row)).for_each(|row| put_blob(out, &blobs, row));
        });
        Ok(())
    }

    /// Text or bytes as views into new data buffers that hold nothing else.
    fn views(&mut self, array: &dyn Array) -> Result<(), Refused> {
        self.node(array);
        let blobs = blobs(array)?;
        let nulls = array.nulls();
        let mut views: Vec<u128> = Vec::with_capacity(array.len());
        // Rows at which a new data buffer begins.
        let mut starts = Vec::new();
        let mut end = 0;
        for row in 0..array.len() {
            let length = if is_null(nulls, row) { 0 } else { blobs.len(row) };
            if length <= 12 {
                let mut view = [0; 16];
                view[..4].copy_from_slice(&(length as u32).to_le_bytes());
                view[4..4 + length].copy_from_slice(&blobs.get(row)[..length]);
                views.push(u128::from_le_bytes(view));
                continue;
            }
            if length > VIEW_BUFFER_BYTES_MAX {
                return Err(Refused::TooLong);
            }
            if starts.is_empty() || end + length > VIEW_BUFFER_BYTES_MAX {
                starts.push(row);
                end = 0;
            }
            let bytes = blobs.get(row);
            let prefix = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let (buffer_index, offset) = (starts.len() as u32 - 1, end as u32);
            views.push(ByteView { length: length as u32, prefix, buffer_index, offset }.as_u128());
            end += length;
        }
        self.buffer(|out| out.put(Buffer::from_vec(views).as_slice()));
        self.variadic.push(starts.len() as i64);
        for (place, &start) in starts.iter().enumerate() {
            let rows = start..starts.get(place + 1).copied().unwrap_or(array.len());
            self.buffer(|out| {
                let long = |row: &usize| !is_null(nulls, *row) && blobs.len(*row) > 12;
                rows.filter(long).for_each(|row| put_blob(out, &blobs, row));
            });
        }
        Ok(())
    }

    /// The node of an array that has a buffer for its nulls, and that buffer: empty if there are none.
    fn node(&mut self, array: &dyn Array) {
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        let null_count = nulls.map_or(0, NullBuffer::null_count);
        self.nodes.push(ipc::FieldNode::new(array.len() as i64, null_count as i64));
        self.buffer(|out| {
            if let Some(nulls) = nulls {
                put(out, &nulls.inner().sliced());
            }
        });
    }

    /// Appends a buffer and fills up to the alignment.
    fn buffer(&mut self, write: impl FnOnce(&mut SegmentWriter)) {
        let start = self.out.len();
        write(&mut self.out);
        let length = self.out.len() - start;
        self.buffers.push(ipc::Buffer::new(start as i64, length as i64));
        self.out.put(&[0; ALIGNMENT][..length.next_multiple_of(ALIGNMENT) - length]);
    }
}

fn is_blob(array: &dyn Array) -> bool {
    use DataType as T;
    matches!(
        array.data_type(),
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Binary | T::LargeBinary | T::BinaryView
    )
}

fn blobs(array: &dyn Array) -> Result<Blobs<'_>, Refused> {
    Blobs::of(array).ok_or_else(|| Refused::Type(array.data_type().clone()))
}

fn is_null(nulls: Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_some_and(|nulls| nulls.is_null(row))
}

fn put(out: &mut SegmentWriter, buffer: &Buffer) {
    if buffer.len() <= COPY_MAX {
        out.put(buffer.as_slice());
    } else {
        out.put_shared(Bytes::from_owner(buffer.clone()));
    }
}

fn put_blob(out: &mut SegmentWriter, blobs: &Blobs<'_>, row: usize) {
    if blobs.len(row) <= COPY_MAX {
        out.put(blobs.get(row));
    } else {
        out.put_shared(blobs.share(row));
    }
}
