use super::*;
use crate::format::{CELLS, CELLS_JSON};
use crate::rows::NullAs;
use arrow::array::*;
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

const JSON: Layout = Layout { single: false, lists: ListForm::Json };

fn field(name: &str, kind: DataType) -> FieldRef {
    Arc::new(Field::new(name, kind, true))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// Encodes one column as a batch and reads it back.
fn column(array: &dyn Array, null: NullAs, layout: Layout) -> Value {
    let field = null.mark(Field::new("c", array.data_type().clone(), true));
    field_column(&field, array, layout)
}

/// As `column`, of a field with metadata.
fn field_column(field: &Field, array: &dyn Array, layout: Layout) -> Value {
    let sources = [("c", Source::Column { field, array })];
    let encoded = encode(&sources, Tail { indices: &[], current: 0 }, layout).unwrap();
    decode(&encoded.concat().into()).unwrap().get("c").unwrap().clone()
}

/// Checks the values of a column in every layout, whole and sliced.
fn check(array: ArrayRef, values: Vec<Value>) {
    assert_eq!(array.len(), values.len());
    for layout in [Layout::default(), JSON] {
        assert_eq!(
            column(&array, NullAs::None, layout),
            Value::List(values.clone()),
            "{}",
            array.data_type()
        );
        let sliced = array.slice(1, array.len() - 1);
        assert_eq!(column(&sliced, NullAs::None, layout), Value::List(values[1..].to_vec()));
        for (row, value) in values.iter().enumerate() {
            let single = column(&array.slice(row, 1), NullAs::None, Layout { single: true, ..layout });
            assert_eq!(&single, value, "{} row {row}", array.data_type());
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn bytes(bytes: &'static [u8]) -> Value {
    Value::Bytes(Bytes::from_static(bytes))
}

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

fn dict(entries: &[(&str, Value)]) -> Value {
    Value::Dict(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

fn recorded_batch() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), Some(vec![])]);
    let inner = StructArray::from(vec![
        (field("k", DataType::Int64), Arc::new(Int64Array::from(vec![Some(-1), None])) as ArrayRef),
        (field("b", DataType::Binary), Arc::new(BinaryArray::from_iter_values([&b"x"[..], b""]))),
    ]);
    batch(vec![
        ("id", Arc::new(Int64Array::from(vec![7, 8]))),
        ("name", Arc::new(StringViewArray::from(vec!["a", "b c"]))),
        ("x", Arc::new(Float64Array::from(vec![0.5, f64::NAN]))),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("blob", Arc::new(BinaryViewArray::from_iter_values([&b"\x00\xff"[..], b""]))),
        ("list", Arc::new(list)),
        ("struct", Arc::new(inner)),
        ("none", Arc::new(NullArray::new(2))),
    ])
}

/// The same values, serialised by the original server.
#[test]
fn bytes_are_those_of_the_original() {
    let whole =
        encode_batch(&recorded_batch(), Tail { indices: &[70, 80], current: 3 }, Layout::default()).unwrap();
    let expected = concat!(
        "000000665b226964222c226e616d65222c2278222c226f6b222c22626c6f62222c226c697374222c22737472756374222c22",
        "6e6f6e65222c225f6c6176656e6465725f646174615f696e6469636573222c225f6c6176656e6465725f646174615f637572",
        "72656e74225d7361000000106c73000000036a7337000000036a7338000000166c73000000056a73226122000000076a7322",
        "62206322000000146c73000000056a73302e35000000056a734e614e000000166c73000000066a7374727565000000066a73",
        "6e756c6c000000106c7300000004627900ff0000000262790000001f6c73000000136c73000000036a7331000000066a736e",
        "756c6c000000026c73000000416c730000001b6469000000016b000000046a732d310000000162000000036279780000001c",
        "6469000000016b000000066a736e756c6c0000000162000000026279000000166c73000000066a736e756c6c000000066a73",
        "6e756c6c000000126c73000000046a733730000000046a733830000000036a7333",
    );
    assert_eq!(hex(&whole.concat()), expected);

    let layout = Layout { single: true, lists: ListForm::Items };
    let first = recorded_batch().slice(0, 1);
    let single = encode_batch(&first, Tail { indices: &[70], current: 4 }, layout).unwrap();
    let expected = concat!(
        "000000665b226964222c226e616d65222c2278222c226f6b222c22626c6f62222c226c697374222c22737472756374222c22",
        "6e6f6e65222c225f6c6176656e6465725f646174615f696e6469636573222c225f6c6176656e6465725f646174615f637572",
        "72656e74225d7361000000036a7337000000056a73226122000000056a73302e35000000066a737472756500000004627900",
        "ff000000136c73000000036a7331000000066a736e756c6c0000001b6469000000016b000000046a732d3100000001620000",
        "0003627978000000066a736e756c6c0000000a6c73000000046a733730000000036a7334",
    );
    assert_eq!(hex(&single.concat()), expected);
}

/// The example of the format's description: 7 and [1, 2].
#[test]
fn the_documented_sample() {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), Some(2)])]);
    let batch = batch(vec![("id", Arc::new(Int64Array::from(vec![7]))), ("x", Arc::new(list))]);
    let layout = Layout { single: true, lists: ListForm::Items };
    let encoded = encode_batch(&batch, Tail { indices: &[7], current: 0 }, layout).unwrap().concat();
    assert_eq!(&encoded[..4], [0, 0, 0, 0x3c]);
    assert_eq!(
        hex(&encoded[64..]),
        "7361000000036a7337000000106c73000000036a7331000000036a7332000000096c73000000036a7337000000036a7330"
    );
    let layout = Layout { single: true, lists: ListForm::Json };
    let json = encode_batch(&batch, Tail { indices: &[7], current: 0 }, layout).unwrap().concat();
    assert_eq!(hex(&json[64..84]), "7361000000036a7337000000076a735b312c325d");
}

