use crate::checking::NO_COLLECTION;
use crate::groups::LocalGroup;
use crate::groups::two_nodes::{HERE, TwoNodes, add, context};
use lavandin_types::GroupId;
use std::path::{Path, PathBuf};

/// A group with sealed rows behind a checkpoint, and a log that goes on.
async fn filled() -> (TwoNodes, GroupId, PathBuf) {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let place = (&*catalogue, nodes.collection);
    let ids: Vec<u64> = (0..500).collect();
    copy.change(&context(), place, add(&ids)).await.expect("they are written");
    copy.checkpoint(&context()).await.expect("it is made");
    for id in 500..510 {
        copy.change(&context(), place, add(&[id])).await.expect("it is written");
    }
    let folder = nodes.folder(HERE).join("groups").join(group.get().to_string());
    (nodes, group, folder)
}

fn only_file(folder: &Path, end: &str) -> PathBuf {
    let mut names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.find(|path| path.to_string_lossy().ends_with(end)).unwrap()
}

fn flip(path: &Path, place: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 4], place).unwrap();
}

async fn damaged(copy: &LocalGroup) -> Vec<lavandin_types::CollectionId> {
    let found = copy.digests(&context()).await.expect("it is read");
    found.damaged.into_iter().map(|damaged| damaged.collection).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_wherever_it_is() {
    let (nodes, group, folder) = filled().await;
    let copy = nodes.copy(HERE, group);
    assert_eq!((damaged(&copy).await, copy.ailment()), (vec![], None));
    let rows = only_file(&folder.join("segments"), ".rows");
    let length = std::fs::metadata(&rows).unwrap().len();
    // The header, the first vectors, the table at the end.
    for place in [17, 64, length - 40] {
        flip(&rows, place);
        assert_eq!(damaged(&copy).await, [nodes.collection], "byte {place}");
        flip(&rows, place);
        assert_eq!(damaged(&copy).await, []);
    }
    assert!(copy.ailment().is_some(), "what was found once counts until the copy is opened again");
    let log = only_file(&folder.join("log"), ".log");
    flip(&log, 64 + 50);
    assert_eq!(damaged(&copy).await, [NO_COLLECTION]);
    flip(&log, 64 + 50);
    assert_eq!(damaged(&copy).await, []);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_is_written_again_and_is_no_damage() {
    let (nodes, group, folder) = filled().await;
    let copy = nodes.copy(HERE, group);
    let find = || {
        let mut names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        names.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("checkpoint-")).unwrap()
    };
    flip(&find(), 100);
    assert_eq!((damaged(&copy).await, copy.ailment()), (vec![], None));
    lavandin_group::check_checkpoints(&*copy.directory).expect("it is whole again");
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_missed() {
    let (nodes, group, folder) = filled().await;
    let copy = nodes.copy(HERE, group);
    assert_eq!(copy.missing_file(), None);
    let rows = only_file(&folder.join("segments"), ".rows");
    std::fs::remove_file(&rows).unwrap();
    assert!(copy.missing_file().is_some_and(|path| rows.ends_with(path)));
    std::fs::rename(&folder, folder.with_extension("elsewhere")).unwrap();
    assert_eq!(copy.missing_file().as_deref(), Some("log"));
    nodes.stop().await;
}
