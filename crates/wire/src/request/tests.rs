use super::*;

fn error<T: Body>(text: &str) -> String {
    match parse::<T>(text.as_bytes()) {
        Ok(_) => panic!("{text} was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn null_asks_for_the_default() {
    let text = br#"{"database_name":"d","collection_name":"c","vector":[1],"k":null,"where":null,
        "return_fields":null,"nprobe":null,"approx":null,"eps":null,"vector_field":null,"extra":[1,{}]}"#;
    let request: Search = parse(text).unwrap();
    assert_eq!((request.k, request.nprobe), (Count(10), Count(10)));
    assert!(!request.return_fields && !request.approx);
    assert_eq!((request.filter, request.eps, request.vector_field), (None, None, None));
    let short: Search = parse(br#"{"database_name":"d","collection_name":"c","vector":[]}"#).unwrap();
    assert_eq!((short.k, short.vector.0.len(), short.eps), (Count(10), 0, Some(EPS)));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let head = r#""database_name":"d","collection_name":"c""#;
    for (text, words) in [
        (format!("{{{head},\"vector\":[1,2}}"), "malformed JSON at line 1, column 57: expected `,` or `]`"),
        (format!("{{{head}"), "malformed JSON at line 1, column 42: EOF while parsing an object"),
        (format!("{{{head}}}"), "missing field `vector`"),
        (
            format!("{{{head},\"vector\":[1],\"k\":-1}}"),
            "invalid type: integer `-1`, expected a non-negative",
        ),
        (format!("{{{head},\"vector\":[1],\"k\":1.5}}"), "floating point `1.5`, expected a non-negative"),
        (format!("{{{head},\"vector\":[1],\"k\":\"1\"}}"), "string \"1\", expected a non-negative integer"),
        (format!("{{{head},\"vector\":[1],\"where\":5}}"), "invalid type: integer `5`, expected a string"),
        (format!("{{{head},\"vector\":[1]}}x"), "malformed JSON at line 1, column 57: trailing characters"),
        ("{\"collection_name\":\"c\"}".to_owned(), "missing field `database_name`"),
        ("[]".to_owned(), "expected an object (line 1, column 1 of the body)"),
        (format!("{{{head},\"vector\":[1],\"k\":1,\"k\":2}}"), "duplicate field `k`"),
        (format!("{{{head},\n \"vector\":[1], \"k\":true}}"), "(line 2, column 23 of the body)"),
        (format!("{{{head},\n \"vector\":[1], \"k\"1}}"), "line 2, column 19: expected `:`"),
        (format!("{{{head},}}"), "expected a key"),
        (format!("{{{head},\"vector\":null}}"), "invalid type: null, expected a vector"),
        (String::new(), "EOF while parsing a value"),
    ] {
        let message = error::<Search>(&text);
        assert!(message.contains(words), "{text}\n  {message}");
    }
}

#[test]
fn keys_may_be_escaped_and_values_spaced() {
    let request: Ends =
        parse(b" { \"database\\u005fname\" : \"d\" ,\n\t\"collection_name\":\"c\" , \"n\" : 7 } ").unwrap();
    assert_eq!((request.database_name.as_str(), request.n), ("d", Count(7)));
    assert!(parse::<Ends>(b"{}").is_err());
}

#[test]
fn counts_must_agree() {
    let write = |ids: &str, fields: &str| -> Write {
        let text = format!(
            r#"{{"database_name":"d","collection_name":"c","ids":{ids},"vectors":[[1],[2]],"fields":{fields}}}"#
        );
        parse(text.as_bytes()).unwrap()
    };
    assert!(write("[1,2]", "null").check_counts().is_ok());
    assert!(write("[1,\"a\"]", "[{},null]").check_counts().is_ok());
    let error = write("[1]", "null").check_counts().unwrap_err();
    assert_eq!(error.to_string(), "the ids list has 1 entries for 2 vectors");
    assert!(write("[1,2]", "[{}]").check_counts().is_err());
}

#[test]
fn what_cannot_be_an_id_does_not_exist() {
    for (text, id) in [("1", Some(RecordId::from(1))), ("\"a\"", Some(RecordId::from("a")))] {
        assert_eq!(serde_json::from_str::<AnyId>(text).unwrap().0, id);
    }
    for text in ["-1", "1.5", "null", "[1]", "\"\"", "true", "{}"] {
        assert_eq!(serde_json::from_str::<AnyId>(text).unwrap().0, None, "{text}");
    }
}
