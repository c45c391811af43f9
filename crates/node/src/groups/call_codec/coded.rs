//! Values as bytes: little-endian numbers, a u32 before what has a length, a byte before what may be absent.
//!
//! Reading never panics, and takes no memory that the bytes left do not justify: a list says how many items follow, and
//! each takes some bytes.

use bytes::Bytes;
use std::sync::Arc;

pub(super) trait Coded: Sized {
    /// No value takes fewer bytes.
    const BYTES_MIN: usize;

    fn put(&self, out: &mut Vec<u8>);

    fn get(from: &mut Reader<'_>) -> Option<Self>;

    fn put_all(items: &[Self], out: &mut Vec<u8>) {
        items.iter().for_each(|item| item.put(out));
    }

    /// `count` of them, of which it is known that so many may follow.
    fn get_all(count: usize, from: &mut Reader<'_>) -> Option<Vec<Self>> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(Self::get(from)?);
        }
        Some(items)
    }
}

/// What is left of a message.
pub(super) struct Reader<'a> {
    message: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a Bytes) -> Self {
        Self { message, at: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left() == 0
    }

    fn left(&self) -> usize {
        self.message.len() - self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The number of items that follow.
    fn count<T: Coded>(&mut self) -> Option<usize> {
        let count = u32::get(self)? as usize;
        (count <= self.left() / T::BYTES_MIN).then_some(count)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Coded for $number {
            const BYTES_MIN: usize = size_of::<$number>();

            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn get(from: &mut Reader<'_>) -> Option<Self> {
                from.array().map(Self::from_le_bytes)
            }

            // In one go, which compiles to a copy.
            fn put_all(items: &[Self], out: &mut Vec<u8>) {
                let start = out.len();
                out.resize(start + size_of_val(items), 0);
                let places = out[start..].as_chunks_mut::<{ size_of::<$number>() }>().0;
                places.iter_mut().zip(items).for_each(|(place, item)| *place = item.to_le_bytes());
            }

            fn get_all(count: usize, from: &mut Reader<'_>) -> Option<Vec<Self>> {
                let bytes = from.take(count.checked_mul(size_of::<$number>())?)?;
                let items = bytes.as_chunks::<{ size_of::<$number>() }>().0;
                Some(items.iter().map(|item| Self::from_le_bytes(*item)).collect())
            }
        })*
    };
}

numbers!(u8, u32, u64, u128, f32);

impl Coded for usize {
    const BYTES_MIN: usize = 8;

    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        u64::get(from)?.try_into().ok()
    }
}

impl Coded for bool {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        match u8::get(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Coded> Coded for Option<T> {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        match bool::get(from)? {
            true => T::get(from).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Coded> Coded for Arc<T> {
    const BYTES_MIN: usize = T::BYTES_MIN;

    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        T::get(from).map(Self::new)
    }
}

impl<T: Coded> Coded for Vec<T> {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        T::put_all(self, out);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let count = from.count::<T>()?;
        T::get_all(count, from)
    }
}

/// A part of the message that is not copied.
impl Coded for Bytes {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let count = from.count::<u8>()?;
        Some(from.message.slice_ref(from.take(count)?))
    }
}

impl Coded for Box<str> {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let count = from.count::<u8>()?;
        std::str::from_utf8(from.take(count)?).ok().map(Self::from)
    }
}

impl Coded for String {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Box::<str>::get(from).map(Self::from)
    }
}

/// A struct of which every field is coded, in the order given.
macro_rules! coded_struct {
    ($name:ty { $($field:ident: $kind:ty),* $(,)? }) => {
        impl Coded for $name {
            const BYTES_MIN: usize = 0 $(+ <$kind as Coded>::BYTES_MIN)*;

            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }

            fn get(from: &mut Reader<'_>) -> Option<Self> {
                Some(Self { $($field: <$kind as Coded>::get(from)?),* })
            }
        }
    };
}

/// An id or counter, as its number.
macro_rules! coded_id {
    ($($name:ty: $number:ty),* $(,)?) => {
        $(impl Coded for $name {
            const BYTES_MIN: usize = size_of::<$number>();

            fn put(&self, out: &mut Vec<u8>) {
                self.get().put(out);
            }

            fn get(from: &mut Reader<'_>) -> Option<Self> {
                <$number>::get(from).map(Self::new)
            }
        })*
    };
}

pub(super) use {coded_id, coded_struct};
