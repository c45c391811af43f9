use super::*;
use crate::frame::{Header, Kind};
use lavandin_types::{ClusterId, StoreId};

const RANGE: Protocols = Protocols { lowest: 1, highest: 1 };

fn identity(node: u64, cluster: u128) -> PeerIdentity {
    PeerIdentity {
        node: (node != 0).then(|| NodeId::new(node)),
        incarnation: 10 + node,
        store: StoreId::new(100 + u128::from(node)),
        cluster: (cluster != 0).then(|| ClusterId::new(cluster)),
    }
}

fn local(secret: &str, node: u64, cluster: u128) -> Local {
    Local {
        secret: ClusterSecret::new(secret.as_bytes()),
        identity: identity(node, cluster),
        protocols: RANGE,
        nonce: [node as u8; 32],
    }
}

fn to(node: u64) -> Wanted {
    Wanted { node: (node != 0).then(|| NodeId::new(node)), class: Class::Bulk }
}

/// How a handshake ended at the initiator and at the responder.
type Outcome = (Result<Session, HandshakeError>, Result<Session, HandshakeError>);

/// Runs a handshake; `wire` may change each message on its way.
fn run(from: Local, wanted: Wanted, at: Local, mut wire: impl FnMut(usize, &mut [u8])) -> Outcome {
    let lost = HandshakeError::Malformed("the connection ended");
    let initiator = Initiator::new(from, wanted);
    let mut hello = *initiator.hello();
    wire(0, &mut hello);
    let responder = match Responder::new(at, &hello) {
        Ok(responder) => responder,
        Err(Refused { error, reply: Some(mut reply) }) => {
            wire(1, &mut *reply);
            return (initiator.challenged(&reply).map(|_| unreachable!("refused")), Err(error));
        }
        Err(Refused { error, reply: None }) => return (Err(lost), Err(error)),
    };
    let mut challenge = *responder.challenge();
    wire(1, &mut challenge);
    let awaits = match initiator.challenged(&challenge) {
        Ok(awaits) => awaits,
        Err(error) => return (Err(error), Err(lost)),
    };
    let mut proof = *awaits.proof();
    wire(2, &mut proof);
    match responder.proved(&proof) {
        Ok((session, mut verdict)) => {
            wire(3, &mut verdict);
            (awaits.judged(&verdict), Ok(session))
        }
        Err(Refused { error, reply: Some(mut verdict) }) => {
            wire(3, &mut *verdict);
            (awaits.judged(&verdict), Err(error))
        }
        Err(Refused { error, reply: None }) => (Err(lost), Err(error)),
    }
}

fn untouched(_: usize, _: &mut [u8]) {}

fn errors(outcome: Outcome) -> (Option<HandshakeError>, Option<HandshakeError>) {
    (outcome.0.err(), outcome.1.err())
}

#[test]
fn nodes_with_one_secret_become_peers_and_know_each_other() {
    let (mine, theirs) = run(local("s", 1, 7), to(2), local("s", 2, 7), untouched);
    let (mut mine, mut theirs) = (mine.unwrap(), theirs.unwrap());
    assert_eq!((mine.peer, theirs.peer), (identity(2, 7), identity(1, 7)));
    assert_eq!((mine.class, theirs.class), (Class::Bulk, Class::Bulk));
    // Each side opens what the other seals, and not what it sealed itself.
    let header = Header::new(Kind::Alive, 0);
    let (mut there, mut back) = (Vec::new(), Vec::new());
    mine.sealer.seal(header, &[], &mut there);
    theirs.sealer.seal(header, &[], &mut back);
    assert_ne!(there, back);
    assert!(mine.opener.open(&mut there[..].into()).is_err());
    assert_eq!(theirs.opener.open(&mut there[..].into()).unwrap().unwrap().header, header);
}

#[test]
fn a_node_without_number_or_cluster_may_join() {
    let (mine, theirs) = run(local("s", 0, 0), to(0), local("s", 2, 7), untouched);
    assert_eq!((mine.unwrap().peer, theirs.unwrap().peer), (identity(2, 7), identity(0, 0)));
    let (mine, _) = run(local("s", 1, 7), to(0), local("s", 0, 0), untouched);
    assert_eq!(mine.unwrap().peer, identity(0, 0));
}

