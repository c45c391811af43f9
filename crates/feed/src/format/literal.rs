//! Python literals, as csv cells of lists, maps and binary values hold them: `[1, 'a', None]`, `{"k": b"\x00"}`.
//!
//! Known: None, True, False, integers in four bases, floats, strings and bytes with all prefixes but `f`, adjacent
//! strings, lists, tuples and sets (all of them lists here), dicts, a sign before a number. Nothing is evaluated.
//! Absent: complex numbers, `\N{…}`, lone surrogates, `nan` and `inf` (Python knows no literal for them either).
//! Nesting is bounded by [`DEPTH_MAX`]; size is bounded by that of the cell.

use super::type_text::DEPTH_MAX;
use std::fmt::Write;

mod strings;

/// A value of a literal, or of a JSON text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, in digits.
    BigInt(String),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    /// The value of a whole cell; `None` if it is no literal.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        parser.skip_space();
        let value = parser.value()?;
        parser.skip_space();
        (parser.at == text.len()).then_some(value)
    }

    /// Appends the value as JSON. Bytes are strings of the characters U+0000 to U+00FF, keys their texts.
    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => put(out, format_args!("{value}")),
            Self::BigInt(digits) => out.push_str(digits),
            Self::Float(value) => write_float(*value, out),
            Self::Text(text) => write_text(text, out),
            Self::Bytes(bytes) => write_text(&latin1(bytes), out),
            Self::List(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    out.push_str(if place == 0 { "" } else { "," });
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Dict(entries) => {
                out.push('{');
                for (place, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if place == 0 { "" } else { "," });
                    key.write_key(out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }

    fn write_key(&self, out: &mut String) {
        match self {
            Self::Text(text) => write_text(text, out),
            Self::Bytes(bytes) => write_text(&latin1(bytes), out),
            other => {
                let mut text = String::new();
                other.write_json(&mut text);
                write_text(&text, out);
            }
        }
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string cannot fail");
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
}

fn write_float(value: f64, out: &mut String) {
    match value {
        value if value.is_nan() => out.push_str("NaN"),
        value if value.is_infinite() => out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        value => put(out, format_args!("{value:?}")),
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn take(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix.as_bytes());
        self.at += if found { prefix.len() } else { 0 };
        found
    }

    fn skip_space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c => self.at += 1,
                b'#' => self.at += memchr::memchr(b'\n', self.rest()).unwrap_or(self.rest().len()),
                _ => return,
            }
        }
    }

    fn value(&mut self) -> Option<Literal> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let value = match self.peek()? {
            b'[' => self.list(),
            b'(' => self.tuple(),
            b'{' => self.dict_or_set(),
            b'0'..=b'9' | b'.' | b'+' | b'-' => self.number(),
            b'\'' | b'"' => self.strings(),
            _ if self.starts_string() => self.strings(),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    fn word(&mut self) -> Option<Literal> {
        let words = [
            ("None", Literal::Null),
            ("True", Literal::Bool(true)),
            ("False", Literal::Bool(false)),
            ("set()", Literal::List(Vec::new())),
        ];
        let (word, value) = words.into_iter().find(|(word, _)| self.rest().starts_with(word.as_bytes()))?;
        self.at += word.len();
        let ends =
            self.peek().is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_' && byte < 0x80);
        ends.then_some(value)
    }

    fn list(&mut self) -> Option<Literal> {
        self.at += 1;
        let (items, _) = self.items("]")?;
        Some(Literal::List(items))
    }

    /// In brackets: a value by itself, or a tuple.
    fn tuple(&mut self) -> Option<Literal> {
        self.at += 1;
        let (mut items, comma) = self.items(")")?;
        if items.len() == 1 && !comma {
            return items.pop();
        }
        Some(Literal::List(items))
    }

    /// Values up to `end`, and whether a comma was among them.
    fn items(&mut self, end: &str) -> Option<(Vec<Literal>, bool)> {
        let (mut items, mut comma) = (Vec::new(), true);
        loop {
            self.skip_space();
            if self.take(end) {
                return Some((items, comma));
            }
            if !comma {
                return None;
            }
            items.push(self.value()?);
            self.skip_space();
            comma = self.take(",");
        }
    }

    fn dict_or_set(&mut self) -> Option<Literal> {
        self.at += 1;
        self.skip_space();
        if self.take("}") {
            return Some(Literal::Dict(Vec::new()));
        }
        let first = self.value()?;
        self.skip_space();
        if !self.take(":") {
            return self.set(first);
        }
        self.skip_space();
        let mut entries = vec![(first, self.value()?)];
        loop {
            self.skip_space();
            let comma = self.take(",");
            self.skip_space();
            if self.take("}") {
                return Some(Literal::Dict(unique(entries)));
            }
            if !comma {
                return None;
            }
            let key = self.value()?;
            self.skip_space();
            if !self.take(":") {
                return None;
            }
            self.skip_space();
            entries.push((key, self.value()?));
        }
    }

    fn set(&mut self, first: Literal) -> Option<Literal> {
        let comma = self.take(",");
        let mut items = vec![first];
        match comma {
            true => items.extend(self.items("}")?.0),
            false if self.take("}") => {}
            false => return None,
        }
        Some(Literal::List(items))
    }

    fn number(&mut self) -> Option<Literal> {
        let negative = match self.peek()? {
            b'-' => true,
            b'+' => false,
            _ => return self.digits(false),
        };
        self.at += 1;
        self.skip_space();
        self.digits(negative)
    }

    fn digits(&mut self, negative: bool) -> Option<Literal> {
        let rest = self.rest();
        let radix = match rest {
            [b'0', b'x' | b'X', ..] => 16,
            [b'0', b'o' | b'O', ..] => 8,
            [b'0', b'b' | b'B', ..] => 2,
            _ => return self.decimal(negative),
        };
        let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest[2..].iter().take_while(|byte| is_digit(byte)).count();
        let digits = without_underscores(&self.text[self.at + 2..self.at + 2 + length], true)?;
        let value = i64::from_str_radix(&digits, radix).ok()?;
        self.at += 2 + length;
        Some(Literal::Int(if negative { -value } else { value }))
    }

    fn decimal(&mut self, negative: bool) -> Option<Literal> {
        let rest = self.rest();
        let mut length = 0;
        while let Some(byte) = rest.get(length) {
            let sign = matches!(byte, b'+' | b'-') && length > 0 && matches!(rest[length - 1], b'e' | b'E');
            if !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'_') && !sign {
                break;
            }
            length += 1;
        }
        let text = without_underscores(&self.text[self.at..self.at + length], false)?;
        self.at += length;
        let signed = if negative { format!("-{text}") } else { text };
        parse_number(&signed)
    }
}

