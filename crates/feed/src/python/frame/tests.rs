use super::*;

fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, header, body).unwrap();
    bytes
}

#[test]
fn frames_come_back() {
    let mut bytes = frame(b"{}", b"body");
    bytes.extend(frame(b"", b""));
    let mut from = bytes.as_slice();
    let first = read(&mut from, 100).unwrap();
    assert_eq!((first.header.as_slice(), first.body.as_slice()), (b"{}".as_slice(), b"body".as_slice()));
    assert!(read(&mut from, 100).unwrap().body.is_empty());
    assert!(from.is_empty());
}

#[test]
fn lengths_are_checked_before_they_are_believed() {
    let long_header = [0xff; 64];
    assert!(matches!(read(&mut long_header.as_slice(), 100), Err(FrameError::Malformed(_))));
    let bytes = frame(b"{}", &[0; 101]);
    assert!(matches!(read(&mut bytes.as_slice(), 100), Err(FrameError::Malformed(_))));
}

#[test]
fn a_cut_frame_is_an_error() {
    let bytes = frame(b"{}", b"body");
    for end in 0..bytes.len() {
        assert!(matches!(read(&mut &bytes[..end], 100), Err(FrameError::Io(_))), "{end}");
    }
}
