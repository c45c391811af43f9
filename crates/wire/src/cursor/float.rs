//! Decimal numbers to 32-bit floats, correctly rounded.
//!
//! Outline:
//! 1. Scan JSON's number grammar, gathering up to 19 significant digits in an integer and the power of ten.
//! 2. With at most 19 digits and a power within ±22, divide or multiply as 64-bit floats. The integer's conversion and
//!    the division each err by half a unit in the last place at most, so the quotient is within two units of the truth.
//! 3. If that is clear of the middle between two neighbouring 32-bit floats, rounding it gives the right one. Else, and
//!    for anything unusual (more digits, large powers, subnormal results), the standard library reads the text again.

/// Powers of ten that 64-bit floats hold exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];
/// Powers of ten by which a value moves for more digits.
const SHIFTS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
/// Digits that always fit an unsigned 64-bit integer.
const DIGITS_MAX: usize = 19;
/// How near the middle between two floats the quotient may be, in units of its last place.
const DOUBT: u64 = 4;

/// Reads the number at the front of `text`: its value (infinite if too large) and its length. `None` if there is none.
#[inline]
pub(super) fn parse(text: &[u8]) -> Option<(f32, usize)> {
    let negative = text.first() == Some(&b'-');
    let mut at = usize::from(negative);
    let first = text.get(at)?.wrapping_sub(b'0');
    if first > 9 {
        return None;
    }
    at += 1;
    let mut digits = Digits { value: u64::from(first), significant: usize::from(first > 0) };
    if text.get(at).is_some_and(u8::is_ascii_digit) {
        // JSON has no leading zeros.
        if first == 0 {
            return None;
        }
        at += digits.gather(text, at);
    }
    let mut power = 0i64;
    if text.get(at) == Some(&b'.') {
        let fraction = digits.gather(text, at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
        power = -(fraction as i64);
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let (exponent, length) = exponent(&text[at + 1..])?;
        at += 1 + length;
        power = power.saturating_add(exponent);
    }
    let number = digits
        .scaled(power)
        .or_else(|| std::str::from_utf8(&text[..at]).ok()?.parse::<f32>().ok().map(f32::abs))?;
    Some((if negative { -number } else { number }, at))
}

/// Digits gathered so far.
struct Digits {
    value: u64,
    /// Without leading zeros.
    significant: usize,
}

impl Digits {
    /// Gathers the digits from `at` on; their count.
    #[inline]
    fn gather(&mut self, text: &[u8], at: usize) -> usize {
        let mut rest = &text[at..];
        while let Some(eight) = rest.first_chunk::<8>() {
            let (value, count) = leading_digits(u64::from_le_bytes(*eight));
            self.append(value, count);
            rest = &rest[count..];
            if count < 8 {
                return text.len() - at - rest.len();
            }
        }
        while let Some(digit) = rest.first().map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            self.append(u64::from(digit), 1);
            rest = &rest[1..];
        }
        text.len() - at - rest.len()
    }

    /// Appends up to eight digits. Past 19 of them the value no longer counts.
    #[inline]
    fn append(&mut self, value: u64, count: usize) {
        self.value = self.value.wrapping_mul(SHIFTS[count]).wrapping_add(value);
        // Zeros in front may be counted: then the number goes the slower way sooner, not wrong.
        self.significant += if self.value > 0 || self.significant > 0 { count } else { 0 };
    }

    /// `value · 10^power` as the nearest 32-bit float, unless there is doubt.
    #[inline]
    fn scaled(&self, power: i64) -> Option<f32> {
        if self.significant > DIGITS_MAX {
            return None;
        }
        if self.value == 0 {
            return Some(0.0);
        }
        let scale = *POWERS.get(usize::try_from(power.unsigned_abs()).ok()?)?;
        let value = self.value as f64;
        let quotient = if power < 0 { value / scale } else { value * scale };
        if !(f64::from(f32::MIN_POSITIVE)..f64::from(f32::MAX)).contains(&quotient) {
            return None;
        }
        // A 32-bit float keeps all but the lowest 29 bits of the fraction; half of them is the middle.
        let dropped = quotient.to_bits() & ((1 << 29) - 1);
        (dropped.abs_diff(1 << 28) > DOUBT).then_some(quotient as f32)
    }
}

/// The decimal digits at the front of eight bytes: their value and their count.
#[inline]
fn leading_digits(word: u64) -> (u64, usize) {
    // A digit is 0x30 to 0x39: the high half vanishes, and 6 more does not reach it. A carry out of a byte that is no
    // digit spoils only bytes behind it.
    let stripped = word ^ 0x3030_3030_3030_3030;
    let strange = (stripped | stripped.wrapping_add(0x0606_0606_0606_0606)) & 0xf0f0_f0f0_f0f0_f0f0;
    let count = strange.trailing_zeros() as usize / 8;
    // The digits move to the back; zeros come in front of them. Without a digit all is shifted out.
    let ones = (u128::from(stripped) << (64 - 8 * count)) as u64;
    // Neighbours are joined to pairs, pairs to fours, fours to the eight. The lowest byte is the first digit.
    let pairs = (ones.wrapping_mul(10).wrapping_add(ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    ((fours & 0xffff_ffff) * 10_000 + (fours >> 32), count)
}

/// Reads what follows `e`: a signed integer, capped far outside of what matters, and its length.
fn exponent(text: &[u8]) -> Option<(i64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let digits = text[sign..].iter().take_while(|byte| byte.is_ascii_digit());
    let (value, count) = digits.fold((0i64, 0), |(value, count), byte| {
        ((value * 10 + i64::from(byte - b'0')).min(1_000_000), count + 1)
    });
    let value = if text.first() == Some(&b'-') { -value } else { value };
    (count > 0).then_some((value, sign + count))
}

#[cfg(test)]
mod tests;
