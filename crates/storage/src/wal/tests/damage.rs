//! Damage is reported where it is; nothing else stops a log from opening.

use super::*;

/// A log whose frames are all acknowledged, over three segments and more.
fn acknowledged() -> MemoryDirectory {
    let directory = MemoryDirectory::new();
    let (mut wal, _) = open(directory.clone(), small_segments()).unwrap();
    for batch in [1..6, 6..7, 7..16, 16..17, 17..19, 19..22] {
        commit(&mut wal, batch).unwrap();
    }
    assert!(files(&directory).len() >= 3);
    drop(wal);
    copy(&directory)
}

/// The same files, all durable.
fn copy(directory: &MemoryDirectory) -> MemoryDirectory {
    let copy = MemoryDirectory::new();
    copy.create_dir_all(FOLDER).unwrap();
    for name in files(directory) {
        let mut file = copy.create(&name).unwrap();
        file.write_at(0, &directory.map(&name).unwrap()).unwrap();
        file.sync().unwrap();
    }
    copy.sync_dir(FOLDER).unwrap();
    copy
}

fn edit(directory: &MemoryDirectory, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = directory.map(name).unwrap().to_vec();
    change(&mut bytes);
    let mut file = directory.open(name).unwrap();
    file.truncate(0).unwrap();
    file.write_at(0, &bytes).unwrap();
}

