use super::*;

fn places(list: &[(u32, u32)]) -> Places {
    list.iter().map(|&(block, offset)| Place { block, offset }).collect()
}

#[test]
fn neighbours_become_runs_and_come_back_in_order() {
    let list = [(3, 7), (3, 8), (3, 9), (3, 2), (1, 3), (1, 4), (u32::MAX, u32::MAX - 1)];
    let places = places(&list);
    assert_eq!((places.runs().len(), places.len()), (4, 7));
    let back: Vec<_> = places.iter().map(|place| (place.block, place.offset)).collect();
    assert_eq!(back, list);
    let mut out = Vec::new();
    places.encode(&mut out);
    let mut rest = &out[..];
    assert_eq!(Places::decode(&mut rest), Some(places));
    assert!(rest.is_empty());
}

#[test]
fn a_batch_without_gaps_takes_a_few_bytes() {
    let mut out = Vec::new();
    (1000..1256).map(|offset| Place { block: 40, offset }).collect::<Places>().encode(&mut out);
    assert!(out.len() <= 6, "{} bytes", out.len());
}

#[test]
fn damaged_lists_are_none() {
    for bytes in [
        &[][..],
        &[1],
        &[2, 0, 0, 0],
        // A negative block, a negative offset, an end past the last offset.
        &[1, 1, 0, 0],
        &[1, 0, 1, 0],
        &[1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
    ] {
        assert_eq!(Places::decode(&mut &*bytes), None, "{bytes:?}");
    }
}
