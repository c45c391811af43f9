use super::*;
use crate::{Outcome, Shard, ShardLimits};
use lavandin_group::Consumer;
use lavandin_storage::MemoryDirectory;
use lavandin_types::{CollectionId, FieldsBuilder, SequenceNumber, ValueRef};
use std::sync::Arc;

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
    encode_write_header(false, None, &BatchIds::Range { start: 9, count: 3 }, false, &mut bytes);
    assert_eq!(ids_of(&bytes), [9, 10, 11].map(RecordId::Int));

    let mut bytes = Vec::new();
    encode_write_header(true, None, &BatchIds::Ints(vec![4, 2]), false, &mut bytes);
    assert_eq!(ids_of(&bytes), [4, 2].map(RecordId::Int));
    assert!(matches!(Op::decode(&bytes), Some(Op::Write { upsert: true, rows: Rows { places: None, .. } })));

    let mut bytes = Vec::new();
    let places = Places { first: 7, offsets: vec![0, 300] };
    encode_write_header(false, Some(&places), &BatchIds::Ints(vec![4, 2]), false, &mut bytes);
    assert_eq!(bytes[..9], [9, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[bytes.len() - 9..], [0, 0, 0, 0, 44, 1, 0, 0, 0]);
    assert_eq!(ids_of(&bytes), [4, 2].map(RecordId::Int));
    let Some(Op::Write { upsert: false, rows: Rows { places: Some(places), .. } }) = Op::decode(&bytes)
    else {
        panic!("it is an add with places")
    };
    assert_eq!((places.of(0), places.of(1), places.of(2)), (7, 307, 7));
}

#[test]
fn an_allotment_is_its_numbers_and_changes_nothing() {
    let mut bytes = Vec::new();
    encode_allot(300, 7, &mut bytes);
    assert_eq!(bytes, [11, 44, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0]);
    assert!(matches!(Op::decode(&bytes), Some(Op::Allot { start: 300, count: 7 })));
    let mut shard = Shard::open(Arc::new(MemoryDirectory::new()), ShardLimits::default(), None).unwrap();
    let collection = CollectionId::new(1);
    assert_eq!(shard.apply(SequenceNumber::new(1), collection, &bytes), Outcome::Count(0));
    let open = all_kinds().swap_remove(0);
    shard.apply(SequenceNumber::new(2), collection, &open);
    let before = shard.digest(collection);
    let outcome = shard.apply(SequenceNumber::new(3), collection, &bytes);
    assert_eq!(outcome, Outcome::Assigned { start: 300, count: 7 });
    assert_eq!(shard.digest(collection), before);
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

/// One of each kind, as `prepare` makes them for vectors of two float32.
fn all_kinds() -> Vec<Vec<u8>> {
    let parameters = BuildParameters { m: Some(8), ..Default::default() };
    let index = IndexSpec { mode: IndexMode::parse("FLAT-L2").unwrap(), parameters };
    let schema =
        Schema { version: SchemaVersion::new(1), element: ElementType::F32, dim: 2, index: Some(index) };
    let mixed = [RecordId::from("abc"), RecordId::Int(1)];
    let made = |make: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        make(&mut out);
        out
    };
    let write = |upsert, first: Option<u64>, ids: BatchIds| {
        let places = first.map(|first| Places { first, offsets: (0..ids.len() as u32).collect() });
        made(&|out| {
            encode_write_header(upsert, places.as_ref(), &ids, true, out);
            (0..ids.len() * 2).for_each(|number| out.extend_from_slice(&(number as f32).to_le_bytes()));
            for _ in 0..ids.len() {
                let fields = FieldsBuilder::new().with("n", ValueRef::U64(7)).build();
                out.push(1);
                out.extend_from_slice(&fields);
            }
        })
    };
    vec![
        made(&|out| encode_open(&schema, out)),
        made(&|out| encode_set_schema(&schema, out)),
        write(false, None, BatchIds::Range { start: 5, count: 3 }),
        write(true, None, BatchIds::Ints(vec![5, 9])),
        write(true, None, BatchIds::Mixed(mixed.to_vec())),
        write(false, Some(70), BatchIds::Ints(vec![6])),
        write(true, Some(u64::MAX), BatchIds::Mixed(mixed.to_vec())),
        made(&|out| encode_delete(&mixed, out)),
        made(&|out| encode_restore(&mixed, out)),
        made(&|out| encode_compact(out)),
        made(&|out| encode_allot(5, 3, out)),
        made(&|out| encode_drop(out)),
    ]
}

#[test]
fn truncated_operations_are_refused() {
    for op in all_kinds() {
        assert!(Op::decode(&op).is_some());
    }
    let mut bytes = Vec::new();
    encode_delete(&[RecordId::from("abc"), RecordId::Int(1)], &mut bytes);
    for length in 0..bytes.len() {
        assert!(Op::decode(&bytes[..length]).is_none(), "accepted {length} bytes");
    }
}

/// Applying never refuses, so it must stand whatever decodes.
#[test]
fn damaged_operations_are_decoded_and_applied_without_panic() {
    let slow = std::env::var("LAVANDIN_SLOW_TESTS").is_ok_and(|value| value == "1");
    let directory = Arc::new(MemoryDirectory::new());
    let mut shard = Shard::open(directory, ShardLimits::default(), None).unwrap();
    let kinds = all_kinds();
    let mut state = 7u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let (mut decoded, mut refused, mut effective) = (0, 0, 0);
    for round in 1..if slow { 1_000_000 } else { 20_000 } {
        let mut op = kinds[next(kinds.len())].clone();
        for _ in 0..next(3) {
            let at = next(op.len());
            match next(5) {
                0 => op.truncate(at),
                1 => op.insert(at, next(9) as u8),
                _ if at < op.len() => op[at] = [0, 1, 2, 3, 8, 0xff, next(256) as u8][next(7)],
                _ => {}
            }
        }
        match Op::decode(&op) {
            // Deletions are logged id by id, and a range could name four thousand million.
            Some(Op::Delete(ids) | Op::Restore(ids)) if ids.form == 0 => continue,
            Some(_) => decoded += 1,
            None => refused += 1,
        }
        let outcome = shard.apply(SequenceNumber::new(round), CollectionId::new(1 + round % 3), &op);
        effective += u32::from(outcome != Outcome::Count(0));
        shard.publish();
    }
    assert!(decoded > 1000 && refused > 1000, "{decoded} decoded, {refused} refused");
    assert!(effective > 1000, "{effective} operations did something");
}
