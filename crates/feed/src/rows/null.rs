//! What a column's nulls become.

use arrow::datatypes::Field;

/// Field metadata that says what a column's nulls become; absent for None.
pub const NULL_KEY: &str = "lavandin.null";

/// The value in place of a null. Samples of a joined shardset get a value of the column's type, integers of empty csv
/// cells are NaN; everything else is Python's None. Arrow data keeps its nulls: this is applied when samples are encoded or given to user code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NullAs {
    #[default]
    None,
    /// A float that is not a number.
    Nan,
    /// `""`
    Text,
    /// `b""`
    Bytes,
    /// `[]`
    List,
    /// `{}`
    Dict,
}

impl NullAs {
    /// The default of a column type by its name in the catalogue: names of pyarrow (`int64`, `string`, `list<…>`) or
    /// those that a user declared (`float`, `text`). Only these beginnings count, so `uint8` and `timestamp` have none.
    pub fn of_type(name: &str) -> Self {
        let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| name.starts_with(beginning));
        if begins(&["int", "float", "double", "bool"]) {
            Self::Nan
        } else if begins(&["text", "str"]) {
            // pyarrow's `struct<…>` begins with `str` too; text in place of a dictionary helps nobody.
            if name.starts_with("struct") { Self::None } else { Self::Text }
        } else if begins(&["binary"]) {
            Self::Bytes
        } else if begins(&["list"]) {
            Self::List
        } else if begins(&["dict"]) {
            Self::Dict
        } else {
            Self::None
        }
    }

    /// What the field's metadata says.
    pub fn of_field(field: &Field) -> Self {
        let Some(name) = field.metadata().get(NULL_KEY) else { return Self::None };
        Self::ALL.into_iter().find(|null| null.name() == name).unwrap_or_default()
    }

    /// The field with this in its metadata.
    pub fn mark(self, field: Field) -> Field {
        let mut metadata = field.metadata().clone();
        if self == Self::None {
            metadata.remove(NULL_KEY);
        } else {
            metadata.insert(NULL_KEY.to_owned(), self.name().to_owned());
        }
        field.with_metadata(metadata)
    }

    const ALL: [Self; 6] = [Self::None, Self::Nan, Self::Text, Self::Bytes, Self::List, Self::Dict];

    /// The word in field metadata.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nan => "nan",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Dict => "dict",
        }
    }

    /// The item of the binary sample layout.
    pub(crate) const fn item(self) -> &'static [u8] {
        match self {
            Self::None => b"jsnull",
            Self::Nan => b"jsNaN",
            Self::Text => b"js\"\"",
            Self::Bytes => b"by",
            Self::List => b"ls",
            Self::Dict => b"di",
        }
    }

    /// The JSON text; a strict reader gets null for what JSON lacks.
    pub(crate) const fn json(self, strict: bool) -> &'static [u8] {
        match self {
            Self::None => b"null",
            Self::Nan if strict => b"null",
            Self::Nan => b"NaN",
            Self::Text | Self::Bytes => b"\"\"",
            Self::List => b"[]",
            Self::Dict => b"{}",
        }
    }
}

#[cfg(test)]
mod tests;
