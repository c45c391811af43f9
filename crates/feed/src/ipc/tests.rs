use super::*;
use crate::lavender::{Layout, Source, encode};
use arrow::array::*;
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::ipc::reader::StreamReader;

fn tail(indices: &[u64]) -> Tail<'_> {
    Tail { indices, current: 7 }
}

fn stream(batches: &[RecordBatch], form: BlobForm) -> Vec<u8> {
    let format = StreamFormat::new(batches[0].schema_ref(), form).unwrap();
    let mut out = format.schema_message().to_vec();
    for batch in batches {
        let indices: Vec<u64> = (0..batch.num_rows() as u64).collect();
        for segment in format.batch(batch, tail(&indices)).unwrap() {
            out.extend_from_slice(&segment);
        }
    }
    out.extend_from_slice(&END);
    out
}

fn read(stream: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(stream, None).unwrap().collect::<Result<_, _>>().unwrap()
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let long = "a text that is longer than a view holds";
    let big = "x".repeat(5000);
    let texts = vec![Some("short"), None, Some(long), Some(""), Some(big.as_str()), Some("short")];
    let field = |name: &str, kind| Arc::new(Field::new(name, kind, true));
    let lists = |rows: &[Option<&[Option<i32>]>]| {
        ListArray::from_iter_primitive::<Int32Type, _, _>(rows.iter().map(|row| row.map(|row| row.to_vec())))
    };
    let ints: &[Option<&[Option<i32>]>] = &[
        Some(&[Some(1), None]),
        None,
        Some(&[]),
        Some(&[Some(2), Some(3), Some(4)]),
        Some(&[Some(5)]),
        None,
    ];
    let list = lists(ints);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    for row in 0..6 {
        for entry in 0..row % 3 {
            map.keys().append_value(format!("k{entry}"));
            map.values().append_value(row);
        }
        map.append(row != 4).unwrap();
    }
    let fixed = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..6).map(|row| (row != 3).then(|| vec![Some(row as f32), None])),
        2,
    );
    let dense = UnionArray::try_new(
        [(0, field("i", DataType::Int32)), (5, field("s", DataType::Utf8View))].into_iter().collect(),
        ScalarBuffer::from(vec![0_i8, 5, 0, 5, 0, 5]),
        Some(ScalarBuffer::from(vec![0, 0, 1, 1, 2, 2])),
        vec![
            Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef,
            Arc::new(StringViewArray::from(vec!["a", long, "c"])),
        ],
    );
    vec![
        ("null", Arc::new(NullArray::new(6))),
        (
            "bool",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), None, Some(true)])),
        ),
        ("int", Arc::new(Int64Array::from_iter((0..6).map(|row| (row != 2).then_some(row))))),
        ("decimal", Arc::new(Decimal128Array::from(vec![1, 2, 3, 4, 5, 6]))),
        ("interval", Arc::new(IntervalMonthDayNanoArray::from_value(IntervalMonthDayNano::new(1, 2, 3), 6))),
        ("utf8", Arc::new(StringArray::from(texts.clone()))),
        ("large_utf8", Arc::new(LargeStringArray::from(texts.clone()))),
        ("utf8_view", Arc::new(StringViewArray::from(texts.clone()))),
        ("binary", cast(&StringArray::from(texts.clone()), &DataType::Binary).unwrap()),
        ("binary_view", cast(&StringArray::from(texts.clone()), &DataType::BinaryView).unwrap()),
        ("fixed", Arc::new(FixedSizeBinaryArray::try_from_iter((0..6u8).map(|row| [row; 3])).unwrap())),
        ("list", Arc::new(list.clone())),
        ("large_list", cast(&list, &DataType::LargeList(field("item", DataType::Int32))).unwrap()),
        ("list_view", cast(&list, &DataType::ListView(field("item", DataType::Int32))).unwrap()),
        ("fixed_list", Arc::new(fixed)),
        ("map", Arc::new(map.finish())),
        (
            "struct",
            Arc::new(StructArray::from(vec![
                (field("n", DataType::Int32), Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5, 6])) as ArrayRef),
                (field("t", DataType::Utf8View), Arc::new(StringViewArray::from(texts.clone()))),
            ])),
        ),
        ("dictionary", Arc::new(texts.iter().copied().collect::<DictionaryArray<Int8Type>>())),
        ("runs", Arc::new(["a", "a", "b", "b", "b", "c"].into_iter().collect::<Int32RunArray>())),
        ("union", Arc::new(dense.unwrap())),
    ]
}

