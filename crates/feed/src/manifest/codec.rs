//! The bytes of our small immutable files: magic, version, content, checksum. Integers in the content are LEB128
//! (signed ones zigzag), floats one byte and an integer where they are whole, texts length and UTF-8.

use lavandin_types::ErrorCode;
use xxhash_rust::xxh3::xxh3_64;

const HEADER_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 8;
/// How a float is written.
const WHOLE: u8 = 0;
const BITS: u8 = 1;
/// Whole floats up to here are written as integers.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("it does not begin as such a file does")]
    Magic,
    #[error("it is of version {found}, which this program does not read")]
    Version { found: u32 },
    #[error("{detail}")]
    Damaged { detail: &'static str },
}

impl CodecError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::DataCorrupt
    }
}

const fn damaged(detail: &'static str) -> CodecError {
    CodecError::Damaged { detail }
}

/// Builds a file's bytes.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn begin(magic: &[u8; 8], version: u32) -> Self {
        let mut bytes = Vec::with_capacity(1 << 10);
        bytes.extend_from_slice(magic);
        bytes.extend_from_slice(&version.to_le_bytes());
        Self { bytes }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let checksum = xxh3_64(&self.bytes);
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        self.bytes
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.u64(u64::from(value));
    }

    pub(crate) fn u64(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.u64(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(crate) fn usize(&mut self, value: usize) {
        self.u64(value as u64);
    }

    pub(crate) fn f64(&mut self, value: f64) {
        let whole =
            value.abs() <= WHOLE_MAX && value.fract() == 0.0 && (value != 0.0 || value.is_sign_positive());
        if whole {
            self.u8(WHOLE);
            self.i64(value as i64);
        } else {
            self.u8(BITS);
            self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) {
        self.usize(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// Takes a file's bytes apart. No length is believed beyond what is left.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn begin(bytes: &'a [u8], magic: &[u8; 8], version: u32) -> Result<Self, CodecError> {
        let header = bytes.get(..HEADER_BYTES).ok_or(CodecError::Magic)?;
        if !header.starts_with(magic) {
            return Err(CodecError::Magic);
        }
        let found = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if found != version {
            return Err(CodecError::Version { found });
        }
        let content = bytes.len().checked_sub(CHECKSUM_BYTES).filter(|end| *end >= HEADER_BYTES);
        let (content, checksum) = bytes.split_at(content.ok_or(damaged("it is cut short"))?);
        if checksum != xxh3_64(content).to_le_bytes() {
            return Err(damaged("its checksum differs"));
        }
        Ok(Self { rest: &content[HEADER_BYTES..] })
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(damaged("it goes on after its end")) }
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(damaged("it ends within a value"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        self.raw(1).map(|byte| byte[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64, CodecError> {
        let mut value = 0_u64;
        for place in 0..10 {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if place == 9 && byte > 1 {
                break;
            }
            value |= bits << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged("an integer has more than 64 bits"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CodecError> {
        u32::try_from(self.u64()?).map_err(|_| damaged("an integer has more than 32 bits"))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, CodecError> {
        let value = self.u64()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number of items that take at least `bytes` bytes each.
    pub(crate) fn length(&mut self, bytes: usize) -> Result<usize, CodecError> {
        let length = usize::try_from(self.u64()?).ok();
        let fits = |length: &usize| length.checked_mul(bytes).is_some_and(|bytes| bytes <= self.rest.len());
        length.filter(fits).ok_or(damaged("a number of items is more than there is"))
    }

    pub(crate) fn f64(&mut self) -> Result<f64, CodecError> {
        match self.u8()? {
            WHOLE => Ok(self.i64()? as f64),
            BITS => {
                let bytes: [u8; 8] = self.raw(8)?.try_into().expect("eight bytes were taken");
                Ok(f64::from_bits(u64::from_le_bytes(bytes)))
            }
            _ => Err(damaged("a float is of no known form")),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.blob()?).map_err(|_| damaged("a text is not UTF-8"))
    }

    pub(crate) fn blob(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.length(1)?;
        self.raw(length)
    }
}
