use super::*;
use crate::rows::NullAs;
use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};

fn cells(text: &str, declared: &[(&str, &str)]) -> Result<(Inspection, RecordBatch), FormatError> {
    let scratch = Scratch::new();
    let path = scratch.file("a.csv", text);
    let inspection = look(&path, &specs(declared))?;
    let batch = read_all(&path, &inspection);
    Ok((inspection, batch))
}

#[test]
fn undeclared_columns_are_text() {
    let (inspection, batch) =
        cells("id,x,y\n1,,\"a \"\"q\"\", b\"\n2,é,\"two\nlines, longer than twelve\"\n", &[]).unwrap();
    assert_eq!(inspection.columns, specs(&[("id", "string"), ("x", "string"), ("y", "string")]));
    assert_eq!(shown(&batch, "id"), ["1", "2"]);
    assert_eq!(shown(&batch, "x"), ["", "é"]);
    assert_eq!(shown(&batch, "y"), ["a \"q\", b", "two\nlines, longer than twelve"]);
}

#[test]
fn declared_words_cast_cells() {
    let text =
        "i,f,s,b,o,x\n1,1.5,a,true,,raw\n,,,,b'\\x00\\xff',\n-3, nan ,b,no,b'',r\n1_000,-inf,c, YES ,'t',w\n";
    let declared =
        [("i", "int32"), ("f", "float"), ("s", "text"), ("b", "bool"), ("o", "binary"), ("x", "date")];
    let (inspection, batch) = cells(text, &declared).unwrap();
    assert_eq!(inspection.columns, specs(&declared));
    let schema = batch.schema();
    let nulls: Vec<NullAs> = schema.fields().iter().map(|field| NullAs::of_field(field)).collect();
    assert_eq!((nulls[0], &nulls[1..]), (NullAs::Nan, [NullAs::None; 5].as_slice()));
    let ints = batch["i"].as_primitive::<Int64Type>();
    assert_eq!(ints.iter().collect::<Vec<_>>(), [Some(1), None, Some(-3), Some(1000)]);
    let floats = batch["f"].as_primitive::<Float64Type>().values();
    assert_eq!(floats[0], 1.5);
    assert!(floats[1].is_nan() && floats[2].is_nan());
    assert_eq!(floats[3], f64::NEG_INFINITY);
    assert_eq!(shown(&batch, "b"), ["true", "false", "false", "true"]);
    assert_eq!(shown(&batch, "o"), ["", "00ff", "", "74"]);
    assert_eq!(shown(&batch, "x"), ["raw", "", "r", "w"]);
}

#[test]
fn literals_of_one_shape_are_typed() {
    let text = "l,m,n\n\"[1, 2]\",\"{'a': 1, 'b': [True]}\",\"[('x', ), []]\"\n,\"{'b': None, 'a': 2.5}\",\n\"(3,)\",None,[None]\n";
    let (inspection, batch) = cells(text, &[("l", "list"), ("m", "map"), ("n", "list")]).unwrap();
    let types = [
        ("l", "list<item: int64>"),
        ("m", "struct<a: double, b: list<item: bool>>"),
        ("n", "list<item: list<item: string>>"),
    ];
    assert_eq!(inspection.columns, specs(&types));
    assert_eq!(shown(&batch, "l"), ["[1, 2]", "[]", "[3]"]);
    assert_eq!(shown(&batch, "m"), ["{a: 1.0, b: [true]}", "{a: 2.5, b: null}", "null"]);
    assert_eq!(shown(&batch, "n"), ["[[x], []]", "[]", "[null]"]);
}

#[test]
fn literals_of_differing_shapes_are_json() {
    let text = "l,m\n\"[1, 'a', None]\",\"{'a': 1}\"\n\"[b'\\xff', 1e400]\",\n,\"{1: (2, 3), 'k\\u00e9': 'x\"\"y'}\"\n";
    let (inspection, batch) = cells(text, &[("l", "list"), ("m", "map")]).unwrap();
    assert_eq!(inspection.columns, specs(&[("l", "list"), ("m", "map")]));
    assert!(batch.schema().fields().iter().all(|field| cells_are_json(field)));
    assert_eq!(shown(&batch, "l"), ["[1,\"a\",null]", "[\"ÿ\",Infinity]", "[]"]);
    assert_eq!(shown(&batch, "m"), ["{\"a\":1}", "{}", "{\"1\":[2,3],\"ké\":\"x\\\"y\"}"]);
}

#[test]
fn a_column_of_empty_lists_takes_the_type_of_another_file() {
    let (inspection, _) = cells("l,k\n,1\n", &[("l", "list"), ("k", "int")]).unwrap();
    let mut settled = inspection.columns;
    assert_eq!(settled[0].type_text, "list<item: null>");
    merge_columns(Format::Csv, &mut settled, &specs(&[("l", "list<item: string>"), ("k", "int")]), "b")
        .unwrap();
    assert_eq!(settled, specs(&[("l", "list<item: string>"), ("k", "int")]));
}

