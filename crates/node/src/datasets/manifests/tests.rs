use super::*;

/// A sync whose proposal nobody knows the outcome of may be in force yet: its files stay as they are.
#[test]
fn no_sync_writes_over_what_another_wrote() {
    let (shardset, other) = (ShardsetId::new(1, [1; 20]), ShardsetId::new(1, [2; 20]));
    let group = tempfile::tempdir().unwrap();
    let manifests = Manifests::open(group.path(), StoredFiles::none()).unwrap();
    assert!(!group.path().join("manifests").exists(), "nothing is stored yet");
    assert_eq!(manifests.next_version(shardset, 0).unwrap(), 1);
    manifests.store_indexes(shardset, 1, &[b"an index".to_vec()]).unwrap();
    assert_eq!(manifests.next_version(shardset, 0).unwrap(), 2);
    manifests.store(shardset, 2, &Manifest::new(shardset, 2, Vec::new(), Vec::new())).unwrap();
    assert_eq!(manifests.next_version(shardset, 0).unwrap(), 3);
    assert_eq!(manifests.next_version(shardset, 7).unwrap(), 8);
    // Another shardset's files, and what is none of ours, do not count.
    for name in [format!("{other}-9"), format!("{shardset}-nine")] {
        fs::write(group.path().join("manifests").join(name), b"").unwrap();
    }
    assert_eq!(manifests.next_version(shardset, 0).unwrap(), 3);
}

#[test]
fn what_is_named_or_may_be_in_a_moment_is_of_use() {
    let folder = tempfile::tempdir().unwrap();
    let shardset = ShardsetId::new(1, [1; 20]);
    let manifests = Manifests::open(folder.path(), StoredFiles::none()).unwrap();
    let mut named = Vec::new();
    for version in 1..=3 {
        let indexes = manifests.store_indexes(shardset, version, &[b"an index".to_vec()]).unwrap();
        assert_eq!(manifests.load_index(&indexes[0]).unwrap(), b"an index");
        let mut file = file();
        file.uid_index.clone_from(&indexes[0]);
        let manifest = Manifest::new(shardset, version, Vec::new(), vec![file]);
        let stored = manifests.store(shardset, version, &manifest).unwrap();
        named.push((shardset, stored.version, stored.hash));
    }
    let current = HashMap::from([(shardset, 2)]);
    let unused = manifests.unused(&HashSet::from([named[1]]), &current).unwrap();
    assert_eq!(unused.len(), 2, "the first one and its indexes: {unused:?}");
    assert!(unused.iter().all(|name| name.starts_with(&format!("{shardset}-1-"))));
    manifests.remove(&unused);
    assert!(manifests.load(shardset, 1, named[0].2).is_err());
    assert!(manifests.load(shardset, 2, named[1].2).is_ok());
    // The shardset is gone.
    let unused = manifests.unused(&HashSet::new(), &HashMap::new()).unwrap();
    assert_eq!(unused.len(), 4, "all that is left");
}

#[test]
fn what_is_pinned_is_told_until_the_last_pin_goes() {
    let (folder, shardset) = (tempfile::tempdir().unwrap(), ShardsetId::new(1, [1; 20]));
    let manifests = Manifests::open(folder.path(), StoredFiles::none()).unwrap();
    let named = (shardset, 1, 7);
    let pins = [manifests.pin(vec![named]), manifests.pin(vec![named])];
    for pin in pins {
        assert_eq!(manifests.pinned(), HashSet::from([named]));
        drop(pin);
    }
    assert!(manifests.pinned().is_empty());
}

/// The folder of an earlier version is taken over, whatever of it was moved before a crash.
#[test]
fn manifests_of_an_earlier_version_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let former = folder.path().join("groups").join("1").join("manifests");
    fs::create_dir_all(&former).unwrap();
    let shardset = ShardsetId::new(1, [1; 20]);
    let mut file = file();
    file.uid_index = format!("{shardset}-4.indexes:2:3");
    let encoded = Manifest::new(shardset, 4, Vec::new(), vec![file]).encode();
    fs::write(former.join(format!("{shardset}-4")), &encoded).unwrap();
    fs::write(former.join(format!("{shardset}-4.indexes")), b"..abc").unwrap();
    for _ in 0..2 {
        let manifests = Manifests::open(folder.path(), StoredFiles::none()).unwrap();
        let manifest = manifests.load(shardset, 4, Manifest::hash(&encoded)).unwrap();
        assert_eq!(manifests.load_index(&manifest.files[0].uid_index).unwrap(), b"abc");
        assert_eq!(manifests.next_version(shardset, 0).unwrap(), 5);
        assert!(!former.exists());
    }
}

#[test]
fn parts_are_given_of_these_files_only() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), b"x").unwrap();
    let shardset = ShardsetId::new(1, [1; 20]);
    let manifests = Manifests::open(folder.path(), StoredFiles::none()).unwrap();
    let names = manifests.store_indexes(shardset, 1, &[b"an index".to_vec()]).unwrap();
    let name = names[0].split(':').next().unwrap();
    assert_eq!(manifests.piece(name, 3, 100).unwrap(), Some((8, b"index".to_vec())));
    assert_eq!(manifests.piece(name, 3, 2).unwrap(), Some((8, b"in".to_vec())));
    assert_eq!(manifests.piece(name, 99, 2).unwrap(), Some((8, Vec::new())));
    for name in ["../secret", "secret", &format!("{shardset}-1/../../secret"), &format!("{shardset}-9-0")] {
        assert_eq!(manifests.piece(name, 0, 10).unwrap(), None, "{name}");
    }
}

fn file() -> lavandin_feed::manifest::ShardFile {
    lavandin_feed::manifest::ShardFile {
        id: lavandin_types::ShardFileId::new(1, [2; 20]),
        index: 0,
        name: "a.csv".to_owned(),
        location: "file:///a.csv".to_owned(),
        format: lavandin_feed::format::Format::Csv,
        bytes: 1,
        rows: 0,
        created_at_s: 1,
        chunks: Arc::new([]),
        fingerprint: String::new(),
        statistics: Vec::new(),
        uid_index: String::new(),
        member_index: String::new(),
    }
}
