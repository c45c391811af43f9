use super::*;
use crate::driver::Reserved;
use crate::node_statistics::CollectionStatistics;
use crate::reads::Search;
use crate::reservations::ReservationId;
use crate::verifying::{DamagedCollection, Digests};
use lavandin_filter::Kinds;
use lavandin_plan::iterations::{self, Found, Question, Reply, Request};
use lavandin_shard::Digest;
use lavandin_shard::{
    BatchIds, Change, FieldKinds, Hit, Outcome, Places, ReadError, Record, RecordBatch, SearchProfile,
    SearchResult, VectorBatch, Which,
};
use lavandin_types::SequenceNumber;
use lavandin_types::{CollectionId, ElementType, ErrorCode, IterationId, Kind, RecordId};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

const FIXTURE: &str = include_str!("../../../fixtures/group-calls-1.hex");
const COLLECTION: CollectionId = CollectionId::new(0x0102_0304_0506_0708);

fn applied(sequence: u64) -> Applied {
    Applied { sequence, epoch: PrimaryEpoch::new(4) }
}

fn header() -> Header {
    Header {
        group: GroupId::new(3),
        epoch: PrimaryEpoch::new(4),
        catalogue: 500,
        request_id: RequestId::new(0xfeed),
        need: Some(Need { applied_min: applied(77), age_ms_max: Some(8000) }),
    }
}

fn batch(ids: BatchIds, vectors: &'static [u8]) -> RecordBatch {
    let vectors = VectorBatch { element: ElementType::F16, dim: 1, bytes: Bytes::from_static(vectors) };
    let offsets = (0..ids.len() as u32).collect();
    RecordBatch {
        ids,
        vectors,
        fields: Some(Bytes::from_static(&[0, 0])),
        places: Some(Places { first: 9, offsets }),
    }
}

fn fields() -> Arc<FieldKinds> {
    Arc::new([("a".to_owned(), Kinds::of(Kind::Int)), ("é".to_owned(), Kinds::NONE)].into_iter().collect())
}

fn search() -> Search {
    Search {
        queries: vec![1.0, -0.5, f32::MAX, 0.0],
        count: 2,
        k: 10,
        filter: Some("a = 1".to_owned()),
        probe: 5,
        with_fields: true,
    }
}

fn changes() -> Vec<Change> {
    let mixed = BatchIds::Mixed(vec![RecordId::Int(1), RecordId::from("x")]);
    let bare = RecordBatch { fields: None, places: None, ..batch(BatchIds::Assigned { count: 1 }, &[1, 2]) };
    vec![
        Change::Add(batch(BatchIds::Ints(vec![7, u64::MAX]), &[1, 2, 3, 4])),
        Change::Add(bare),
        Change::Upsert(batch(mixed, &[1, 2, 3, 4])),
        Change::Upsert(batch(BatchIds::Range { start: 5, count: 2 }, &[5, 6, 7, 8])),
        Change::Delete(vec![RecordId::Int(1), RecordId::from("two")]),
        Change::Restore(vec![RecordId::from("")]),
        Change::Compact,
        Change::Allot { start: 5, count: 7 },
    ]
}