#[test]
fn numbers_of_every_width() {
    let ints = |values: [i64; 3]| values.map(Value::Int).to_vec();
    check(Arc::new(Int8Array::from(vec![-128, 0, 127])), ints([-128, 0, 127]));
    check(Arc::new(Int16Array::from(vec![-1, 0, 300])), ints([-1, 0, 300]));
    check(Arc::new(Int32Array::from(vec![i32::MIN, 0, 1])), ints([i64::from(i32::MIN), 0, 1]));
    check(Arc::new(Int64Array::from(vec![i64::MIN, 0, i64::MAX])), ints([i64::MIN, 0, i64::MAX]));
    check(Arc::new(UInt8Array::from(vec![0, 1, 255])), ints([0, 1, 255]));
    check(Arc::new(UInt16Array::from(vec![0, 1, 65_535])), ints([0, 1, 65_535]));
    check(Arc::new(UInt32Array::from(vec![0, 1, u32::MAX])), ints([0, 1, i64::from(u32::MAX)]));
    check(Arc::new(UInt64Array::from(vec![1, u64::MAX])), vec![Value::Int(1), Value::Uint(u64::MAX)]);
    // Widened as Python widens them, not shortened to their own fewest digits.
    let halves = cast(&Float64Array::from(vec![0.1, -2.0]), &DataType::Float16).unwrap();
    check(halves, vec![Value::Float(0.0999755859375), Value::Float(-2.0)]);
    let singles = Float32Array::from(vec![0.1, 3.0]);
    check(Arc::new(singles), vec![Value::Float(0.10000000149011612), Value::Float(3.0)]);
    let decimals =
        Decimal128Array::from(vec![Some(-150), None, Some(5)]).with_precision_and_scale(10, 2).unwrap();
    check(Arc::new(decimals), vec![text("-1.50"), Value::Null, text("0.05")]);
}

