use super::*;
use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, NullArray,
    StringViewArray, UInt64Array,
};
use arrow::datatypes::Int64Type;
use std::sync::Arc;

fn of(arrays: &[ArrayRef], kind: Option<StatisticsKind>) -> Option<ColumnStatistics> {
    let mut observer = ColumnObserver::new(kind, 1);
    arrays.iter().for_each(|array| observer.observe(array, false));
    observer.finish()
}

fn texts(texts: impl IntoIterator<Item = String>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(texts))
}

fn counts(statistics: &ColumnStatistics) -> Vec<(&str, u64)> {
    let ColumnStatistics::Categorical(frequencies) = statistics else { panic!("{statistics:?}") };
    frequencies.counts.iter().map(|(key, count)| (key.as_str(), *count)).collect()
}

fn moments(statistics: ColumnStatistics) -> Moments {
    let ColumnStatistics::Numeric(moments) = statistics else { panic!("{statistics:?}") };
    moments
}

#[test]
fn few_distinct_values_are_counted_under_their_python_texts() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(1280), Some(640), None, Some(640)]));
    let found = of(&[ints], None).unwrap();
    assert_eq!(counts(&found), [("1280", 1), ("640", 2)]);
    let floats: ArrayRef =
        Arc::new(Float64Array::from(vec![0.0, -0.0, 0.001, f64::NAN, 1e16, f64::INFINITY]));
    let found = of(&[floats], None).unwrap();
    assert_eq!(counts(&found), [("0.0", 2), ("0.001", 1), ("1e+16", 1)]);
    let ColumnStatistics::Categorical(found) = found else { panic!() };
    assert_eq!((found.nan_count, found.measured), (2, Measured::Float));
    let bools: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]));
    assert_eq!(counts(&of(&[bools], None).unwrap()), [("True", 2), ("False", 1)]);
    let large: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    assert_eq!(counts(&of(&[large], None).unwrap()), [("18446744073709551615", 1)]);
    let bytes: ArrayRef = Arc::new(BinaryViewArray::from(vec![b"\xff".as_slice(), b"", b"a"]));
    assert_eq!(counts(&of(&[bytes], None).unwrap()), [("b'\\xff'", 1), ("b'a'", 1)]);
}

#[test]
fn the_number_of_distinct_values_decides_the_kind() {
    let ints = |distinct: i64| {
        Arc::new(Int64Array::from_iter_values((0..1000).map(|row| row % distinct))) as ArrayRef
    };
    assert_eq!(of(&[ints(10)], None).unwrap().kind(), StatisticsKind::Categorical);
    assert_eq!(of(&[ints(11)], None).unwrap().kind(), StatisticsKind::Numeric);
    let words = |rows: usize, distinct: usize| texts((0..rows).map(|row| format!("word {}", row % distinct)));
    for (rows, distinct, kind) in [
        (10, 2, StatisticsKind::Categorical),
        (10, 3, StatisticsKind::Numeric),
        (500, 50, StatisticsKind::Categorical),
        (500, 51, StatisticsKind::Numeric),
        (5000, 99, StatisticsKind::Categorical),
        (5000, 100, StatisticsKind::Numeric),
    ] {
        assert_eq!(of(&[words(rows, distinct)], None).unwrap().kind(), kind, "{distinct} of {rows}");
    }
    assert_eq!(of(&[texts(["x".repeat(300)])], None).unwrap().kind(), StatisticsKind::Numeric);
}

#[test]
fn the_kind_of_the_first_file_is_kept_within_bounds() {
    let ints = |distinct: i64| Arc::new(Int64Array::from_iter_values(0..distinct)) as ArrayRef;
    let categorical = Some(StatisticsKind::Categorical);
    assert_eq!(counts(&of(&[ints(100)], categorical).unwrap()).len(), 100);
    assert_eq!(of(&[ints(101)], categorical).unwrap().kind(), StatisticsKind::Numeric);
    assert_eq!(of(&[ints(3)], Some(StatisticsKind::Numeric)).unwrap().kind(), StatisticsKind::Numeric);
    // Nothing but nulls: no decision, but what was decided stays.
    let nulls: ArrayRef = Arc::new(Int64Array::from(vec![None, None]));
    assert_eq!(of(&[Arc::clone(&nulls)], None), None);
    assert_eq!(moments(of(&[nulls], Some(StatisticsKind::Numeric)).unwrap()).nan_count, 2);
}

