//! Requests, questions and replies as they travel between nodes.

use super::fixture::{
    Logged, OWNER, create, dataset_id, definition, grant_of, iteration_id, places, shuffled,
};
use crate::ShardRows;
use crate::iterations::{
    Contested, Create, Found, Grant, IterationInfo, Join, Look, Outline, Owner, Place, Question, RankStatus,
    Rejection, Reply, Request, Taken,
};

fn requests() -> Vec<Request> {
    let mut logged = Logged::new();
    let iteration = logged.create(create(1, 0, 0));
    let mut walk = logged.walk(iteration, 0);
    let samples = logged.gather(&mut walk, iteration, 9);
    let join = Join { rank: 3, world_size: Some(8), threshold_ms: 500 };
    let grant = Grant {
        filtered: places(&samples[4..6]),
        failed: places(&samples[7..8]),
        delivered: vec![(0, 3), (1, 700)],
        now_ms: 77,
        ..grant_of(iteration, 0, &walk, &samples[..4])
    };
    let definition = definition(shuffled(7, 2), Some(vec![vec![3, 4], vec![5]]));
    vec![
        Request::Create(Box::new(Create { join, definition, ..create(2, 3, 99) })),
        Request::TakeBlock { iteration, group: 1, block: 300 },
        Request::Grant(Box::new(grant)),
        Request::Delivered { iteration, grants: vec![(0, 1), (2, 1 << 40)] },
        Request::Return { iteration, rank: 9, number: 12, owner: Owner::NOBODY },
        Request::Complete { iteration, indices: vec![5, 1, 1 << 50] },
        Request::Pushback { iteration },
        Request::DropDataset { dataset: dataset_id(4) },
    ]
}

#[test]
fn requests_arrive_as_they_were_sent() {
    for request in requests() {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        assert_eq!(Request::decode(&bytes).as_ref(), Some(&request));
        for end in 0..bytes.len() {
            assert_eq!(Request::decode(&bytes[..end]), None, "{request:?} cut at {end}");
        }
        bytes.push(0);
        assert_eq!(Request::decode(&bytes), None, "{request:?}");
    }
}

#[test]
fn questions_arrive_as_they_were_sent() {
    let iteration = iteration_id(1);
    for question in [
        Question::Info(iteration),
        Question::Outline(iteration),
        Question::List(None),
        Question::List(Some(dataset_id(2))),
        Question::Progress(iteration),
        Question::Rank { iteration, rank: 300 },
        Question::RankCount(iteration),
        Question::Look(Look { iteration, rank: 3, generation: 1 << 33, from: 900 }),
    ] {
        let mut bytes = Vec::new();
        question.encode(&mut bytes);
        assert_eq!(Question::decode(&bytes), Some(question));
        assert_eq!(Question::decode(&bytes[..bytes.len() - 1]), None);
    }
}

#[test]
fn rejections_arrive_as_what_they_are_or_as_their_text() {
    let (iteration, place) = (iteration_id(1), Place { block: 300, offset: 7 });
    for rejection in [
        Rejection::UnknownIteration(iteration),
        Rejection::Exists(iteration),
        Rejection::UnknownRank(300),
        Rejection::Conflict { what: Contested::NextBatch, expected: 1, found: 1 << 40 },
        Rejection::NoMoreBlocks { blocks: 5 },
        Rejection::AlreadyTaken { rank: 1, place },
        Rejection::NotOpen { rank: 1, number: 2 },
        Rejection::Repeated { rank: 1, number: 2 },
        Rejection::UnderWay { rank: 1, number: 2 },
        Rejection::TooManyOpenGrants { rank: 1, limit: 1024 },
        Rejection::TooManyIterations { limit: 1000 },
        Rejection::TooLarge { bytes: 1 << 21, limit: 1 << 20 },
        Rejection::NotOwned { place },
        Rejection::Told("as it was".to_owned()),
    ] {
        let mut bytes = Vec::new();
        rejection.encode(&mut bytes);
        assert_eq!(Rejection::decode(&bytes).as_ref(), Some(&rejection));
        assert_eq!(Rejection::decode(&bytes[..bytes.len() - 1]), None, "{rejection:?}");
    }
    let mut bytes = Vec::new();
    Rejection::UnknownGroup(7).encode(&mut bytes);
    let text = "there is no replication group 7".to_owned();
    assert_eq!(Rejection::decode(&bytes), Some(Rejection::Told(text)));
}

