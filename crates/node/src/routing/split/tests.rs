use super::*;
use bytes::Bytes;
use lavandin_cluster::{BucketTableId, IntegerIdForm};
use lavandin_types::{CollectionId, ElementType, FieldsBuilder, SchemaVersion, ValueRef};

const GROUPS: [GroupId; 3] = [GroupId::new(1), GroupId::new(2), GroupId::new(5)];

fn info() -> CollectionInfo {
    CollectionInfo {
        id: CollectionId::new(1),
        database: "db".to_owned(),
        name: "c".to_owned(),
        dim: 2,
        element: ElementType::F32,
        description: None,
        index: None,
        schema_version: SchemaVersion::new(1),
        integer_ids: IntegerIdForm::External,
        buckets: BucketTableId::new(1),
    }
}

/// Rows whose vectors and fields say which id they belong to; every third has no fields.
fn batch(ids: BatchIds) -> RecordBatch {
    let (mut vectors, mut fields) = (Vec::new(), Vec::new());
    for (row, id) in ids.iter().enumerate() {
        let number = row as f32;
        vectors.extend([number, number + 0.5].iter().flat_map(|number| number.to_le_bytes()));
        if row % 3 == 2 {
            fields.push(0);
        } else {
            fields.push(1);
            fields
                .extend_from_slice(&FieldsBuilder::new().with("of", ValueRef::Str(&id.to_string())).build());
        }
    }
    let vectors = VectorBatch { element: ElementType::F32, dim: 2, bytes: Bytes::from(vectors) };
    let offsets = (0..ids.len() as u32).map(|row| 3 * row).collect();
    RecordBatch {
        ids,
        vectors,
        fields: Some(Bytes::from(fields)),
        places: Some(Places { first: 77, offsets }),
    }
}

type Row = (RecordId, Vec<u8>, Vec<u8>, u32);

/// Each row as id, vector bytes, field bytes and place.
fn rows(batch: &RecordBatch) -> Vec<Row> {
    let mut fields = FieldRows(batch.fields.as_deref().expect("they have fields"));
    let ids = batch.ids.iter().zip(batch.vectors.bytes.chunks_exact(8));
    let places = batch.places.as_ref().expect("they have places");
    assert_eq!((places.first, places.offsets.len()), (77, batch.ids.len()));
    let rows = ids.zip(&places.offsets).map(|((id, vector), place)| {
        (id.to_owned(), vector.to_vec(), fields.next().expect("a row of fields").to_vec(), *place)
    });
    let rows: Vec<Row> = rows.collect();
    assert!(fields.next().is_none());
    rows
}

#[test]
fn every_record_goes_to_its_owner_whole_and_in_order() {
    let (info, table) = (info(), BucketTable::spread(&GROUPS, 64).expect("there are groups"));
    let layout = Layout { info: &info, table: &table };
    let strings = (0..500).map(|number| RecordId::from(format!("doc-{number}").as_str()));
    let mixed: Vec<RecordId> = (0..500).map(RecordId::Int).zip(strings).flat_map(|(a, b)| [a, b]).collect();
    let all = [
        BatchIds::Range { start: 3, count: 1000 },
        BatchIds::Ints((0..1000).rev().collect()),
        BatchIds::Mixed(mixed),
    ];
    for ids in all {
        let whole = batch(ids);
        let parts = layout.split(Change::Upsert(whole.clone()));
        assert_eq!(parts.keys().copied().collect::<Vec<_>>(), GROUPS);
        let mut left = rows(&whole);
        for (group, change) in parts {
            let Change::Upsert(part) = change else { panic!("another change came of an upsert") };
            assert_eq!(part.vectors.dim, 2);
            let rows = rows(&part);
            assert!(rows.len() > 250, "a group with {} of 1000 records", rows.len());
            let of_group: Vec<_> =
                left.extract_if(.., |(id, ..)| layout.owner(id.as_ref()) == group).collect();
            assert_eq!(rows, of_group);
        }
        assert!(left.is_empty());
    }
}

#[test]
fn ids_are_split_and_what_concerns_nobody_has_no_part() {
    let (info, table) = (info(), BucketTable::spread(&GROUPS, 64).expect("there are groups"));
    let layout = Layout { info: &info, table: &table };
    let parts = layout.split(Change::Delete(vec![RecordId::Int(1)]));
    assert_eq!(parts.len(), 1);
    assert_eq!(parts.keys().next(), Some(&layout.owner(RecordIdRef::Int(1))));
    assert!(layout.split(Change::Restore(Vec::new())).is_empty());
    let compacted = layout.split(Change::Compact);
    assert_eq!(compacted.into_iter().collect::<Vec<_>>(), GROUPS.map(|group| (group, Change::Compact)));
}

#[test]
fn a_batch_without_fields_stays_without() {
    let (info, table) = (info(), BucketTable::spread(&GROUPS, 64).expect("there are groups"));
    let layout = Layout { info: &info, table: &table };
    let whole = RecordBatch { fields: None, ..batch(BatchIds::Range { start: 0, count: 9 }) };
    for change in layout.split(Change::Add(whole)).into_values() {
        assert!(matches!(change, Change::Add(RecordBatch { fields: None, ids: BatchIds::Ints(_), .. })));
    }
}

#[test]
fn a_collection_that_was_dropped_meanwhile_is_not_found() {
    let (catalogue, info) = (Catalogue::default(), info());
    let code = Layout::of(&catalogue, &info).map(drop).map_err(|error| error.code());
    assert_eq!(code, Err(lavandin_types::ErrorCode::NotFound));
}
