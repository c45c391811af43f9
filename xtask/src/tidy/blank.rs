//! Blanks out what is not code in Rust source, so that a brace counter can read the rest.
//!
//! Comments (nested too), string, byte-string, raw-string and character literals become spaces; line breaks and
//! byte positions stay. Lifetimes are left as they are.

/// `source` with everything but code replaced by spaces.
pub(super) fn blanked(source: &str) -> Vec<u8> {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    out
}

/// The end of the comment or literal that begins at `at`, or `at` if none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let in_word = at > 0 && is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + quoted(rest, b'"'),
        [b'r', b'"' | b'#', ..] if !in_word => at + raw(rest, 1),
        [b'b', b'r', b'"' | b'#', ..] | [b'c', b'r', b'"' | b'#', ..] if !in_word => at + raw(rest, 2),
        [b'\'', b'\\', ..] => at + quoted(rest, b'\''),
        [b'\'', ..] => at + character(rest),
        _ => at,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// A literal with escapes, from its opening quote to behind its closing one.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw string whose hashes begin at `prefix`; 0 if it is none (a raw identifier).
fn raw(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return 0;
    }
    let body = prefix + hashes + 1;
    let closes = |at: &usize| {
        rest[*at] == b'"'
            && rest[at + 1..].iter().take(hashes).filter(|&&byte| byte == b'#').count() == hashes
    };
    (body..rest.len()).find(closes).map_or(rest.len(), |at| at + 1 + hashes)
}

/// A character literal without an escape; 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    // One character of up to four bytes, then the closing quote.
    let longest = rest.len().min(6);
    match rest[1..longest].iter().position(|&byte| byte == b'\'') {
        Some(0) | None => 0,
        Some(length) => match std::str::from_utf8(&rest[1..=length]) {
            Ok(text) if text.chars().count() == 1 => length + 2,
            _ => 0,
        },
    }
}

#[cfg(test)]
mod tests;