fn arrives(reply: &Reply) -> Reply {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    for end in 0..bytes.len() {
        assert!(Reply::decode(&bytes[..end]).is_none(), "{reply:?} cut at {end}");
    }
    Reply::decode(&bytes).expect("just encoded")
}

#[test]
fn replies_arrive_as_they_were_sent() {
    let mut logged = Logged::new();
    let rows = ShardRows::new(vec![10, 0, 300]);
    let iteration = logged.create(Create { rows: rows.clone(), ..create(1, 0, 5) });
    logged.batch(iteration, 0, 4, 6);
    let reader = logged.reader();
    let info = reader.outline(iteration).unwrap().info();
    assert_eq!((info.total, info.created_ms), (310, 5));
    let asked = |question| arrives(&reader.answer(question).unwrap());
    assert!(matches!(asked(Question::Info(iteration)), Reply::Info(arrived) if arrived == info));
    assert!(matches!(asked(Question::List(None)), Reply::List(arrived) if arrived == [info.clone()]));
    let Reply::Outline(outline) = asked(Question::Outline(iteration)) else { panic!("another reply") };
    let Outline { id, rows: arrived, .. } = &*outline;
    assert_eq!((*id, arrived, outline.info()), (iteration, &rows, info));
    let expected = reader.progress(iteration).unwrap();
    assert!(matches!(asked(Question::Progress(iteration)), Reply::Progress(arrived) if arrived == expected));
    let rank = Question::Rank { iteration, rank: 0 };
    let expected = RankStatus { joined: true, next: 1, generation: 0, open: vec![(0, OWNER)] };
    assert!(matches!(asked(rank), Reply::Rank(arrived) if arrived == expected));
    assert!(matches!(asked(Question::RankCount(iteration)), Reply::RankCount(1)));
    let look = Look { iteration, rank: 0, generation: 0, from: 0 };
    let Reply::Found(Found::Block { block: 0, taken: Taken::Offsets(taken) }) = asked(Question::Look(look))
    else {
        panic!("another block")
    };
    assert_eq!(taken.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    let further = Question::Look(Look { from: 2, ..look });
    let expected = Found::TakeBlock { group: 0, block: 1 };
    assert!(matches!(asked(further), Reply::Found(found) if found == expected));
    let stale = Question::Look(Look { generation: 9, ..look });
    assert!(matches!(asked(stale), Reply::Found(Found::Stale)));
    let of_nobody: Option<IterationInfo> = IterationInfo::decode(&[]);
    assert!(of_nobody.is_none());
}

/// A walk far from the iteration's state goes the same way.
#[test]
fn an_outline_that_travelled_has_the_same_samples() {
    let mut logged = Logged::new();
    let definition = definition(shuffled(3, 2), None);
    let iteration = logged.create(Create { definition, ..create(1, 0, 0) });
    let (mut here, reader) = (logged.walk(iteration, 0), logged.reader());
    let Reply::Outline(outline) = arrives(&reader.answer(Question::Outline(iteration)).unwrap()) else {
        panic!("another reply")
    };
    let mut there = crate::iterations::Walk::new(outline, 0, &RankStatus::default()).unwrap();
    let expected = logged.gather(&mut here, iteration, 100);
    let found = logged.gather(&mut there, iteration, 100);
    assert_eq!((expected.len(), found), (100, expected));
}
