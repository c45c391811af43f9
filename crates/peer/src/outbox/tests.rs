use super::*;
use crate::assembly::{Assembly, Event};
use crate::frame::Frame;
use bytes::BytesMut;
use proptest::prelude::*;

const FRAME: usize = FRAME_PAYLOAD_BYTES_MAX;

fn message(call: u64, lane: u64, bytes: usize) -> Outgoing<u64> {
    let header = Header { lane: Lane::new(lane), ..Header::new(Kind::Request, call) };
    Outgoing { header, deadline_ms: 1000, payload: Bytes::from(vec![call as u8; bytes]), ticket: call }
}

fn calls(outbox: &mut Outbox<u64>) -> Vec<(Kind, u64)> {
    std::iter::from_fn(|| outbox.next(0)).map(|step| (step.header.kind, step.header.call)).collect()
}

#[test]
fn small_messages_pass_a_large_one_and_lanes_keep_their_order() {
    let mut outbox = Outbox::new();
    outbox.push(message(1, 7, 3 * FRAME));
    assert_eq!(outbox.next(0).map(|step| step.header.call), Some(1));
    outbox.push(message(2, 7, 5));
    outbox.push(message(3, 0, 5));
    outbox.push_control(Header::new(Kind::Alive, 0));
    use Kind::{Alive, Data, Request};
    assert_eq!(calls(&mut outbox), [(Alive, 0), (Request, 3), (Data, 1), (Data, 1), (Request, 2)]);
}

#[test]
fn a_stream_of_small_messages_does_not_stop_a_large_one() {
    let mut outbox = Outbox::new();
    outbox.push(message(1, 0, 2 * FRAME));
    (2..100).for_each(|call| outbox.push(message(call, 0, 1)));
    let sent = calls(&mut outbox);
    let large: Vec<usize> =
        sent.iter().enumerate().filter(|(_, (_, call))| *call == 1).map(|(at, _)| at).collect();
    assert_eq!(large, [16, 33]);
    assert_eq!(sent.len(), 100);
}

#[test]
fn the_ticket_comes_with_the_last_frame_only() {
    let mut outbox = Outbox::new();
    outbox.push(message(1, 0, 2 * FRAME));
    outbox.push(message(2, 0, 0));
    let done: Vec<Option<u64>> = std::iter::from_fn(|| outbox.next(0)).map(|step| step.done).collect();
    assert_eq!(done, [Some(2), None, Some(1)]);
}

#[test]
fn a_call_is_unsent_until_its_last_frame_was_given_out() {
    let mut outbox = Outbox::new();
    for call in 1..=3 {
        outbox.push(message(call, 1, FRAME + 1));
    }
    assert_eq!(outbox.cancel(2), Cancelled::Unsent);
    outbox.next(0);
    assert_eq!(outbox.cancel(1), Cancelled::Unsent);
    assert_eq!(calls(&mut outbox), [(Kind::Cancel, 1), (Kind::Request, 3), (Kind::Data, 3)]);
    assert_eq!(outbox.cancel(3), Cancelled::Sent);
    outbox.push(message(4, 0, 1));
    assert_eq!(outbox.cancel(4), Cancelled::Unsent);
    assert!(outbox.next(0).is_none());
}

#[test]
fn a_request_says_what_is_left_when_it_is_sent() {
    let mut outbox = Outbox::new();
    outbox.push(message(1, 0, 1));
    outbox.push(message(2, 0, 1));
    assert_eq!(outbox.next(400).map(|step| step.header.left_ms), Some(600));
    assert_eq!(outbox.next(2000).map(|step| step.header.left_ms), Some(0));
}

#[derive(Clone, Debug)]
enum Act {
    Push { lane: u64, bytes: usize },
    Send { frames: usize },
    Cancel { call: u64 },
}

fn any_act() -> impl Strategy<Value = Act> {
    let bytes = prop_oneof![Just(0), Just(9), Just(FRAME), Just(FRAME + 1), Just(2 * FRAME + 7)];
    prop_oneof![
        (0..3_u64, bytes).prop_map(|(lane, bytes)| Act::Push { lane, bytes }),
        (0..5_usize).prop_map(|frames| Act::Send { frames }),
        (1..20_u64).prop_map(|call| Act::Cancel { call }),
    ]
}

proptest! {
    /// What an outbox sends an assembly takes, every call that was not cancelled in time arrives whole and once, and
    /// each lane in order.
    #[test]
    fn everything_arrives_and_lanes_in_order(acts in proptest::collection::vec(any_act(), 0..60)) {
        let (mut outbox, mut assembly) = (Outbox::new(), Assembly::default());
        let (mut pushed, mut unsent, mut arrived) = (Vec::new(), Vec::new(), Vec::new());
        let mut send = |outbox: &mut Outbox<u64>, frames: usize| {
            for step in std::iter::from_fn(|| outbox.next(0)).take(frames) {
                let frame = Frame { header: step.header, payload: BytesMut::from(&step.payload[..]) };
                if let Some(Event::Message(header, payload)) = assembly.push(frame).expect("a good peer") {
                    arrived.push((header.lane, header.call, payload.len()));
                }
            }
        };
        for act in acts {
            match act {
                Act::Push { lane, bytes } => {
                    let call = pushed.len() as u64 + 1;
                    outbox.push(message(call, lane, bytes));
                    pushed.push((Lane::new(lane), call, bytes));
                }
                Act::Send { frames } => send(&mut outbox, frames),
                Act::Cancel { call } => {
                    if outbox.cancel(call) == Cancelled::Unsent {
                        unsent.push(call);
                    }
                }
            }
        }
        send(&mut outbox, usize::MAX);
        pushed.retain(|(_, call, _)| !unsent.contains(call));
        let mut sorted = arrived.clone();
        sorted.sort_by_key(|(_, call, _)| *call);
        prop_assert_eq!(&sorted, &pushed);
        for lane in 1..3 {
            let of_lane = |all: &[(Lane, u64, usize)]| -> Vec<u64> {
                all.iter().filter(|(of, _, _)| of.get() == lane).map(|(_, call, _)| *call).collect()
            };
            prop_assert_eq!(of_lane(&arrived), of_lane(&pushed));
        }
    }
}
