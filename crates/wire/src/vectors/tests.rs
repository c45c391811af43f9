use super::*;

fn rows(text: &str) -> Result<VectorRows, String> {
    VectorRows::read(&mut Cursor::new(text.as_bytes())).map_err(|error| error.to_string())
}

#[test]
fn rows_of_one_dimension_are_read_in_order() {
    let all = rows(" [ [1,2.5] , [-3 , 4e2 ] ] ").unwrap();
    assert_eq!((all.rows, all.dim), (2, 2));
    assert_eq!(all.numbers, [1.0, 2.5, -3.0, 400.0]);
    let bytes = all.into_le_bytes();
    assert_eq!(&bytes[..8], [0, 0, 128, 63, 0, 0, 32, 64]);
    assert_eq!(rows("[]").unwrap(), VectorRows::default());
    assert_eq!(rows("[[],[]]").unwrap().rows, 2);
}

#[test]
fn wrong_rows_are_refused_in_words() {
    for (text, words) in [
        ("[[1,2],[3]]", "dimension mismatch: expected 2 as in vector 0, got 1 in vector 1"),
        ("[[1,null]]", "invalid type: null, expected a finite number (NaN and infinity have no JSON form"),
        ("[[1,1e39]]", "number out of range of 32-bit floats (line 1, column 5 of the body)"),
        ("[[1,1e999]]", "number out of range"),
        ("[[\"1\"]]", "invalid type: a string, expected a finite number"),
        ("[[true]]", "invalid type: a boolean, expected a finite number"),
        ("[[[1]]]", "invalid type: a list, expected a finite number"),
        ("[1,2]", "invalid type: a number, expected a vector: a list of finite numbers"),
        ("{}", "invalid type: an object, expected a list of vectors"),
        ("[[NaN]]", "malformed JSON at line 1, column 3: expected value"),
        ("[[1,\n01]]", "malformed JSON at line 2, column 2: invalid number"),
        ("[[1,]]", "malformed JSON at line 1, column 5: expected value"),
        ("[[1 2]]", "malformed JSON at line 1, column 5: expected `,` or `]`"),
        ("[[1,2", "malformed JSON at line 1, column 5: EOF while parsing a list"),
        ("[[1,2]", "malformed JSON at line 1, column 6: EOF while parsing a list"),
    ] {
        let message = rows(text).unwrap_err();
        assert!(message.contains(words), "{text}: {message}");
    }
}
