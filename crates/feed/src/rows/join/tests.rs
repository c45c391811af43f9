use super::*;
use crate::format::{ColumnSpec, Format, ReaderPlan, ShardReader};
use crate::inspect::{InspectOptions, inspect};
use crate::lavender::{Layout, Tail, Value, decode, encode_batch};
use arrow::array::*;
use arrow::datatypes::{DataType, Float64Type, Int8Type, Int32Type};

fn place(file: u32, chunk: u32, row: u32) -> Option<Place> {
    Some(Place { file, chunk, row })
}

fn field(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, true)
}

fn chunk(columns: Vec<(&str, ArrayRef)>) -> Arc<RecordBatch> {
    Arc::new(RecordBatch::try_from_iter(columns).unwrap())
}

/// Chunks in files 0, 1, …, one each.
fn files(batches: Vec<Arc<RecordBatch>>) -> Chunks<()> {
    let places = (0..batches.len() as u32).map(|file| Place { file, chunk: 0, row: 0 });
    Chunks::read(places, |file, _| Ok(Arc::clone(&batches[file as usize])))
}

fn gather_one(
    kind: DataType,
    arrays: Vec<ArrayRef>,
    places: &[Option<Place>],
) -> Result<ArrayRef, RowsError> {
    let plan = JoinPlan::new("id", &Schema::new(vec![field("a", kind)]), &[]);
    let chunks = files(arrays.into_iter().map(|array| chunk(vec![("a", array)])).collect());
    Ok(Arc::clone(plan.gather(&[PartRows { places, chunks: &chunks }])?.column(0)))
}

fn texts(array: &ArrayRef) -> Vec<Option<&str>> {
    array.as_string_view().iter().collect()
}

#[test]
fn blobs_are_referred_to_and_never_copied() {
    let blob = |seed: u8| vec![seed; 5000];
    let arrays: Vec<BinaryViewArray> =
        (0..3).map(|file| BinaryViewArray::from_iter_values([blob(file * 2), blob(file * 2 + 1)])).collect();
    let addresses: Vec<*const u8> =
        arrays.iter().flat_map(|array| array.iter().flatten().map(<[u8]>::as_ptr)).collect();
    let arrays = arrays.into_iter().map(|array| Arc::new(array) as ArrayRef).collect();
    let places = [place(2, 0, 1), place(0, 0, 0), place(1, 0, 1), place(0, 0, 0)];
    let gathered = gather_one(DataType::BinaryView, arrays, &places).unwrap();
    let gathered = gathered.as_binary_view();
    for (row, from) in [5, 0, 3, 0].into_iter().enumerate() {
        assert_eq!(gathered.value(row).as_ptr(), addresses[from]);
        assert_eq!(gathered.value(row), blob(from as u8));
    }
    assert_eq!(gathered.data_buffers().len(), 3);
}

#[test]
fn neighbours_are_a_slice() {
    let array: ArrayRef = Arc::new(Int32Array::from_iter_values(0..10));
    let address = array.as_primitive::<Int32Type>().values().as_ptr();
    let gathered =
        gather_one(DataType::Int32, vec![array], &[place(0, 0, 3), place(0, 0, 4), place(0, 0, 5)]).unwrap();
    assert_eq!(gathered.as_primitive::<Int32Type>().values().as_ptr(), address.wrapping_add(3));
    assert_eq!(gathered.len(), 3);
}

#[test]
fn dictionaries_become_their_values_even_when_keys_would_not_fit() {
    let dictionary = |prefix: &str| {
        let values: Vec<_> =
            (0..100).map(|key| format!("{prefix}{key}, longer than an inline view")).collect();
        Arc::new(values.iter().map(|value| Some(value.as_str())).collect::<DictionaryArray<Int8Type>>())
            as ArrayRef
    };
    let kind = dictionary("a").data_type().clone();
    let places: Vec<_> = (0..200).map(|row| place(row % 2, 0, row / 2)).collect();
    let gathered = gather_one(kind, vec![dictionary("a"), dictionary("b")], &places).unwrap();
    assert_eq!(gathered.data_type(), &DataType::Utf8);
    let gathered = gathered.as_string::<i32>();
    assert_eq!(
        (gathered.value(0), gathered.value(199)),
        ("a0, longer than an inline view", "b99, longer than an inline view")
    );
    // Null keys and a dictionary without values.
    let nulls: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::from_iter([None::<&str>, None]));
    let some: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::from_iter([Some("x"), None]));
    let kind = some.data_type().clone();
    let gathered =
        gather_one(kind, vec![nulls, some], &[place(0, 0, 1), place(1, 0, 0), place(1, 0, 1)]).unwrap();
    assert_eq!(gathered.as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some("x"), None]);
}

