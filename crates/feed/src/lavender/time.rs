//! Times as text: ISO 8601 as Python's `isoformat` writes it, so that `fromisoformat` reads it back.
//!
//! 1. A fraction of a second is left out when it is zero, else it has 6 digits, or 9 where nanoseconds need them.
//! 2. A timestamp with a time zone is written in UTC with `+00:00`, whatever the zone: the instant is what counts, and
//!    the table of zones stays out. One without is written without.
//! 3. Years outside 0 to 9999 have a sign and at least six digits.
//! 4. A duration is a number of seconds, exact in its digits, always with a point. An interval of months, days and
//!    time, which no number can say, is an ISO duration (`P1M2DT3.5S`).
//!
//! Values come from files: every 64-bit number is legal here, nothing may overflow.

use super::text::write_int;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

const NANOS: i128 = 1_000_000_000;
const DAY_S: i64 = 86_400;

/// The counts in an array of timestamps of this unit.
pub(crate) fn timestamps(array: &dyn Array, unit: TimeUnit) -> &[i64] {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
    }
}

/// A count of `unit` as nanoseconds.
pub(crate) fn nanos(value: i64, unit: TimeUnit) -> i128 {
    i128::from(value)
        * match unit {
            TimeUnit::Second => NANOS,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        }
}

/// `2024-02-29T12:30:00.500000`, with `+00:00` if it is an instant.
pub(crate) fn write_timestamp(nanos_since_1970: i128, is_instant: bool, out: &mut Vec<u8>) {
    let day_nanos = i128::from(DAY_S) * NANOS;
    let days = nanos_since_1970.div_euclid(day_nanos);
    // 64 bits of seconds are at most 1.1e14 days.
    write_date(days as i64, out);
    out.push(b'T');
    write_clock(nanos_since_1970.rem_euclid(day_nanos), out);
    if is_instant {
        out.extend_from_slice(b"+00:00");
    }
}

/// `12:30:00` of the nanoseconds since midnight, which need not be fewer than a day's.
pub(super) fn write_clock(nanos: i128, out: &mut Vec<u8>) {
    if nanos < 0 {
        out.push(b'-');
    }
    let nanos = nanos.unsigned_abs();
    let seconds = (nanos / NANOS.unsigned_abs()) as u64;
    write_padded(seconds / 3600, 2, out);
    out.push(b':');
    write_padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    write_padded(seconds % 60, 2, out);
    let fraction = (nanos % NANOS.unsigned_abs()) as u64;
    if fraction != 0 {
        out.push(b'.');
        match fraction % 1000 {
            0 => write_padded(fraction / 1000, 6, out),
            _ => write_padded(fraction, 9, out),
        }
    }
}

/// `2024-02-29` of the days since 1970-01-01, in the Gregorian calendar also before it began.
pub(super) fn write_date(days: i64, out: &mut Vec<u8>) {
    // Years are counted from a 1st of March, so that the leap day is the last of its year; 146,097 days are 400 years.
    let from_march = i128::from(days) + 719_468;
    let era = from_march.div_euclid(146_097);
    let day_of_era = from_march.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i128::from(month <= 2);

    let magnitude = year.unsigned_abs() as u64;
    if (0..=9999).contains(&year) {
        write_padded(magnitude, 4, out);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        write_padded(magnitude, 6, out);
    }
    out.push(b'-');
    write_padded(month as u64, 2, out);
    out.push(b'-');
    write_padded(day as u64, 2, out);
}

/// Seconds, such as `-1.5`.
pub(super) fn write_seconds(nanos: i128, out: &mut Vec<u8>) {
    if nanos < 0 {
        out.push(b'-');
    }
    let magnitude = nanos.unsigned_abs();
    write_int((magnitude / NANOS.unsigned_abs()) as u64, out);
    out.push(b'.');
    let start = out.len();
    write_padded((magnitude % NANOS.unsigned_abs()) as u64, 9, out);
    while out.len() > start + 1 && out.last() == Some(&b'0') {
        out.pop();
    }
}

/// `P1M2DT3.5S`; every part has its own sign.
pub(super) fn write_interval(months: i64, days: i64, nanos: i128, out: &mut Vec<u8>) {
    out.push(b'P');
    if months != 0 {
        write_int(months, out);
        out.push(b'M');
    }
    if days != 0 {
        write_int(days, out);
        out.push(b'D');
    }
    if nanos != 0 || (months == 0 && days == 0) {
        out.push(b'T');
        write_seconds(nanos, out);
        out.push(b'S');
    }
}

fn write_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value);
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits.as_bytes());
}

#[cfg(test)]
mod tests;
