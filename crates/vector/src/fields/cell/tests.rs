use super::*;
use lavandin_types::{FieldsBuilder, FieldsRef};

#[test]
fn kind_words_have_a_bit_for_each_equal_kind() {
    let kinds: [u8; BLOCK_ROWS] = std::array::from_fn(|index| [4, 6, 0, 4, 128, 255, 5][index % 7]);
    for kind in [0, 4, 5, 6, 7, 127, 128, 255] {
        let expected =
            (0..BLOCK_ROWS).filter(|index| kinds[*index] == kind).fold(0, |word, bit| word | 1 << bit);
        assert_eq!(kind_word(&kinds, kind), expected, "kind {kind}");
    }
    assert_eq!(kind_word(&[4; BLOCK_ROWS], 4), u64::MAX);
    assert_eq!(uniform_kind(&kinds), None);
    assert_eq!(uniform_kind(&[6; BLOCK_ROWS]), Some(6));
}

#[test]
fn places_lead_back_to_the_bytes() {
    let bytes = FieldsBuilder::new().with("n", ValueRef::U64(1)).with("s", ValueRef::Str("text")).build();
    let value = FieldsRef::from_stored(&bytes).get("s").unwrap();
    let (kind, payload) = cell_of(value, &bytes);
    assert_eq!(kind, STRING);
    assert_eq!(placed(&bytes, payload), Some(&b"text"[..]));
    assert_eq!(placed(&bytes, [255; 8]), None);
}