#[test]
fn other_forms_of_text_are_cast_and_other_types_refused() {
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringViewArray::from(vec!["view"])),
        Arc::new(StringArray::from(vec!["unused", "offsets"])),
        Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("key"), None])),
        Arc::new(NullArray::new(1)),
    ];
    let places =
        [place(1, 0, 1), place(0, 0, 0), place(2, 0, 0), place(2, 0, 1), place(3, 0, 0), place(1, 0, 1)];
    let gathered = gather_one(DataType::Utf8View, arrays, &places).unwrap();
    assert_eq!(texts(&gathered), [Some("offsets"), Some("view"), Some("key"), None, None, Some("offsets")]);

    let arrays: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(vec![1])), Arc::new(StringArray::from(vec!["1"]))];
    let error = gather_one(DataType::Int32, arrays, &[place(1, 0, 0)]).unwrap_err();
    assert_eq!(error.to_string(), "column a is Utf8 in one file and Int32 in another");
}

#[test]
fn nested_columns_and_absent_columns() {
    let list = |values: &[f64]| {
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(
            values.iter().copied().map(Some),
        )])) as ArrayRef
    };
    let arrays = vec![list(&[1.0, 2.0]), list(&[]), list(&[3.0])];
    let kind = arrays[0].data_type().clone();
    let places = [place(2, 0, 0), None, place(0, 0, 0), place(1, 0, 0)];
    let gathered = gather_one(kind, arrays, &places).unwrap();
    let rows: Vec<_> = gathered.as_list::<i32>().iter().map(|row| row.map(|row| row.len())).collect();
    assert_eq!(rows, [Some(1), None, Some(2), Some(0)]);

    let plan = JoinPlan::new(
        "id",
        &Schema::new(vec![field("a", DataType::Int32), field("b", DataType::Utf8View)]),
        &[],
    );
    let chunks = files(vec![
        chunk(vec![("a", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]),
        chunk(vec![("b", Arc::new(StringViewArray::from(vec!["x"])) as ArrayRef)]),
    ]);
    let places = [place(0, 0, 0), place(1, 0, 0)];
    let batch = plan.gather(&[PartRows { places: &places, chunks: &chunks }]).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(1), None]);
    assert_eq!(texts(batch.column(1)), [None, Some("x")]);
}

#[test]
fn joined_columns_follow_the_main_ones_and_cached_chunks_stay_as_they_are() {
    let main = chunk(vec![
        ("id", Arc::new(Int64Array::from(vec![10, 11, 12])) as ArrayRef),
        ("tag", Arc::new(StringViewArray::from(vec!["main0", "main1", "main2"]))),
    ]);
    let feature = chunk(vec![
        ("id", Arc::new(Int64Array::from(vec![12, 10])) as ArrayRef),
        ("tag", Arc::new(StringViewArray::from(vec!["clash", "clash"]))),
        ("score", Arc::new(Int32Array::from(vec![None, Some(5)]))),
    ]);
    let before = (main.as_ref().clone(), feature.as_ref().clone());
    let joined = JoinedColumns {
        columns: feature
            .schema()
            .fields()
            .iter()
            .map(|f| (f.as_ref().clone(), NullAs::of_type("int32")))
            .collect(),
    };
    let plan = JoinPlan::new("id", &main.schema(), &[joined]);
    let names: Vec<&str> = plan.schema().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "tag", "score"]);
    assert_eq!(NullAs::of_field(plan.schema().field(2)), NullAs::Nan);
    assert_eq!(NullAs::of_field(plan.schema().field(1)), NullAs::None);

    let (main, feature) = (files(vec![main]), files(vec![feature]));
    let main_places = [place(0, 0, 0), place(0, 0, 1), place(0, 0, 2)];
    let feature_places = [place(0, 0, 1), None, place(0, 0, 0)];
    let split = inner_join(3, &[&feature_places]);
    assert_eq!((&split.kept[..], &split.dropped[..]), (&[0, 2][..], &[1][..]));
    let (main_kept, feature_kept) = (split.pick(&main_places), split.pick(&feature_places));
    let batch = plan
        .gather(&[
            PartRows { places: &main_kept, chunks: &main },
            PartRows { places: &feature_kept, chunks: &feature },
        ])
        .unwrap();
    assert_eq!(texts(batch.column(1)), [Some("main0"), Some("main2")]);
    assert_eq!(batch.column(2).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(5), None]);
    assert_eq!((main.batches[0].as_ref(), feature.batches[0].as_ref()), (&before.0, &before.1));

    // A shardset without the shard: its columns are null.
    let alone = plan.gather(&[PartRows { places: &main_places, chunks: &main }]).unwrap();
    assert_eq!((alone.num_rows(), alone.column(2).null_count()), (3, 3));
    let uneven = plan.gather(&[
        PartRows { places: &main_places, chunks: &main },
        PartRows { places: &feature_kept, chunks: &feature },
    ]);
    assert_eq!(uneven, Err(RowsError::Count { places: 2, samples: 3 }));
}

