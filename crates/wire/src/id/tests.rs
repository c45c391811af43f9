use super::*;

fn parse(text: &str) -> Result<Ids, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn integers_stay_compact_and_a_string_makes_the_list_mixed() {
    assert_eq!(parse("[0,18446744073709551615]").unwrap(), Ids::Ints(vec![0, u64::MAX]));
    assert_eq!(parse(r#"[5,"5"]"#).unwrap(), Ids::Mixed(vec![RecordId::from(5), RecordId::from("5")]));
    assert_eq!(serde_json::to_string(&parse(r#"[5,"5"]"#).unwrap()).unwrap(), r#"[5,"5"]"#);
}

#[test]
fn what_is_no_id_is_refused_in_words() {
    for text in ["[-1]", "[1.5]", "[18446744073709551616]", "[true]", "[null]", r#"[""]"#, "[[1]]", "[{}]"] {
        let message = parse(text).unwrap_err();
        assert!(
            message.contains("expected an id: a non-empty string or an integer from 0"),
            "{text}: {message}"
        );
    }
    assert!(parse("5").unwrap_err().contains("expected a list of ids"));
    assert!(parse("\"a\"").unwrap_err().contains("expected a list of ids"));
}

#[test]
fn one_or_many_takes_both() {
    let one: OneOrManyIds = serde_json::from_str("7").unwrap();
    assert_eq!(one.0, Ids::Ints(vec![7]));
    let one: OneOrManyIds = serde_json::from_str("\"a\"").unwrap();
    assert_eq!(one.0, Ids::Mixed(vec![RecordId::from("a")]));
    let many: OneOrManyIds = serde_json::from_str("[1,2]").unwrap();
    assert_eq!(many.0, Ids::Ints(vec![1, 2]));
    assert!(serde_json::from_str::<OneOrManyIds>("\"\"").is_err());
    assert!(serde_json::from_str::<OneOrManyIds>("1.0").is_err());
}
