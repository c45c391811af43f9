use super::*;
use proptest::prelude::*;

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect::<Vec<_>>().into()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Items as the original server wrote them.
#[test]
fn recorded_items() {
    for (item, value) in [
        ("6a7331", Value::Int(1)),
        ("6a736e756c6c", Value::Null),
        ("627900ff", Value::Bytes(Bytes::from_static(&[0, 255]))),
        (
            "6c73 00000003 6a7331 00000005 6a73226122 00000009 6c73 00000003 6a7332",
            Value::List(vec![Value::Int(1), text("a"), Value::List(vec![Value::Int(2)])]),
        ),
        (
            "6469 00000001 6b 00000003 6a7331 00000001 62 00000003 627978",
            Value::Dict(vec![
                ("k".to_owned(), Value::Int(1)),
                ("b".to_owned(), Value::Bytes(Bytes::from_static(b"x"))),
            ]),
        ),
        (
            "6e70 00000024 00000007 6a735b322c335d 00000009 6a7322696e74333222 00000008 6a735b31322c345d \
             01000000 02000000 03000000 04000000 05000000 06000000",
            Value::Array(NdArray {
                shape: vec![2, 3],
                dtype: "int32".to_owned(),
                strides: vec![12, 4],
                data: (1..=6_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>().into(),
            }),
        ),
    ] {
        assert_eq!(decode_item(bytes(item)).unwrap(), value);
    }
}

/// A batch as the original server wrote it.
#[test]
fn a_recorded_sample() {
    let keys = r#"["id","x","_lavender_data_indices","_lavender_data_current"]"#;
    let mut sample = vec![0, 0, 0, 0x3c];
    sample.extend_from_slice(keys.as_bytes());
    sample.extend_from_slice(&bytes(
        "7361 00000003 6a7337 00000010 6c73 00000003 6a7331 00000003 6a7332 00000009 6c73 00000003 6a7337 \
         00000003 6a7330",
    ));
    let sample = decode(&sample.into()).unwrap();
    assert_eq!(sample.get("id"), Some(&Value::Int(7)));
    assert_eq!(sample.get("x"), Some(&Value::List(vec![Value::Int(1), Value::Int(2)])));
    assert_eq!(sample.indices(), Some(vec![7]));
    assert_eq!(sample.get("_lavender_data_current"), Some(&Value::Int(0)));
    assert_eq!(sample.get("absent"), None);
}

#[test]
fn malformed_batches_are_named() {
    let err = |hex: &str| decode(&bytes(hex)).unwrap_err();
    assert_eq!(err(""), DecodeError::Cut { what: "the list of keys" });
    assert_eq!(err("ffffffff 5b5d"), DecodeError::Cut { what: "the list of keys" });
    assert_eq!(err("00000002 7b7d 7361"), DecodeError::BadKeys);
    assert_eq!(err("00000003 5b315d 7361"), DecodeError::BadKeys);
    assert_eq!(err("00000002 5b5d 7362"), DecodeError::NoSample);
    assert_eq!(err("00000002 5b5d 7361 00"), DecodeError::KeyCount { keys: 0, items: 1 });
    assert_eq!(err("00000005 5b2261225d 7361"), DecodeError::KeyCount { keys: 1, items: 0 });
    assert_eq!(err("00000005 5b2261225d 7361 00000002 7878"), DecodeError::UnknownTag { tag: *b"xx" });
    assert_eq!(decode_item(bytes("6a")).unwrap_err(), DecodeError::Cut { what: "an item's tag" });
    assert_eq!(decode_item(bytes("6e70 00000000")).unwrap_err(), DecodeError::BadArray);
    assert_eq!(decode_item(bytes("6469 00000001 ff 00000003 6a7331")).unwrap_err(), DecodeError::BadText);
}

#[test]
fn nesting_has_a_limit() {
    let mut item = b"ls".to_vec();
    for _ in 0..1000 {
        let mut outer = b"ls".to_vec();
        outer.extend_from_slice(&(item.len() as u32).to_be_bytes());
        outer.extend_from_slice(&item);
        item = outer;
    }
    assert_eq!(decode_item(item.into()), Err(DecodeError::TooDeep));
}

proptest! {
    #[test]
    fn no_bytes_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_item(input.clone().into());
        let _ = decode(&input.clone().into());
        let _ = decode_item([b"ls", &input[..]].concat().into());
        let _ = decode_item([b"np", &input[..]].concat().into());
        let _ = super::super::json::parse(&input);
    }
}
