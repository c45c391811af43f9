use super::*;

#[test]
fn every_row_of_an_id_is_found() {
    let ids: Vec<u64> = (0..1000).chain([7, 7]).collect();
    let hashes = (0..).zip(ids.iter().map(|id| hash_id(RecordIdRef::Int(*id))));
    let slots = build(ids.len() as u32, hashes);
    for wanted in 0..1000u64 {
        let rows: Vec<u32> = candidates(&slots, hash_id(RecordIdRef::Int(wanted)))
            .filter(|row| ids[*row as usize] == wanted)
            .collect();
        assert_eq!(rows.len(), if wanted == 7 { 3 } else { 1 }, "id {wanted}");
    }
    let absent = candidates(&slots, hash_id(RecordIdRef::Int(5000)));
    assert!(absent.filter(|row| ids[*row as usize] == 5000).count() == 0);
}

#[test]
fn a_full_table_ends_after_one_turn() {
    assert_eq!(candidates(&[1, 2, 3], 0).count(), 3);
    assert_eq!(candidates(&[], 0).count(), 0);
}
