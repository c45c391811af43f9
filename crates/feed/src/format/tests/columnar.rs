//! Parquet and Arrow files, written by pyarrow and by the Rust writers.

use super::*;
use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Float32Type, Int64Type, TimestampMicrosecondType};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

fn type_lines(name: &str) -> Vec<ColumnSpec> {
    let text = fs::read_to_string(fixture(name)).unwrap();
    text.lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(name, kind)| ColumnSpec::new(name, kind))
        .collect()
}

#[test]
fn arrow_files_of_pyarrow_have_its_types() {
    for name in ["types.arrow", "types.feather", "stream.arrow"] {
        let inspection = look(&fixture(name), &[]).unwrap();
        assert_eq!(inspection.columns, type_lines("types.txt"), "{name}");
        assert_eq!(inspection.rows, 5);
    }
}

#[test]
fn parquet_files_of_pyarrow_have_its_types() {
    let inspection = look(&fixture("types.parquet"), &[]).unwrap();
    for (found, expected) in inspection.columns.iter().zip(type_lines("types_parquet.txt")) {
        // pyarrow names the values of a map after its column here; nothing else does.
        let expected = ColumnSpec::new(expected.name, expected.type_text.replace(" ('attrs')", ""));
        assert_eq!(*found, expected);
    }
    assert_eq!(inspection.chunks.len(), 3);
}

#[test]
fn all_files_of_one_table_hold_the_same() {
    let first = read_all(&fixture("types.arrow"), &look(&fixture("types.arrow"), &[]).unwrap());
    for name in ["types.feather", "stream.arrow", "types.parquet", "types_v2.parquet"] {
        let batch = read_all(&fixture(name), &look(&fixture(name), &[]).unwrap());
        for field in batch.schema_ref().fields() {
            assert_eq!(shown(&batch, field.name()), shown(&first, field.name()), "{name} {}", field.name());
        }
    }
}

#[test]
fn values_of_all_kinds_are_right() {
    let batch = read_all(&fixture("types.parquet"), &look(&fixture("types.parquet"), &[]).unwrap());
    assert_eq!(batch["id"].as_primitive::<Int64Type>().values(), &[10, 11, 12, 13, 14]);
    assert_eq!(batch["ts"].as_primitive::<TimestampMicrosecondType>().value(0), 1_714_979_289_123_456);
    assert_eq!(batch["text"].data_type(), &DataType::Utf8View);
    assert_eq!(batch["kind"].data_type(), &DataType::Utf8View);
    assert_eq!(batch["blob"].data_type(), &DataType::BinaryView);
    assert_eq!(shown(&batch, "price"), ["1.10", "null", "-3.00", "0.01", "null"]);
    assert_eq!(shown(&batch, "tags"), ["[a, null]", "[]", "null", "[a longer tag than twelve]", "[b]"]);
    assert_eq!(shown(&batch, "attrs"), ["{k: 1, l: 2}", "{}", "null", "{m: null}", "{n: 3}"]);
    assert_eq!(shown(&batch, "kind"), ["cat", "dog", "null", "cat", "a kind of more than twelve"]);
    assert_eq!(shown(&batch, "text"), ["one", "", "null", "a text beyond twelve bytes", "ünï"]);
    assert_eq!(shown(&batch, "day"), ["2024-01-02", "null", "1969-12-31", "null", "null"]);
    assert_eq!(shown(&batch, "parts")[3], "[{n: 2, s: null}, null]");
    assert_eq!(shown(&batch, "blobs")[0], format!("[31, {}]", "32".repeat(20)));
    let vectors = batch["vec"].as_fixed_size_list();
    assert_eq!(vectors.value(1).as_primitive::<Float32Type>().values(), &[4.0, 5.0, 6.0]);
    let DataType::List(item) = batch["tags"].data_type() else { panic!() };
    assert_eq!(item.data_type(), &DataType::Utf8View);
}

#[test]
fn only_the_wanted_columns_are_read_in_the_wanted_order() {
    for name in ["types.parquet", "types.arrow"] {
        let declared = specs(&[("text", "int64"), ("id", "whatever")]);
        let inspection = look(&fixture(name), &declared).unwrap();
        assert_eq!(inspection.columns, specs(&[("text", "large_string"), ("id", "int64")]));
        let batch = read_all(&fixture(name), &inspection);
        assert_eq!(batch.num_columns(), 2);
        assert_eq!(batch.schema_ref().field(1).name(), "id");
        let missing = look(&fixture(name), &specs(&[("id", "int64"), ("ix", "int64")]));
        assert!(
            matches!(missing, Err(FormatError::MissingColumn { column, has, .. }) if column == "ix" && has.contains("id"))
        );
    }
}

