use super::*;
use crate::format::{CELLS, CELLS_JSON};
use arrow::array::*;
use arrow::datatypes::{Field, Int32Type, Schema};
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
struct Kept(Vec<(Vec<u8>, &'static str)>);

impl PreviewFiles for Kept {
    fn keep(&mut self, content: &[u8], kind: Magic) -> Option<String> {
        self.0.push((content.to_vec(), kind.extension));
        Some(format!("f{}.{}", self.0.len(), kind.extension))
    }

    fn address(&mut self, location: &str) -> String {
        format!("{location}?signed")
    }
}

fn preview(columns: Vec<(&str, ArrayRef)>, row: usize) -> (String, Kept) {
    preview_of(&RecordBatch::try_from_iter(columns).unwrap(), row)
}

fn preview_of(batch: &RecordBatch, row: usize) -> (String, Kept) {
    let (mut out, mut files) = (Vec::new(), Kept::default());
    preview_row(batch, row, &mut files, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), files)
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

#[test]
fn bytes_are_kept_when_their_kind_is_known() {
    let column: ArrayRef = Arc::new(BinaryViewArray::from(vec![Some(PNG), Some(b"??"), Some(b""), None]));
    let (text, files) = preview(vec![("image", Arc::clone(&column))], 0);
    assert_eq!(text, r#"{"image":"file://f1.png"}"#);
    assert_eq!(files.0, [(PNG.to_vec(), "png")]);
    assert_eq!(preview(vec![("image", Arc::clone(&column))], 1).0, r#"{"image":"<bytes>"}"#);
    assert_eq!(preview(vec![("image", Arc::clone(&column))], 2).0, r#"{"image":""}"#);
    assert_eq!(preview(vec![("image", column)], 3).0, r#"{"image":null}"#);
}

#[test]
fn structs_with_bytes_are_files_and_others_text() {
    let field = |name, kind| Arc::new(Field::new(name, kind, true));
    let paths: ArrayRef = Arc::new(StringArray::from(vec!["a.png", "b"]));
    let image: ArrayRef = Arc::new(StructArray::from(vec![
        (field("bytes", DataType::Binary), Arc::new(BinaryArray::from(vec![PNG, b""])) as ArrayRef),
        (field("path", DataType::Utf8), paths),
    ]));
    assert_eq!(preview(vec![("image", Arc::clone(&image))], 0).0, r#"{"image":"file://f1.png"}"#);
    assert_eq!(preview(vec![("image", image)], 1).0, r#"{"image":"{\"bytes\":\"<bytes>\",\"path\":\"b\"}"}"#);
}

#[test]
fn addresses_are_signed_and_the_rest_is_strict_json() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("url", Arc::new(StringViewArray::from(vec!["s3://bucket/key"]))),
        ("text", Arc::new(StringArray::from(vec!["say \"hi\""]))),
        ("score", Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("n", Arc::new(Int64Array::from(vec![None::<i64>]))),
        ("tag", Arc::new(DictionaryArray::<Int32Type>::from_iter(["x"]))),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<arrow::datatypes::Float32Type, _, _>([Some([
                Some(1.5),
                Some(f32::INFINITY),
                None,
            ])])),
        ),
    ];
    let expected = concat!(
        r#"{"url":"s3://bucket/key?signed","text":"say \"hi\"","score":null,"n":null,"tag":"x","#,
        r#""list":[1.5,null,null]}"#
    );
    assert_eq!(preview(columns, 0).0, expected);
}

#[test]
fn json_cells_are_strict_json_and_dictionaries_text() {
    let metadata = HashMap::from([(CELLS.to_owned(), CELLS_JSON.to_owned())]);
    let field = Field::new("c", DataType::Utf8View, true).with_metadata(metadata);
    let cells = [r#"[NaN,-Infinity,"NaN \" Infinity"]"#, r#"{"k":NaN}"#, r#""s3://not/asked""#];
    let array: ArrayRef = Arc::new(StringViewArray::from(cells.to_vec()));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap();
    let text = |row| preview_of(&batch, row).0;
    assert_eq!(text(0), r#"{"c":[null,null,"NaN \" Infinity"]}"#);
    assert_eq!(text(1), r#"{"c":"{\"k\":null}"}"#);
    assert_eq!(text(2), r#"{"c":"s3://not/asked"}"#);
}
