use super::*;

/// A sync whose proposal nobody knows the outcome of may be in force yet: its files stay as they are.
#[test]
fn no_sync_writes_over_what_another_wrote() {
    let (shardset, other) = (ShardsetId::new(1, [1; 20]), ShardsetId::new(1, [2; 20]));
    let group = tempfile::tempdir().unwrap();
    let manifests = Manifests::of_group(group.path());
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
fn what_is_pinned_is_kept_until_the_last_pin_goes() {
    let group = tempfile::tempdir().unwrap();
    let (shardset, manifests) = (ShardsetId::new(1, [1; 20]), Manifests::of_group(group.path()));
    manifests.next_version(shardset, 0).unwrap();
    let stored = manifests.store(shardset, 1, &Manifest::new(shardset, 1, Vec::new(), Vec::new())).unwrap();
    let named = (shardset, stored.version, stored.hash);
    let pins = [manifests.pin(vec![named]), manifests.pin(vec![named])];
    for pin in pins {
        assert_eq!(manifests.pinned(shardset), [(stored.version, stored.hash)]);
        manifests.remove(shardset, &manifests.pinned(shardset));
        assert!(manifests.load(shardset, stored.version, stored.hash).is_ok());
        drop(pin);
    }
    assert!(manifests.pinned(shardset).is_empty());
    manifests.remove(shardset, &[]);
    assert!(manifests.load(shardset, stored.version, stored.hash).is_err());
}
