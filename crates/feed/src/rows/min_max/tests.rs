use super::*;
use arrow::array::*;

fn kept(column: &dyn Array, null: NullAs, min: Option<f64>, max: Option<f64>) -> Vec<usize> {
    filter_min_max(column, null, MinMax { min, max }).set_indices().collect()
}

#[test]
fn bounds_are_outside() {
    let column = Int64Array::from_iter_values(8..18);
    assert_eq!(kept(&column, NullAs::None, Some(10.0), Some(14.0)), [3, 4, 5]);
    assert_eq!(kept(&column, NullAs::None, None, Some(10.0)), [0, 1]);
    assert_eq!(kept(&column, NullAs::None, Some(16.5), None), [9]);
    assert_eq!(kept(&column, NullAs::None, None, None).len(), 10);
    assert_eq!(kept(&column.slice(2, 3), NullAs::None, Some(10.0), None), [1, 2]);
}

#[test]
fn nan_is_beyond_no_bound_and_null_is_no_number() {
    let column = Float64Array::from(vec![Some(f64::NAN), None, Some(f64::INFINITY), Some(1.0)]);
    assert_eq!(kept(&column, NullAs::None, Some(0.0), Some(2.0)), [0, 3]);
    assert_eq!(kept(&column, NullAs::Nan, Some(0.0), Some(2.0)), [0, 1, 3]);
    let integers = Int32Array::from(vec![None, Some(1), Some(5)]);
    assert_eq!(kept(&integers, NullAs::Nan, Some(0.0), Some(2.0)), [0, 1]);
    assert_eq!(kept(&integers, NullAs::None, None, None), [1, 2]);
}

/// Each outcome was checked against Python's `float()`.
#[test]
fn text_counts_if_python_reads_a_number() {
    let numbers = [
        " 1 ",
        "1.",
        ".5",
        "+1e0",
        "1_0",
        "1_0.0_1",
        "1e1_0",
        "nan",
        "-Infinity",
        "iNf",
        "\u{2003}1\u{a0}",
        "\n1",
        "\x1f1\x1c",
    ];
    let others =
        ["", " ", "x", "1 0", "_1", "1_", "1__0", "1_.0", "0x10", "1e", "++1", "1,0", "infi", "n an"];
    for text in numbers {
        assert_eq!(kept(&StringViewArray::from(vec![text]), NullAs::None, None, None), [0], "{text:?}");
    }
    for text in others {
        assert!(kept(&StringArray::from(vec![text]), NullAs::None, None, None).is_empty(), "{text:?}");
    }
    let bytes: Vec<&[u8]> = vec![b"1.5", b" 2 ", b"\xff", "\u{a0}1".as_bytes(), b""];
    assert_eq!(kept(&BinaryArray::from(bytes), NullAs::None, Some(1.5), None), [1]);
    let absent = StringArray::from(vec![None, Some("3")]);
    assert_eq!(kept(&absent, NullAs::Text, None, None), [1], "the empty text is no number");
}

#[test]
fn booleans_decimals_and_dictionaries_count_and_times_do_not() {
    assert_eq!(kept(&BooleanArray::from(vec![true, false]), NullAs::None, Some(0.5), None), [0]);
    let decimals = Decimal128Array::from(vec![150, 250, -50]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(kept(&decimals, NullAs::None, Some(0.0), Some(2.0)), [0]);
    let dictionary = DictionaryArray::<Int8Type>::from_iter([Some("1"), Some("x"), None, Some("3")]);
    assert_eq!(kept(&dictionary, NullAs::None, Some(1.0), None), [3]);
    assert!(kept(&Date32Array::from(vec![1]), NullAs::None, None, None).is_empty());
    assert!(kept(&TimestampSecondArray::from(vec![1]), NullAs::None, None, None).is_empty());
    assert!(kept(&NullArray::new(2), NullAs::None, None, None).is_empty());
    assert_eq!(kept(&UInt64Array::from(vec![u64::MAX]), NullAs::None, Some(1e19), None), [0]);
}
