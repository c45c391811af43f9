use super::*;

#[test]
fn numbers_come_back_and_take_the_bytes_they_need() {
    for (value, length) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (1 << 35, 6), (u64::MAX, 10)] {
        let mut out = Vec::new();
        write_varint(&mut out, value);
        assert_eq!(out.len(), length);
        let mut rest = &out[..];
        assert_eq!((read_varint(&mut rest), rest.len()), (Some(value), 0));
    }
    for value in [0, -1, 1, i64::MIN, i64::MAX] {
        let mut out = Vec::new();
        write_zigzag(&mut out, value);
        assert_eq!(read_zigzag(&mut &out[..]), Some(value));
    }
}

#[test]
fn numbers_that_are_cut_or_too_large_are_none() {
    assert_eq!(read_varint(&mut &[0x80][..]), None);
    assert_eq!(read_varint(&mut &[0xFF; 11][..]), None);
    // 2⁶⁴.
    let too_large = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
    assert_eq!(read_varint(&mut &too_large[..]), None);
    assert_eq!(read_varint_u32(&mut &[0x80, 0x80, 0x80, 0x80, 0x10][..]), None);
    // A count of more things than there are bytes.
    assert_eq!(read_count(&mut &[3, 0, 0][..]), None);
}

#[test]
fn texts_and_options_come_back() {
    for text in [None, Some(""), Some("größe")] {
        let mut out = Vec::new();
        write_text(&mut out, text);
        assert_eq!(read_text(&mut &out[..]), Some(text.map(str::to_owned)));
    }
    for value in [None, Some(0), Some(u64::MAX - 1)] {
        let mut out = Vec::new();
        write_option(&mut out, value);
        assert_eq!(read_option(&mut &out[..]), Some(value));
    }
    assert_eq!(read_text(&mut &[2, 0xFF][..]), None, "not UTF-8");
    assert_eq!(read_bool(&mut &[2][..]), None);
}
