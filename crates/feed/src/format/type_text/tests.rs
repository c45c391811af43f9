use super::*;
use arrow::ipc::reader::FileReader;
use std::fs::File;
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn parsed(text: &str) -> DataType {
    match ColumnType::parse(text) {
        Some(ColumnType::Arrow(data_type)) => data_type,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn types_are_printed_as_pyarrow_prints_them() {
    let file = File::open(fixture("all_types.arrow")).unwrap();
    let schema = FileReader::try_new(file, None).unwrap().schema();
    let texts = std::fs::read_to_string(fixture("all_types.txt")).unwrap();
    let texts: Vec<&str> = texts.lines().collect();
    assert_eq!(texts.len(), schema.fields().len());
    for (field, text) in schema.fields().iter().zip(texts) {
        let ordered = text.replace("ordered=1", "ordered=0");
        assert_eq!(pyarrow_type(field.data_type()), ordered);
        assert_eq!(parsed(&ordered), *field.data_type(), "{text}");
    }
}

#[test]
fn texts_that_are_no_types_are_none() {
    let deep = format!("{}int64{}", "list<item: ".repeat(40), ">".repeat(40));
    for text in
        ["", "integer", "list<", "list<item: int64", "struct<a: >", "timestamp[h]", "decimal128(1)", &deep]
    {
        assert_eq!(ColumnType::parse(text), None, "{text}");
    }
    for text in ["list", "map", "json"] {
        assert_eq!(ColumnType::parse(text), Some(ColumnType::Json));
    }
}

#[test]
fn types_that_go_together_become_one_that_holds_both() {
    for (first, second, both) in [
        ("int64", "int64", Some("int64")),
        ("int32", "int64", Some("int64")),
        ("uint8", "int8", Some("int16")),
        ("uint32", "int32", Some("int64")),
        ("uint64", "int64", None),
        ("int64", "double", Some("double")),
        ("float", "double", Some("double")),
        ("halffloat", "float", Some("float")),
        ("int8", "float", Some("double")),
        ("int64", "string", None),
        ("bool", "int64", None),
        ("string", "large_string", Some("large_string")),
        ("string", "string_view", Some("string")),
        ("string", "binary", None),
        ("null", "struct<a: int64>", Some("struct<a: int64>")),
        ("dictionary<values=string, indices=int32, ordered=0>", "string", Some("string")),
        ("timestamp[ms, tz=UTC]", "timestamp[us, tz=UTC]", Some("timestamp[us, tz=UTC]")),
        ("timestamp[ms]", "timestamp[us, tz=UTC]", None),
        ("decimal128(10, 2)", "decimal128(8, 4)", Some("decimal128(12, 4)")),
        ("decimal128(38, 0)", "decimal128(10, 10)", None),
        ("list<item: int64>", "list<item: double>", Some("list<item: double>")),
        ("list<item: int64>", "list<item: string>", None),
        ("list<item: int64>", "large_list<item: int32>", Some("large_list<item: int64>")),
        ("struct<a: int64>", "struct<a: double, b: string>", Some("struct<a: double, b: string>")),
        ("map<string, int32>", "map<string, int64>", Some("map<string, int64>")),
        ("list", "list<item: int64>", Some("list")),
        ("json", "int64", None),
    ] {
        assert_eq!(promote_texts(first, second).as_deref(), both, "{first} and {second}");
        let turned = promote_texts(second, first);
        assert_eq!(turned.is_some(), both.is_some(), "{second} and {first}");
        if !first.starts_with("struct") {
            assert_eq!(turned.as_deref(), both, "{second} and {first}");
        }
    }
}

#[test]
fn a_mismatch_names_file_column_and_both_types() {
    let mut settled = vec![ColumnSpec::new("a", "int64"), ColumnSpec::new("b", "string")];
    let error = merge_columns(
        Format::Parquet,
        &mut settled,
        &[ColumnSpec::new("b", "int64"), ColumnSpec::new("a", "int32")],
        "shard.parquet",
    );
    let error = error.unwrap_err().to_string();
    for part in ["shard.parquet", "\"b\"", "string", "int64"] {
        assert!(error.contains(part), "{error}");
    }
    let missing =
        merge_columns(Format::Parquet, &mut settled, &[ColumnSpec::new("a", "int64")], "two.parquet");
    assert!(matches!(missing, Err(FormatError::MissingColumn { column, .. }) if column == "b"));
}

#[test]
fn dicts_of_csv_with_other_keys_stay_json() {
    let found = [ColumnSpec::new("a", "struct<x: int64, y: int64>")];
    let mut settled = vec![ColumnSpec::new("a", "struct<x: int64>")];
    assert!(merge_columns(Format::Csv, &mut settled, &found, "a.csv").unwrap());
    assert_eq!(settled[0].type_text, "json");
    let mut settled = vec![ColumnSpec::new("a", "struct<x: int64>")];
    assert!(merge_columns(Format::Jsonl, &mut settled, &found, "a.jsonl").unwrap());
    assert_eq!(settled[0].type_text, found[0].type_text);
}
