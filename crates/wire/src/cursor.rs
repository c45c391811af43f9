//! Walking a JSON body's outermost object, with vectors read by a loop of their own.
//!
//! Most bytes of a body are the digits of vectors. They are read here, straight into floats, more than twice as fast as
//! through serde_json (1000 vectors of 128: 3.0 ms instead of 8.1); every other value goes to serde_json, which also
//! decides what JSON is. Errors carry the line and column of the body.

mod float;

use crate::WireError;
use serde::de::{DeserializeOwned, IgnoredAny};

/// A position in a body.
pub(crate) struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0 }
    }

    /// Walks the pairs of an object that makes up the whole body. `read` must read the value of the key it is given.
    pub(crate) fn object(
        &mut self,
        mut read: impl FnMut(&mut Self, &[u8]) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        match self.peek() {
            Some(b'{') => self.at += 1,
            Some(_) => return Err(self.wrong("expected an object")),
            None => return Err(self.malformed("EOF while parsing a value")),
        }
        if self.peek() == Some(b'}') {
            self.at += 1;
            return self.end();
        }
        loop {
            self.pair(&mut read)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return self.end();
                }
                Some(_) => return Err(self.malformed("expected `,` or `}`")),
                None => return Err(self.malformed("EOF while parsing an object")),
            }
        }
    }

    fn pair(
        &mut self,
        read: &mut impl FnMut(&mut Self, &[u8]) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if self.peek() != Some(b'"') {
            let message =
                if self.at == self.body.len() { "EOF while parsing an object" } else { "expected a key" };
            return Err(self.malformed(message));
        }
        let text = &self.body[self.at + 1..];
        let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        let owned;
        let key = match end {
            Some(end) if text[end] == b'"' => {
                self.at += end + 2;
                &text[..end]
            }
            _ => {
                owned = self.value::<String>()?;
                owned.as_bytes()
            }
        };
        if self.peek() != Some(b':') {
            return Err(self.malformed("expected `:`"));
        }
        self.at += 1;
        read(self, key)
    }

    fn end(&mut self) -> Result<(), WireError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.malformed("trailing characters")),
        }
    }

    /// Reads a value through serde.
    pub(crate) fn value<T: DeserializeOwned>(&mut self) -> Result<T, WireError> {
        self.peek();
        let start = self.at;
        let mut values = serde_json::Deserializer::from_slice(&self.body[start..]).into_iter::<T>();
        match values.next() {
            Some(Ok(value)) => {
                self.at = start + values.byte_offset();
                Ok(value)
            }
            Some(Err(error)) => Err(self.place(start, error.into())),
            None => Err(self.malformed("EOF while parsing a value")),
        }
    }

    pub(crate) fn skip(&mut self) -> Result<(), WireError> {
        self.value::<IgnoredAny>().map(drop)
    }

    /// Whether null comes next; it is read if so.
    pub(crate) fn take_null(&mut self) -> bool {
        self.peek();
        let is_null = self.body[self.at..].starts_with(b"null");
        if is_null {
            self.at += 4;
        }
        is_null
    }

    /// Appends a list of finite numbers; their count.
    pub(crate) fn numbers(&mut self, out: &mut Vec<f32>) -> Result<usize, WireError> {
        let start = out.len();
        self.list("a vector: a list of finite numbers", |cursor| {
            out.push(cursor.number()?);
            Ok(())
        })?;
        Ok(out.len() - start)
    }

    /// Walks a list; `read` must read one element.
    pub(crate) fn list(
        &mut self,
        expected: &str,
        mut read: impl FnMut(&mut Self) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if self.peek() != Some(b'[') {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            read(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return Err(self.malformed("expected `,` or `]`")),
                None => return Err(self.malformed("EOF while parsing a list")),
            }
        }
    }

    fn number(&mut self) -> Result<f32, WireError> {
        self.peek();
        let Some((number, length)) = float::parse(&self.body[self.at..]) else {
            return Err(self.unexpected(
                "a finite number (NaN and infinity have no JSON form, null stands for neither)",
            ));
        };
        if !number.is_finite() {
            return Err(self.wrong("number out of range of 32-bit floats"));
        }
        self.at += length;
        Ok(number)
    }

    /// The next byte that is not white space, without reading it.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.body.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// The error for a value of another kind, or for what is no value at all.
    fn unexpected(&mut self, expected: &str) -> WireError {
        let start = self.at;
        let mut values =
            serde_json::Deserializer::from_slice(&self.body[start..]).into_iter::<serde_json::Value>();
        let found = match values.next() {
            Some(Ok(serde_json::Value::Null)) => "null",
            Some(Ok(serde_json::Value::Bool(_))) => "a boolean",
            Some(Ok(serde_json::Value::Number(_))) => "a number",
            Some(Ok(serde_json::Value::String(_))) => "a string",
            Some(Ok(serde_json::Value::Array(_))) => "a list",
            Some(Ok(serde_json::Value::Object(_))) => "an object",
            Some(Err(error)) => return self.place(start, error.into()),
            None => return self.malformed("EOF while parsing a value"),
        };
        self.wrong(&format!("invalid type: {found}, expected {expected}"))
    }

    pub(crate) fn wrong(&self, message: &str) -> WireError {
        let (line, column) = self.line_and_column(self.at);
        WireError::Value { message: message.to_owned(), line, column: column + 1 }
    }

    fn malformed(&self, message: &str) -> WireError {
        let (line, column) = self.line_and_column(self.at);
        // At the end there is no byte to point at but the last one.
        let column = if self.at < self.body.len() { column + 1 } else { column };
        WireError::Syntax { message: message.to_owned(), line, column }
    }

    /// Moves an error's place, given from `start`, to the place in the body.
    fn place(&self, start: usize, error: WireError) -> WireError {
        let (lines, columns) = self.line_and_column(start);
        let moved = |line: usize, column: usize| match line {
            0 | 1 => (lines, columns + column),
            _ => (lines + line - 1, column),
        };
        match error {
            WireError::Syntax { message, line, column } => {
                let (line, column) = moved(line, column);
                WireError::Syntax { message, line, column }
            }
            WireError::Value { message, line, column } => {
                let (line, column) = moved(line, column);
                WireError::Value { message, line, column }
            }
            other => other,
        }
    }

    /// The line from 1, and the bytes of that line before `at`.
    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = &self.body[..at];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        (line, at - start)
    }
}
