use super::*;
use crate::statistics::{Frequencies, Histogram, Measured, Moments};

fn moments(seed: f64) -> ColumnStatistics {
    let edges = (0..=10).map(|edge| seed + (seed * 1.7) / 10.0 * f64::from(edge)).collect();
    let histogram = Histogram { counts: (0..10).map(f64::from).collect(), edges };
    ColumnStatistics::Numeric(Moments {
        histogram,
        nan_count: 3,
        count: 45,
        min: seed,
        max: seed * 2.7,
        sum: seed / 3.0,
        sum_squared: 1e300,
        median: -0.0,
    })
}

fn file(number: u32) -> ShardFile {
    let frequencies = Frequencies {
        measured: Measured::Text,
        counts: vec![("cat".to_owned(), 5), ("dög".to_owned(), u64::from(number))],
        nan_count: 0,
    };
    ShardFile {
        id: ShardFileId::new(1_700_000_000_000 + u64::from(number), [number as u8; 20]),
        index: number,
        name: format!("shard.{number:05}.parquet"),
        location: format!("file:///data/é{number}/shard.parquet"),
        format: Format::ALL[number as usize % 5],
        bytes: 1 << (number % 40),
        rows: 15,
        created_at_s: 1_700_000_000,
        chunks: Arc::new([Chunk { rows: 10, place: 7, span: 100 }, Chunk { rows: 5, place: 107, span: 0 }]),
        fingerprint: "f".repeat(32),
        statistics: vec![
            Some(moments(f64::from(number) + 0.1)),
            None,
            Some(ColumnStatistics::Categorical(frequencies)),
        ],
        uid_index: format!("{number}.uids"),
        member_index: String::new(),
    }
}

fn sample(files: u32) -> Manifest {
    let columns = ["score", "blob", "kind"].map(|name| ColumnSpec::new(name, "string")).to_vec();
    let shardset = ShardsetId::new(1_700_000_000_000, [9; 20]);
    Manifest::new(shardset, 4, columns, (0..files).rev().map(file).collect())
}

#[test]
fn what_is_written_is_read() {
    for files in [0, 1, 30] {
        let manifest = sample(files);
        let bytes = manifest.encode();
        let read = Manifest::decode(&bytes).unwrap();
        assert_eq!(read, manifest);
        assert_eq!(read.encode(), bytes);
        assert_eq!(read.total_rows(), u64::from(files) * 15);
        assert!(read.files.is_sorted_by_key(|file| file.index));
    }
    let kinds = sample(2).kinds();
    assert_eq!(kinds[0], ("score".to_owned(), StatisticsKind::Numeric));
    assert_eq!(kinds[1], ("kind".to_owned(), StatisticsKind::Categorical));
    assert!(sample(0).statistics.iter().all(Option::is_none));
}

/// Put together by hand after docs/formats/manifest.md.
#[test]
fn the_bytes_are_those_of_the_document() {
    let mut second = file(300);
    second.chunks = Arc::new([Chunk { rows: 15, place: 3, span: 200 }]);
    let mut first = second.clone();
    first.chunks =
        Arc::new([Chunk { rows: 10, place: 7, span: 100 }, Chunk { rows: 5, place: 106, span: 0 }]);
    (first.index, first.name, second.name) = (2, "part.0".to_owned(), "part.1é".to_owned());
    let histogram = Histogram { counts: vec![1.0, 0.5], edges: vec![-1.0, 0.0, 1.0] };
    let numeric = Moments {
        histogram,
        nan_count: 0,
        count: 2,
        min: -1.0,
        max: 1.0,
        sum: 0.0,
        sum_squared: 2.0,
        median: -0.0,
    };
    let frequencies =
        Frequencies { measured: Measured::Text, counts: vec![("k".to_owned(), 130)], nan_count: 1 };
    first.statistics = vec![Some(ColumnStatistics::Numeric(numeric))];
    second.statistics = vec![Some(ColumnStatistics::Categorical(frequencies))];
    for file in [&mut first, &mut second] {
        (file.bytes, file.format, file.fingerprint) = (128, Format::Tar, "f tag".to_owned());
        (file.location, file.uid_index, file.member_index) = ("l".to_owned(), "u".to_owned(), String::new());
        file.created_at_s = 1;
    }
    let shardset = ShardsetId::new(1_700_000_000_000, [9; 20]);
    let columns = vec![ColumnSpec::new("x", "int")];
    let manifest =
        Manifest { shardset, version: 4, columns, files: vec![first, second], statistics: vec![None] };

    let id = |file: usize| manifest.files[file].id.to_bytes().to_vec();
    let half = [b"\x01".as_slice(), &0.5_f64.to_le_bytes()].concat();
    let negative_zero = [b"\x01".as_slice(), &(-0.0_f64).to_le_bytes()].concat();
    let mut expected = [
        b"LVNDMAN1\x01\0\0\0".as_slice(),
        &shardset.to_bytes(),
        b"\x04\x01\x01x\x03int\x02",
        &id(0),
        b"\x02\0\x06part.0\0\x01l\x04\x80\x01\x0f\x01\x05f tag\0\x01u\0\0",
        // Its chunks: 7, then one less than 7 + 100.
        b"\x02\x0a\x0e\x64\x05\x01\0",
        // Numeric: two values from -1 to 1, whose sum is 0, that of their squares 2.
        b"\x02\0\x02\0\x01\0\x02\0\0\0\x04",
        &negative_zero,
        // Two ranges; the edges are the first, and two that go evenly to 1.
        b"\x02\0\x02",
        &half,
        b"\x02\x01\0\x01\x02\0\x02",
        &id(1),
    ]
    .concat();
    // Index 300; the name shares five bytes, location and uid index one.
    expected.extend_from_slice(b"\xac\x02\x05\x031\xc3\xa9\x01\0\x04\x80\x01\x0f\x01\x05f tag\x01\0\0\0");
    expected.extend_from_slice(b"\x01\x0f\x06\xc8\x01");
    // Categorical: texts, one missing, 130 times k. Then nothing over all files.
    expected.extend_from_slice(b"\x01\x03\x01\x01\x01k\x82\x01\0");
    let checksum = xxhash_rust::xxh3::xxh3_64(&expected);
    expected.extend_from_slice(&checksum.to_le_bytes());
    assert_eq!(manifest.encode(), expected);
    assert_eq!(Manifest::decode(&expected).unwrap(), manifest);
}

