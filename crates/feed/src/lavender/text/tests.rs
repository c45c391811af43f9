use super::*;

fn string(text: &str) -> String {
    let mut out = Vec::new();
    write_string(text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

fn float(value: f64) -> String {
    let mut out = Vec::new();
    write_float(value, NonFinite::Words, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn strings_escape_what_json_demands_and_nothing_else() {
    assert_eq!(string(""), r#""""#);
    assert_eq!(string("a/é😀\u{7f}\u{2028}"), "\"a/é😀\u{7f}\u{2028}\"");
    assert_eq!(string("a\"b\\c\nd\re\tf\u{8}g\u{c}h"), r#""a\"b\\c\nd\re\tf\bg\fh""#);
    assert_eq!(string("\0\u{1f}"), r#""\u0000\u001f""#);
    let long = "x".repeat(1000) + "\"";
    assert_eq!(string(&long).len(), 1004);
}

#[test]
fn floats_stay_floats_and_come_back_exactly() {
    for (value, text) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(float(value), text);
    }
    for value in [1e15, 1e16, 1e17, 123_456_789.0, 1e-7, 5e-324, f64::MAX, f64::MIN_POSITIVE, 1e300] {
        let text = float(value);
        assert_eq!(text.parse::<f64>().unwrap(), value);
        assert!(text.contains(['.', 'e']), "{text} would be read as an integer");
    }
}

#[test]
fn strict_readers_get_null_for_what_json_lacks() {
    let mut out = Vec::new();
    write_float(f64::NAN, NonFinite::Null, &mut out);
    write_float(f64::INFINITY, NonFinite::Null, &mut out);
    assert_eq!(out, b"nullnull");
}

#[test]
fn integers_are_written_in_full() {
    let mut out = Vec::new();
    write_int(u64::MAX, &mut out);
    write_int(i64::MIN, &mut out);
    assert_eq!(out, b"18446744073709551615-9223372036854775808");
}