fn calls() -> Vec<GroupCall> {
    let collection = COLLECTION;
    let reservation = ReservationId::new(11);
    let mut calls: Vec<GroupCall> = changes()
        .into_iter()
        .map(|change| GroupCall::Change { collection, change, reserved: Some(reservation) })
        .collect();
    let which = [
        Which::Matching("a > 2".to_owned()),
        Which::Ids(vec![RecordId::Int(2)]),
        Which::All,
        Which::First(3),
        Which::Last(usize::MAX),
    ];
    calls.extend(which.into_iter().map(|which| GroupCall::Records {
        collection,
        which,
        fields: Some(fields()),
        with_vectors: true,
    }));
    let change = changes().swap_remove(0);
    calls.extend([
        GroupCall::Confirm,
        GroupCall::Digests,
        GroupCall::Doubt,
        GroupCall::Change { collection, change: Change::Compact, reserved: None },
        GroupCall::Reserve { collection, change, reservation },
        GroupCall::LogReserved(reservation),
        GroupCall::Release(reservation),
        GroupCall::Drop(collection),
        GroupCall::LogSchema(collection),
        GroupCall::Search { collection, search: search(), fields: Some(fields()) },
        GroupCall::Search { collection, search: Search { filter: None, ..search() }, fields: None },
        GroupCall::SearchRange { collection, query: vec![0.5], threshold: 2.0, max_results: 4 },
        GroupCall::DeletedIds(collection),
        GroupCall::Contains { collection, id: RecordId::from("x") },
        GroupCall::FieldKinds(collection),
        GroupCall::Statistics(collection),
        GroupCall::Flush,
        GroupCall::Checkpoint,
        GroupCall::WantMerge(collection),
        GroupCall::AwaitJobs(collection),
        GroupCall::Iterations(iteration_requests()),
        GroupCall::AskIterations(Question::Rank { iteration: iteration_id(), rank: 5 }),
    ]);
    calls
}

fn iteration_id() -> IterationId {
    IterationId::new(1_760_000_000_000, [7; 20])
}

fn iteration_requests() -> Vec<Request> {
    let iteration = iteration_id();
    vec![
        Request::TakeBlock { iteration, group: 1, block: 2 },
        Request::Complete { iteration, indices: vec![1, 300] },
    ]
}

fn hit() -> Hit {
    Hit { id: RecordId::from("h"), score: 0.25, fields: vec![1, 2], place: 6 }
}

fn answers() -> Vec<GroupAnswer> {
    let profile = SearchProfile {
        path: "flat".to_owned(),
        total_vectors: 1,
        filter_matches: Some(2),
        scanned_vectors: 3,
        filter_us: 4,
        search_us: 5,
        rerank_us: 6,
        total_us: 7,
        explain: vec!["one".to_owned(), String::new()],
    };
    let record = Record { id: RecordId::Int(8), vector: vec![1.5], fields: vec![0], place: 3 };
    let statistics = CollectionStatistics {
        rows: 1,
        live: 2,
        deleted: 3,
        max_int_id: Some(4),
        has_string_ids: true,
        ever_written: 5,
        dim: 6,
        indexed_rows: 7,
        segments: 8,
        bytes: 9,
    };
    vec![
        GroupAnswer::Done,
        GroupAnswer::Waiting,
        GroupAnswer::Outcome(Outcome::Assigned { start: 3, count: 4 }),
        GroupAnswer::Outcome(Outcome::Count(5)),
        GroupAnswer::Reserved(Reserved::Held),
        GroupAnswer::Reserved(Reserved::Answered(Outcome::Count(1))),
        GroupAnswer::Search(None),
        GroupAnswer::Search(Some(SearchResult { hits: vec![vec![hit()], vec![]], profile })),
        GroupAnswer::Hits(vec![hit(), hit()]),
        GroupAnswer::Records(None),
        GroupAnswer::Records(Some(vec![record])),
        GroupAnswer::Ids(vec![RecordId::Int(1), RecordId::from("i")]),
        GroupAnswer::Found(true),
        GroupAnswer::FieldKinds(Arc::unwrap_or_clone(fields())),
        GroupAnswer::Statistics(statistics),
        GroupAnswer::Iterations(vec![
            Ok(iterations::Outcome::Count(300)),
            Err(iterations::Rejection::NotOpen { rank: 1, number: 2 }),
        ]),
        GroupAnswer::Told(Box::new(Reply::Found(Found::TakeBlock { group: 1, block: 300 }))),
        GroupAnswer::Digests(Digests {
            digests: vec![Digest {
                collection: COLLECTION,
                sequence: SequenceNumber::new(9),
                records: 7,
                hash: 0xabcd,
            }],
            damaged: vec![DamagedCollection { collection: COLLECTION, reason: "é".to_owned() }],
        }),
    ]
}

