//! Numbers and texts in operations and checkpoints.
//!
//! A *varint* has seven bits a byte, the lowest first, the high bit set on all but the last; at most ten bytes. *Zigzag*
//! maps a signed number to an unsigned one: 0, −1, 1, −2 to 0, 1, 2, 3. Readers return `None` on bytes that are too short
//! or not of this form, and take no memory on the word of a length.

pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = read_u8(rest)?;
        let bits = u64::from(byte & 0x7F);
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(crate) fn read_varint_u32(rest: &mut &[u8]) -> Option<u32> {
    u32::try_from(read_varint(rest)?).ok()
}

/// A number of things of which each takes at least one byte of what follows.
pub(crate) fn read_count(rest: &mut &[u8]) -> Option<usize> {
    let count = usize::try_from(read_varint(rest)?).ok()?;
    (count <= rest.len()).then_some(count)
}

pub(crate) fn write_zigzag(out: &mut Vec<u8>, value: i64) {
    write_varint(out, (value << 1 ^ value >> 63) as u64);
}

pub(crate) fn read_zigzag(rest: &mut &[u8]) -> Option<i64> {
    let value = read_varint(rest)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

pub(crate) fn read_u8(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, left) = rest.split_first()?;
    *rest = left;
    Some(byte)
}

pub(crate) fn read_bool(rest: &mut &[u8]) -> Option<bool> {
    match read_u8(rest)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

pub(crate) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

pub(crate) fn read_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take(rest, N)?.try_into().ok()
}

/// A text or nothing: varint 0, or its length plus 1 and UTF-8.
pub(crate) fn write_text(out: &mut Vec<u8>, text: Option<&str>) {
    write_varint(out, text.map_or(0, |text| text.len() as u64 + 1));
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

pub(crate) fn read_text(rest: &mut &[u8]) -> Option<Option<String>> {
    let Some(length) = read_varint(rest)?.checked_sub(1) else { return Some(None) };
    let bytes = take(rest, usize::try_from(length).ok()?)?;
    Some(Some(std::str::from_utf8(bytes).ok()?.to_owned()))
}

/// A number or nothing: varint 0, or the number plus 1 (the largest number is not written).
pub(crate) fn write_option(out: &mut Vec<u8>, value: Option<u64>) {
    write_varint(out, value.map_or(0, |value| value.saturating_add(1)));
}

pub(crate) fn read_option(rest: &mut &[u8]) -> Option<Option<u64>> {
    Some(read_varint(rest)?.checked_sub(1))
}

#[cfg(test)]
mod tests;