#[test]
fn text_bytes_and_times() {
    let big: &'static [u8] = Box::leak(vec![9_u8; 20_000].into_boxed_slice());
    let binary = BinaryArray::from(vec![Some(&b"\0\xff"[..]), None, Some(big), Some(b"")]);
    let values = vec![bytes(b"\0\xff"), Value::Null, bytes(big), bytes(b"")];
    for kind in [DataType::LargeBinary, DataType::BinaryView] {
        check(cast(&binary, &kind).unwrap(), values.clone());
    }
    check(Arc::new(binary), values);
    let fixed = FixedSizeBinaryArray::try_from_iter([[1_u8, 2], [3, 4]].iter()).unwrap();
    check(Arc::new(fixed), vec![bytes(&[1, 2]), bytes(&[3, 4])]);
    let texts = StringArray::from(vec![Some("a\"b"), None, Some("longer than twelve bytes/é")]);
    let values = vec![text("a\"b"), Value::Null, text("longer than twelve bytes/é")];
    for kind in [DataType::LargeUtf8, DataType::Utf8View] {
        check(cast(&texts, &kind).unwrap(), values.clone());
    }
    check(Arc::new(texts), values);
    let stamps = TimestampMicrosecondArray::from(vec![Some(0), None]).with_timezone("+02:00");
    check(Arc::new(stamps), vec![text("1970-01-01T00:00:00+00:00"), Value::Null]);
    let stamps = TimestampMillisecondArray::from(vec![1_709_210_096_123, -1]);
    check(Arc::new(stamps), vec![text("2024-02-29T12:34:56.123000"), text("1969-12-31T23:59:59.999000")]);
    check(Arc::new(Date32Array::from(vec![0, 19_782])), vec![text("1970-01-01"), text("2024-02-29")]);
    check(Arc::new(Date64Array::from(vec![-86_400_000, 0])), vec![text("1969-12-31"), text("1970-01-01")]);
    check(Arc::new(Time32SecondArray::from(vec![0, 86_399])), vec![text("00:00:00"), text("23:59:59")]);
    check(
        Arc::new(Time64NanosecondArray::from(vec![1, 1000])),
        vec![text("00:00:00.000000001"), text("00:00:00.000001")],
    );
    check(
        Arc::new(DurationMillisecondArray::from(vec![1500, -2000])),
        vec![Value::Float(1.5), Value::Float(-2.0)],
    );
    let interval = IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 500_000_000); 2]);
    check(Arc::new(interval), vec![text("P1M2DT0.5S"); 2]);
}

#[test]
fn lists_structs_and_maps() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
        Some(vec![Some(2)]),
    ]);
    let item = field("item", DataType::Int32);
    let values = vec![list([Value::Int(1), Value::Null]), Value::Null, list([]), list([Value::Int(2)])];
    for kind in [
        DataType::LargeList(Arc::clone(&item)),
        DataType::ListView(Arc::clone(&item)),
        DataType::LargeListView(Arc::clone(&item)),
    ] {
        check(cast(&lists, &kind).unwrap(), values.clone());
    }
    check(Arc::new(lists), values);
    let fixed = FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(
        [Some(vec![Some(1.5), None]), None, Some(vec![Some(0.0), Some(2.0)])],
        2,
    );
    let pair = |first, second| list([first, second]);
    let values =
        vec![pair(Value::Float(1.5), Value::Null), Value::Null, pair(Value::Float(0.0), Value::Float(2.0))];
    check(Arc::new(fixed), values);

    let mut texts = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    let mut numbers = MapBuilder::new(None, Int64Builder::new(), BinaryBuilder::new());
    for row in 0..3 {
        for entry in 0..row {
            texts.keys().append_value(format!("k\"{entry}"));
            texts.values().append_value(row);
            numbers.keys().append_value(entry);
            numbers.values().append_value(b"v");
        }
        texts.append(true).unwrap();
        numbers.append(true).unwrap();
    }
    let two = Value::Int(2);
    let dicts =
        vec![dict(&[]), dict(&[("k\"0", Value::Int(1))]), dict(&[("k\"0", two.clone()), ("k\"1", two)])];
    check(Arc::new(texts.finish()), dicts);
    let entry = |key| pair(Value::Int(key), bytes(b"v"));
    check(Arc::new(numbers.finish()), vec![list([]), list([entry(0)]), list([entry(0), entry(1)])]);
}