#[test]
fn settled_types_read_other_files_of_the_set() {
    let scratch = Scratch::new();
    let path = scratch.file("a.csv", "l\n[1]\n\n\"[2, 3]\"\n");
    let mut inspection = look(&path, &specs(&[("l", "list")])).unwrap();
    assert_eq!(inspection.rows, 2);
    inspection.columns = specs(&[("l", "list<item: double>")]);
    assert_eq!(shown(&read_all(&path, &inspection), "l"), ["[1.0]", "[2.0, 3.0]"]);
    inspection.columns = specs(&[("l", "list")]);
    assert_eq!(shown(&read_all(&path, &inspection), "l"), ["[1]", "[2,3]"]);
    inspection.columns = specs(&[("l", "list<item: string>")]);
    assert!(matches!(
        reader(&path, &plan(&inspection)).unwrap().read_chunk(0),
        Err(FormatError::Changed { .. })
    ));
}

#[test]
fn what_is_wrong_is_named_by_line() {
    for (text, declared, line, part) in [
        ("a,b\n1,2\n3\n", "string", "line 3", "1 cells"),
        ("a,b\r\n1,2\r\n3,4,5\r\n", "string", "line 3", "more cells"),
        ("a,b\n1,2\n3,\"x\n5,6\n", "string", "line 3", "quote"),
        ("a,b\n1,2\n\n\nx,4\n", "int", "line 5", "integer"),
        ("a,b\r\n\"1\r\n\",2\r\nx,4\r\n", "int", "line 4", "\"x\""),
        ("a,b\n1.5,2\n", "int", "line 2", "1.5"),
        ("a,b\n1,2\none,2\n", "float", "line 3", "number"),
        ("a,b\n\"[1, 2\",2\n", "list", "line 2", "literal"),
        ("a,b\n3,2\n", "binary", "line 2", "bytes"),
        ("a,a\n1,2\n", "string", "line 1", "twice"),
    ] {
        let error = cells(text, &[("a", declared), ("b", "string")]).unwrap_err().to_string();
        assert!(error.contains(line) && error.contains(part) && error.contains("a.csv"), "{text:?}: {error}");
    }
    let scratch = Scratch::new();
    let error = look(&scratch.file("a.csv", b"a,b\n1,2\n3,\xff\xfe\n"), &[]).unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("UTF-8"), "{error}");
    // Bytes of one character in two cells are two cells that are no UTF-8.
    let error = look(&scratch.file("b.csv", b"a,b\n\xc3,\xa9\n"), &[]).unwrap_err();
    assert!(matches!(error, FormatError::BadLine { line: 2, .. }), "{error}");
    for text in ["", "\n\n", "a,\"b\n1,2\n"] {
        assert!(
            matches!(look(&scratch.file("c.csv", text), &[]), Err(FormatError::Truncated { .. })),
            "{text:?}"
        );
    }
    assert!(matches!(cells("a\n1\n", &[("z", "int")]), Err(FormatError::MissingColumn { .. })));
}

#[test]
fn line_breaks_byte_order_marks_and_last_lines_of_all_kinds_are_read() {
    for text in [
        "a,b\n1,2\n3,4\n",
        "a,b\r\n1,2\r\n3,4\r\n",
        "\u{feff}a,b\n1,2\n\n3,4",
        "a,b\r1,2\r3,4\r",
        "a,b\n1,2\n3,4\n\n\n",
    ] {
        let (inspection, batch) = cells(text, &[("a", "int"), ("b", "int")]).unwrap();
        assert_eq!(inspection.rows, 2, "{text:?}");
        assert_eq!(shown(&batch, "b"), ["2", "4"], "{text:?}");
    }
    let (inspection, _) = cells("a,b", &[]).unwrap();
    assert_eq!(inspection.rows, 0);
    assert_eq!(inspection.columns.len(), 2);
}

#[test]
fn many_rows_are_cut_into_chunks_that_are_read_alone() {
    let rows = 150_000;
    let mut text = String::from("id,note\r\n");
    for row in 0..rows {
        text.push_str(&format!("{row},\"note, \"\"{row}\"\"\"\r\n"));
    }
    let scratch = Scratch::new();
    let path = scratch.file("many.csv", &text);
    let inspection = look(&path, &specs(&[("note", "string"), ("id", "int64")])).unwrap();
    assert_eq!(inspection.rows, rows);
    assert_eq!(
        inspection.chunks.iter().map(|chunk| chunk.rows).collect::<Vec<_>>(),
        [65_536, 65_536, 18_928]
    );
    let reader = reader(&path, &plan(&inspection)).unwrap();
    for (chunk, first) in [(2, 131_072), (0, 0), (1, 65_536)] {
        let batch = reader.read_chunk(chunk).unwrap();
        assert_eq!(batch["id"].as_primitive::<Int64Type>().value(0), first);
        assert_eq!(batch["note"].as_string_view().value(0), format!("note, \"{first}\""));
    }
}

#[test]
fn large_records_make_chunks_by_size() {
    let mut text = String::from("id,blob\n");
    for row in 0..40 {
        text.push_str(&format!("{row},{}\n", "x".repeat(2 << 20)));
    }
    let scratch = Scratch::new();
    let path = scratch.file("large.csv", &text);
    let inspection = look(&path, &[]).unwrap();
    assert_eq!(inspection.rows, 40);
    assert_eq!(inspection.chunks.len(), 3, "{:?}", inspection.chunks);
    assert_eq!(shown(&read_all(&path, &inspection), "id")[39], "39");
}
