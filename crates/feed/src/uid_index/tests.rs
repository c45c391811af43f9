use super::*;
use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float64Array, Int32Array, Int64Array, ListArray, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::Int64Type;
use std::sync::Arc;

fn texts(array: ArrayRef) -> Vec<Option<String>> {
    let uids = UidColumn::new(&array).unwrap();
    let mut text = String::from("what was there");
    let mut row_text = |row| uids.write(row, &mut text).then(|| text.clone());
    let found: Vec<Option<String>> = (0..uids.len()).map(&mut row_text).collect();
    let mut buffer = String::new();
    for (row, text) in found.iter().enumerate() {
        assert_eq!(uids.hash(row, &mut buffer), text.as_deref().map(hash_uid));
    }
    found
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn uids_are_what_python_prints() {
    assert_eq!(
        texts(Arc::new(Int64Array::from(vec![0, -7, i64::MAX]))),
        some(&["0", "-7", "9223372036854775807"])
    );
    assert_eq!(texts(Arc::new(UInt64Array::from(vec![u64::MAX]))), some(&["18446744073709551615"]));
    assert_eq!(
        texts(Arc::new(StringViewArray::from(vec!["a", "é of more than twelve"]))),
        some(&["a", "é of more than twelve"])
    );
    assert_eq!(texts(Arc::new(BooleanArray::from(vec![true, false]))), some(&["True", "False"]));
    let floats = vec![1.0, -0.5, 1e16, 1.5e-7, 123_456_789.125, 1e22, f64::INFINITY, 0.0001];
    let printed = ["1.0", "-0.5", "1e+16", "1.5e-07", "123456789.125", "1e+22", "inf", "0.0001"];
    assert_eq!(texts(Arc::new(Float64Array::from(floats))), some(&printed));
    let bytes: ArrayRef =
        Arc::new(BinaryViewArray::from(vec![b"a'b".as_slice(), b"\x00\xff\n\\", b"'\"", b"~"]));
    assert_eq!(texts(bytes), some(&["b\"a'b\"", "b'\\x00\\xff\\n\\\\'", "b'\\'\"'", "b'~'"]));
    let fixed = FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].into_iter()).unwrap();
    assert_eq!(texts(Arc::new(fixed)), some(&["b'ab'", "b'cd'"]));
    let decimals = Decimal128Array::from(vec![110, -5]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(texts(Arc::new(decimals)), some(&["1.10", "-0.05"]));
}

#[test]
fn times_are_what_python_prints() {
    let micros = vec![1_709_210_096_000_001, 1_709_210_096_000_000];
    let plain = TimestampMicrosecondArray::from(micros.clone());
    assert_eq!(texts(Arc::new(plain)), some(&["2024-02-29 12:34:56.000001", "2024-02-29 12:34:56"]));
    for zone in ["UTC", "Europe/Berlin", "+02:00"] {
        let zoned = TimestampMicrosecondArray::from(micros.clone()).with_timezone(zone);
        let printed = ["2024-02-29 12:34:56.000001+00:00", "2024-02-29 12:34:56+00:00"];
        assert_eq!(texts(Arc::new(zoned)), some(&printed), "{zone}");
    }
    assert_eq!(texts(Arc::new(Date32Array::from(vec![19_782]))), some(&["2024-02-29"]));
}

#[test]
fn null_nan_and_nothing_are_no_uids() {
    assert_eq!(texts(Arc::new(Int32Array::from(vec![None, Some(1)]))), [None, Some("1".to_owned())]);
    assert_eq!(texts(Arc::new(Float64Array::from(vec![f64::NAN]))), [None]);
    assert_eq!(texts(Arc::new(StringViewArray::from(vec![Some(""), None]))), [None, None]);
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]);
    assert!(UidColumn::new(&(Arc::new(lists) as ArrayRef)).is_none());
}

#[test]
fn lengths_of_printed_bytes_are_those_of_the_bytes() {
    for bytes in [b"".as_slice(), b"plain", b"\x00\xff\\'\"\n\t\r", b"'"] {
        assert_eq!(python_bytes_length(&python_bytes(bytes)), Some(bytes.len()));
    }
    for (text, length) in [("", None), ("b", None), ("b'", None), ("b'\\", Some(0)), ("b'\\x0'", None)] {
        assert_eq!(python_bytes_length(text), length, "{text}");
    }
}

