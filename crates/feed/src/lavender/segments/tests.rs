use super::*;

#[test]
fn parts_keep_their_order_and_lengths_count_blobs() {
    let mut writer = SegmentWriter::with_capacity(8);
    writer.put(b"a");
    let mark = writer.begin();
    writer.put(b"bc");
    writer.put_shared(Bytes::from_static(b"blob"));
    writer.put_shared(Bytes::from_static(b"two"));
    writer.end(mark).unwrap();
    writer.put(b"z");
    assert_eq!(writer.len(), 15);
    let segments = writer.finish();
    assert_eq!(segments.concat(), b"a\0\0\0\x09bcblobtwoz");
    assert_eq!(segments.len(), 4, "no empty segment between neighbouring blobs");
}

#[test]
fn a_blob_is_not_copied() {
    let blob = Bytes::from(vec![7; 10_000]);
    let address = blob.as_ptr();
    let mut writer = SegmentWriter::default();
    writer.put_shared(blob);
    assert_eq!(writer.finish()[0].as_ptr(), address);
}
