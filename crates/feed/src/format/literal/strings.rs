//! String and bytes literals: prefixes, quotes, escapes, and adjacent ones that are one.

use super::{Literal, Parser};

/// What the letters before the quote say.
#[derive(Clone, Copy)]
struct Prefix {
    letters: usize,
    raw: bool,
    bytes: bool,
}

fn prefix(rest: &[u8]) -> Option<Prefix> {
    let letters = rest.iter().take(3).position(|byte| matches!(byte, b'\'' | b'"'))?;
    let lower = rest[..letters].to_ascii_lowercase();
    let (raw, bytes) = match lower.as_slice() {
        b"" | b"u" => (false, false),
        b"r" => (true, false),
        b"b" => (false, true),
        b"br" | b"rb" => (true, true),
        _ => return None,
    };
    Some(Prefix { letters, raw, bytes })
}

impl Parser<'_> {
    pub(super) fn starts_string(&self) -> bool {
        prefix(self.rest()).is_some()
    }

    /// One string, or adjacent ones of the same kind.
    pub(super) fn strings(&mut self) -> Option<Literal> {
        let is_bytes = prefix(self.rest())?.bytes;
        let mut content = Vec::new();
        while let Some(prefix) = prefix(self.rest()) {
            if prefix.bytes != is_bytes {
                return None;
            }
            self.string(prefix, &mut content)?;
            self.skip_space();
        }
        match is_bytes {
            true => Some(Literal::Bytes(content)),
            false => String::from_utf8(content).ok().map(Literal::Text),
        }
    }

    fn string(&mut self, prefix: Prefix, content: &mut Vec<u8>) -> Option<()> {
        self.at += prefix.letters;
        let quote = self.peek()?;
        let long = self.rest().starts_with(&[quote; 3]);
        self.at += if long { 3 } else { 1 };
        loop {
            let byte = self.peek()?;
            if byte == quote && (!long || self.rest().starts_with(&[quote; 3])) {
                self.at += if long { 3 } else { 1 };
                return Some(());
            }
            self.at += 1;
            match byte {
                b'\n' | b'\r' if !long => return None,
                b'\\' => self.escape(prefix, content)?,
                0x80.. if prefix.bytes => return None,
                byte => content.push(byte),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, prefix: Prefix, content: &mut Vec<u8>) -> Option<()> {
        let byte = self.peek()?;
        if prefix.raw {
            // The quote after it does not end the string, and both stay.
            content.push(b'\\');
            if byte < 0x80 {
                content.push(byte);
                self.at += 1;
            }
            return Some(());
        }
        self.at += 1;
        let simple = match byte {
            b'\n' => return Some(()),
            b'\r' => {
                self.take("\n");
                return Some(());
            }
            b'\\' | b'\'' | b'"' => byte,
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            _ => return self.long_escape(byte, prefix, content),
        };
        content.push(simple);
        Some(())
    }

    fn long_escape(&mut self, byte: u8, prefix: Prefix, content: &mut Vec<u8>) -> Option<()> {
        let code = match byte {
            b'0'..=b'7' => {
                let digits =
                    self.rest().iter().take(2).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                self.code(self.at - 1, self.at + digits, 8)?
            }
            b'x' => self.code(self.at, self.at + 2, 16)?,
            b'u' if !prefix.bytes => self.code(self.at, self.at + 4, 16)?,
            b'U' if !prefix.bytes => self.code(self.at, self.at + 8, 16)?,
            b'N' if !prefix.bytes => return None,
            _ => {
                // Python keeps a backslash that begins no escape.
                self.at -= 1;
                content.push(b'\\');
                return Some(());
            }
        };
        match prefix.bytes {
            true => content.push(u8::try_from(code & 0xff).expect("masked to a byte")),
            false => content.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        Some(())
    }

    fn code(&mut self, start: usize, end: usize, radix: u32) -> Option<u32> {
        let digits = self.text.get(start..end).filter(|digits| !digits.starts_with('+'))?;
        self.at = end;
        u32::from_str_radix(digits, radix).ok()
    }
}
