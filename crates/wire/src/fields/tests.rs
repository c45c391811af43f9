use super::*;
use lavandin_types::FieldsBuilder;

fn object(text: &str) -> Vec<u8> {
    serde_json::from_str::<FieldObject>(text).unwrap().0
}

fn text_of(bytes: &[u8]) -> String {
    let (fields, rest) = FieldsRef::split(bytes).unwrap();
    assert!(rest.is_empty(), "bytes follow the object");
    serde_json::to_string(&FieldsJson(fields)).unwrap()
}

#[test]
fn an_object_comes_back_as_it_was() {
    for text in [
        "{}",
        r#"{"n":1,"neg":-3,"f":1.5,"whole":2.0,"s":"x\n\u00e9","t":true,"u":false,"z":null}"#,
        r#"{"l":[1,[2,{"k":[]}],"x",null],"o":{"p":{"q":{}}},"big":18446744073709551615,"low":-9223372036854775808}"#,
    ] {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let back: serde_json::Value = serde_json::from_str(&text_of(&object(text))).unwrap();
        assert_eq!(back, value);
    }
}

#[test]
fn numbers_keep_their_kind() {
    let bytes = object(r#"{"a":1,"b":1.0,"c":-1,"d":18446744073709551616}"#);
    let (fields, _) = FieldsRef::split(&bytes).unwrap();
    assert_eq!(fields.get("a"), Some(ValueRef::U64(1)));
    assert_eq!(fields.get("b"), Some(ValueRef::F64(1.0)));
    assert_eq!(fields.get("c"), Some(ValueRef::I64(-1)));
    assert_eq!(fields.get("d"), Some(ValueRef::F64(18446744073709551616.0)), "beyond 64 bits it is a float");
}

#[test]
fn the_bytes_are_those_of_the_builder() {
    let built = FieldsBuilder::new().with("a", ValueRef::U64(1)).with("b", ValueRef::Str("x")).build();
    assert_eq!(object(r#"{"a":1,"b":"x"}"#), built);
}

#[test]
fn a_list_marks_what_is_absent() {
    let list: FieldsList = serde_json::from_str(r#"[null,{"a":1},{}]"#).unwrap();
    assert_eq!(list.count, 3);
    assert_eq!((list.bytes[0], list.bytes[1]), (0, 1));
    let (_, rest) = FieldsRef::split(&list.bytes[2..]).unwrap();
    assert_eq!(rest, [1, 0, 0, 0, 0]);
}

#[test]
fn what_is_no_object_is_refused() {
    for text in ["[1]", r#"["x"]"#, "[[]]", "[true]", "{}", "7"] {
        assert!(serde_json::from_str::<FieldsList>(text).is_err(), "{text}");
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    assert!(serde_json::from_str::<FieldObject>(&deep).unwrap_err().to_string().contains("recursion limit"));
}
