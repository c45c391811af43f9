use super::*;
use arrow::array::*;
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::HashMap;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

/// Writes the batches, and reads the file back as one.
fn written(batches: &[RecordBatch]) -> Result<(WrittenFile, RecordBatch), ParquetWriteError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shard.parquet");
    let mut writer = ParquetWriter::create(&path)?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    let file = writer.finish()?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let parts: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let whole = arrow::compute::concat_batches(&schema, &parts).unwrap();
    Ok((file, whole))
}

#[test]
fn views_and_our_metadata_are_gone() {
    let text: ArrayRef =
        Arc::new(StringViewArray::from(vec![Some("short"), None, Some("longer than 12 bytes")]));
    let blob: ArrayRef = Arc::new(BinaryViewArray::from(vec![&b"a"[..], b"", b"\xff\x00"]));
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    lists.append_value([Some("a")]);
    lists.append_null();
    lists.append_value([None, Some("b")]);
    let lists: ArrayRef = Arc::new(lists.finish());
    let metadata =
        HashMap::from([("lavandin.null", "text"), ("unit", "m")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    let fields = vec![
        Field::new("text", DataType::Utf8View, true).with_metadata(metadata),
        Field::new("blob", DataType::BinaryView, false),
        Field::new("lists", lists.data_type().clone(), true),
    ];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![text, blob, lists]).unwrap();
    let (file, back) = written(&[batch.slice(1, 2), batch]).unwrap();
    assert_eq!((file.rows, back.num_rows()), (5, 5));
    let kinds: Vec<_> = back.schema().fields().iter().map(|field| pyarrow_type(field.data_type())).collect();
    assert_eq!(kinds, ["string", "binary", "list<item: string>"]);
    let kept: Vec<_> = back.schema().field(0).metadata().keys().cloned().collect();
    assert!(kept.contains(&"unit".to_owned()) && !kept.contains(&"lavandin.null".to_owned()), "{kept:?}");
    assert_eq!(
        back.column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
        [None, Some("longer than 12 bytes"), Some("short"), None, Some("longer than 12 bytes")]
    );
}

#[test]
fn types_of_batches_are_merged() {
    let first = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("score", Arc::new(Int64Array::from(vec![1, 2]))),
        ("tag", new_null_array(&DataType::Null, 2)),
    ]);
    // In another order, which does not matter.
    let second = batch(vec![
        ("tag", Arc::new(StringArray::from(vec!["x"]))),
        ("score", Arc::new(Float64Array::from(vec![0.5]))),
        ("id", Arc::new(Int64Array::from(vec![3]))),
    ]);
    let (_, back) = written(&[first, second]).unwrap();
    assert_eq!(back.column_by_name("id").unwrap().as_primitive::<Int64Type>().values(), &[1, 2, 3]);
    assert_eq!(
        back.column_by_name("score").unwrap().as_primitive::<arrow::datatypes::Float64Type>().values(),
        &[1.0, 2.0, 0.5]
    );
    let tags = back.column_by_name("tag").unwrap().as_string::<i32>();
    assert_eq!(tags.iter().collect::<Vec<_>>(), [None, None, Some("x")]);
}

#[test]
fn what_has_no_type_in_common_is_named() {
    let number = batch(vec![("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let text = batch(vec![("x", Arc::new(StringArray::from(vec!["one"])) as ArrayRef)]);
    let other = batch(vec![("y", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let error = written(&[number.clone(), text]).unwrap_err();
    assert!(matches!(&error, ParquetWriteError::MixedTypes { column, .. } if column == "x"), "{error}");
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    let error = written(&[number, other]).unwrap_err();
    assert!(matches!(&error, ParquetWriteError::MissingColumn { column } if column == "x"), "{error}");
}

#[test]
fn later_batches_fit_the_settled_types_or_fail() {
    // One batch above the limit settles the types.
    let large = vec![0_u8; WAITING_BYTES_MAX + 1];
    let first = batch(vec![
        ("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ("blob", Arc::new(BinaryArray::from(vec![large.as_slice()]))),
    ]);
    let later = |x: ArrayRef| batch(vec![("x", x), ("blob", Arc::new(BinaryArray::from(vec![&b"b"[..]])))]);
    let (_, back) = written(&[first.clone(), later(Arc::new(Int32Array::from(vec![7])))]).unwrap();
    assert_eq!(back.column(0).as_primitive::<Int64Type>().values(), &[1, 7]);
    let error = written(&[first, later(Arc::new(StringArray::from(vec!["seven"])))]).unwrap_err();
    assert!(matches!(&error, ParquetWriteError::DoesNotFit { column, .. } if column == "x"), "{error}");
}

#[test]
fn a_file_may_have_no_rows() {
    let some = batch(vec![("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let (file, back) = written(&[RecordBatch::new_empty(some.schema())]).unwrap();
    assert_eq!((file.rows, back.num_rows()), (0, 0));
    assert_eq!(back.schema().field(0).data_type(), &DataType::Int64);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = ParquetWriter::create(&directory.path().join("none/shard.parquet")).err().unwrap();
    assert!(error.to_string().contains("none/shard.parquet"), "{error}");
    assert_eq!(error.code(), ErrorCode::Unavailable);
}