#[test]
fn each_refusal_is_the_same_error_on_both_sides() {
    let wrong = HandshakeError::WrongSecret;
    assert_eq!(
        errors(run(local("s", 1, 7), to(2), local("t", 2, 7), untouched)),
        (Some(wrong), Some(wrong)),
        "another secret"
    );
    assert_eq!(
        errors(run(local("", 1, 7), to(2), local("t", 2, 7), untouched)),
        (Some(wrong), Some(wrong)),
        "no secret at one side"
    );
    let cluster = |ours: u128, theirs: u128| {
        Some(HandshakeError::WrongCluster { ours: ClusterId::new(ours), theirs: ClusterId::new(theirs) })
    };
    assert_eq!(
        errors(run(local("s", 1, 7), to(2), local("s", 2, 8), untouched)),
        (cluster(7, 8), cluster(8, 7)),
        "another cluster"
    );
    let node = HandshakeError::WrongNode { addressed: NodeId::new(3), reached: Some(NodeId::new(2)) };
    assert_eq!(
        errors(run(local("s", 1, 7), to(3), local("s", 2, 7), untouched)),
        (Some(node), Some(node)),
        "another node"
    );
    let none = Some(HandshakeError::WrongNode { addressed: NodeId::new(3), reached: None });
    assert_eq!(
        errors(run(local("s", 1, 7), to(3), local("s", 0, 0), untouched)),
        (none, none),
        "no number yet"
    );
    for error in [wrong, cluster(7, 8).unwrap(), node] {
        assert!(error.to_string().contains(": "), "{error} says what to do");
    }
}

#[test]
fn a_refusal_over_the_secret_says_nothing_else() {
    let initiator = Initiator::new(local("s", 1, 7), to(2));
    let responder = Responder::new(local("t", 2, 7), initiator.hello()).ok().unwrap();
    let awaits = initiator.challenged(responder.challenge()).ok().unwrap();
    let verdict = responder.proved(awaits.proof()).err().unwrap().reply.unwrap();
    assert_eq!(verdict[..2], REFUSED_SECRET.to_le_bytes());
    assert_eq!(verdict[2..], [0; VERDICT_BYTES - 2]);
}

#[test]
fn the_highest_common_protocol_is_used() {
    let with =
        |lowest, highest, node| Local { protocols: Protocols { lowest, highest }, ..local("s", node, 7) };
    let outcome = |a: (u16, u16), b: (u16, u16)| {
        let (mine, theirs) = run(with(a.0, a.1, 1), to(2), with(b.0, b.1, 2), untouched);
        (mine.map(|session| session.protocol), theirs.map(|session| session.protocol))
    };
    assert_eq!(outcome((1, 1), (1, 2)), (Ok(1), Ok(1)), "an upgraded node is dialled");
    assert_eq!(outcome((1, 2), (1, 1)), (Ok(1), Ok(1)), "an upgraded node dials");
    assert_eq!(outcome((1, 3), (2, 5)), (Ok(3), Ok(3)));
    let range = |lowest, highest| Protocols { lowest, highest };
    let (old, new) = (range(1, 1), range(2, 3));
    assert_eq!(
        outcome((1, 1), (2, 3)),
        (
            Err(HandshakeError::ProtocolTooNew { ours: old, theirs: new }),
            Err(HandshakeError::ProtocolTooOld { ours: new, theirs: old })
        )
    );
    assert_eq!(
        outcome((2, 3), (1, 1)),
        (
            Err(HandshakeError::ProtocolTooOld { ours: new, theirs: old }),
            Err(HandshakeError::ProtocolTooNew { ours: old, theirs: new })
        )
    );
    assert!(matches!(outcome((2, 1), (1, 1)).1, Err(HandshakeError::Malformed(_))), "no range");
    assert!(matches!(outcome((0, 1), (1, 1)).1, Err(HandshakeError::Malformed(_))), "0 is no number");
}

#[test]
fn no_changed_bit_is_accepted() {
    for (message, bytes) in [HELLO_BYTES, CHALLENGE_BYTES, PROOF_BYTES, VERDICT_BYTES].into_iter().enumerate()
    {
        for bit in 0..bytes * 8 {
            let (mine, theirs) = run(local("s", 1, 7), to(2), local("s", 2, 7), |at, said| {
                if at == message {
                    said[bit / 8] ^= 1 << (bit % 8);
                }
            });
            assert!(mine.is_err(), "bit {bit} of message {message} at the initiator");
            // The responder speaks last, so only the initiator sees what happened to the verdict.
            assert_eq!(theirs.is_err(), message != 3, "bit {bit} of message {message} at the responder");
        }
    }
}

#[test]
fn a_downgrade_is_noticed() {
    let both = Protocols { lowest: 1, highest: 2 };
    let with = |node| Local { protocols: both, ..local("s", node, 7) };
    let (mine, theirs) = run(with(1), to(2), with(2), |at, said| match at {
        // Each is made to believe that the other is old.
        0 | 1 => said[10..12].copy_from_slice(&1_u16.to_le_bytes()),
        _ => {}
    });
    assert!(mine.is_err());
    assert!(theirs.is_err());
}