#[test]
fn arrays_that_refer_to_others() {
    let dictionary: DictionaryArray<Int8Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    check(Arc::new(dictionary), vec![text("a"), Value::Null, text("b"), text("a")]);
    let empty: DictionaryArray<Int8Type> = [None::<&str>, None].into_iter().collect();
    check(Arc::new(empty), vec![Value::Null, Value::Null]);
    let runs: Int32RunArray = ["a", "a", "b"].into_iter().collect();
    check(Arc::new(runs), vec![text("a"), text("a"), text("b")]);
    for offsets in [Some(ScalarBuffer::from(vec![0, 0, 1])), None] {
        let ints: ArrayRef = match offsets {
            Some(_) => Arc::new(Int32Array::from(vec![1, 2])),
            None => Arc::new(Int32Array::from(vec![1, 0, 2])),
        };
        let texts: ArrayRef = match offsets {
            Some(_) => Arc::new(StringArray::from(vec!["x"])),
            None => Arc::new(StringArray::from(vec!["", "x", ""])),
        };
        let fields =
            [(3, field("i", DataType::Int32)), (9, field("s", DataType::Utf8))].into_iter().collect();
        let ids = ScalarBuffer::from(vec![3_i8, 9, 3]);
        let union = UnionArray::try_new(fields, ids, offsets, vec![ints, texts]).unwrap();
        check(Arc::new(union), vec![Value::Int(1), text("x"), Value::Int(2)]);
    }
}

#[test]
fn joined_nulls_become_the_default_of_their_type() {
    let integers = Int64Array::from(vec![Some(1), None]);
    for layout in [Layout::default(), JSON] {
        let Value::List(values) = column(&integers, NullAs::Nan, layout) else { panic!("a list") };
        assert!(matches!(values[1], Value::Float(value) if value.is_nan()));
        let texts = StringArray::from(vec![Some("a"), None]);
        assert_eq!(column(&texts, NullAs::Text, layout), list([text("a"), text("")]));
        let blobs = BinaryArray::from(vec![Some(&b"a"[..]), None]);
        assert_eq!(column(&blobs, NullAs::Bytes, layout), list([bytes(b"a"), bytes(b"")]));
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![None]), None]);
        assert_eq!(column(&lists, NullAs::List, layout), list([list([Value::Null]), list([])]));
        let dictionary: DictionaryArray<Int8Type> = [Some("a"), None].into_iter().collect();
        assert_eq!(column(&dictionary, NullAs::Text, layout), list([text("a"), text("")]));
        assert_eq!(column(&NullArray::new(2), NullAs::Dict, layout), list([dict(&[]), dict(&[])]));
        // A column of text declared as binary: its nulls are bytes, which JSON cannot say.
        assert_eq!(column(&texts, NullAs::Bytes, layout), list([text("a"), bytes(b"")]));
    }
}

#[test]
fn the_field_says_what_nulls_become() {
    let field = NullAs::Text.mark(Field::new("t", DataType::Utf8, true));
    let column: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap();
    let encoded = encode_batch(&batch, Tail { indices: &[0], current: 0 }, Layout::default()).unwrap();
    assert_eq!(decode(&encoded.concat().into()).unwrap().get("t"), Some(&list([text("")])));
}

