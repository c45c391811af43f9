use super::*;

#[test]
fn times_are_written_and_read() {
    let known = [
        (0, "1970-01-01T00:00:00"),
        (951_782_399, "2000-02-28T23:59:59"),
        (951_782_400, "2000-02-29T00:00:00"),
        (1_735_689_599, "2024-12-31T23:59:59"),
        (4_107_542_400, "2100-03-01T00:00:00"),
        (LAST_S, "9999-12-31T23:59:59"),
    ];
    for (seconds, text) in known {
        let time = Timestamp::from_unix_s(seconds);
        assert_eq!(time.to_string(), text);
        assert_eq!(Timestamp::parse(text), Some(time));
    }
    assert_eq!(Timestamp::from_unix_s(u64::MAX).unix_s(), LAST_S);
    for seconds in (0..LAST_S).step_by(86_400 * 17 + 12_345) {
        let time = Timestamp::from_unix_s(seconds);
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
    }
}

#[test]
fn other_forms_are_read_where_they_mean_the_same() {
    let time = Timestamp::parse("2026-11-20T15:27:14");
    assert!(time.is_some());
    for same in ["2026-11-20T15:27:14.123456", "2026-11-20T15:27:14Z", "2026-11-20 15:27:14+00:00"] {
        assert_eq!(Timestamp::parse(same), time, "{same}");
    }
    let wrong = [
        "",
        "2026-11-20",
        "2026-02-29T00:00:00",
        "2026-13-01T00:00:00",
        "2026-11-20T24:00:00",
        "1969-12-31T23:59:59",
        "2026-11-20T15:27:14+01:00",
        "2026-11-20T15:27:14.",
        "+026-11-20T15:27:14",
        "２026-11-20T15:27:1",
    ];
    for wrong in wrong {
        assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
    }
}