/// Every bit of the log is flipped in turn. Either all frames are found (the bit was in a mark or in a segment without
/// frames), or the damage is reported, in that file, at the frame that holds the bit.
#[test]
fn every_flipped_bit_is_harmless_or_reported() {
    let directory = acknowledged();
    let all: Vec<u64> = (1..22).collect();
    let (mut harmless, mut reported) = (0, 0);
    for name in files(&directory) {
        let bytes = directory.map(&name).unwrap().to_vec();
        for bit in 0..bytes.len() * 8 {
            let directory = copy(&directory);
            edit(&directory, &name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            match open(directory, small_segments()) {
                Ok((_, found)) => {
                    assert_eq!(found, all, "{name} bit {bit}");
                    harmless += 1;
                }
                Err(StorageError::Damaged { file, offset, .. }) => {
                    assert_eq!(file, name, "bit {bit}");
                    assert!(
                        offset <= bit as u64 / 8 && bit as u64 / 8 < offset + 400,
                        "{name} bit {bit}: {offset}"
                    );
                    reported += 1;
                }
                Err(other) => panic!("{name} bit {bit}: {other}"),
            }
        }
    }
    // Each segment's last mark is redundant; every other bit matters.
    assert_eq!(harmless, files(&directory).len() * frame::FRAME_HEADER_BYTES * 8);
    assert!(reported > harmless, "{reported} {harmless}");
}

#[test]
fn the_last_acknowledged_frame_is_not_cut() {
    let directory = acknowledged();
    let last = files(&directory).pop().unwrap();
    let length = directory.len(&last).unwrap() as usize;
    edit(&directory, &last, |bytes| bytes[length - frame::FRAME_HEADER_BYTES - 16] ^= 1);
    let before = directory.map(&last).unwrap().to_vec();
    let error = open(directory.clone(), small_segments()).map(drop).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{last} is damaged at byte ")), "{error}");
    assert_eq!(error.code(), lavandin_types::ErrorCode::DataCorrupt);
    assert_eq!(directory.map(&last).unwrap()[..], before, "nothing is changed");
}

/// Under `Os` a batch carries a mark of its own: damage is reported while the machine runs. After it was started
/// again, a hole is what loss of power may leave, and the log ends there.
#[test]
fn os_durability_reports_damage_until_the_machine_starts_again() {
    let options = WalOptions { durability: Durability::Os, ..small_segments() };
    let directory = MemoryDirectory::new();
    let (mut wal, _) = open(directory.clone(), options).unwrap();
    commit(&mut wal, 1..3).unwrap();
    commit(&mut wal, 3..4).unwrap();
    let name = files(&directory).remove(0);
    for (flipped, before) in
        [(frame::SEGMENT_HEADER_BYTES, 0), (directory.len(&name).unwrap() as usize - 50, 2)]
    {
        let damaged = copy(&directory);
        edit(&damaged, &name, |bytes| bytes[flipped] ^= 1);
        damaged.open(&name).unwrap().sync().unwrap();
        assert!(matches!(open(damaged.clone(), options), Err(StorageError::Damaged { .. })));
        let (wal, found) = open(damaged.crash(0), options).unwrap();
        assert_eq!(found, (1..=before).collect::<Vec<_>>());
        assert!(wal.cut().is_some());
    }
}

/// The search for a mark reads window after window; a mark may stand across their border.
#[test]
fn a_mark_is_found_wherever_it_stands() {
    const WINDOW_BYTES: usize = 1 << 20;
    for frame_bytes in (WINDOW_BYTES - 64..=WINDOW_BYTES + 64).step_by(frame::ALIGNMENT) {
        let directory = MemoryDirectory::new();
        let options = WalOptions::default();
        let mut wal = Wal::open(Arc::new(directory.clone()), FOLDER, options, matches).unwrap();
        let payload = vec![1; frame_bytes - frame::FRAME_HEADER_BYTES];
        wal.append(number(1), hash(&payload), &[&payload]).unwrap();
        wal.write().unwrap();
        wal.sync().unwrap();
        directory.open(&files(&directory)[0]).unwrap().write_at(1000, &[2]).unwrap();
        let result = Wal::open(Arc::new(directory), FOLDER, options, matches).map(drop);
        assert!(matches!(result, Err(StorageError::Damaged { offset: 64, .. })), "{frame_bytes}: {result:?}");
    }
}

#[test]
fn a_torn_tail_is_cut_and_said() {
    let directory = acknowledged();
    let last = files(&directory).pop().unwrap();
    let length = directory.len(&last).unwrap();
    let longer = copy(&directory);
    {
        let (mut wal, _) = open(longer.clone(), WalOptions::default()).unwrap();
        append(&mut wal, 22).unwrap();
        append(&mut wal, 23).unwrap();
        wal.write().unwrap();
    }
    let written = longer.map(&last).unwrap();
    for end in length..written.len() as u64 {
        let directory = copy(&directory);
        edit(&directory, &last, |bytes| *bytes = written[..end as usize].to_vec());
        let (wal, found) = open(directory.clone(), small_segments()).unwrap();
        let (frames, kept) = match end - length < frame_bytes(22) {
            true => (21, length),
            false => (22, length + frame_bytes(22)),
        };
        assert_eq!(found.len(), frames, "cut at {end}");
        let cut = Cut { file: last.clone(), offset: kept, bytes: end - kept };
        assert_eq!(wal.cut(), (end > kept).then_some(&cut));
        assert_eq!(open(directory, small_segments()).unwrap().0.cut(), None, "the tail is gone for good");
    }
}

fn frame_bytes(sequence: u64) -> u64 {
    let payload = payload(sequence);
    FrameHead { sequence: number(sequence), hash: hash(&payload), bytes: payload.len() as u32 }.frame_bytes()
}

#[test]
fn garbage_behind_the_end_is_cut() {
    let directory = acknowledged();
    let last = files(&directory).pop().unwrap();
    for garbage in [vec![0; 5000], vec![0xff; 1], b"LVMK".repeat(700), b"LVFR".repeat(11)] {
        let directory = copy(&directory);
        edit(&directory, &last, |bytes| bytes.extend_from_slice(&garbage));
        let (wal, found) = open(directory, small_segments()).unwrap();
        assert_eq!(found.len(), 21);
        assert_eq!(wal.cut().unwrap().bytes, garbage.len() as u64);
    }
}

#[test]
fn frames_of_another_place_are_not_taken() {
    let directory = acknowledged();
    let names = files(&directory);
    let (first, last) = (&names[0], &names[names.len() - 1]);
    let foreign = directory.map(first).unwrap().to_vec();
    edit(&directory, last, |bytes| bytes.extend_from_slice(&foreign[frame::SEGMENT_HEADER_BYTES..]));
    assert_eq!(open(directory, small_segments()).unwrap().1.len(), 21);
}

#[test]
fn a_missing_or_swapped_segment_is_reported() {
    let directory = acknowledged();
    let names = files(&directory);
    let missing = copy(&directory);
    missing.remove(&names[1]).unwrap();
    assert!(
        matches!(open(missing, small_segments()), Err(StorageError::Damaged { file, .. }) if file == names[0])
    );
    let swapped = copy(&directory);
    let other = swapped.map(&names[0]).unwrap().to_vec();
    edit(&swapped, &names[1], |bytes| *bytes = other);
    assert!(
        matches!(open(swapped, small_segments()), Err(StorageError::Damaged { file, .. }) if file == names[1])
    );
    let shortened = copy(&directory);
    edit(&shortened, &names[0], |bytes| bytes.truncate(bytes.len() - 50));
    assert!(
        matches!(open(shortened, small_segments()), Err(StorageError::Damaged { file, .. }) if file == names[0])
    );
}

#[test]
fn another_version_is_named() {
    let directory = acknowledged();
    let name = files(&directory).remove(0);
    edit(&directory, &name, |bytes| {
        bytes[8] = 9;
        let hash = xxhash_rust::xxh3::xxh3_64(&bytes[..56]);
        bytes[56..64].copy_from_slice(&hash.to_le_bytes());
    });
    let error = open(directory, small_segments()).map(drop).unwrap_err();
    assert_eq!(error.to_string(), format!("{name} has format version 9, this program reads up to 2"));
}

#[test]
fn files_of_other_names_are_left_alone() {
    let directory = acknowledged();
    for name in ["notes.txt", "1.log", "0000000000000000000x.log", "99999999999999999999.log.tmp"] {
        directory.create(&format!("{FOLDER}/{name}")).unwrap();
    }
    assert_eq!(open(directory.clone(), small_segments()).unwrap().1.len(), 21);
    assert!(directory.exists(&format!("{FOLDER}/notes.txt")).unwrap());
}

#[test]
fn a_reader_reports_damage_too() {
    let directory = acknowledged();
    let (wal, _) = open(directory.clone(), small_segments()).unwrap();
    let name = files(&directory).remove(0);
    edit(&directory, &name, |bytes| bytes[frame::SEGMENT_HEADER_BYTES + 5] ^= 1);
    let mut reader = wal.read_from(number(1)).unwrap();
    assert!(
        matches!(reader.next_frame(), Err(StorageError::Damaged { file, offset: 64, .. }) if file == name)
    );
}
