use super::*;

fn rows(text: &str) -> Result<VectorRows, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn rows_of_one_dimension_are_read_in_order() {
    let all = rows("[[1,2.5],[-3,4e2]]").unwrap();
    assert_eq!((all.rows, all.dim), (2, 2));
    assert_eq!(all.numbers, [1.0, 2.5, -3.0, 400.0]);
    let bytes = all.into_le_bytes();
    assert_eq!(&bytes[..8], [0, 0, 128, 63, 0, 0, 32, 64]);
}

#[test]
fn a_float_widened_to_64_bits_comes_back_exactly() {
    let mut state = 7u64;
    for _ in 0..10_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let number = f32::from_bits((state >> 33) as u32);
        if number.is_finite() {
            let wide = format!("[[{:?}]]", f64::from(number));
            assert_eq!(rows(&wide).unwrap().numbers[0].to_bits(), number.to_bits(), "{wide}");
            let narrow = format!("[[{number:?}]]");
            assert_eq!(rows(&narrow).unwrap().numbers[0].to_bits(), number.to_bits(), "{narrow}");
        }
    }
}

#[test]
fn wrong_rows_are_refused_in_words() {
    for (text, words) in [
        ("[[1,2],[3]]", "dimension mismatch: expected 2 as in vector 0, got 1 in vector 1"),
        ("[[1,null]]", "NaN and infinity"),
        ("[[1,1e39]]", "number out of range"),
        ("[[1,1e999]]", "number out of range"),
        ("[[\"1\"]]", "expected a finite number"),
        ("[[true]]", "expected a finite number"),
        ("[1,2]", "expected a vector"),
        ("{}", "expected a list of vectors"),
        ("[[NaN]]", "expected value"),
    ] {
        let message = rows(text).unwrap_err();
        assert!(message.contains(words), "{text}: {message}");
    }
}