/// Integers of empty csv cells are NaN to clients, as in the csv files of the original; those of other files are None.
#[test]
fn nulls_of_main_columns_are_what_their_reader_says() {
    let main =
        Schema::new(vec![NullAs::Nan.mark(field("csv", DataType::Int64)), field("parquet", DataType::Int64)]);
    let plan = JoinPlan::new("id", &main, &[]);
    let nulls: Vec<NullAs> = plan.schema().fields().iter().map(|field| NullAs::of_field(field)).collect();
    assert_eq!(nulls, [NullAs::Nan, NullAs::None]);
}

/// From the file to what a client reads: an empty cell of an integer is NaN, literals of all shapes are their values.
#[test]
fn csv_cells_reach_the_client_as_what_they_stand_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, "id,n,l\na,1,[1]\nb,,\"['x', {'k': 2}]\"\n").unwrap();
    let declared =
        [("id", "text"), ("n", "int"), ("l", "list")].map(|(name, kind)| ColumnSpec::new(name, kind));
    let options = InspectOptions { declared: &declared, ..InspectOptions::default() };
    let found = inspect(&path, Format::Csv, &options).unwrap();
    let plan =
        ReaderPlan { columns: found.columns, chunks: found.chunks.into(), bytes: found.bytes, index: None };
    let reader = ShardReader::open(&path, Format::Csv, &plan).unwrap();
    let join = JoinPlan::new("id", reader.schema(), &[]);
    let chunks = files(vec![Arc::new(reader.read_chunk(0).unwrap())]);
    let places = [place(0, 0, 1), place(0, 0, 0)];
    let batch = join.gather(&[PartRows { places: &places, chunks: &chunks }]).unwrap();
    let tail = Tail { indices: &[1, 0], current: 0 };
    let encoded = encode_batch(&batch, tail, Layout::default()).unwrap();
    let sample = decode(&encoded.concat().into()).unwrap();
    let Some(Value::List(numbers)) = sample.get("n") else { panic!("{sample:?}") };
    assert!(matches!(numbers[..], [Value::Float(nan), Value::Int(1)] if nan.is_nan()), "{numbers:?}");
    let dict = Value::Dict(vec![("k".to_owned(), Value::Int(2))]);
    let lists = [Value::List(vec![Value::Text("x".to_owned()), dict]), Value::List(vec![Value::Int(1)])];
    assert_eq!(sample.get("l"), Some(&Value::List(lists.to_vec())));
}

#[test]
fn an_empty_batch_has_its_columns() {
    let gathered =
        gather_one(DataType::Utf8View, vec![Arc::new(StringViewArray::from(vec!["x"]))], &[]).unwrap();
    assert_eq!(gathered.len(), 0);
    assert_eq!(gather_one(DataType::Utf8View, vec![], &[]).unwrap().len(), 0);
    let plan = JoinPlan::new("id", &Schema::empty(), &[]);
    let chunks = files(vec![]);
    assert_eq!(plan.gather(&[PartRows { places: &[None, None], chunks: &chunks }]).unwrap().num_rows(), 2);
    let nothing: &[PartRows<'_, ()>] = &[];
    assert_eq!(plan.gather(nothing).unwrap().num_rows(), 0);
}
