use super::*;

fn rows(text: &str, declared: &[(&str, &str)]) -> Result<(Inspection, RecordBatch), FormatError> {
    let scratch = Scratch::new();
    let path = scratch.file("a.jsonl", text);
    let inspection = look(&path, &specs(declared))?;
    let batch = read_all(&path, &inspection);
    Ok((inspection, batch))
}

#[test]
fn types_are_found_over_the_whole_file() {
    let text = concat!(
        "{\"id\": 1, \"x\": 1, \"s\": \"a\", \"l\": [], \"o\": {\"k\": 1}, \"n\": null}\n\n",
        "{\"id\": 2, \"x\": 2.5, \"l\": [\"long enough to have a buffer\"], \"o\": {\"j\": [true]}, \"late\": false}  \r\n",
        "{\"s\": null, \"id\": 3}",
    );
    let (inspection, batch) = rows(text, &[]).unwrap();
    let types = [
        ("id", "int64"),
        ("x", "double"),
        ("s", "string"),
        ("l", "list<item: string>"),
        ("o", "struct<k: int64, j: list<item: bool>>"),
        ("n", "null"),
        ("late", "bool"),
    ];
    assert_eq!(inspection.columns, specs(&types));
    assert_eq!(inspection.rows, 3);
    assert_eq!(shown(&batch, "x"), ["1.0", "2.5", "null"]);
    assert_eq!(shown(&batch, "l"), ["[]", "[long enough to have a buffer]", "null"]);
    assert_eq!(shown(&batch, "o"), ["{k: 1, j: null}", "{k: null, j: [true]}", "null"]);
    assert_eq!(shown(&batch, "late"), ["null", "false", "null"]);
}

#[test]
fn declared_types_win() {
    let text = "{\"a\": 1, \"b\": \"2024-01-02T03:04:05Z\", \"c\": 18446744073709551615, \"d\": \"é\", \"e\": 1.10, \
         \"f\": [\"2024-01-02T03:04:05+01:00\"]}\n";
    let declared = [
        ("a", "float"),
        ("b", "timestamp[us, tz=UTC]"),
        ("c", "uint64"),
        ("d", "binary"),
        ("e", "decimal128(10, 2)"),
        ("f", "list<item: timestamp[s, tz=Etc/UTC]>"),
        ("z", "int"),
    ];
    let (inspection, batch) = rows(text, &declared).unwrap();
    assert_eq!(inspection.columns[0].type_text, "double");
    assert_eq!(inspection.columns[6].type_text, "int64");
    assert_eq!(shown(&batch, "a"), ["1.0"]);
    assert_eq!(shown(&batch, "b"), ["2024-01-02T03:04:05Z"]);
    assert_eq!(shown(&batch, "c"), ["18446744073709551615"]);
    assert_eq!(shown(&batch, "d"), ["c3a9"]);
    assert_eq!(shown(&batch, "e"), ["1.10"]);
    assert_eq!(inspection.columns[5].type_text, "list<item: timestamp[s, tz=Etc/UTC]>");
    assert_eq!(shown(&batch, "f"), ["[2024-01-02T02:04:05Z]"]);
    assert_eq!(shown(&batch, "z"), ["null"]);
    assert!(matches!(rows(text, &[("a", "nonsense")]), Err(FormatError::Unsupported { .. })));
}

#[test]
fn values_of_differing_inner_shapes_are_json() {
    let text = "{\"a\": [1, \"x\"], \"b\": 1, \"c\": {}}\n{\"a\": {\"k\": 1}, \"b\": \"t\"}\n";
    let (inspection, batch) = rows(text, &[("a", "json"), ("b", "json"), ("c", "map")]).unwrap();
    assert_eq!(inspection.columns, specs(&[("a", "json"), ("b", "json"), ("c", "json")]));
    assert_eq!(shown(&batch, "a"), ["[1,\"x\"]", "{\"k\":1}"]);
    assert_eq!(shown(&batch, "b"), ["1", "\"t\""]);
    assert_eq!(shown(&batch, "c"), ["{}", "null"]);
    let (inspection, batch) = rows("{\"a\": [1, {\"deep\": \"one\"}]}\n{\"a\": []}\n", &[]).unwrap();
    assert_eq!(inspection.columns, specs(&[("a", "json")]));
    assert_eq!(shown(&batch, "a"), ["[1,{\"deep\":\"one\"}]", "[]"]);
}

