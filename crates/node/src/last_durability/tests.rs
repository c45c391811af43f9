use super::*;
use lavandin_storage::{FaultyDirectory, MemoryDirectory};
use std::sync::Arc;

#[test]
fn it_is_kept_over_a_loss_of_power_and_written_when_it_changes() {
    let disk = MemoryDirectory::new();
    let directory = FaultyDirectory::new(Arc::new(disk.clone()));
    assert!(was_synced(&directory).unwrap(), "nothing was acknowledged");
    for (durability, synced) in [(Durability::Os, false), (Durability::Fsync, true), (Durability::Os, false)]
    {
        remember(&directory, durability).unwrap();
        assert_eq!(was_synced(&disk.crash(1)).unwrap(), synced);
        let calls = directory.calls();
        remember(&directory, durability).unwrap();
        assert_eq!(directory.calls(), calls);
    }
}

#[test]
fn what_cannot_be_read_is_not_believed() {
    let directory = MemoryDirectory::new();
    remember(&directory, Durability::Fsync).unwrap();
    let mut file = directory.open(FILE).unwrap();
    let end = file.len().unwrap();
    file.write_at(end - 1, b"?").unwrap();
    assert!(!was_synced(&directory).unwrap());
}
