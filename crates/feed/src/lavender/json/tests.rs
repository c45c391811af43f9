use super::*;

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

#[test]
fn values_of_every_kind() {
    for (text, value) in [
        ("null", Value::Null),
        (" true ", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("0", Value::Int(0)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("18446744073709551615", Value::Uint(u64::MAX)),
        ("18446744073709551616", Value::Float(18_446_744_073_709_551_616.0)),
        ("-0.0", Value::Float(-0.0)),
        ("1e16", Value::Float(1e16)),
        ("1.5E-3", Value::Float(0.0015)),
        ("Infinity", Value::Float(f64::INFINITY)),
        ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        (r#""a\/\"\\\b\f\n\r\t\u00e9\ud83d\ude00é""#, Value::Text("a/\"\\\u{8}\u{c}\n\r\té😀é".to_owned())),
        ("[]", list([])),
        ("[1, [null],{}]", list([Value::Int(1), list([Value::Null]), Value::Dict(vec![])])),
        (
            r#"{"a":1 , "a": "b"}"#,
            Value::Dict(vec![("a".to_owned(), Value::Int(1)), ("a".to_owned(), Value::Text("b".to_owned()))]),
        ),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap(), value, "{text}");
    }
    assert!(matches!(parse(b"NaN"), Ok(Value::Float(value)) if value.is_nan()));
}

#[test]
fn what_is_not_json_is_an_error() {
    for text in [
        "",
        " ",
        "nul",
        "truee",
        "01",
        "-",
        "1.",
        "1.e5",
        ".5",
        "+1",
        "1e",
        "--1",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[1 2]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\n\"",
        "-I",
        "1 1",
        "nan",
    ] {
        assert!(matches!(parse(text.as_bytes()), Err(DecodeError::BadJson { .. })), "{text}");
    }
    assert!(parse(b"\"\xff\"").is_err());
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(parse(nested(100_000).as_bytes()), Err(DecodeError::TooDeep));
}