#[test]
fn what_is_wrong_is_named_by_line() {
    for (text, declared, line, part) in [
        ("{\"a\": 1}\n{\"a\": \n", "", 2, "EOF"),
        ("{\"a\": 1}\n\n[1]\n", "", 3, "object"),
        ("{\"a\": 1}\n{\"a\": 2} {\"a\": 3}\n", "", 2, "trailing"),
        ("{\"a\": 1}\n{\"a\": NaN}\n", "", 2, "expected"),
        ("{\"a\": 1}\n{\"a\": \"x\"}\n", "", 2, "int64"),
        ("{\"a\": {}}\n{\"a\": 1}\n", "", 2, "json"),
        ("{\"a\": 1}\n{\"a\": 1.5}\n", "int64", 2, "int64"),
        ("{\"a\": 1}\n{\"a\": \"1\"}\n", "int", 2, "int64"),
        ("{\"a\": 300}\n", "int8", 1, "Int8"),
        ("{\"a\": \"now\"}\n", "timestamp[s]", 1, "now"),
        ("{\"a\": 18446744073709551615}\n", "", 1, "uint64"),
        ("{\"a\": \"\u{fffd}\"}\n{\"a\": \"\\ud800\"}", "", 2, "hex escape"),
    ] {
        let declared: Vec<(&str, &str)> = if declared.is_empty() { vec![] } else { vec![("a", declared)] };
        let error = rows(text, &declared).unwrap_err();
        let FormatError::BadLine { file, line: found, detail } = &error else { panic!("{text}: {error}") };
        assert!(file.ends_with("a.jsonl") && *found == line && detail.contains(part), "{text}: {error}");
    }
    let scratch = Scratch::new();
    assert!(matches!(
        look(&scratch.file("a.jsonl", b"{\"a\": \"\xff\"}\n"), &[]),
        Err(FormatError::BadLine { .. })
    ));
}

#[test]
fn deep_values_are_errors_not_overflows() {
    let deep = format!("{{\"a\": {}1{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(rows(&deep, &[]), Err(FormatError::BadLine { .. })));
    let forty = format!("{{\"a\": {}1{}}}\n", "[".repeat(40), "]".repeat(40));
    assert_eq!(rows(&forty, &[]).unwrap().0.columns, specs(&[("a", "json")]));
}

#[test]
fn many_rows_are_cut_into_chunks() {
    let mut text = String::new();
    for row in 0..100_000 {
        // The type of `x` widens in the second chunk, and `late` appears there.
        let x = if row < 80_000 { row.to_string() } else { format!("{row}.5, \"late\": 1") };
        text.push_str(&format!("{{\"id\": \"{row}\", \"x\": {x}}}\n"));
    }
    let scratch = Scratch::new();
    let path = scratch.file("many.jsonl", &text);
    let inspection = look(&path, &[]).unwrap();
    assert_eq!(inspection.columns, specs(&[("id", "string"), ("x", "double"), ("late", "int64")]));
    assert_eq!(inspection.chunks.len(), 2);
    let batch = read_all(&path, &inspection);
    assert_eq!(shown(&batch, "x")[79_999..80_001], ["79999.0", "80000.5"]);
    assert_eq!(shown(&batch, "id")[99_999], "99999");
}

#[test]
fn a_file_without_lines_has_no_columns() {
    assert_eq!(rows("\n \n", &[]).unwrap().0.rows, 0);
    assert_eq!(rows("", &[("a", "int64")]).unwrap().0.columns, specs(&[("a", "int64")]));
}
