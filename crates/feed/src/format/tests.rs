use super::*;
use crate::inspect::{InspectOptions, Inspection, inspect};
use std::fs;
use std::path::PathBuf;

mod columnar;
mod csv;
mod damage;
mod jsonl;
mod tar;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A file in a folder of its own.
struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        // File systems wait for the disk when a file is cut to nothing and written again.
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        path
    }
}

fn specs(columns: &[(&str, &str)]) -> Vec<ColumnSpec> {
    columns.iter().map(|(name, type_text)| ColumnSpec::new(*name, *type_text)).collect()
}

fn look(path: &Path, declared: &[ColumnSpec]) -> Result<Inspection, FormatError> {
    let format = Format::of_name(&path.to_string_lossy()).unwrap();
    inspect(path, format, &InspectOptions { declared, ..InspectOptions::default() })
}

fn plan(inspection: &Inspection) -> ReaderPlan {
    ReaderPlan {
        columns: inspection.columns.clone(),
        chunks: inspection.chunks.clone().into(),
        bytes: inspection.bytes,
        index: inspection.member_index.clone().map(Bytes::from),
    }
}

fn reader(path: &Path, plan: &ReaderPlan) -> Result<ShardReader, FormatError> {
    ShardReader::open(path, Format::of_name(&path.to_string_lossy()).unwrap(), plan)
}

/// All rows, as the plan of an inspection reads them.
fn read_all(path: &Path, inspection: &Inspection) -> RecordBatch {
    let reader = reader(path, &plan(inspection)).unwrap();
    let batches: Vec<RecordBatch> =
        (0..reader.chunks().len()).map(|chunk| reader.read_chunk(chunk).unwrap()).collect();
    for batch in &batches {
        assert_eq!(batch.schema_ref(), reader.schema());
    }
    arrow::compute::concat_batches(reader.schema(), &batches).unwrap()
}

/// A column as texts, `null` where it is null.
fn shown(batch: &RecordBatch, column: &str) -> Vec<String> {
    let array = batch.column_by_name(column).unwrap();
    let array = &views::conform(array, &views::with_utc_as_offset(array.data_type())).unwrap();
    let options = arrow::util::display::FormatOptions::new().with_null("null");
    let formatter = arrow::util::display::ArrayFormatter::try_new(array, &options).unwrap();
    (0..array.len()).map(|row| formatter.value(row).to_string()).collect()
}

#[test]
fn names_tell_formats() {
    for (name, format) in [
        ("a.parquet", Some(Format::Parquet)),
        ("shard.00001.PARQUET", Some(Format::Parquet)),
        ("a.b.csv", Some(Format::Csv)),
        ("x.jsonl", Some(Format::Jsonl)),
        ("x.ndjson", Some(Format::Jsonl)),
        ("x.arrow", Some(Format::Arrow)),
        ("x.feather", Some(Format::Arrow)),
        ("x.tar", Some(Format::Tar)),
        ("x.tar.gz", None),
        ("README.md", None),
        ("_SUCCESS", None),
        (".parquet", None),
        ("folder.csv/", None),
        ("", None),
    ] {
        assert_eq!(Format::of_name(name), format, "{name}");
    }
}

#[test]
fn a_file_that_is_gone_shorter_longer_or_replaced_is_named_so() {
    let scratch = Scratch::new();
    let path = scratch.file("a.csv", "id,x\n1,a\n2,b\n");
    let inspection = look(&path, &[]).unwrap();
    let open = reader(&path, &plan(&inspection)).unwrap();
    assert_eq!(open.read_chunk(0).unwrap().num_rows(), 2);
    assert!(matches!(open.read_chunk(1), Err(FormatError::NoChunk { .. })));

    // The same size, written again.
    let before = path.metadata().unwrap();
    fs::remove_file(&path).unwrap();
    scratch.file("b.csv", "takes the place of the removed file");
    fs::write(&path, "id,x\n1,a\n3,c\n").unwrap();
    assert_eq!(path.metadata().unwrap().len(), before.len());
    assert!(matches!(open.read_chunk(0), Err(FormatError::Changed { .. })));

    fs::write(&path, "id,x\n1,a\n").unwrap();
    assert!(matches!(open.read_chunk(0), Err(FormatError::Truncated { .. })));
    assert!(matches!(reader(&path, &plan(&inspection)), Err(FormatError::Truncated { .. })));
    fs::write(&path, "id,x\n1,a\n2,b\n3,c\n").unwrap();
    assert!(matches!(reader(&path, &plan(&inspection)), Err(FormatError::Changed { .. })));
    fs::remove_file(&path).unwrap();
    for error in [open.read_chunk(0).err(), reader(&path, &plan(&inspection)).err()] {
        let error = error.unwrap();
        assert!(matches!(&error, FormatError::Missing { file } if file.ends_with("a.csv")), "{error}");
        assert_eq!(error.code(), lavandin_types::ErrorCode::NotFound);
    }
}

#[test]
fn a_folder_is_no_shard_file() {
    let scratch = Scratch::new();
    let path = scratch.folder.path().join("a.csv");
    fs::create_dir(&path).unwrap();
    assert!(matches!(look(&path, &[]), Err(FormatError::Unreadable { .. })));
}
