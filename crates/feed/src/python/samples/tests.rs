use super::*;
use arrow::array::{BinaryViewArray, Int64Array, ListArray, StringViewArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::ipc::reader::StreamReader;

fn through(batch: &RecordBatch) -> RecordBatch {
    let bytes = encode(batch).unwrap();
    let mut batches = StreamReader::try_new(bytes.as_slice(), None).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

#[test]
fn views_become_plain_in_any_depth() {
    let texts: ArrayRef =
        Arc::new(StringViewArray::from(vec![Some("a"), None, Some("a text that is not inline")]));
    let blobs: ArrayRef = Arc::new(BinaryViewArray::from(vec![Some(b"x".as_slice()), None, Some(b"")]));
    let field = |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
    let lists: ArrayRef = Arc::new(ListArray::new(
        field("item", &texts),
        OffsetBuffer::from_lengths([2, 0, 1]),
        texts.clone(),
        None,
    ));
    let dicts: ArrayRef = Arc::new(StructArray::from(vec![
        (field("t", &texts), texts.clone()),
        (
            field("n", &(Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef)),
            Arc::new(Int64Array::from(vec![1, 2, 3])),
        ),
    ]));
    let metadata = [("lavandin.null".to_owned(), "text".to_owned())];
    let marked = Arc::new(field("text", &texts).as_ref().clone().with_metadata(metadata));
    let schema =
        Schema::new(vec![marked, field("blob", &blobs), field("list", &lists), field("dict", &dicts)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![texts, blobs, lists, dicts]).unwrap();

    let got = through(&batch.slice(1, 2));
    assert_eq!(got.column(0).data_type(), &DataType::Utf8);
    assert_eq!(got.schema().field(0).metadata()["lavandin.null"], "text");
    assert!(got.column(0).is_null(0));
    assert_eq!(got.column(0).as_string::<i32>().value(1), "a text that is not inline");
    assert_eq!(got.column(1).data_type(), &DataType::Binary);
    assert_eq!(
        got.column(2).as_list::<i32>().value(1).as_string::<i32>().value(0),
        "a text that is not inline"
    );
    assert_eq!(got.column(3).as_struct().column(0).data_type(), &DataType::Utf8);
    assert_eq!(got.column(3).as_struct().column(1).data_type(), &DataType::Int64);
}

#[test]
fn a_batch_without_columns_keeps_its_rows() {
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    assert_eq!(through(&batch).num_rows(), 3);
}
