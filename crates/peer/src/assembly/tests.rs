use super::*;
use crate::frame::Lane;
use bytes::BytesMut;
use proptest::prelude::*;

const FRAME: usize = FRAME_PAYLOAD_BYTES_MAX;

fn frame(kind: Kind, call: u64, message_bytes: usize, payload_bytes: usize) -> Frame {
    let header = Header { message_bytes: message_bytes as u32, ..Header::new(kind, call) };
    Frame { header, payload: BytesMut::from(&vec![call as u8; payload_bytes][..]) }
}

fn data(call: u64, payload_bytes: usize) -> Frame {
    frame(Kind::Data, call, 0, payload_bytes)
}

fn malformed(result: Result<Option<Event>, FrameError>) -> bool {
    matches!(result, Err(FrameError::Malformed(_)))
}

#[test]
fn a_large_message_is_put_together_while_small_ones_pass() {
    let mut assembly = Assembly::default();
    assert_eq!(assembly.push(frame(Kind::Request, 1, 2 * FRAME + 10, FRAME)), Ok(None));
    assert!(assembly.is_partial());
    let Ok(Some(Event::Message(header, payload))) = assembly.push(frame(Kind::Request, 2, 3, 3)) else {
        panic!()
    };
    assert_eq!((header.call, &payload[..]), (2, &[2, 2, 2][..]));
    assert_eq!(assembly.push(data(1, FRAME)), Ok(None));
    assert_eq!(assembly.push(frame(Kind::Alive, 0, 0, 0)), Ok(Some(Event::Alive)));
    let Ok(Some(Event::Message(header, payload))) = assembly.push(data(1, 10)) else { panic!() };
    assert_eq!((header.call, payload.len()), (1, 2 * FRAME + 10));
    assert!(!assembly.is_partial());
}

#[test]
fn a_message_that_is_given_up_leaves_nothing() {
    let mut assembly = Assembly::default();
    assembly.push(frame(Kind::Request, 1, 2 * FRAME, FRAME)).unwrap();
    assert_eq!(assembly.push(frame(Kind::Cancel, 2, 0, 0)), Ok(Some(Event::Cancel { call: 2 })));
    assert_eq!(assembly.push(frame(Kind::Cancel, 1, 0, 0)), Ok(Some(Event::Abandoned { call: 1 })));
    assert!(!assembly.is_partial());
    assert!(malformed(assembly.push(data(1, FRAME))), "more of what was given up");
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let begun = || {
        let mut assembly = Assembly::default();
        assembly.push(frame(Kind::Request, 1, 2 * FRAME + 1, FRAME)).unwrap();
        assembly
    };
    assert!(malformed(begun().push(frame(Kind::Request, 2, FRAME + 1, FRAME))), "two large ones at once");
    assert!(malformed(begun().push(data(2, FRAME))), "more of another call");
    assert!(malformed(begun().push(data(1, 0))), "an empty frame");
    assert!(malformed(begun().push(data(1, FRAME - 1))), "a frame that is not filled");
    let mut ended = begun();
    ended.push(data(1, FRAME)).unwrap();
    assert!(malformed(ended.push(data(1, 2))), "more than was said");
    assert!(malformed(Assembly::default().push(frame(Kind::Request, 1, 10, 9))), "less than was said");
    assert!(
        malformed(Assembly::default().push(frame(Kind::Alive, 0, 0, 1))),
        "a sign of life with a payload"
    );
    let large = MESSAGE_BYTES_MAX + 1;
    assert!(matches!(
        Assembly::begins(&frame(Kind::Request, 1, large, FRAME)),
        Err(FrameError::TooLong { .. })
    ));
    assert!(matches!(
        Assembly::default().push(frame(Kind::Response, 1, large, FRAME)),
        Err(FrameError::TooLong { .. })
    ));
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let kind = prop_oneof![
        Just(Kind::Request),
        Just(Kind::Response),
        Just(Kind::Refusal),
        Just(Kind::Data),
        Just(Kind::Cancel),
        Just(Kind::Alive),
        Just(Kind::Goodbye)
    ];
    let bytes = prop_oneof![
        Just(0_usize),
        Just(1),
        Just(FRAME),
        Just(FRAME + 1),
        Just(3 * FRAME),
        Just(usize::MAX >> 32)
    ];
    let payload = prop_oneof![Just(0_usize), Just(1), Just(FRAME)];
    (kind, 1..3_u64, bytes, payload).prop_map(|(kind, call, message_bytes, payload_bytes)| {
        let mut frame = frame(kind, call, message_bytes, payload_bytes);
        frame.header.lane = Lane::NONE;
        frame
    })
}

proptest! {
    /// Whatever an authentic but mad peer sends: no panic, and what is held is within what was announced.
    #[test]
    fn no_sequence_of_frames_panics(frames in proptest::collection::vec(any_frame(), 0..40)) {
        let mut assembly = Assembly::default();
        for frame in frames {
            match assembly.push(frame) {
                Ok(Some(Event::Message(header, payload))) => {
                    prop_assert_eq!(header.message_bytes as usize, payload.len());
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}
