use super::*;
use serde_json::json;

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn item(hex: &str) -> Item {
    decode_item(&bytes(hex), 0).unwrap()
}

#[test]
fn items_of_every_kind() {
    assert_eq!(item("6a7331"), Item::Json(json!(1)));
    assert_eq!(item("6a734e614e"), Item::Json(Value::Null));
    assert_eq!(item("627900ff"), Item::Bytes(vec![0, 255]));
    let nested = Item::List(vec![Item::Json(json!(2))]);
    let list = Item::List(vec![Item::Json(json!(1)), Item::Json(json!("a")), nested]);
    assert_eq!(item("6c73 00000003 6a7331 00000005 6a73226122 00000009 6c73 00000003 6a7332"), list);
    let object =
        Named(vec![("k".to_owned(), Item::Json(json!(1))), ("b".to_owned(), Item::Bytes(vec![120]))]);
    assert_eq!(item("6469 00000001 6b 00000003 6a7331 00000001 62 00000003 627978"), Item::Object(object));
}

#[test]
fn an_array_has_a_shape_a_type_and_strides() {
    let decoded = item(
        "6e70 00000024 00000007 6a735b322c335d 00000009 6a7322696e74333222 00000008 6a735b31322c345d \
         01000000 02000000 03000000 04000000 05000000 06000000",
    );
    let Item::Array(array) = decoded else { panic!("{decoded:?}") };
    assert_eq!((array.shape, array.dtype.as_str(), array.strides), (vec![2, 3], "int32", vec![12, 4]));
    assert_eq!((array.values.len(), array.is_tensor), (24, false));
}

#[test]
fn malformed_bytes_are_refused() {
    for hex in [
        "",
        "6a",
        "7878",
        "6c73 000000ff 6a",
        "6a73 7b",
        "6e70 00000004 00000000",
        "6469 00000001 ff 00000003 6a7331",
    ] {
        assert!(decode_item(&bytes(hex), 0).is_err(), "{hex}");
    }
    let mut deep = b"js1".to_vec();
    for _ in 0..200 {
        deep = [b"ls", &(deep.len() as u32).to_be_bytes()[..], &deep].concat();
    }
    assert!(decode_item(&deep, 0).is_err());
    let batch =
        |keys: &str, rest: &[u8]| [&(keys.len() as u32).to_be_bytes()[..], keys.as_bytes(), rest].concat();
    assert_eq!(decode(&batch("[]", b"sa")), Ok(Named(vec![])));
    for wrong in [batch("[]", b"sb"), batch("[]", b"sa!"), batch("[1]", b"sa"), batch(r#"["a"]"#, b"sa")] {
        assert!(decode(&wrong).is_err());
    }
}
