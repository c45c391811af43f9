use super::*;
use crate::groups::CopyFolders;
use lavandin_storage::LocalDirectory;
use std::fs;

fn seat() -> Seat {
    Seat {
        node: 3,
        address: "http://here:7638".to_owned(),
        known: BTreeMap::from([(1, "http://there:7638".to_owned())]),
        seed: None,
        moved_in: false,
        given_up: false,
    }
}

fn load(directory: &dyn Directory, path: &Path) -> Result<Identity, NodeError> {
    load_or_create(directory, path, &CopyFolders)
}

#[test]
fn a_directory_keeps_its_store_and_is_node_one_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let directory = LocalDirectory::new(folder.path()).unwrap();
    let first = load(&directory, folder.path()).unwrap();
    assert_eq!((first.node, &first.seat), (NodeId::new(1), &None));
    assert_eq!(load(&directory, folder.path()).unwrap(), first);
}

#[test]
fn whoever_takes_a_seat_moves_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let directory = LocalDirectory::new(folder.path()).unwrap();
    let before = load(&directory, folder.path()).unwrap();
    let left_behind = folder.path().join("groups/1/log");
    fs::create_dir_all(&left_behind).unwrap();
    fs::create_dir_all(folder.path().join("metadata")).unwrap();
    store_seat(&directory, &seat()).unwrap();

    let after = load(&directory, folder.path()).unwrap();
    assert_eq!((after.store, after.node), (before.store, NodeId::new(3)));
    assert_eq!(after.seat, Some(Seat { moved_in: true, ..seat() }));
    assert!(!folder.path().join("groups").exists() && !folder.path().join("metadata").exists());

    // What it holds as a member stays.
    fs::create_dir_all(&left_behind).unwrap();
    assert_eq!(load(&directory, folder.path()).unwrap(), after);
    assert!(left_behind.exists());
}

#[test]
fn whoever_gives_a_seat_up_is_another_empty_node() {
    let folder = tempfile::tempdir().unwrap();
    let directory = LocalDirectory::new(folder.path()).unwrap();
    store_seat(&directory, &seat()).unwrap();
    let member = load(&directory, folder.path()).unwrap();
    for interrupted in [false, true] {
        store_seat(&directory, &seat()).unwrap();
        load(&directory, folder.path()).unwrap();
        fs::create_dir_all(folder.path().join("groups/1/log")).unwrap();
        fs::create_dir_all(folder.path().join("metadata")).unwrap();
        let after = if interrupted {
            store_seat(&directory, &Seat { given_up: true, ..seat() }).unwrap();
            load(&directory, folder.path()).unwrap()
        } else {
            give_up_seat(&directory, (folder.path(), &CopyFolders), seat()).unwrap()
        };
        assert_eq!((after.node, &after.seat), (NodeId::new(1), &None));
        assert_ne!(after.store, member.store);
        assert!(!folder.path().join("groups").exists() && !folder.path().join("metadata").exists());
        assert_eq!(load(&directory, folder.path()).unwrap(), after);
    }
}

#[test]
fn the_bytes_of_a_seat_are_pinned() {
    let written = r#"{"node":3,"address":"http://here:7638","known":{"1":"http://there:7638"},"seed":null,"moved_in":false}"#;
    assert_eq!(serde_json::to_string(&seat()).unwrap(), written);
    assert_eq!(serde_json::from_str::<Seat>(written).unwrap(), seat());
}

#[test]
fn a_damaged_seat_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let directory = LocalDirectory::new(folder.path()).unwrap();
    store_seat(&directory, &seat()).unwrap();
    let file = folder.path().join(SEAT);
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(load(&directory, folder.path()).is_err());
}
