use super::*;

#[test]
fn every_code_comes_back_from_its_number() {
    for wire in 1..=13 {
        assert_eq!(number(code_of(wire)), wire);
    }
    assert_eq!(code_of(999), ErrorCode::Internal);
}

#[test]
fn a_long_sentence_is_cut_between_characters() {
    let (code, payload) = PeerStatus::new(ErrorCode::NotFound, "ä".repeat(3000) + "x").encode();
    assert_eq!(payload.len(), MESSAGE_BYTES_MAX);
    let (_, odd) = PeerStatus::new(ErrorCode::NotFound, "x".to_owned() + &"ä".repeat(3000)).encode();
    assert_eq!(odd.len(), MESSAGE_BYTES_MAX - 1);
    let status = PeerStatus::decode(code, &payload);
    assert_eq!((status.code, status.message), (ErrorCode::NotFound, "ä".repeat(2048)));
}
