use super::*;

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn dates_of_all_times() {
    // Verified with Python's datetime where it reaches.
    for (days, date) in [
        (0, "1970-01-01"),
        (-1, "1969-12-31"),
        (59, "1970-03-01"),
        (11_016, "2000-02-29"),
        (19_782, "2024-02-29"),
        (-719_162, "0001-01-01"),
        (2_932_896, "9999-12-31"),
        (2_932_897, "+010000-01-01"),
        (-719_528, "0000-01-01"),
        (-719_529, "-000001-12-31"),
    ] {
        assert_eq!(text(|out| write_date(days, out)), date);
    }
}

#[test]
fn every_day_follows_the_day_before() {
    // Ten cycles of 400 years: each 4,800 months, 97 leap days.
    let half = 5 * 146_097;
    let mut last = text(|out| write_date(-half - 1, out));
    let (mut months, mut leap_days) = (0, 0);
    for days in -half..half {
        let date = text(|out| write_date(days, out));
        let day = |text: &str| text[text.len() - 2..].parse::<u32>().unwrap();
        if day(&date) == 1 {
            months += 1;
            assert!((28..=31).contains(&day(&last)));
        } else {
            assert_eq!(day(&date), day(&last) + 1);
        }
        leap_days += u32::from(date.ends_with("-02-29"));
        last = date;
    }
    assert_eq!(months, 48_000);
    assert_eq!(leap_days, 970);
}

#[test]
fn timestamps_have_the_digits_they_need() {
    let at = |value, unit| text(|out| write_timestamp(nanos(value, unit), false, out));
    assert_eq!(at(0, TimeUnit::Second), "1970-01-01T00:00:00");
    assert_eq!(at(-1, TimeUnit::Second), "1969-12-31T23:59:59");
    assert_eq!(at(1_500, TimeUnit::Millisecond), "1970-01-01T00:00:01.500000");
    assert_eq!(at(-1, TimeUnit::Microsecond), "1969-12-31T23:59:59.999999");
    assert_eq!(at(1_000, TimeUnit::Nanosecond), "1970-01-01T00:00:00.000001");
    assert_eq!(at(1, TimeUnit::Nanosecond), "1970-01-01T00:00:00.000000001");
    assert_eq!(text(|out| write_timestamp(0, true, out)), "1970-01-01T00:00:00+00:00");
}

#[test]
fn the_ends_of_64_bits_are_legal() {
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        for value in [i64::MIN, i64::MAX] {
            assert!(!text(|out| write_timestamp(nanos(value, unit), true, out)).is_empty());
            assert!(!text(|out| write_seconds(nanos(value, unit), out)).is_empty());
            assert!(!text(|out| write_clock(nanos(value, unit), out)).is_empty());
        }
    }
    assert!(!text(|out| write_date(i64::MIN, out)).is_empty());
    assert!(!text(|out| write_date(i64::MAX, out)).is_empty());
}

#[test]
fn durations_are_exact_seconds() {
    assert_eq!(text(|out| write_seconds(0, out)), "0.0");
    assert_eq!(text(|out| write_seconds(-1_500_000_000, out)), "-1.5");
    assert_eq!(text(|out| write_seconds(-1, out)), "-0.000000001");
    assert_eq!(text(|out| write_interval(0, 0, 0, out)), "PT0.0S");
    assert_eq!(text(|out| write_interval(14, -3, 1_500_000_000, out)), "P14M-3DT1.5S");
}
