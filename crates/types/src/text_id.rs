//! Ids of the dataset wing: a prefix of two letters, a dash and 20 characters `[a-z0-9]`, of which the first ones
//! are the time of creation in base 36, so that ids sort by age. Their text is what clients see and keep.

use std::fmt;
use std::str::FromStr;

const LENGTH: usize = 20;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A text that is no id of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextIdError {
    prefix: &'static str,
}

impl fmt::Display for TextIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id of this kind is {}- and {LENGTH} characters a-z and 0-9", self.prefix)
    }
}

impl std::error::Error for TextIdError {}

/// The characters of a new id.
fn draw(unix_ms: u64, random: [u8; LENGTH]) -> [u8; LENGTH] {
    let mut time = Vec::new();
    let mut rest = unix_ms;
    while rest > 0 {
        time.push(DIGITS[(rest % 36) as usize]);
        rest /= 36;
    }
    let mut text = random.map(|byte| DIGITS[usize::from(byte) % 36]);
    for (place, digit) in text.iter_mut().zip(time.iter().rev()) {
        *place = *digit;
    }
    text
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; LENGTH]);

        impl $name {
            /// A new id from the wall clock in milliseconds and random bytes; both are the caller's.
            pub fn new(unix_ms: u64, random: [u8; 20]) -> Self {
                Self(draw(unix_ms, random))
            }

            /// The characters after the prefix.
            pub const fn to_bytes(self) -> [u8; 20] {
                self.0
            }

            /// The id with these characters; `None` if one of them is none of an id.
            pub fn from_bytes(bytes: [u8; 20]) -> Option<Self> {
                bytes.iter().all(|byte| DIGITS.contains(byte)).then_some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "-"))?;
                self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = TextIdError;

            fn from_str(text: &str) -> Result<Self, TextIdError> {
                let characters = text.strip_prefix(concat!($prefix, "-")).map(str::as_bytes);
                let bytes: Option<[u8; LENGTH]> = characters.and_then(|bytes| bytes.try_into().ok());
                bytes.and_then(Self::from_bytes).ok_or(TextIdError { prefix: $prefix })
            }
        }
    };
}

text_id!(
    /// A dataset.
    DatasetId,
    "ds"
);
text_id!(
    /// A shardset of a dataset.
    ShardsetId,
    "ss"
);
text_id!(
    /// A shard file of a shardset.
    ShardFileId,
    "sd"
);
text_id!(
    /// A column of a dataset.
    ColumnId,
    "dc"
);
text_id!(
    /// An iteration over a dataset.
    IterationId,
    "it"
);
text_id!(
    /// An API key; not its secret.
    KeyId,
    "la"
);

#[cfg(test)]
mod tests;