/// A batch whose columns may all be null, as those of a plan are.
fn batch(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// The values of a column, whatever form they have.
fn values(array: &ArrayRef) -> Vec<u8> {
    let field = Field::new("column", array.data_type().clone(), true);
    let source = Source::Column { field: &field, array: array.as_ref() };
    encode(&[("column", source)], Tail { indices: &[], current: 0 }, Layout::default()).unwrap().concat()
}

#[test]
fn every_type_arrives_whole_and_sliced_in_both_forms() {
    for (name, array) in columns() {
        for form in [BlobForm::Offsets, BlobForm::Views] {
            for (start, length) in [(0, 6), (1, 4), (3, 3), (2, 0)] {
                let batch = batch([(name, array.slice(start, length))]);
                let read = read(&stream(std::slice::from_ref(&batch), form));
                let (sent, held) = (read[0].column(0), batch.column(0));
                assert_eq!(values(sent), values(held), "{name} {form:?} {start} {length}");
                assert_eq!(sent.logical_null_count(), held.logical_null_count(), "{name}");
                sent.to_data().validate_full().unwrap();
                if sent.data_type() == held.data_type() {
                    assert_eq!(sent, held, "{name} {form:?} {start} {length}");
                }
            }
        }
    }
}

#[test]
fn several_batches_follow_one_schema_and_carry_indices() {
    let batches: Vec<RecordBatch> = [(0, 2), (2, 4)]
        .map(|(start, length)| {
            batch(columns().into_iter().map(|(name, array)| (name, array.slice(start, length))))
        })
        .to_vec();
    let format = StreamFormat::new(batches[0].schema_ref(), BlobForm::Offsets).unwrap();
    let read = read(&stream(&batches, BlobForm::Offsets));
    assert_eq!(read.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(read[0].schema_ref(), format.schema());
    let indices = read[1].column_by_name(INDEX_COLUMN).unwrap().as_primitive::<UInt64Type>();
    assert_eq!(indices.values(), &[0, 1, 2, 3]);
}

#[test]
fn the_number_of_a_batch_is_in_its_message() {
    let batch = RecordBatch::try_from_iter([("a", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap();
    let format = StreamFormat::new(batch.schema_ref(), BlobForm::Views).unwrap();
    let segments = format.batch(&batch, tail(&[9])).unwrap();
    let message = arrow::ipc::root_as_message(&segments[0][8..]).unwrap();
    let pair = message.custom_metadata().unwrap().get(0);
    assert_eq!((pair.key(), pair.value()), (Some(CURRENT_KEY), Some("7")));
    assert_eq!(segments[0].len() % 16, 0);
}

#[test]
fn blobs_are_not_copied_and_a_slice_sends_only_its_own() {
    let blobs = BinaryViewArray::from_iter_values((0..10).map(|row| vec![row as u8; 50_000]));
    let batch = RecordBatch::try_from_iter([("b", Arc::new(blobs.slice(3, 2)) as ArrayRef)]).unwrap();
    for form in [BlobForm::Offsets, BlobForm::Views] {
        let segments =
            StreamFormat::new(batch.schema_ref(), form).unwrap().batch(&batch, tail(&[3, 4])).unwrap();
        for row in [3, 4] {
            let address = blobs.value(row).as_ptr();
            assert!(segments.iter().any(|segment| segment.as_ptr() == address && segment.len() == 50_000));
        }
        let total: usize = segments.iter().map(Bytes::len).sum();
        assert!((100_000..102_000).contains(&total), "{total}");
    }
}

#[test]
fn wrong_use_is_an_error() {
    let batch = RecordBatch::try_from_iter([("a", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap();
    let format = StreamFormat::new(batch.schema_ref(), BlobForm::Views).unwrap();
    assert_eq!(format.batch(&batch, tail(&[])), Err(IpcError::Indices { indices: 0, rows: 1 }));
    let other = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    assert_eq!(format.batch(&other, tail(&[0])), Err(IpcError::Schema));
    let mut deep = DataType::Int32;
    for _ in 0..100 {
        deep = DataType::List(Arc::new(Field::new("item", deep, true)));
    }
    let schema = Arc::new(Schema::new(vec![Field::new("deep", deep, true)]));
    assert!(matches!(StreamFormat::new(&schema, BlobForm::Views), Err(IpcError::Type { .. })));
}

#[test]
fn a_null_with_bytes_behind_it_sends_none() {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 4, 8]));
    let nulls = arrow::buffer::NullBuffer::from(vec![false, true]);
    let array = StringArray::new(offsets, Buffer::from_vec(b"junkkeep".to_vec()), Some(nulls));
    let batch = RecordBatch::try_from_iter([("a", Arc::new(array) as ArrayRef)]).unwrap();
    let bytes = stream(std::slice::from_ref(&batch), BlobForm::Offsets);
    assert!(!bytes.windows(4).any(|window| window == b"junk"));
    assert_eq!(read(&bytes)[0].column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some("keep")]);
}