/// Csv cells of lists and maps whose shapes differ are kept as JSON texts.
#[test]
fn cells_that_are_json_texts_are_the_values_they_stand_for() {
    let metadata = HashMap::from([(CELLS.to_owned(), CELLS_JSON.to_owned())]);
    let json = Field::new("c", DataType::Utf8View, true).with_metadata(metadata);
    let cells = [Some(r#"[1,"a",null]"#), Some(r#"{"k":[NaN,-Infinity]}"#), None, Some("\"t\"")];
    let array = StringViewArray::from_iter(cells);
    let dict = |value| Value::Dict(vec![("k".to_owned(), value)]);
    for layout in [Layout::default(), JSON] {
        let Value::List(values) = field_column(&json, &array, layout) else { panic!("no list") };
        assert_eq!(values[0], list([Value::Int(1), text("a"), Value::Null]));
        let Value::Dict(entries) = &values[1] else { panic!("{:?}", values[1]) };
        let Value::List(floats) = &entries[0].1 else { panic!("{entries:?}") };
        assert!(matches!(floats[0], Value::Float(value) if value.is_nan()));
        assert_eq!(floats[1], Value::Float(f64::NEG_INFINITY));
        assert_eq!(values[2..], [Value::Null, text("t")]);
        let joined = NullAs::List.mark(json.clone());
        let single = Layout { single: true, ..layout };
        assert_eq!(field_column(&joined, &array.slice(2, 1), single), list([]));
        let dicts = StringViewArray::from_iter_values([r#"{"k":{}}"#]);
        assert_eq!(field_column(&json, &dicts, single), dict(Value::Dict(vec![])));
        // Without the mark they are texts.
        let plain = Field::new("c", DataType::Utf8View, true);
        assert_eq!(field_column(&plain, &dicts, single), text(r#"{"k":{}}"#));
    }
}

#[test]
fn encoded_items_keep_their_place_and_odd_ones_are_refused() {
    let numbers = Int64Array::from(vec![1, 2]);
    let item = Bytes::from_static(b"by\x01\x02");
    let address = item.as_ptr();
    let sources = [
        ("z", Source::Encoded(item)),
        ("a", Source::Column { field: &field("a", DataType::Int64), array: &numbers }),
        ("m", Source::Encoded(Bytes::from_static(b"js[1]"))),
    ];
    let encoded = encode(&sources, Tail { indices: &[4, 5], current: 9 }, Layout::default()).unwrap();
    assert!(encoded.iter().any(|segment| segment.as_ptr() == address));
    let sample = decode(&encoded.concat().into()).unwrap();
    let keys: Vec<_> = sample.entries.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["z", "a", "m", INDICES_KEY, CURRENT_KEY]);
    assert_eq!(sample.get("z"), Some(&bytes(b"\x01\x02")));
    assert_eq!(sample.indices(), Some(vec![4, 5]));
    for odd in [&b""[..], b"j", b"xx1"] {
        let sources = [("k", Source::Encoded(Bytes::copy_from_slice(odd)))];
        let error = encode(&sources, Tail { indices: &[], current: 0 }, Layout::default()).unwrap_err();
        assert_eq!(error, EncodeError::BadItem { key: "k".to_owned() });
    }
}

#[test]
fn large_blobs_are_segments_of_their_own() {
    let blobs = BinaryViewArray::from_iter_values((0..3).map(|row| vec![row as u8; 100_000]));
    let addresses: Vec<_> = blobs.iter().flatten().map(<[u8]>::as_ptr).collect();
    let encoded =
        encode_batch(&batch(vec![("b", Arc::new(blobs))]), Tail { indices: &[0, 1, 2], current: 0 }, JSON)
            .unwrap();
    for address in addresses {
        assert!(encoded.iter().any(|segment| segment.as_ptr() == address && segment.len() == 100_000));
    }
}

#[test]
fn what_the_layout_cannot_say_is_an_error() {
    let numbers = Int64Array::from(vec![1, 2]);
    let single = Layout { single: true, ..Layout::default() };
    let column = field("n", DataType::Int64);
    let sources = [("n", Source::Column { field: &column, array: &numbers })];
    let error = encode(&sources, Tail { indices: &[0], current: 0 }, single).unwrap_err();
    assert_eq!(error, EncodeError::NotSingle { key: "n".to_owned(), rows: 2 });
    let mut deep: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    for _ in 0..70 {
        let item = field("item", deep.data_type().clone());
        deep = Arc::new(ListArray::new(item, arrow::buffer::OffsetBuffer::from_lengths([1]), deep, None));
    }
    let column = field("deep", deep.data_type().clone());
    let sources = [("deep", Source::Column { field: &column, array: &deep })];
    let error = encode(&sources, Tail { indices: &[0], current: 0 }, Layout::default()).unwrap_err();
    assert_eq!(error, EncodeError::TooDeep { key: "deep".to_owned() });
}

proptest! {
    #[test]
    fn any_text_and_floats_come_back(
        texts in proptest::collection::vec(proptest::option::of(".{0,40}"), 1..20),
        floats in proptest::collection::vec(any::<f64>().prop_filter("equal to itself", |value| !value.is_nan()), 1..20),
    ) {
        let values = texts.iter().map(|value| value.as_deref().map_or(Value::Null, text)).collect();
        check(Arc::new(StringViewArray::from_iter(texts)), values);
        let values = floats.iter().map(|value| Value::Float(*value)).collect();
        check(Arc::new(Float64Array::from(floats)), values);
    }
}
