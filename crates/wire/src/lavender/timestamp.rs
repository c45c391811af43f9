//! A time as the API shows it: `2026-11-20T15:27:14`, UTC, without a zone and in whole seconds.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

const DAY_S: u64 = 86_400;
/// The last second of the year 9999.
const LAST_S: u64 = 253_402_300_799;

/// Seconds since 1970, at most those of the year 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    pub fn from_unix_s(seconds: u64) -> Self {
        Self(seconds.min(LAST_S))
    }

    pub const fn unix_s(self) -> u64 {
        self.0
    }

    /// Reads what `Display` writes; a fraction of a second is dropped, `Z` and `+00:00` are allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00")).unwrap_or(text);
        let (text, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if text.len() != 19 || fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
            digits.parse::<u64>().ok()
        };
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        let bytes = text.as_bytes();
        if separators.iter().any(|(at, byte)| bytes[*at] != *byte && !(*at == 10 && bytes[10] == b' ')) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        Some(Self(days_before(year, month, day)? * DAY_S + hour * 3_600 + minute * 60 + second))
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the beginning of a year from 1970 on.
fn days_before_year(year: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1_970) * 365 + leaps(year - 1) - leaps(1_969)
}

/// Days from 1970 to a date; `None` if there is no such date or it is earlier.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let exists =
        year >= 1_970 && (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
    let months = || (1..month).map(|month| days_of_month(year, month)).sum::<u64>();
    exists.then(|| days_before_year(year) + months() + day - 1)
}

/// The date that many days after the first of 1970: year, month, day.
fn date(days: u64) -> (u64, u64, u64) {
    // No year is longer than 366 days, so this is not too late a year, and at most a few too early.
    let mut year = 1_970 + days / 366;
    while days_before_year(year + 1) <= days {
        year += 1;
    }
    let mut rest = days - days_before_year(year);
    let mut month = 1;
    while rest >= days_of_month(year, month) {
        rest -= days_of_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0 / DAY_S);
        let second = self.0 % DAY_S;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a time of the API")))
    }
}

#[cfg(test)]
mod tests;
