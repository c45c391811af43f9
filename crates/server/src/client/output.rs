//! Printing results: JSON with a space behind each comma and colon, as scripts that read the published command's
//! output expect it. A reader that has seen enough (`| head`) is no failure.

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io::{self, ErrorKind, Write};

/// Prints each on a line of its own.
pub(super) fn list<T: Serialize>(values: &[T]) -> Result<()> {
    let mut text = Vec::new();
    for value in values {
        text.extend(line(value)?);
        text.push(b'\n');
    }
    print(&text)
}

/// Prints one over several lines.
pub(crate) fn object(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).context("the result cannot be shown")?;
    text.push(b'\n');
    print(&text)
}

pub(crate) fn print(text: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write the result"),
    }
}

fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Spaced);
    value.serialize(&mut serializer).context("the result cannot be shown")?;
    Ok(text)
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        separator(writer, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        separator(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        CompactFormatter.begin_object_value(writer)?;
        writer.write_all(b" ")
    }
}

fn separator<W: ?Sized + Write>(writer: &mut W, first: bool) -> io::Result<()> {
    if first { Ok(()) } else { writer.write_all(b", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_spaced() {
        let value = json!({ "a": [1, "x, y: z", null], "b": {}, "c": { "d": [], "e": 0.5 } });
        let text = String::from_utf8(line(&value).unwrap()).unwrap();
        assert_eq!(text, r#"{"a": [1, "x, y: z", null], "b": {}, "c": {"d": [], "e": 0.5}}"#);
    }
}
