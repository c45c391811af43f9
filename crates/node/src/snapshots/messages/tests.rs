use super::*;

fn offer() -> Offer {
    let file = |segment, kind, bytes, checksum| SegmentFile {
        segment: SegmentId::new(segment),
        kind,
        bytes,
        checksum,
    };
    Offer {
        session: 0x0102_0304_0506_0708,
        group: GroupId::new(3),
        sequence: SequenceNumber::new(0x51),
        snapshot_bytes: 300,
        snapshot_hash: 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100,
        files: vec![file(7, FileKind::Rows, 4096, 1), file(7, FileKind::Graph, 640, u128::MAX)],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const OFFER: &str = "08070605040302010300000000000000510000000000000\
                     02c01000000000000000102030405060708090a0b0c0d0e0f02000000\
                     070000000000000000001000000000000001000000000000000000000000000000\
                     0700000000000000018002000000000000ffffffffffffffffffffffffffffffff";

#[test]
fn the_bytes_are_these() {
    let begin = Request::Begin { group: GroupId::new(3), node: NodeId::new(5) };
    let piece = Request::Piece(Piece { session: 9, part: 1, offset: 0x10_0000, length: 0x200 });
    let requests = [
        (begin, "0103000000000000000500000000000000"),
        (
            piece,
            "0209000000000000000100000000001000000000000002\
                 0000",
        ),
        (Request::End { session: 9 }, "030900000000000000"),
    ];
    for (request, expected) in requests {
        assert_eq!(hex(&request.encode()), expected);
        assert_eq!(Request::decode(&request.encode()), Some(request));
    }
    assert_eq!(hex(&offer().encode()), OFFER);
    assert_eq!(Offer::decode(&offer().encode()), Some(offer()));
    assert_eq!(
        hex(&encode_piece(b"piece")),
        format!("{}{}", hex(&xxh3_128(b"piece").to_le_bytes()), hex(b"piece"))
    );
    assert_eq!(decode_piece(&encode_piece(b"piece")).as_deref(), Some(&b"piece"[..]));
}

#[test]
fn malformed_bytes_are_told() {
    for request in
        [Request::Begin { group: GroupId::new(3), node: NodeId::new(5) }, Request::End { session: 1 }]
    {
        let bytes = request.encode();
        assert!((0..bytes.len()).all(|length| Request::decode(&bytes[..length]).is_none()));
        assert_eq!(Request::decode(&[&bytes[..], &[0]].concat()), None);
    }
    let long = Piece { session: 9, part: 1, offset: 0, length: PIECE_BYTES_MAX + 1 };
    assert_eq!(Request::decode(&Request::Piece(long).encode()), None);
    assert_eq!(Request::decode(&[9; 9]), None);
    let bytes = offer().encode();
    assert!((0..bytes.len()).all(|length| Offer::decode(&bytes[..length]).is_none()));
    let mut huge = offer();
    huge.files[0].bytes = u64::MAX;
    assert_eq!(Offer::decode(&huge.encode()), None, "the sum of the lengths does not overflow");
    let mut empty = offer();
    empty.files[1].bytes = 0;
    assert_eq!(Offer::decode(&empty.encode()), None);
    let large = Offer { snapshot_bytes: SNAPSHOT_BYTES_MAX + 1, ..offer() };
    assert_eq!(Offer::decode(&large.encode()), None);
    let piece = encode_piece(b"piece");
    for byte in 0..piece.len() {
        let mut flipped = piece.to_vec();
        flipped[byte] ^= 4;
        assert_eq!(decode_piece(&Bytes::from(flipped)), None);
    }
    assert_eq!(decode_piece(&Bytes::from_static(&[0; 15])), None);
}
