use super::request::{Body, MemberChange, Operation, SnapshotChunk};
use super::*;
use crate::directory::DirectoryId;
use crate::raft_types::{Entry, LeaderId, LogId, Member, Membership, SnapshotMeta, StoredMembership, Vote};
use crate::status::{MetadataStatus, PeerStatus};
use lavandin_cluster::{CatalogueError, Command, Reply as CommandReply};
use lavandin_types::{ClusterId, NodeId};
use openraft::entry::RaftEntry;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn leader_id(term: u64) -> LeaderId {
    LeaderId { term, node_id: 7 }
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: leader_id(term), index }
}

fn directory() -> DirectoryId {
    DirectoryId::from_le_bytes([0xab; 16]).unwrap()
}

fn vote(term: u64, committed: bool) -> Vote {
    Vote { leader_id: leader_id(term), committed }
}

fn bodies() -> Vec<Body> {
    let command = Command::DropDatabase { name: "db".to_owned() };
    let nodes = BTreeMap::from([(7, Member { address: "a:1".to_owned(), directory: Some(directory()) })]);
    let membership = Membership::new(vec![[7].into()], nodes).unwrap();
    let meta = SnapshotMeta {
        last_log_id: Some(log_id(2, 9)),
        last_membership: StoredMembership::new(Some(log_id(1, 1)), membership),
    };
    let asked = VoteRequest::new(vote(4, false), Some(log_id(3, 5)));
    let (left, node) = (Duration::from_millis(5_000), 8);
    let operation = |operation| Body::Operation(left, operation);
    vec![
        Body::Append(AppendEntriesRequest {
            vote: vote(3, true),
            prev_log_id: Some(log_id(2, 4)),
            entries: vec![Entry::new_blank(log_id(3, 5)), Entry::new_normal(log_id(3, 6), command.clone())],
            leader_commit: Some(log_id(3, 5)),
        }),
        Body::Vote(asked.clone()),
        Body::PreVote(asked),
        Body::Snapshot(SnapshotChunk {
            vote: vote(3, true),
            meta,
            length: 6,
            offset: 2,
            bytes: vec![1, 2, 3],
        }),
        Body::TakeLeadership(TransferLeaderRequest::new(vote(3, true), 8, None)),
        operation(Operation::Command(command)),
        operation(Operation::ReadIndex),
        operation(Operation::Change(MemberChange::Add { node, address: "b:2".to_owned() })),
        operation(Operation::Change(MemberChange::SetVoters([7, 8].into()))),
        operation(Operation::Change(MemberChange::Remove { node })),
        Body::Status,
    ]
}

fn status() -> MetadataStatus {
    let peer = PeerStatus {
        node: NodeId::new(8),
        address: "b:2".to_owned(),
        voter: false,
        lag: Some(3),
        silent_for: Some(Duration::from_millis(40)),
    };
    MetadataStatus {
        node: NodeId::new(7),
        directory: directory(),
        cluster: Some(ClusterId::new(42)),
        leader: Some(NodeId::new(7)),
        term: 3,
        voters: vec![NodeId::new(7)],
        learners: vec![NodeId::new(8)],
        peers: vec![peer],
        degraded: None,
        last_log_index: Some(6),
        last_applied_index: Some(5),
        snapshot_index: None,
        failure: None,
    }
}

fn replies() -> Vec<Reply> {
    let missing = CatalogueError::DatabaseNotFound { name: "db".to_owned() };
    let failures = [
        Failure::WrongNode(9),
        Failure::WrongDirectory(directory()),
        Failure::Unreadable("a".to_owned()),
        Failure::Newer,
        Failure::NotLeader(None),
        Failure::NotLeader(Some((8, "b:2".to_owned()))),
        Failure::Unknown("b".to_owned()),
        Failure::NotNow("c".to_owned()),
        Failure::Refused("d".to_owned()),
        Failure::Stopped("e".to_owned()),
    ];
    let appended = [
        AppendEntriesResponse::Success,
        AppendEntriesResponse::Conflict,
        AppendEntriesResponse::PartialSuccess(Some(log_id(3, 5))),
        AppendEntriesResponse::HigherVote(vote(4, false)),
    ];
    let others = [
        Reply::Voted(VoteResponse::new(vote(4, false), Some(log_id(3, 5)), true)),
        Reply::Snapshot(vote(3, true)),
        Reply::Done,
        Reply::Answer(Answer { index: 6, outcome: Ok(CommandReply::Done) }),
        Reply::Answer(Answer { index: 6, outcome: Err(missing) }),
        Reply::Status(Box::new(status())),
    ];
    appended.map(Reply::Appended).into_iter().chain(others).chain(failures.map(Reply::Failed)).collect()
}

