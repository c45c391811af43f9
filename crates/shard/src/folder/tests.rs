use super::*;
use lavandin_storage::MemoryDirectory;

#[test]
fn folders_are_told_by_their_names_and_the_older_ones_removed() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let numbers = [0, 3, 0x51, 0x100].map(SequenceNumber::new);
    for number in numbers {
        let folder = SegmentFolder::new(Arc::clone(&directory), number);
        folder.create().unwrap();
        directory.create(&folder.rows_path(SegmentId::new(1))).unwrap();
    }
    for other in ["log", "segments-3", "segments-000000000000000g", "segments-0000000000000000"] {
        directory.create_dir_all(other).unwrap();
    }
    assert_eq!(segment_folders(&*directory).unwrap(), numbers);
    SegmentFolder::new(Arc::clone(&directory), numbers[2]).remove_older().unwrap();
    assert_eq!(segment_folders(&*directory).unwrap(), numbers[2..]);
    assert_eq!(directory.list("segments-0000000000000051").unwrap(), ["0000000000000001.rows"]);
    assert!(directory.exists("segments-3").unwrap());
}
