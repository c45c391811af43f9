use super::export::Export;
use super::file_maker::{batches, name_of};
use super::*;
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use lavandin_feed::python::{BatchReply, Entry};

fn export(columns: &[&str]) -> Export {
    Export { columns: columns.iter().map(|name| (*name).to_owned()).collect(), uid_column: "id".to_owned() }
}

fn samples() -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap()
}

fn reply(entries: Vec<(&str, Entry)>) -> BatchReply {
    let entries = entries.into_iter().map(|(key, entry)| (key.to_owned(), entry)).collect();
    BatchReply { generation: Default::default(), entries }
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
}

fn column(name: &str) -> Entry {
    Entry::Column(name.to_owned())
}

#[test]
fn batches_cover_a_file() {
    assert_eq!(batches(10..15, 2, false), [10..12, 12..14, 14..15]);
    assert_eq!(batches(10..15, 2, true), [10..12, 12..14]);
    assert_eq!(batches(10..14, 2, true), [10..12, 12..14]);
    assert_eq!(batches(10..11, 4_000_000_000, false), vec![10..11]);
    assert!(batches(10..11, 2, true).is_empty());
    assert!(batches(10..10, 2, false).is_empty());
    assert_eq!(name_of(0, 1), "shard.00000.parquet");
    assert_eq!(name_of(7, 100_000), "shard.00007.parquet");
    assert_eq!(name_of(7, 100_001), "shard.000007.parquet");
    assert_eq!(name_of(123_456, 500_000), "shard.123456.parquet");
}

#[test]
fn the_wanted_columns_are_written_with_the_uid() {
    let score = Arc::new(Field::new("ignored", DataType::Float64, false));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1.5]));
    let entries = vec![
        ("text", column("text")),
        ("score", Entry::Array(score, values)),
        ("id", column("id")),
        ("copy", column("text")),
    ];
    let written = export(&["copy", "score", "id"]).of_reply(&samples(), reply(entries)).unwrap();
    assert_eq!(names(&written), ["score", "id", "copy"]);
    assert_eq!(written.column(2), samples().column(1));
    assert!(written.schema_ref().fields().iter().all(|field| field.is_nullable()));
}

#[test]
fn a_uid_that_user_code_left_out_is_the_samples_own() {
    let written = export(&["text"]).of_reply(&samples(), reply(vec![("text", column("text"))])).unwrap();
    assert_eq!(names(&written), ["text", "id"]);
    assert_eq!(written.column(1), samples().column(0));
}

#[test]
fn what_is_missing_is_named() {
    let error = export(&["score"]).of_reply(&samples(), reply(vec![("text", column("text"))])).unwrap_err();
    assert_eq!(error, "there is no \"score\" to export, the batch has [text]");
    let error = export(&["score"]).of_rows(&samples()).unwrap_err();
    assert_eq!(error, "there is no \"score\" to export, the batch has [id, text]");
    assert_eq!(names(&export(&["text"]).of_rows(&samples()).unwrap()), ["id", "text"]);
}

#[test]
fn a_task_is_named_after_what_it_does() {
    let function = |name: &str| Function { name: name.to_owned(), ..Function::default() };
    let mut request = PreprocessRequest {
        location: "file:///data/out".to_owned(),
        shardsets: None,
        collater: None,
        preprocessors: vec![function("resize"), function("embed")],
        export_columns: Vec::new(),
        batch_size: 1,
        overwrite: false,
        drop_last: false,
        register: false,
    };
    let dataset = DatasetId::new(1, [1; 20]);
    assert_eq!(task_name(dataset, &request), format!("{dataset}-resize-embed-file:///data/out"));
    request.preprocessors.clear();
    assert_eq!(task_name(dataset, &request), format!("{dataset}--file:///data/out"));
}

#[test]
fn one_directory_has_several_texts() {
    let same = super::checks::is_same_place;
    assert!(same("s3://bucket/a", "s3://bucket/a/") && same("file:///data/./a", "file:///data/a/"));
    assert!(!same("s3://bucket/a", "s3://bucket/ab") && !same("file:///data/a", "s3://data/a"));
}
