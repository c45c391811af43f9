//! What binding knows of a collection's fields: which names exist, and which kinds of values each has held.

use lavandin_types::Kind;
use std::fmt;

/// A set of value kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

/// Kinds with the word that messages use for each.
const WORDS: [(Kind, &str); 7] = [
    (Kind::Null, "null"),
    (Kind::Bool, "a boolean"),
    (Kind::Int, "an integer"),
    (Kind::Float, "a float"),
    (Kind::Str, "a string"),
    (Kind::Array, "an array"),
    (Kind::Object, "an object"),
];

impl Kinds {
    pub const NONE: Self = Self(0);

    pub const fn of(kind: Kind) -> Self {
        Self(1 << kind as u8)
    }

    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | Self::of(kind).0)
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }

    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Kind> {
        WORDS.into_iter().map(|(kind, _)| kind).filter(move |kind| self.contains(*kind))
    }

    /// One bit a kind, for storage; unknown bits of `from_bits` are dropped.
    pub const fn bits(self) -> u8 {
        self.0
    }

    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x7f)
    }
}

/// For messages: `an integer or a float`.
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> =
            WORDS.iter().filter(|(kind, _)| self.contains(*kind)).map(|(_, word)| *word).collect();
        match words.split_last() {
            None => f.write_str("nothing"),
            Some((last, [])) => f.write_str(last),
            Some((last, rest)) => write!(f, "{} or {last}", rest.join(", ")),
        }
    }
}

/// The fields of a collection.
pub trait Schema {
    /// The kinds a field has ever held; `None` where no record has had the field.
    fn kinds(&self, field: &str) -> Option<Kinds>;

    /// Whether no record has had any field: then every name is accepted and stands for null.
    fn is_empty(&self) -> bool;
}

/// A schema as a list, for tests and small uses.
impl Schema for [(String, Kinds)] {
    fn kinds(&self, field: &str) -> Option<Kinds> {
        self.iter().find(|(name, _)| name == field).map(|(_, kinds)| *kinds)
    }

    fn is_empty(&self) -> bool {
        <[_]>::is_empty(self)
    }
}

impl Schema for Vec<(String, Kinds)> {
    fn kinds(&self, field: &str) -> Option<Kinds> {
        self.as_slice().kinds(field)
    }

    fn is_empty(&self) -> bool {
        Vec::is_empty(self)
    }
}