fn request(body: Body) -> Request {
    Request { node: 8, directory: Some(directory()), body }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Messages as version 1 writes them: members of one group may be of two versions of this program. Never edited.
#[test]
fn version_1_stays_as_it_is() {
    let fixtures: Vec<&str> = include_str!("fixtures-v1.txt").lines().collect();
    let sent = bodies().into_iter().map(|body| request(body).encode());
    let written: Vec<String> =
        sent.chain(replies().iter().map(Reply::encode)).map(|bytes| hex(&bytes)).collect();
    assert_eq!(written, fixtures);
}

#[test]
fn what_is_encoded_is_decoded() {
    for body in bodies() {
        let sent = request(body);
        let received = Request::decode(&sent.encode()).unwrap();
        assert_eq!(format!("{received:?}"), format!("{sent:?}"));
    }
    for sent in replies() {
        let received = Reply::decode(&sent.encode()).unwrap();
        assert_eq!(format!("{received:?}"), format!("{sent:?}"));
    }
    let anybody = Request { node: 8, directory: None, body: Body::Status };
    assert_eq!(Request::decode(&anybody.encode()).unwrap().directory, None);
}

#[test]
fn other_versions_are_told_apart_from_damage() {
    let mut message = request(Body::Status).encode();
    message[0] = 2;
    assert_eq!(Request::decode(&message).unwrap_err(), MessageError::Newer);
    message[1] ^= 1;
    assert_eq!(Request::decode(&message).unwrap_err(), MessageError::Row(RowError::Checksum));
}

/// Well-formed, and nothing that a member could ever say.
#[test]
fn contradictions_are_refused() {
    let append = |prev, entries: &[LogId]| {
        let entries = entries.iter().map(|id| Entry::new_blank(*id)).collect();
        Body::Append(AppendEntriesRequest {
            vote: vote(3, true),
            prev_log_id: prev,
            entries,
            leader_commit: None,
        })
    };
    let candidate = |committed| Body::Vote(VoteRequest::new(vote(4, committed), None));
    let uncommitted = AppendEntriesRequest {
        vote: vote(3, false),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    let chunk = |last, membership, length, offset| {
        let last_membership = StoredMembership::new(membership, Membership::default());
        let meta = SnapshotMeta { last_log_id: last, last_membership };
        Body::Snapshot(SnapshotChunk { vote: vote(3, true), meta, length, offset, bytes: vec![0; 4] })
    };
    let (five, max) = (Some(log_id(3, 5)), Some(log_id(3, u64::MAX)));
    let wrong = [
        append(None, &[log_id(3, 1)]),
        append(five, &[log_id(3, 7)]),
        append(five, &[log_id(2, 6)]),
        append(five, &[log_id(4, 6)]),
        append(max, &[log_id(3, 0)]),
        candidate(true),
        Body::Append(uncommitted),
        chunk(None, None, 4, 0),
        chunk(five, Some(log_id(3, 6)), 4, 0),
        chunk(Some(log_id(4, 5)), None, 4, 0),
        chunk(five, None, 3, 0),
        chunk(five, None, 4, u64::MAX),
    ];
    for body in wrong {
        let shown = format!("{body:?}");
        let error = Request::decode(&request(body).encode()).unwrap_err();
        assert!(matches!(error, MessageError::Contradiction(_)), "{shown}: {error}");
    }
    for right in [
        append(None, &[log_id(1, 0), log_id(3, 1)]),
        append(five, &[]),
        candidate(false),
        chunk(five, five, 4, 0),
    ] {
        Request::decode(&request(right).encode()).unwrap();
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        assert!(Request::decode(&bytes).is_err());
        assert!(Reply::decode(&bytes).is_err());
    }

    /// As above, behind a header that is right: what a faulty program would send.
    #[test]
    fn any_content_is_read_or_refused(kind in 0u8..13, rest in prop::collection::vec(any::<u8>(), 0..400)) {
        let content = [&[0; HEADER_BYTES + 24][..], &[kind], &rest].concat();
        drop(Request::decode(&seal(content)));
        let content = [&[0; HEADER_BYTES][..], &[kind], &rest].concat();
        drop(Reply::decode(&seal(content)));
    }

    #[test]
    fn changed_content_is_read_or_refused(
        which in 0usize..11,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        let mut message = request(bodies().swap_remove(which)).encode();
        let at = HEADER_BYTES + at.index(message.len() - HEADER_BYTES);
        message[at] = byte;
        if byte % 4 == 0 {
            message.truncate(HEADER_BYTES + end.index(message.len() - HEADER_BYTES));
        }
        drop(Request::decode(&seal(message)));
    }

    #[test]
    fn every_damage_is_found(which in 0usize..11, bit in any::<prop::sample::Index>()) {
        let mut message = request(bodies().swap_remove(which)).encode();
        let bit = bit.index(message.len() * 8);
        message[bit / 8] ^= 1 << (bit % 8);
        assert!(Request::decode(&message).is_err());
    }
}