#[test]
fn a_plan_with_promoted_types_casts() {
    for name in ["types.parquet", "types.arrow"] {
        let mut inspection =
            look(&fixture(name), &specs(&[("id", ""), ("small", ""), ("nothing", "")])).unwrap();
        inspection.columns = specs(&[("id", "double"), ("small", "int64"), ("nothing", "struct<a: string>")]);
        let batch = read_all(&fixture(name), &inspection);
        assert_eq!(shown(&batch, "id")[0], "10.0");
        assert_eq!(shown(&batch, "small"), ["0", "255", "null", "3", "4"]);
        assert_eq!(batch["nothing"].null_count(), 5);
    }
}

fn write_parquet(path: &Path, batch: &RecordBatch, group_rows: usize) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut writer =
        ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn large_row_groups_are_read_in_slices() {
    let scratch = Scratch::new();
    let path = scratch.folder.path().join("large.parquet");
    let rows = 1500;
    let blobs: Vec<Vec<u8>> = (0..rows).map(|row: i64| row.to_le_bytes().repeat(8 << 10)).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let blobs: ArrayRef = Arc::new(BinaryArray::from_iter_values(&blobs));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("name {}", row % 7))));
    let batch = RecordBatch::try_from_iter([("id", ids), ("blob", blobs), ("name", names)]).unwrap();
    write_parquet(&path, &batch, 1 << 20);
    let inspection = look(&path, &[]).unwrap();
    assert!(inspection.chunks.len() >= 2, "{:?}", inspection.chunks);
    let reader = reader(&path, &plan(&inspection)).unwrap();
    let mut before = 0;
    // Backwards: no chunk depends on another.
    for (place, chunk) in reader.chunks().iter().enumerate().rev() {
        let batch = reader.read_chunk(place).unwrap();
        let first = chunk.span as i64;
        assert_eq!(batch["id"].as_primitive::<Int64Type>().value(0), first);
        assert_eq!(batch["name"].as_string_view().value(0), format!("name {}", first % 7));
        let last = batch.num_rows() - 1;
        assert_eq!(batch["blob"].as_binary_view().value(last)[..8], (first + last as i64).to_le_bytes());
        before += batch.num_rows();
    }
    assert_eq!(before, rows as usize);
}

#[test]
fn blobs_are_not_copied_out_of_the_buffer_that_was_read() {
    let scratch = Scratch::new();
    let path = scratch.folder.path().join("blobs.parquet");
    let blobs: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..100_u8).map(|byte| vec![byte; 10_000])));
    let batch = RecordBatch::try_from_iter([("blob", blobs)]).unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let mut writer =
        ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let inspection = look(&path, &[]).unwrap();
    let batch = reader(&path, &plan(&inspection)).unwrap().read_chunk(0).unwrap();
    let array = batch["blob"].as_binary_view();
    assert!(array.data_buffers().len() <= 4);
    assert!(array.data_buffers().iter().map(|buffer| buffer.len()).sum::<usize>() < 1_100_000);
}

#[test]
fn files_without_rows_have_no_chunks() {
    let scratch = Scratch::new();
    let path = |name| scratch.folder.path().join(name);
    let ids: ArrayRef = Arc::new(Int64Array::from(Vec::<i64>::new()));
    let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    write_parquet(&path("empty.parquet"), &batch, 10);
    let schema = batch.schema();
    FileWriter::try_new(fs::File::create(path("file.arrow")).unwrap(), &schema).unwrap().finish().unwrap();
    StreamWriter::try_new(fs::File::create(path("stream.arrow")).unwrap(), &schema)
        .unwrap()
        .finish()
        .unwrap();
    for name in ["empty.parquet", "file.arrow", "stream.arrow"] {
        let inspection = look(&path(name), &[]).unwrap();
        assert_eq!((inspection.rows, inspection.chunks.len()), (0, 0), "{name}");
        assert_eq!(inspection.columns, specs(&[("id", "int64")]), "{name}");
    }
    // Without a byte they are no files of these formats.
    for name in ["none.parquet", "none.arrow"] {
        let error = look(&scratch.file(name, b""), &[]).unwrap_err();
        assert!(matches!(error, FormatError::Truncated { .. } | FormatError::Damaged { .. }), "{error}");
    }
}