#[test]
fn texts_lists_and_bytes_are_measured() {
    let found = moments(of(&[texts((0..30).map(|row| "é".repeat(row)))], None).unwrap());
    assert_eq!((found.nan_count, found.count, found.min, found.max, found.sum), (1, 29, 1.0, 29.0, 435.0));
    assert_eq!(found.median, 15.0);
    let lists =
        ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1); 3]), None, Some(vec![])]);
    let found = moments(of(&[Arc::new(lists)], None).unwrap());
    assert_eq!((found.nan_count, found.count, found.sum), (1, 2, 3.0));
    let mut observer = ColumnObserver::new(None, 1);
    observer.add_missing(5);
    observer.observe(&texts(["[1, [2, 3]]".to_owned(), "{}".to_owned()]), true);
    let found = moments(observer.finish().unwrap());
    assert_eq!((found.nan_count, found.min, found.max), (5, 0.0, 2.0));
}

#[test]
fn types_without_a_measure_have_no_statistics() {
    assert_eq!(of(&[Arc::new(Date32Array::from(vec![1, 2])) as ArrayRef], None), None);
    assert_eq!(of(&[Arc::new(NullArray::new(3)) as ArrayRef], None), None);
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    assert_eq!(of(&[Arc::clone(&ints), texts(["x".to_owned()])], None), None);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.5]));
    assert_eq!(counts(&of(&[Arc::clone(&ints), floats, ints], None).unwrap()), [("1.0", 3), ("2.5", 1)]);
}

#[test]
fn far_out_values_have_ranges_of_their_own() {
    let mut values: Vec<f64> = (0..1000).map(f64::from).collect();
    values.push(1e9);
    values.push(-1e9);
    let found = moments(of(&[Arc::new(Float64Array::from(values)) as ArrayRef], None).unwrap());
    let histogram = &found.histogram;
    assert_eq!(histogram.counts.len(), 10);
    assert_eq!((histogram.counts[0], histogram.counts[9]), (1.0, 1.0));
    assert_eq!(histogram.counts.iter().sum::<f64>(), 1002.0);
    assert_eq!((histogram.edges[0], histogram.edges[10]), (-1e9, 1e9));
    assert!(histogram.edges.is_sorted());
    assert_eq!(found.median, 499.5);
    // One value only, and one value with a far-out other.
    let constant = moments(of(&[texts(vec!["x".repeat(38); 10])], Some(StatisticsKind::Numeric)).unwrap());
    assert_eq!(constant.histogram, Histogram { counts: vec![10.0], edges: vec![38.0, 38.0] });
    let mut values = vec![38.0; 9];
    values.push(50.0);
    let array: ArrayRef = Arc::new(Float64Array::from(values));
    let found = moments(of(&[array], Some(StatisticsKind::Numeric)).unwrap());
    assert_eq!(found.histogram, Histogram { counts: vec![9.0, 1.0], edges: vec![38.0, 38.0, 50.0] });
}

#[test]
fn a_large_column_keeps_a_share_of_its_values() {
    let chunks: Vec<ArrayRef> = (0..10)
        .map(|chunk| {
            Arc::new(Int64Array::from_iter_values(chunk * 100_000..(chunk + 1) * 100_000)) as ArrayRef
        })
        .collect();
    let found = moments(of(&chunks, None).unwrap());
    assert_eq!((found.count, found.min, found.max), (1_000_000, 0.0, 999_999.0));
    assert!((found.median - 500_000.0).abs() < 10.0, "{}", found.median);
    assert!((found.histogram.counts.iter().sum::<f64>() - 1e6).abs() < 1e-3);
}