fn errors() -> Vec<NodeError> {
    vec![
        lavandin_shard::check_filter("a = ").map(drop).expect_err("it ends too early").into(),
        Rejection::Exists(RecordId::from("x")).into(),
        NodeError::ReservationGone,
        NodeError::NotServing { group: GroupId::new(3), reason: "why".to_owned() },
        NodeError::OutcomeUnknown { request_id: RequestId::new(5) },
        NodeError::Overloaded,
        ReadError::UnknownId(RecordId::Int(4)).into(),
        NodeError::CollectionNotFound("c7".to_owned()),
    ]
}

fn questions() -> Vec<Bytes> {
    calls().iter().map(|call| encode_call(&header(), call)).collect()
}

fn replies() -> Vec<Bytes> {
    let answers = answers().into_iter().map(Ok).chain(errors().into_iter().map(Err));
    answers.map(|answer| encode_answer(&Answered { applied: applied(12), answer })).collect()
}

fn is_question(message: &Bytes) -> bool {
    decode_call(message).is_some()
}

fn is_reply(message: &Bytes) -> bool {
    decode_answer(message).is_some()
}

#[test]
fn every_question_comes_back() {
    for call in calls() {
        for need in [header().need, None, Some(Need::default())] {
            let header = Header { need, ..header() };
            assert_eq!(decode_call(&encode_call(&header, &call)), Some((header, call.clone())));
        }
    }
}

#[test]
fn every_answer_comes_back() {
    for answer in answers() {
        let bytes = encode_answer(&Answered { applied: applied(12), answer: Ok(answer.clone()) });
        let Answered { applied, answer: decoded } = decode_answer(&bytes).expect("our own bytes");
        assert_eq!((applied, decoded.expect("it is no error")), (self::applied(12), answer));
    }
}

/// The other node's sentence, code and position, whatever became of the type.
#[test]
fn every_error_comes_back_as_it_was_said() {
    for error in errors() {
        let bytes = encode_answer(&Answered { applied: applied(1), answer: Err(error.clone()) });
        let decoded = decode_answer(&bytes).expect("our own bytes").answer.expect_err("it is an error");
        assert_eq!(decoded.to_string(), error.to_string());
        assert_eq!(decoded.code(), error.code());
        assert_eq!(decoded.filter_position(), error.filter_position());
    }
    let exists = NodeError::from(Rejection::Exists(RecordId::Int(1)));
    let bytes = encode_answer(&Answered { applied: applied(1), answer: Err(exists) });
    let decoded = decode_answer(&bytes).expect("our own bytes").answer;
    assert!(matches!(decoded, Err(NodeError::Rejected(Rejection::Exists(RecordId::Int(1))))));
}

#[test]
fn vectors_are_not_copied() {
    let change = changes().swap_remove(0);
    let bytes = encode_call(&header(), &GroupCall::Change { collection: COLLECTION, change, reserved: None });
    let (_, call) = decode_call(&bytes).expect("our own bytes");
    let GroupCall::Change { change: Change::Add(batch), .. } = call else { panic!("another question") };
    assert!(bytes.as_ptr_range().contains(&batch.vectors.bytes.as_ptr()));
}

#[test]
fn what_is_cut_short_or_goes_on_or_is_of_another_version_is_refused() {
    for (messages, is_read) in [(questions(), is_question as fn(&Bytes) -> bool), (replies(), is_reply)] {
        for message in messages {
            assert!(is_read(&message));
            assert!((0..message.len()).all(|end| !is_read(&message.slice(..end))));
            assert!(!is_read(&[&message[..], &[0]].concat().into()));
            assert!(!is_read(&[&[VERSION + 1], &message[1..]].concat().into()));
        }
    }
}

