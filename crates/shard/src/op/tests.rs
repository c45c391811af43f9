use super::*;

fn ids_of(bytes: &[u8]) -> Vec<RecordId> {
    match Op::decode(bytes) {
        Some(Op::Delete(ids) | Op::Restore(ids)) => ids.iter().map(RecordIdRef::to_owned).collect(),
        Some(Op::Write { rows, .. }) => rows.ids.iter().map(RecordIdRef::to_owned).collect(),
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn ids_keep_their_kind_and_order_in_every_form() {
    let mixed = [RecordId::Int(5), RecordId::from("5"), RecordId::Int(u64::MAX)];
    let mut bytes = Vec::new();
    encode_delete(&mixed, &mut bytes);
    assert_eq!(ids_of(&bytes), mixed);

    let mut bytes = Vec::new();
    encode_write_header(false, &BatchIds::Range { start: 9, count: 3 }, false, &mut bytes);
    assert_eq!(ids_of(&bytes), [9, 10, 11].map(RecordId::Int));

    let mut bytes = Vec::new();
    encode_write_header(true, &BatchIds::Ints(vec![4, 2]), false, &mut bytes);
    assert_eq!(ids_of(&bytes), [4, 2].map(RecordId::Int));
}

#[test]
fn a_schema_survives_its_encoding() {
    let schema = Schema {
        version: SchemaVersion::new(3),
        element: ElementType::F16,
        dim: 384,
        index: Some(IndexSpec {
            mode: IndexMode::parse("hnsw-Cos").unwrap(),
            parameters: BuildParameters { m: Some(8), ..Default::default() },
        }),
    };
    let mut bytes = Vec::new();
    encode_set_schema(&schema, &mut bytes);
    match Op::decode(&bytes) {
        Some(Op::SetSchema(read)) => assert_eq!(read, schema),
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn truncated_and_random_bytes_are_refused_without_panic() {
    let mut bytes = Vec::new();
    encode_delete(&[RecordId::from("abc"), RecordId::Int(1)], &mut bytes);
    for length in 0..bytes.len() {
        assert!(Op::decode(&bytes[..length]).is_none(), "accepted {length} bytes");
    }
    let mut state = 7u64;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let noise: Vec<u8> = (0..(state >> 60)).map(|i| (state >> (i * 4)) as u8 % 9).collect();
        if let Some(Op::Write { rows, .. }) = Op::decode(&noise) {
            let _ = rows.split(usize::MAX);
        }
    }
}
