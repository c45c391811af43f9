//! Random and mutated bytes as log files: any result, no panic, no memory beyond the file's size.

use super::*;

fn rounds() -> u64 {
    if slow_tests() { 1_000_000 } else { 20_000 }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A valid log's files: names and bytes.
fn sample() -> Vec<(String, Vec<u8>)> {
    let directory = MemoryDirectory::new();
    let (mut wal, _) =
        open(directory.clone(), WalOptions { segment_bytes_max: 400, ..small_segments() }).unwrap();
    for batch in [1..3, 3..4, 4..6, 6..7] {
        commit(&mut wal, batch).unwrap();
    }
    files(&directory).into_iter().map(|name| (name.clone(), directory.map(&name).unwrap().to_vec())).collect()
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    match random.below(8) {
        0 => *bytes = (0..random.below(300)).map(|_| random.next() as u8).collect(),
        1 => bytes.truncate(random.below(bytes.len() + 1)),
        2 => bytes.extend((0..random.below(100)).map(|_| 0)),
        3 => {
            let (from, to) = (random.below(bytes.len()), random.below(bytes.len()));
            let length = random.below(64).min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + length, to);
        }
        4 => {
            let at = random.below(bytes.len() + 1);
            let value = random.next().to_le_bytes();
            bytes.splice(at..at, value[..random.below(9)].iter().copied());
        }
        5 => forge_header(bytes, random),
        _ => {
            for _ in 0..1 + random.below(4) {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    bytes[at] = random.next() as u8;
                }
            }
        }
    }
}

/// A header with a right checksum and wrong content, which random bytes would never hit.
fn forge_header(bytes: &mut Vec<u8>, random: &mut Random) {
    let offset = frame::SEGMENT_HEADER_BYTES + random.below(50) * frame::ALIGNMENT;
    let place = Place { segment: number([1, 4][random.below(2)]), offset: offset as u64 };
    let length = [0, 1, 7, 300, 1 << 20, u32::MAX][random.below(6)];
    let sequence = number([0, 1, 2, 3, u64::MAX][random.below(5)]);
    let head = match random.below(3) {
        0 => Head::Mark(Mark { last: sequence, power_cycle: NonZeroU128::new(random.below(3) as u128) }),
        _ => Head::Frame(FrameHead { sequence, hash: hash(b""), bytes: length }),
    };
    let header = head.encode(place);
    bytes.resize(bytes.len().max(offset + header.len()), 0);
    bytes[offset..offset + header.len()].copy_from_slice(&header);
}

#[test]
fn no_bytes_panic() {
    let sample = sample();
    assert!(sample.len() > 1);
    let mut random = Random(1);
    let (mut opened, mut refused) = (0_u64, 0_u64);
    for _ in 0..rounds() {
        let directory = MemoryDirectory::new();
        directory.create_dir_all(FOLDER).unwrap();
        let target = random.below(sample.len());
        for (index, (name, bytes)) in sample.iter().enumerate() {
            let mut bytes = bytes.clone();
            if index == target {
                (0..1 + random.below(3)).for_each(|_| mutate(&mut bytes, &mut random));
            }
            directory.create(name).unwrap().write_at(0, &bytes).unwrap();
        }
        // The hash check is off in some rounds, so that forged frames come through.
        let lenient = random.below(2) == 0;
        let options = small_segments();
        let result = Wal::open(Arc::new(directory), FOLDER, options, |head, bytes| {
            assert_eq!(head.bytes as usize, bytes.len());
            lenient || matches(head, bytes)
        });
        let Ok(mut wal) = result else {
            refused += 1;
            continue;
        };
        opened += 1;
        let mut reader = wal.read_from(wal.first().unwrap_or(number(1))).unwrap();
        while reader.next_frame().unwrap().is_some() {}
        let next = wal.next().unwrap_or(number(1));
        wal.append(next, hash(b"more"), &[b"more"]).unwrap();
        wal.write().unwrap();
        wal.sync().unwrap();
    }
    assert!(opened > rounds() / 50 && refused > rounds() / 50, "{opened} opened, {refused} refused");
}
