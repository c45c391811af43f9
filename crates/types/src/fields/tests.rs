use super::*;

fn sample() -> Vec<u8> {
    let mut array = 2u32.to_le_bytes().to_vec();
    write_value(&mut array, ValueRef::Str("x"));
    write_value(&mut array, ValueRef::I64(-3));
    FieldsBuilder::new()
        .with("n", ValueRef::I64(7))
        .with("neg", ValueRef::I64(-7))
        .with("ok", ValueRef::Bool(true))
        .with("tags", ValueRef::Array(ArrayRef(&array)))
        .with("o", ValueRef::Object(FieldsRef::EMPTY))
        .build()
}

#[test]
fn what_is_written_is_read() {
    let bytes = sample();
    let (fields, rest) = FieldsRef::split(&bytes).unwrap();
    assert!(rest.is_empty());
    assert_eq!(fields.get("n"), Some(ValueRef::U64(7)), "a non-negative integer is unsigned");
    assert_eq!(fields.get("neg"), Some(ValueRef::I64(-7)));
    let Some(ValueRef::Array(tags)) = fields.get("tags") else { panic!("no array") };
    assert_eq!(tags.iter().collect::<Vec<_>>(), [ValueRef::Str("x"), ValueRef::I64(-3)]);
    assert_eq!(fields.iter().count(), 5);
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample();
    for length in 0..bytes.len() {
        assert!(FieldsRef::split(&bytes[..length]).is_err(), "accepted {length} bytes");
    }
}

#[test]
fn unchecked_bytes_end_early_instead_of_panicking() {
    let bytes = sample();
    for length in 0..bytes.len() {
        assert!(FieldsRef::from_stored(&bytes[..length]).iter().count() <= 5);
    }
}

#[test]
fn nesting_is_limited() {
    let mut bytes = 1u32.to_le_bytes().to_vec();
    write_str(&mut bytes, "a");
    for _ in 0..200 {
        bytes.push(7);
        bytes.extend_from_slice(&1u32.to_le_bytes());
    }
    bytes.push(0);
    assert_eq!(FieldsRef::split(&bytes).unwrap_err(), FieldsError::TooDeep);
}