fn merged(files: &[ColumnStatistics]) -> DatasetStatistics {
    merge_statistics(files.iter()).unwrap()
}

#[test]
fn categorical_files_add_up() {
    let file = |values: Vec<i64>| of(&[Arc::new(Int64Array::from(values)) as ArrayRef], None).unwrap();
    let DatasetStatistics::Categorical(sum) = merged(&[file(vec![1, 2, 2]), file(vec![2, 3])]) else {
        panic!()
    };
    assert_eq!(sum.counts, [("1".to_owned(), 1), ("2".to_owned(), 3), ("3".to_owned(), 1)]);
    assert_eq!(merge_statistics([].iter()), None);
}

#[test]
fn more_than_a_hundred_keys_become_a_histogram() {
    let file = |start: i64| {
        let array: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + 10));
        of(&[array], None).unwrap()
    };
    let files: Vec<ColumnStatistics> = (0..10).map(|file_number| file(file_number * 10)).collect();
    let DatasetStatistics::Categorical(sum) = merged(&files) else { panic!() };
    assert_eq!(sum.counts.len(), 100);
    let files: Vec<ColumnStatistics> = (0..11).map(|file_number| file(file_number * 10)).collect();
    let DatasetStatistics::Numeric(summary) = merged(&files) else { panic!() };
    assert_eq!((summary.min, summary.max, summary.mean, summary.median), (0.0, 109.0, 54.5, 54.5));
    assert_eq!(summary.histogram.counts, [11.0; 10]);
    // Texts by their characters, binary by its bytes.
    let words = |start: usize| {
        of(&[texts((start..start + 10).map(|row| format!("{row:03}é")))], Some(StatisticsKind::Categorical))
            .unwrap()
    };
    let files: Vec<ColumnStatistics> = (0..11).map(|file_number| words(file_number * 10)).collect();
    let DatasetStatistics::Numeric(summary) = merged(&files) else { panic!() };
    assert_eq!((summary.min, summary.max, summary.std), (4.0, 4.0, 0.0));
}

#[test]
fn merged_files_are_close_to_the_whole() {
    let values = |seed: u64, rows: usize| -> Vec<f64> {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        // Near to a normal distribution, with some values far out.
        (0..rows)
            .map(|row| if row % 500 == 7 { 1e4 } else { (0..12).map(|_| draw()).sum::<f64>() - 6.0 })
            .collect()
    };
    let all: Vec<Vec<f64>> = (0..50).map(|seed| values(seed, 1000)).collect();
    let file =
        |values: &Vec<f64>| of(&[Arc::new(Float64Array::from(values.clone())) as ArrayRef], None).unwrap();
    let files: Vec<ColumnStatistics> = all.iter().map(file).collect();
    let whole = moments(file(&all.concat()));
    let DatasetStatistics::Numeric(summary) = merged(&files) else { panic!() };
    assert_eq!((summary.min, summary.max), (whole.min, whole.max));
    assert!((summary.mean - whole.sum / 50_000.0).abs() < 1e-9);
    assert!((summary.median - whole.median).abs() < 0.05, "{} {}", summary.median, whole.median);
    assert_eq!(summary.histogram.counts.len(), whole.histogram.counts.len());
    assert!((summary.histogram.counts.iter().sum::<f64>() - 50_000.0).abs() < 1e-3);
    for (place, (one, other)) in summary.histogram.counts.iter().zip(&whole.histogram.counts).enumerate() {
        assert!((one - other).abs() < 1000.0, "range {place}: {one} {other}");
    }
}

#[test]
fn one_file_is_its_dataset() {
    let array: ArrayRef = Arc::new(Int64Array::from_iter_values((0..777).map(|row| row * row)));
    let only = of(&[array], None).unwrap();
    let DatasetStatistics::Numeric(summary) = merged(std::slice::from_ref(&only)) else { panic!() };
    let only = moments(only);
    assert_eq!((summary.median, summary.histogram), (only.median, only.histogram));
}