#[test]
fn what_is_sent_back_proves_nothing() {
    // The whole of the initiator's words, back to it.
    let initiator = Initiator::new(local("s", 1, 7), to(2));
    let hello = *initiator.hello();
    assert!(initiator.challenged(&hello).is_err(), "a hello is no challenge");
    // A real challenge, and then its own proof in the place of a verdict.
    let initiator = Initiator::new(local("s", 1, 7), to(0));
    let responder = Responder::new(local("s", 1, 7), initiator.hello()).ok().unwrap();
    let awaits = initiator.challenged(responder.challenge()).ok().unwrap();
    let mut back = [0; VERDICT_BYTES];
    back[8..56].copy_from_slice(&awaits.proof()[..48]);
    back[56..].copy_from_slice(&awaits.proof()[CLAIM_BYTES..]);
    assert_eq!(awaits.judged(&back).err(), Some(HandshakeError::WrongSecret));
}

#[test]
fn a_captured_exchange_opens_nothing() {
    // Record a good exchange.
    let initiator = Initiator::new(local("s", 1, 7), to(2));
    let hello = *initiator.hello();
    let responder = Responder::new(local("s", 2, 7), &hello).ok().unwrap();
    let challenge = *responder.challenge();
    let awaits = initiator.challenged(&challenge).ok().unwrap();
    let proof = *awaits.proof();
    let (_, verdict) = responder.proved(&proof).ok().unwrap();
    // Replayed to the responder, which draws another nonce.
    let again = Local { nonce: [99; 32], ..local("s", 2, 7) };
    let refused = Responder::new(again, &hello).ok().unwrap().proved(&proof).err().unwrap();
    assert_eq!(refused.error, HandshakeError::WrongSecret);
    // Replayed to the initiator, which draws another nonce.
    let again = Local { nonce: [98; 32], ..local("s", 1, 7) };
    let awaits = Initiator::new(again, to(2)).challenged(&challenge).ok().unwrap();
    assert_eq!(awaits.judged(&verdict).err(), Some(HandshakeError::WrongSecret));
    // Frames of one session are nothing in another.
    let session = |nonce| {
        let (mine, theirs) = run(Local { nonce, ..local("s", 1, 7) }, to(2), local("s", 2, 7), untouched);
        (mine.unwrap().sealer, theirs.unwrap().opener)
    };
    let (mut sealer, _) = session([1; 32]);
    let (_, mut other) = session([3; 32]);
    let mut frame = Vec::new();
    sealer.seal(Header::new(Kind::Alive, 0), &[], &mut frame);
    assert!(other.open(&mut frame[..].into()).is_err());
}

#[test]
fn an_unknown_class_or_reason_is_refused() {
    let secret = ClusterSecret::new(b"s");
    let initiator = Initiator::new(local("s", 1, 7), to(2));
    let responder = Responder::new(local("s", 2, 7), initiator.hello()).ok().unwrap();
    let mut claim = claim(&identity(1, 7), to(2));
    claim[56] = 9;
    let mac =
        proof_mac(&secret, initiator.hello(), responder.challenge(), &claim).finalize().into_bytes().into();
    let refused = responder.proved(&joined(&claim, &mac)).err().unwrap();
    assert!(matches!(refused.error, HandshakeError::Malformed(_)));

    let at = local("s", 2, 7);
    for code in [REFUSED_CLUSTER, REFUSED_NODE, 77] {
        let initiator = Initiator::new(local("s", 1, 7), to(2));
        let responder = Responder::new(at.clone(), initiator.hello()).ok().unwrap();
        let awaits = initiator.challenged(responder.challenge()).ok().unwrap();
        let verdict = signed_verdict(&at, &awaits.said, code);
        assert!(matches!(awaits.judged(&verdict).err(), Some(HandshakeError::Malformed(_))), "code {code}");
    }
}

/// The messages of one handshake and the first frame of each direction, as docs/formats/peer.md has them. The expected
/// bytes come from another implementation of that page.
#[test]
fn the_bytes_of_version_1() {
    let initiator = Initiator::new(local("correct horse", 1, 7), to(2));
    let hello = *initiator.hello();
    let responder = Responder::new(local("correct horse", 2, 7), &hello).ok().unwrap();
    let challenge = *responder.challenge();
    let awaits = initiator.challenged(&challenge).ok().unwrap();
    let proof = *awaits.proof();
    let (mut theirs, verdict) = responder.proved(&proof).ok().unwrap();
    let mut mine = awaits.judged(&verdict).ok().unwrap();
    let (mut request, mut response) = (Vec::new(), Vec::new());
    let header = Header {
        code: 3,
        lane: crate::Lane::new(9),
        left_ms: 1500,
        message_bytes: 4,
        ..Header::new(Kind::Request, 1)
    };
    mine.sealer.seal(header, b"ping", &mut request);
    let header = Header { message_bytes: 4, ..Header::new(Kind::Response, 1) };
    theirs.sealer.seal(header, b"pong", &mut response);
    let said: [&[u8]; 6] = [&hello, &challenge, &proof, &verdict, &request, &response];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let said: Vec<String> = said.into_iter().map(hex).collect();
    let expected: Vec<&str> = include_str!("../../tests/fixtures/peer_v1.txt").lines().collect();
    assert_eq!(said, expected);
}
