use super::*;
use proptest::prelude::*;

const KEY: Tag = [7; 32];

fn pair() -> (Sealer, Opener) {
    (Sealer::new(KEY), Opener::new(KEY))
}

fn request(call: u64, payload: &[u8]) -> Header {
    Header {
        code: 5,
        lane: Lane::new(3),
        left_ms: 700,
        message_bytes: payload.len() as u32,
        ..Header::new(Kind::Request, call)
    }
}

/// A short exchange: its bytes, and where each frame ends.
fn captured() -> (Vec<u8>, Frames) {
    let frames: Frames = vec![
        (request(1, b"hello"), b"hello".to_vec()),
        (Header::new(Kind::Alive, 0), Vec::new()),
        (Header { code: 4, message_bytes: 2, ..Header::new(Kind::Response, 1) }, b"no".to_vec()),
        (Header::new(Kind::Cancel, 9), Vec::new()),
        (Header::new(Kind::Goodbye, 0), Vec::new()),
    ];
    let (mut sealer, mut bytes) = (pair().0, Vec::new());
    frames.iter().for_each(|(header, payload)| sealer.seal(*header, payload, &mut bytes));
    (bytes, frames)
}

type Frames = Vec<(Header, Vec<u8>)>;

/// Everything that can be opened, what ended it, and how many bytes were left.
fn opened(bytes: &[u8]) -> (Frames, Option<FrameError>, usize) {
    let (mut opener, mut left) = (pair().1, BytesMut::from(bytes));
    let mut frames = Vec::new();
    loop {
        match opener.open(&mut left) {
            Ok(Some(frame)) => frames.push((frame.header, frame.payload.to_vec())),
            Ok(None) => return (frames, None, left.len()),
            Err(error) => {
                assert_eq!(opener.open(&mut left), Err(error), "an opener that failed opens nothing more");
                return (frames, Some(error), left.len());
            }
        }
    }
}

#[test]
fn frames_come_back_whole_however_they_are_cut() {
    let (bytes, frames) = captured();
    assert_eq!(opened(&bytes), (frames.clone(), None, 0));
    let (mut opener, mut buffer, mut found) = (pair().1, BytesMut::new(), Vec::new());
    for byte in bytes {
        buffer.extend_from_slice(&[byte]);
        if let Some(frame) = opener.open(&mut buffer).unwrap() {
            found.push((frame.header, frame.payload.to_vec()));
        }
    }
    assert_eq!(found, frames);
}

#[test]
fn every_flipped_bit_ends_the_exchange() {
    let (bytes, frames) = captured();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let (found, error, left) = opened(&changed);
        assert!(found.len() < frames.len() && found == frames[..found.len()], "bit {bit}");
        // A frame that now seems longer than what was sent waits for more, which the connection's end cuts short.
        assert!(error.is_some() || left > 0, "bit {bit}");
    }
}

#[test]
fn every_cut_is_noticed() {
    let (bytes, frames) = captured();
    for length in 0..bytes.len() {
        let (found, error, left) = opened(&bytes[..length]);
        assert_eq!(found, frames[..found.len()]);
        assert_eq!(error, None);
        let ends_at_a_frame = {
            let mut whole = 0;
            frames[..found.len()]
                .iter()
                .for_each(|(_, payload)| whole += HEADER_BYTES + payload.len() + TAG_BYTES);
            whole == length
        };
        assert_eq!(left == 0, ends_at_a_frame, "at {length}");
    }
}

#[test]
fn a_frame_that_is_repeated_left_out_or_moved_is_refused() {
    let (mut sealer, _) = pair();
    let frames: Vec<Vec<u8>> = (1..=3)
        .map(|call| {
            let mut bytes = Vec::new();
            sealer.seal(request(call, b"x"), b"x", &mut bytes);
            bytes
        })
        .collect();
    let with = |order: &[usize]| {
        let bytes: Vec<u8> = order.iter().flat_map(|at| frames[*at].clone()).collect();
        let (found, error, _) = opened(&bytes);
        (found.len(), error)
    };
    assert_eq!(with(&[0, 1, 2]), (3, None));
    assert_eq!(with(&[0, 0, 1]), (1, Some(FrameError::WrongTag)), "repeated");
    assert_eq!(with(&[0, 2]), (1, Some(FrameError::WrongTag)), "left out");
    assert_eq!(with(&[1, 0]), (0, Some(FrameError::WrongTag)), "moved");
}

#[test]
fn a_length_over_the_limit_is_refused_at_once() {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&(FRAME_PAYLOAD_BYTES_MAX as u32 + 1).to_le_bytes());
    let max = FRAME_PAYLOAD_BYTES_MAX as u32;
    assert_eq!(opened(&bytes).1, Some(FrameError::TooLong { bytes: max + 1, max }));
    bytes[..4].copy_from_slice(&max.to_le_bytes());
    assert_eq!(opened(&bytes).1, None, "the longest frame is awaited");
}

#[test]
fn an_authentic_frame_that_means_nothing_is_refused() {
    let headers = [
        Header { code: 1, ..Header::new(Kind::Alive, 0) },
        Header::new(Kind::Goodbye, 1),
        Header { lane: Lane::new(1), ..Header::new(Kind::Response, 1) },
        Header { left_ms: 1, ..Header::new(Kind::Cancel, 1) },
        Header { message_bytes: 1, ..Header::new(Kind::Data, 1) },
    ];
    for header in headers {
        let mut bytes = Vec::new();
        pair().0.seal(header, &[], &mut bytes);
        assert!(matches!(opened(&bytes).1, Some(FrameError::Malformed(_))), "{header:?}");
    }
    for (at, value) in [(4, 0), (4, 8), (5, 1)] {
        let mut raw = Header::new(Kind::Alive, 0).to_bytes(0);
        raw[at] = value;
        let bytes = [&raw[..], &tag_of(&KEY, 0, &raw)].concat();
        assert!(matches!(opened(&bytes).1, Some(FrameError::Malformed(_))), "byte {at} is {value}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_open_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (found, _, _) = opened(&bytes);
        prop_assert!(found.is_empty());
    }

    #[test]
    fn arbitrary_bytes_behind_good_frames_open_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (mut all, frames) = captured();
        all.extend_from_slice(&bytes);
        let (found, error, left) = opened(&all);
        prop_assert_eq!(found, frames);
        prop_assert!(error.is_some() || left == bytes.len());
    }

    #[test]
    fn any_payload_comes_back(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 0..8)
    ) {
        let (mut sealer, _) = pair();
        let mut bytes = Vec::new();
        for payload in &payloads {
            sealer.seal(request(1, payload), payload, &mut bytes);
        }
        let (found, error, left) = opened(&bytes);
        prop_assert_eq!((error, left), (None, 0));
        let found: Vec<Vec<u8>> = found.into_iter().map(|(_, payload)| payload).collect();
        prop_assert_eq!(found, payloads);
    }
}
