use super::*;
use crate::uid_index::UidIndex;
use lavandin_types::ErrorCode;
use std::fs;
use std::path::PathBuf;

struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn look(path: &Path, options: &InspectOptions<'_>) -> Result<Inspection, FormatError> {
    inspect(path, Format::of_name(&path.to_string_lossy()).unwrap(), options)
}

fn with_uid(declared: &[ColumnSpec]) -> InspectOptions<'_> {
    InspectOptions { declared, uid_column: Some("id"), ..InspectOptions::default() }
}

#[test]
fn one_pass_finds_rows_types_statistics_and_uids() {
    let scratch = Scratch::new();
    let mut text = String::new();
    for row in 0..70_000 {
        text.push_str(&format!(
            "{{\"id\": {}, \"kind\": \"k{}\", \"text\": \"{}\"}}\n",
            row * 2,
            row % 3,
            "x".repeat(row % 200)
        ));
    }
    let path = scratch.file("a.jsonl", &text);
    let found = look(&path, &with_uid(&[])).unwrap();
    assert_eq!((found.rows, found.chunks.len(), found.bytes), (70_000, 2, text.len() as u64));
    let kinds: Vec<(&str, StatisticsKind)> =
        found.statistics.iter().map(|(name, one)| (name.as_str(), one.kind())).collect();
    let expected = [
        ("id", StatisticsKind::Numeric),
        ("kind", StatisticsKind::Categorical),
        ("text", StatisticsKind::Numeric),
    ];
    assert_eq!(kinds, expected);
    let index = UidIndex::new(found.uid_index.unwrap().into(), "x").unwrap();
    assert_eq!(index.len(), 70_000);
    assert_eq!(index.rows("139998").collect::<Vec<_>>(), [69_999]);
    assert_eq!(index.rows("1").count(), 0);
    assert!(look(&path, &InspectOptions::default()).unwrap().uid_index.is_none());
}

#[test]
fn a_doubled_uid_is_named_with_both_rows() {
    let scratch = Scratch::new();
    let mut text = String::from("id,x\n");
    for row in 0..70_000 {
        // Rows 3 and 69,000 are in different chunks.
        text.push_str(&format!("u{},1\n", if row == 69_000 { 3 } else { row }));
    }
    let error = look(&scratch.file("a.csv", &text), &with_uid(&[])).unwrap_err();
    let FormatError::DoubledUid { file, uid, first, second } = &error else { panic!("{error}") };
    assert!(file.ends_with("a.csv"));
    assert_eq!((uid.as_str(), *first, *second), ("u3", 3, 69_000));
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}

#[test]
fn a_missing_uid_is_named_with_its_row() {
    let scratch = Scratch::new();
    let declared = [ColumnSpec::new("id", "int")];
    let error = look(&scratch.file("a.csv", "id,x\n1,a\n,b\n"), &with_uid(&declared)).unwrap_err();
    assert!(matches!(&error, FormatError::MissingUid { row: 1, column, .. } if column == "id"), "{error}");
    let error = look(&scratch.file("b.jsonl", "{\"id\": \"a\"}\n{\"x\": 1}\n"), &with_uid(&[])).unwrap_err();
    assert!(matches!(&error, FormatError::MissingUid { row: 1, .. }), "{error}");
    let error = look(&scratch.file("c.jsonl", "{\"x\": 1}\n"), &with_uid(&[])).unwrap_err();
    assert!(matches!(&error, FormatError::MissingColumn { .. }), "{error}");
    let error = look(&scratch.file("d.jsonl", "{\"id\": [1]}\n"), &with_uid(&[])).unwrap_err();
    assert!(matches!(&error, FormatError::Unsupported { .. }), "{error}");
}

#[test]
fn a_uid_column_that_is_not_declared_is_read_but_not_shown() {
    let scratch = Scratch::new();
    let declared = [ColumnSpec::new("x", "int")];
    for (name, text) in
        [("a.csv", "x,id\n1,a\n2,b\n"), ("a.jsonl", "{\"x\": 1, \"id\": \"a\"}\n{\"id\": \"b\"}\n")]
    {
        let found = look(&scratch.file(name, text), &with_uid(&declared)).unwrap();
        assert_eq!(found.columns[1], ColumnSpec::new("id", "string"), "{name}");
        assert!(found.statistics.iter().all(|(name, _)| name == "x"));
        assert_eq!(UidIndex::new(found.uid_index.unwrap().into(), "x").unwrap().rows("b").next(), Some(1));
    }
}

#[test]
fn later_files_must_go_with_earlier_types() {
    let scratch = Scratch::new();
    let first =
        look(&scratch.file("0.jsonl", "{\"id\": 1, \"x\": 1, \"extra\": 0}\n"), &with_uid(&[])).unwrap();
    let kinds: Vec<(String, StatisticsKind)> =
        first.statistics.iter().map(|(name, one)| (name.clone(), one.kind())).collect();
    let later = InspectOptions { earlier: &first.columns, kinds: &kinds, ..with_uid(&[]) };
    let wider = look(&scratch.file("1.jsonl", "{\"id\": 2, \"x\": 1.5, \"new\": true}\n"), &later).unwrap();
    let types: Vec<&str> = wider.columns.iter().map(|column| column.type_text.as_str()).collect();
    assert_eq!(types, ["int64", "double", "int64"]);
    assert_eq!(wider.columns[2].name, "extra");
    let error = look(&scratch.file("2.jsonl", "{\"id\": 3, \"x\": \"one\"}\n"), &later).unwrap_err();
    let FormatError::TypeMismatch { file, column, wanted, found } = &error else { panic!("{error}") };
    assert!(file.ends_with("2.jsonl"));
    assert_eq!((column.as_str(), wanted.as_str(), found.as_str()), ("x", "int64", "string"));
}

#[test]
fn kinds_of_the_first_file_are_forced_on_others() {
    let scratch = Scratch::new();
    let kinds = [("x".to_owned(), StatisticsKind::Numeric)];
    let options = InspectOptions { kinds: &kinds, ..InspectOptions::default() };
    let found = look(&scratch.file("a.jsonl", "{\"x\": 1}\n"), &options).unwrap();
    assert_eq!(found.statistics[0].1.kind(), StatisticsKind::Numeric);
}

#[test]
fn rows_before_a_column_appeared_are_missing_in_its_statistics() {
    let scratch = Scratch::new();
    let mut text = String::new();
    for row in 0..66_000 {
        text.push_str(if row < 65_990 { "{\"id\": 1}\n" } else { "{\"late\": 2.5}\n" });
    }
    let found = look(&scratch.file("a.jsonl", &text), &InspectOptions::default()).unwrap();
    let ColumnStatistics::Categorical(late) = &found.statistics[1].1 else { panic!() };
    assert_eq!((late.nan_count, late.counts.as_slice()), (65_990, [("2.5".to_owned(), 10)].as_slice()));
}
