//! JSON as the sample layout has it: RFC 8259, and `NaN`, `Infinity`, `-Infinity`.

use super::decode::{DEPTH_MAX, DecodeError, Value};

/// The value that is all of `text`.
pub(super) fn parse(text: &[u8]) -> Result<Value, DecodeError> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.spaces();
    if parser.at < text.len() { Err(parser.bad()) } else { Ok(value) }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn bad(&self) -> DecodeError {
        DecodeError::BadJson { at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it is next after spaces.
    fn next_is(&mut self, byte: u8) -> bool {
        self.spaces();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, DecodeError> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(self.bad());
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        self.spaces();
        match self.peek() {
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'N') => self.word("NaN", Value::Float(f64::NAN)),
            Some(b'I') => self.word("Infinity", Value::Float(f64::INFINITY)),
            Some(b'-') if self.text.get(self.at + 1) == Some(&b'I') => {
                self.word("-Infinity", Value::Float(f64::NEG_INFINITY))
            }
            Some(b'"') => self.string().map(Value::Text),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.dict(depth),
            _ => self.number(),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, DecodeError> {
        self.at += 1;
        let mut values = Vec::new();
        if self.next_is(b']') {
            return Ok(Value::List(values));
        }
        loop {
            values.push(self.value(depth + 1)?);
            if self.next_is(b']') {
                return Ok(Value::List(values));
            }
            if !self.next_is(b',') {
                return Err(self.bad());
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Value, DecodeError> {
        self.at += 1;
        let mut entries = Vec::new();
        if self.next_is(b'}') {
            return Ok(Value::Dict(entries));
        }
        loop {
            self.spaces();
            if self.peek() != Some(b'"') {
                return Err(self.bad());
            }
            let key = self.string()?;
            if !self.next_is(b':') {
                return Err(self.bad());
            }
            entries.push((key, self.value(depth + 1)?));
            if self.next_is(b'}') {
                return Ok(Value::Dict(entries));
            }
            if !self.next_is(b',') {
                return Err(self.bad());
            }
        }
    }

    fn number(&mut self) -> Result<Value, DecodeError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).map_err(|_| self.bad())?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let leading_zero =
            digits.starts_with('0') && digits[1..].starts_with(|next: char| next.is_ascii_digit());
        let bare_point = digits.split(['e', 'E']).next().is_some_and(|part| part.ends_with('.'));
        if !digits.starts_with(|first: char| first.is_ascii_digit()) || leading_zero || bare_point {
            return Err(self.bad());
        }
        if !text.contains(['.', 'e', 'E']) {
            if let Ok(value) = text.parse() {
                return Ok(Value::Int(value));
            }
            if let Ok(value) = text.parse() {
                return Ok(Value::Uint(value));
            }
        }
        // An integer beyond 64 bits loses digits here; no Arrow column makes one.
        text.parse().map(Value::Float).map_err(|_| self.bad())
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..0x20)) {
                self.at += 1;
            }
            out.extend_from_slice(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return String::from_utf8(out).map_err(|_| self.bad());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                _ => return Err(self.bad()),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let letter = self.peek().ok_or_else(|| self.bad())?;
        self.at += 1;
        let plain = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'f' => 0x0c,
            b'u' => {
                let character = self.unicode()?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.bad()),
        };
        out.push(plain);
        Ok(())
    }

    /// The character of `\uXXXX`, or of two of them.
    fn unicode(&mut self) -> Result<char, DecodeError> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.bad());
        }
        if !self.text[self.at..].starts_with(b"\\u") {
            return Err(self.bad());
        }
        self.at += 2;
        let second = self.hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.bad());
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or_else(|| self.bad())
    }

    fn hex(&mut self) -> Result<u32, DecodeError> {
        let digits = self.text.get(self.at..self.at + 4).ok_or_else(|| self.bad())?;
        let mut value = 0;
        for digit in digits {
            value = value * 16 + char::from(*digit).to_digit(16).ok_or_else(|| self.bad())?;
        }
        self.at += 4;
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
