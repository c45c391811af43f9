//! JSON text of strings and numbers, appended to a buffer.
//!
//! Numbers are written so that a reader gets the same value back: integers in full, floats with the fewest digits that
//! name them, always with a point or an exponent so that they stay floats. NaN and the infinities, which JSON lacks,
//! are the words that JavaScript and Python use, or `null` where the reader is strict.

/// For each byte what follows the backslash, 0 for bytes that stand for themselves, `u` for the long form.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table[0x08] = b'b';
    table[0x0c] = b'f';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// A JSON string of `text`, which is UTF-8.
pub(super) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        write_escaped(text, out);
    }
    out.push(b'"');
}

/// Whether no byte needs an escape. Without branches, so that it runs 16 bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    !text.iter().fold(false, |found, &byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\'))
}

fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for (at, &byte) in text.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&text[from..at]);
        from = at + 1;
        out.push(b'\\');
        out.push(escape);
        if escape == b'u' {
            let hex = |digit: u8| char::from_digit(u32::from(digit), 16).map_or(b'0', |c| c as u8);
            out.extend_from_slice(&[b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    out.extend_from_slice(&text[from..]);
}

pub(super) fn write_int(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// What stands for NaN and the infinities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NonFinite {
    Words,
    Null,
}

pub(super) fn write_float(value: f64, non_finite: NonFinite, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
        return;
    }
    let word: &[u8] = match (non_finite, value.is_nan(), value > 0.0) {
        (NonFinite::Null, _, _) => b"null",
        (NonFinite::Words, true, _) => b"NaN",
        (NonFinite::Words, false, true) => b"Infinity",
        (NonFinite::Words, false, false) => b"-Infinity",
    };
    out.extend_from_slice(word);
}

/// A JSON text in which the words that stand for NaN and the infinities may occur.
pub(super) fn write_json(text: &[u8], non_finite: NonFinite, out: &mut Vec<u8>) {
    if non_finite == NonFinite::Words {
        out.extend_from_slice(text);
        return;
    }
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let (mut rest, mut in_string, mut escaped) = (text, false, false);
    while let Some(&byte) = rest.first() {
        let word = WORDS.into_iter().find(|word| !in_string && rest.starts_with(word));
        match word {
            Some(_) => out.extend_from_slice(b"null"),
            None => out.push(byte),
        }
        in_string ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        rest = &rest[word.map_or(1, <[u8]>::len)..];
    }
}

pub(super) fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

#[cfg(test)]
mod tests;
