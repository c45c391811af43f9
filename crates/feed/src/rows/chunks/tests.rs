use super::*;
use arrow::array::Int32Array;

fn place(file: u32, chunk: u32, row: u32) -> Place {
    Place { file, chunk, row }
}

fn batch(rows: i32) -> Arc<RecordBatch> {
    let column = Arc::new(Int32Array::from_iter_values(0..rows)) as _;
    Arc::new(RecordBatch::try_from_iter([("a", column)]).unwrap())
}

#[test]
fn each_chunk_is_read_once_and_a_failure_stays_with_its_samples() {
    let places =
        [place(0, 0, 0), place(0, 0, 1), place(1, 2, 0), place(0, 0, 2), place(3, 0, 0), place(3, 0, 1)];
    let mut asked = Vec::new();
    let chunks = Chunks::read(places, |file, chunk| {
        asked.push((file, chunk));
        if file == 3 { Err("gone") } else { Ok(batch(3)) }
    });
    assert_eq!(asked, [(0, 0), (1, 2), (3, 0)]);
    assert_eq!(chunks.len(), 2);
    assert_eq!(chunks.failure(places[4]), Some(&"gone"));
    assert_eq!(chunks.failure(places[0]), None);
    assert_eq!(chunks.batch(places[5]), Err(RowsError::NotRead { file: 3, chunk: 0 }));
    assert_eq!(chunks.batch(place(9, 9, 9)), Err(RowsError::NotRead { file: 9, chunk: 9 }));
}

#[test]
fn rows_past_the_end_are_named_also_behind_a_neighbour() {
    let chunks = Chunks::read([place(0, 0, 0)], |_, _| Ok::<_, ()>(batch(2)));
    let beyond = Err(RowsError::NoRow { file: 0, chunk: 0, row: 2, rows: 2 });
    assert_eq!(chunks.resolve(&[Some(place(0, 0, 1)), Some(place(0, 0, 2))]), beyond);
    assert_eq!(chunks.resolve(&[None, Some(place(0, 0, 1))]), Ok(vec![(1, 0), (0, 1)]));
}