#[test]
fn odd_histograms_are_kept_to_the_bit() {
    let edges: [&[f64]; 6] = [
        &[],
        &[38.0, 38.0],
        &[-1e9, 0.1, 0.2, 0.30000000000000004, 0.4, 1e9],
        &[0.0, f64::MIN_POSITIVE, 1.0, 1e308],
        &[-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0],
        &[0.1, 0.1 + 0.2, 7.0],
    ];
    for edges in edges {
        let counts = (1..edges.len()).map(|count| count as f64 / 3.0).collect();
        let histogram = Histogram { counts, edges: edges.to_vec() };
        let ColumnStatistics::Numeric(mut moments) = moments(1.0) else { panic!() };
        moments.histogram = histogram;
        let mut manifest = sample(1);
        manifest.files[0].statistics[0] = Some(ColumnStatistics::Numeric(moments));
        assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest, "{edges:?}");
    }
}

#[test]
fn damaged_bytes_are_errors() {
    let bytes = sample(3).encode();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(Manifest::decode(&flipped).is_err(), "bit {bit} of byte {at}");
        }
        assert!(Manifest::decode(&bytes[..at]).is_err(), "{at} bytes");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(Manifest::decode(&longer).is_err());
    let mut other = bytes;
    other[8] = 9;
    assert_eq!(Manifest::decode(&other), Err(CodecError::Version { found: 9 }));
}

/// What a wrong writer could leave: bytes with a right checksum that make no manifest.
#[test]
fn nonsense_under_a_right_checksum_is_an_error_too() {
    let bytes = sample(3).encode();
    let content = bytes.len() - 8;
    for at in 12..content {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let checksum = xxhash_rust::xxh3::xxh3_64(&changed[..content]).to_le_bytes();
            changed[content..].copy_from_slice(&checksum);
            // What it takes for a manifest is one: it is written and read as itself.
            if let Ok(manifest) = Manifest::decode(&changed) {
                let written = manifest.encode();
                assert_eq!(Manifest::decode(&written).unwrap().encode(), written, "byte {at}");
            }
        }
    }
}

/// The names of files could stand for each other's without an end.
#[test]
fn texts_share_so_much_and_no_more() {
    let mut manifest = sample(3);
    for (place, file) in manifest.files.iter_mut().enumerate() {
        // A character of two bytes lies across the limit.
        file.location = format!("{}é{place}", "x".repeat(4095));
    }
    let bytes = manifest.encode();
    assert!(bytes.len() < 2 * 4096, "{} bytes", bytes.len());
    assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
}

#[test]
fn the_manifest_of_a_thousand_files_is_small() {
    let mut manifest = sample(1000);
    for file in &mut manifest.files {
        file.statistics = (0..6).map(|column| Some(moments(f64::from(column) + 0.37))).collect();
    }
    manifest.columns = (0..6).map(|column| ColumnSpec::new(format!("column {column}"), "double")).collect();
    manifest.statistics = vec![None; 6];
    let bytes = manifest.encode();
    assert!(bytes.len() < 800_000, "{} bytes", bytes.len());
    assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
}