fn index_of(chunks: &[ArrayRef]) -> UidIndex {
    let mut builder = UidIndexBuilder::default();
    for chunk in chunks {
        builder.add(&UidColumn::new(chunk).unwrap()).unwrap();
    }
    builder.sort();
    UidIndex::new(builder.finish().into(), "test").unwrap()
}

#[test]
fn every_uid_is_found_where_it_is() {
    let chunks: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values((0..1000).map(|uid| uid * 3))),
        Arc::new(Int64Array::from_iter_values((1000..1500).map(|uid| uid * 3))),
    ];
    let index = index_of(&chunks);
    assert_eq!((index.len(), index.is_empty()), (1500, false));
    for row in 0..1500_u32 {
        assert_eq!(index.rows(&(row * 3).to_string()).collect::<Vec<_>>(), [row]);
        assert_eq!(index.rows(&(row * 3 + 1).to_string()).count(), 0);
    }
    assert!(index_of(&[]).is_empty());
    assert_eq!(index_of(&[]).rows("1").count(), 0);
}

/// Put together by hand after docs/formats/manifest.md.
#[test]
fn the_bytes_are_those_of_the_document() {
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["b", "a"]));
    let mut hashes = [(xxh3_64(b"a"), 1_u32), (xxh3_64(b"b"), 0)];
    hashes.sort_unstable();
    let content = [
        hashes[0].0.to_le_bytes().as_slice(),
        &hashes[1].0.to_le_bytes(),
        &hashes[0].1.to_le_bytes(),
        &hashes[1].1.to_le_bytes(),
    ]
    .concat();
    let mut expected = b"LVNDUID1\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
    expected.extend_from_slice(&xxh3_64(&content).to_le_bytes());
    expected.extend_from_slice(&[0; 24]);
    let header = xxh3_64(&expected);
    expected.extend_from_slice(&header.to_le_bytes());
    expected.extend_from_slice(&content);
    assert_eq!(index_of(&[texts]).bytes, expected);
}

/// A text column finds what an integer column of the same digits has, and the other way round.
#[test]
fn texts_and_integers_of_the_same_digits_meet() {
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["7", "a longer uid than twelve", "-3", "07"]));
    let index = index_of(&[texts]);
    let found = |uid: &str| index.rows(uid).collect::<Vec<_>>();
    assert_eq!((found("7"), found("a longer uid than twelve"), found("-3")), (vec![0], vec![1], vec![2]));
    assert_eq!((found("07"), found("8"), found("")), (vec![3], vec![], vec![]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![-3, 7, 8]));
    let uids = UidColumn::new(&numbers).unwrap();
    let mut text = String::new();
    let mut row = |number: usize| {
        uids.write(number, &mut text);
        found(&text)
    };
    assert_eq!((row(0), row(1), row(2)), (vec![2], vec![0], vec![]));
}

#[test]
fn the_first_row_without_a_uid_is_named() {
    let mut builder = UidIndexBuilder::default();
    let array: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, None]));
    assert_eq!(builder.add(&UidColumn::new(&array).unwrap()), Err(1));
}

#[test]
fn rows_of_one_hash_are_suspects() {
    let mut builder = UidIndexBuilder::default();
    let array: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b", "a", "c", "b", "a"]));
    builder.add(&UidColumn::new(&array).unwrap()).unwrap();
    builder.sort();
    let mut suspects: Vec<Vec<u32>> = builder.suspects().collect();
    suspects.sort();
    assert_eq!(suspects, [vec![0, 2, 5], vec![1, 4]]);
}

#[test]
fn damaged_bytes_are_errors() {
    let bytes = {
        let mut builder = UidIndexBuilder::default();
        let array: ArrayRef = Arc::new(Int64Array::from(vec![5, 6, 7]));
        builder.add(&UidColumn::new(&array).unwrap()).unwrap();
        builder.sort();
        builder.finish()
    };
    assert_eq!(bytes.len(), 64 + 3 * 12);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(UidIndex::new(flipped.into(), "x").is_err(), "bit {bit} of byte {at}");
        }
        assert!(UidIndex::new(Bytes::copy_from_slice(&bytes[..at]), "x").is_err(), "{at} bytes");
    }
    let mut other = bytes;
    other[8] = 2;
    let header = xxh3_64(&other[..HASHED_BYTES]).to_le_bytes();
    other[HASHED_BYTES..HEADER_BYTES].copy_from_slice(&header);
    assert!(matches!(UidIndex::new(other.into(), "x"), Err(UidIndexError::Version { found: 2, .. })));
}