/// Queries that do not divide by their count would make the engine take a wrong dimension.
#[test]
fn a_search_whose_numbers_do_not_fit_is_refused() {
    for (queries, count) in
        [(vec![], 0), (vec![], 1), (vec![1.0], 0), (vec![1.0; 3], 2), (vec![1.0], usize::MAX)]
    {
        let search = Search { queries, count, ..search() };
        let call = GroupCall::Search { collection: COLLECTION, search, fields: None };
        assert_eq!(decode_call(&encode_call(&header(), &call)), None);
    }
}

/// Damaged and random bytes are refused or read as something; nothing panics, and what is read is no larger than
/// the message lets it be.
#[test]
fn damaged_bytes_never_panic() {
    let messages = [questions(), replies()].concat();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut read = 0;
    for round in 0..40_000 {
        let mut bytes = messages[random() as usize % messages.len()].to_vec();
        if round % 4 == 0 {
            bytes.iter_mut().skip(1).for_each(|byte| *byte = random() as u8);
        }
        for _ in 0..=random() % 4 {
            let at = random() as usize % bytes.len();
            match random() % 4 {
                0 => bytes[at] ^= 1 << (random() % 8),
                1 => bytes[at] = 0xff,
                2 => bytes.insert(at, random() as u8),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                bytes.push(VERSION);
            }
        }
        let bytes = Bytes::from(bytes);
        read += usize::from(is_question(&bytes)) + usize::from(is_reply(&bytes));
    }
    assert!(read > 1000, "the damage was so great that nothing was tested");
}

#[test]
fn a_list_takes_no_memory_that_its_bytes_do_not_justify() {
    let mut from = vec![0xff; 4];
    from.extend_from_slice(&[0; 64]);
    let from = Bytes::from(from);
    assert!(<Vec<Hit> as Coded>::get(&mut Reader::new(&from)).is_none());
    assert!(<Vec<u64> as Coded>::get(&mut Reader::new(&from)).is_none());
    assert!(<Bytes as Coded>::get(&mut Reader::new(&from)).is_none());
}

#[test]
fn the_bytes_are_those_of_the_fixture() {
    let hex = |message: &Bytes| {
        message.iter().fold(String::new(), |mut line, byte| {
            write!(line, "{byte:02x}").expect("a string takes it");
            line
        })
    };
    let lines: Vec<String> = [questions(), replies()].concat().iter().map(hex).collect();
    assert_eq!(FIXTURE.lines().collect::<Vec<_>>(), lines, "\n{}", lines.join("\n"));
}

/// A search of one query costs microseconds to send, not more: a bound with a wide margin.
#[test]
fn a_search_is_quickly_encoded() {
    let search = Search { queries: vec![0.5; 768], count: 1, k: 10, ..Search::default() };
    let call = GroupCall::Search { collection: COLLECTION, search, fields: None };
    let hits = vec![vec![hit(); 10]];
    let answer = Answered {
        applied: applied(1),
        answer: Ok(GroupAnswer::Search(Some(SearchResult { hits, ..SearchResult::default() }))),
    };
    let started = Instant::now();
    for _ in 0..1000 {
        assert!(decode_call(&encode_call(&header(), &call)).is_some());
        assert!(decode_answer(&encode_answer(&answer)).is_some());
    }
    assert!(started.elapsed().as_millis() < 1000, "{:?} for 1000 searches", started.elapsed());
}

#[test]
fn a_code_keeps_its_number() {
    let error = NodeError::Remote {
        code: ErrorCode::PayloadTooLarge,
        message: "too much".to_owned(),
        filter_position: None,
    };
    let bytes = encode_answer(&Answered { applied: applied(1), answer: Err(error) });
    let decoded = decode_answer(&bytes).expect("our own bytes").answer.expect_err("it is an error");
    assert_eq!((decoded.code(), decoded.to_string()), (ErrorCode::PayloadTooLarge, "too much".to_owned()));
}
