use super::super::messages::Piece;
use super::rig::{GROUP, NODE, PLAIN, Wire, add, source, stale};
use super::*;
use crate::group_state::{GroupState, split_payload};
use bytes::Bytes;
use lavandin_group::Snapshot;
use lavandin_shard::{Digest, SnapshotFiles};
use lavandin_storage::LocalDirectory;
use lavandin_types::{ErrorCode, GroupId, NodeId};
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_session_serves_files_that_merges_and_checkpoints_have_removed() {
    let folder = tempfile::tempdir().unwrap();
    let directory: Arc<dyn Directory> = Arc::new(LocalDirectory::new(folder.path()).unwrap());
    let (mut from, expected) = source(Arc::clone(&directory));
    let wire = Wire::to(&from);
    let mut copy = stale(memory());
    let offer = Offer::decode(
        &wire.clone().call(Request::Begin { group: GROUP, node: NODE }.encode()).await.unwrap(),
    );
    let offered = offer.unwrap();
    let held = from.files();
    from.change(PLAIN, add(700, 40));
    from.checkpoint();
    from.merge_all();
    from.checkpoint();
    from.checkpoint();
    assert!(held.iter().any(|file| !from.files().contains(file)), "a merge has removed files");
    // The session that was begun before serves what it has offered.
    let answer = offered.encode();
    let receiver = wire.receiver(&copy, move |wire, request| {
        let answer = answer.clone();
        async move {
            match Request::decode(&request) {
                Some(Request::Begin { .. }) => Ok(answer),
                _ => wire.call(request).await,
            }
        }
    });
    let fetched = receiver.fetch(copy.standing()).await.unwrap();
    copy.install(&fetched).unwrap();
    assert_eq!(copy.digests(), expected);
    let piece = Piece { session: offered.session, part: 0, offset: 0, length: 1 };
    let ended = wire.source.piece(piece).await.unwrap_err();
    assert!(matches!(ended, SnapshotError::SessionGone), "the receiver has ended it");
}

#[tokio::test]
async fn sessions_are_bounded_and_run_out() {
    let (from, _) = source(memory());
    let source = SnapshotSource::default();
    let begin = |group, node| source.begin(Arc::clone(&from.directory), group, NodeId::new(node));
    let first = begin(GROUP, 1).await.unwrap();
    let second = begin(GROUP, 2).await.unwrap();
    assert_eq!(begin(GROUP, 3).await.unwrap_err().code(), ErrorCode::Overloaded);
    // A node that begins anew has forgotten its session.
    let again = begin(GROUP, 1).await.unwrap();
    let piece = |session| source.piece(Piece { session, part: 0, offset: 0, length: 1 });
    assert!(matches!(piece(first.session).await, Err(SnapshotError::SessionGone)));
    piece(again.session).await.unwrap();
    source.end(second.session);
    begin(GROUP, 3).await.unwrap();
    source.expire(Instant::now());
    piece(again.session).await.unwrap();
    source.expire(Instant::now() + Duration::from_secs(61));
    assert!(matches!(piece(again.session).await, Err(SnapshotError::SessionGone)));
    // A group without an intact checkpoint of its own has nothing to offer yet.
    let empty = source.begin(memory(), GROUP, NODE).await;
    assert!(matches!(empty, Err(SnapshotError::NothingStored)));
    assert!(matches!(begin(GroupId::new(9), 1).await, Err(SnapshotError::NothingStored)));
}

#[tokio::test]
async fn a_piece_lies_within_what_was_offered() {
    let (from, _) = source(memory());
    let source = SnapshotSource::default();
    let offer = source.begin(Arc::clone(&from.directory), GROUP, NODE).await.unwrap();
    let files = offer.files.len() as u32;
    let bytes = offer.files[0].bytes;
    let cases = [
        (files + 1, 0, 1),
        (u32::MAX, 0, 1),
        (1, bytes, 1),
        (1, bytes - 1, 2),
        (1, u64::MAX, 1),
        (0, 0, 5 << 20),
    ];
    for (part, offset, length) in cases {
        let answer = source.piece(Piece { session: offer.session, part, offset, length }).await;
        assert!(matches!(answer, Err(SnapshotError::BadRequest(_))), "{part} {offset} {length}");
    }
    let last = Piece { session: offer.session, part: files, offset: 0, length: 4 };
    assert_eq!(source.piece(last).await.unwrap().len(), 20);
}

