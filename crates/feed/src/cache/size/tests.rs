use super::*;
use arrow::array::*;
use arrow::buffer::Buffer;
use std::sync::Arc;

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let names = ["a", "b", "c"];
    RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap()
}

#[test]
fn a_shared_buffer_counts_once() {
    let blobs = BinaryViewArray::from_iter_values([vec![1u8; 100_000], vec![2; 100_000]]);
    let alone = Allocations::of(&batch(vec![Arc::new(blobs.clone())]));
    assert!((200_000..260_000).contains(&alone), "{alone}");
    let halves = batch(vec![Arc::new(blobs.slice(0, 1)), Arc::new(blobs.slice(1, 1))]);
    assert_eq!(Allocations::of(&halves), alone);
}

#[test]
fn batches_that_share_are_counted_together() {
    let whole = Int64Array::from(vec![0; 1000]);
    let (first, second) =
        (batch(vec![Arc::new(whole.slice(0, 500))]), batch(vec![Arc::new(whole.slice(500, 500))]));
    let mut held = Allocations::default();
    held.add(&first);
    let one = held.bytes();
    assert!(one >= 8000);
    held.add(&second);
    assert_eq!(held.bytes(), one);
    held.remove(&first);
    assert_eq!(held.bytes(), one);
    held.remove(&second);
    assert_eq!((held.bytes(), held.known.len()), (0, 0));
}

#[test]
fn nested_arrays_nulls_and_unused_capacity_count() {
    let list = ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>([
        Some(vec![Some(1); 1000]),
        None,
    ]);
    assert!(Allocations::of(&batch(vec![Arc::new(list)])) > 4000);
    let mut values = Vec::with_capacity(10_000);
    values.extend_from_slice(&[1_i64, 2]);
    let column = Int64Array::new(Buffer::from_vec(values).into(), None);
    assert!(Allocations::of(&batch(vec![Arc::new(column)])) >= 80_000);
    assert_eq!(Allocations::of(&batch(vec![Arc::new(NullArray::new(5))])), 0);
}