/// An integer or a float in decimal; no word for an infinity.
fn parse_number(text: &str) -> Option<Literal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or_else(|_| Literal::BigInt(text.to_owned()), Literal::Int));
    }
    let is_float =
        digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    is_float.then(|| text.parse().ok().map(Literal::Float)).flatten()
}

/// Digits with the single underscores that Python allows between them taken out.
pub(crate) fn without_underscores(text: &str, after_prefix: bool) -> Option<String> {
    if !text.contains('_') {
        return Some(text.to_owned());
    }
    let bytes = text.as_bytes();
    let is_digit =
        |place: Option<usize>| place.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    for (place, byte) in bytes.iter().enumerate() {
        let before = (place == 0 && after_prefix) || is_digit(place.checked_sub(1));
        if *byte == b'_' && !(before && is_digit(Some(place + 1))) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

/// The last value of each key, at the place of the first.
fn unique(entries: Vec<(Literal, Literal)>) -> Vec<(Literal, Literal)> {
    // Cells are written by programs: keys are few, or already distinct; this bounds the work where they are not.
    const COMPARED_MAX: usize = 64;
    if entries.len() > COMPARED_MAX {
        return entries;
    }
    let mut kept: Vec<(Literal, Literal)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match kept.iter_mut().find(|(other, _)| *other == key) {
            Some(entry) => entry.1 = value,
            None => kept.push((key, value)),
        }
    }
    kept
}

#[cfg(test)]
mod tests;