/// Whatever a source answers, the copy stays what it was, and another source rebuilds it.
#[tokio::test]
async fn a_wrong_source_changes_nothing() {
    let (from, expected) = source(memory());
    let mut copy = stale(memory());
    let old = copy.digests();
    let state = Arc::new(Mutex::new(5_u64));
    let mut refused = 0;
    for _ in 0..400 {
        let wire = Wire::to(&from);
        let state = Arc::clone(&state);
        let receiver = wire.receiver(&copy, move |wire, request| {
            let state = Arc::clone(&state);
            async move {
                let answer = wire.call(request.clone()).await?;
                Ok(spoil(&mut state.lock().unwrap(), &request, answer))
            }
        });
        match receiver.fetch(copy.standing()).await {
            Err(_) => refused += 1,
            Ok(fetched) => {
                let copy = &mut stale(memory());
                assert!(copy.install(&fetched).is_err() || copy.digests() == expected);
            }
        }
        assert_eq!(copy.digests(), old);
        assert!(copy.files().iter().all(|file| file.starts_with("segments")));
    }
    assert!(refused > 100, "{refused}");
    let fetched = Wire::to(&from).fetch(&copy).await.unwrap();
    copy.install(&fetched).unwrap();
    assert_eq!(copy.digests(), expected);
}

/// What a source makes up with all hashes right is refused, or is a state.
#[tokio::test]
async fn forged_snapshots_are_read_without_panic() {
    let (from, expected) = source(memory());
    let copy = stale(memory());
    let fetched = Wire::to(&from).fetch(&copy).await.unwrap();
    let payload = Snapshot::decode(&fetched.snapshot, GROUP).unwrap().payload;
    let state = &mut 11_u64;
    let (mut read, mut refused) = (0, 0);
    for _ in 0..3000 {
        let mut forged = payload.clone();
        for _ in 0..=random(state, 2) {
            let at = random(state, forged.len());
            forged[at] = [0, 1, 255, forged[at] ^ 1][random(state, 4)];
        }
        let Some((_, shard)) = split_payload(&forged).ok().filter(|(_, shard)| {
            SnapshotFiles::read(shard).is_ok_and(|files| files.folder == fetched.sequence)
        }) else {
            refused += 1;
            continue;
        };
        assert!(!shard.is_empty());
        let limits = crate::options::Limits::default().of_collection();
        match GroupState::open_beside(Arc::clone(&copy.directory), limits, &forged) {
            Err(_) => refused += 1,
            Ok(mut opened) => {
                opened.shard.publish();
                let reader = opened.shard.reader();
                // Tombstones that differ from what the operations made are found by their digest.
                drop(
                    reader.views().iter().map(|(id, view)| Digest::of(*id, view).is_ok()).collect::<Vec<_>>(),
                );
                read += 1;
            }
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
    let opened = GroupState::open_beside(
        Arc::clone(&copy.directory),
        crate::options::Limits::default().of_collection(),
        &payload,
    );
    let mut opened = opened.unwrap();
    opened.take_over(&copy.readers);
    assert_eq!(copy.digests(), expected);
}

fn random(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % below.max(1)
}

/// Changes a byte of every third answer; pieces get the hash of what they then are.
fn spoil(state: &mut u64, request: &Bytes, answer: Bytes) -> Bytes {
    let mut next = |below| random(state, below);
    let mut bytes = answer.to_vec();
    if next(3) > 0 || bytes.is_empty() {
        return answer;
    }
    match Request::decode(request) {
        Some(Request::Piece(_)) => {
            let mut content = bytes.split_off(16);
            match next(8) {
                0 => content.truncate(next(content.len())),
                _ if content.is_empty() => {}
                _ => {
                    let at = next(content.len().min(400));
                    content[at] = content[at].wrapping_add(1);
                }
            }
            super::super::messages::encode_piece(&content)
        }
        _ => {
            let at = next(bytes.len());
            bytes[at] = bytes[at].wrapping_add([1, 7, 255][next(3)]);
            bytes.truncate(bytes.len() - usize::from(next(8) == 0));
            bytes.into()
        }
    }
}
