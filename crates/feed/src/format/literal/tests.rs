use super::*;

fn json(text: &str) -> Option<String> {
    let mut out = String::new();
    Literal::parse(text)?.write_json(&mut out);
    Some(out)
}

#[test]
fn literals_of_python_are_read() {
    for (text, value) in [
        ("None", "null"),
        (" True ", "true"),
        ("False", "false"),
        ("-12", "-12"),
        ("1_000", "1000"),
        ("0x_fF", "255"),
        ("-0b101", "-5"),
        ("0o17", "15"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("5.", "5.0"),
        ("1e3", "1000.0"),
        ("1E-2", "0.01"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("'a'", "\"a\""),
        ("\"it's\"", "\"it's\""),
        ("'''a\n'b'''", "\"a\\n'b\""),
        ("'a' \"b\"", "\"ab\""),
        (r"'\x41\u00e9\U0001F600\101\n\'\q'", r#""AéA😀A\n'\\q""#.replace("AéA😀A", "Aé😀A").as_str()),
        (r"r'\n\''", r#""\\n\\'""#),
        (r"b'\x00a\xff'", "\"\\u0000aÿ\""),
        (r"bR'\x'", r#""\\x""#),
        ("[]", "[]"),
        ("[1, 2,]", "[1,2]"),
        ("()", "[]"),
        ("(1)", "1"),
        ("(1,)", "[1]"),
        ("{1, 2}", "[1,2]"),
        ("set()", "[]"),
        ("{}", "{}"),
        ("{'a': 1, 'b': [None, {'c': ()}],}", r#"{"a":1,"b":[null,{"c":[]}]}"#),
        ("{'a': 1, 'a': 2}", r#"{"a":2}"#),
        ("{1: 2, None: 3, b'k': 4}", r#"{"1":2,"null":3,"k":4}"#),
        ("[ # a comment\n 1 ]", "[1]"),
    ] {
        assert_eq!(json(text).as_deref(), Some(value), "{text}");
    }
}

#[test]
fn what_is_no_literal_is_none() {
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let not_literals = [
        "",
        "x",
        "nan",
        "inf",
        "Nonesuch",
        "[1",
        "[1 2]",
        "[,]",
        "{1: }",
        "{1: 2 3: 4}",
        "{1: 2, 3}",
        "'a",
        "'a\nb'",
        "f'a'",
        "1 2",
        "1j",
        "1+2",
        "--1",
        "__import__('os')",
        "open('x')",
        "[x for x in y]",
        "1__0",
        "_1",
        "1_",
        "0x",
        "0xg",
        "b'é'",
        "'a' b'b'",
        r"'\N{BULLET}'",
        r"'\ud800'",
        r"'\x4'",
        r"'\u12'",
        "...",
        "lambda: 0",
        "1e",
        "1.2.3",
        "(1",
        "1,",
        &deep,
    ];
    for text in not_literals {
        assert_eq!(Literal::parse(text), None, "{text}");
    }
}

#[test]
fn no_text_makes_it_panic() {
    let pieces = [
        "[", "]", "{", "}", "(", ")", "'", "\"", "\\", "b", "x4", "u00", "1", "_", ".", "e", "-", ",", ":",
        "é", " ", "#", "N",
    ];
    let mut state = 1_u64;
    for _ in 0..200_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        if let Some(literal) = Literal::parse(&text) {
            literal.write_json(&mut String::new());
        }
    }
}

#[test]
fn lengths_of_json_are_those_of_its_top() {
    for (text, length) in [
        ("[]", Some(0)),
        ("{}", Some(0)),
        (" [ ] ", Some(0)),
        ("[1]", Some(1)),
        ("[[]]", Some(1)),
        ("[\"\"]", Some(1)),
        ("[\"a,b]\\\"\", [1,2], {\"x\": [3,4]}]", Some(3)),
        ("{\"a\": 1, \"b\": {\"c\": 2, \"d\": 3}}", Some(2)),
        ("\"é,\"", Some(2)),
        ("1", None),
        ("null", None),
        ("", None),
    ] {
        assert_eq!(crate::format::json_length(text), length, "{text}");
    }
}
