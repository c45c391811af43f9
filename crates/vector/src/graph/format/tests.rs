use super::*;
use crate::graph::tests::{Data, Random};
use crate::graph::{Scratch, Target, Wanted};
use crate::kernels::Kernels;

fn small() -> (Data, Graph) {
    let data = Data::clustered(200, 6, 1);
    let graph = data.build(Metric::Cosine, 1);
    (data, graph)
}

/// Bytes at an address that is a multiple of 64.
fn aligned(bytes: &[u8]) -> Graph {
    let mut lines = vec![Line([0; LINE]); bytes.len().div_ceil(LINE)];
    fill(bytemuck::cast_slice_mut(&mut lines), bytes);
    Graph { lines }
}

#[test]
fn what_is_written_is_read() {
    let (_, graph) = small();
    let mut bytes = Vec::new();
    graph.write(&mut bytes).unwrap();
    let copy = aligned(&bytes);
    let (written, read) = (graph.view(), copy.view());
    read.verify().unwrap();
    assert_eq!((read.rows(), read.dim(), read.metric()), (200, 6, Metric::Cosine));
    assert_eq!(read.parameters(), Parameters::default());
    assert_eq!(read.entries, written.entries);
    assert_eq!(read.terms, written.terms);
    assert_eq!(read.neighbours, written.neighbours);
    assert_eq!(read.neighbours.as_ptr().align_offset(LINE), 0);
}

#[test]
fn a_wrong_length_is_refused() {
    let (_, graph) = small();
    let bytes = graph.as_bytes();
    for length in (0..bytes.len()).step_by(7).chain(bytes.len() - LINE..bytes.len()) {
        assert!(GraphRef::open(&bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = aligned(&[bytes, &[0; LINE]].concat());
    assert_eq!(GraphRef::open(longer.as_bytes()).unwrap_err(), GraphError::Damaged("length"));
}

#[test]
fn every_bit_of_the_header_counts() {
    let (_, graph) = small();
    for bit in 0..HEADER_BYTES * 8 {
        let mut copy = graph.clone();
        bytemuck::cast_slice_mut::<Line, u8>(&mut copy.lines)[bit / 8] ^= 1 << (bit % 8);
        assert!(GraphRef::open(copy.as_bytes()).is_err(), "bit {bit}");
    }
}

#[test]
fn other_versions_are_named() {
    let (_, graph) = small();
    let mut copy = graph.clone();
    bytemuck::cast_slice_mut::<Line, u8>(&mut copy.lines)[8] = 2;
    assert_eq!(GraphRef::open(copy.as_bytes()).unwrap_err(), GraphError::Version { found: 2, known: 1 });
}

#[test]
fn damage_is_reported_and_never_searched_into_a_panic() {
    let (data, graph) = small();
    let block = data.block();
    let target = Target { kernels: Kernels::get(), block: &block, allowed: None };
    let (mut random, mut scratch, mut out) = (Random::new(1), Scratch::new(), Vec::new());
    for round in 0..400 {
        let mut copy = graph.clone();
        let bytes = &mut bytemuck::cast_slice_mut::<Line, u8>(&mut copy.lines)[HEADER_BYTES..];
        for _ in 0..1 + round % 50 {
            let at = random.below(bytes.len() as u32) as usize;
            bytes[at] = bytes[at].wrapping_add(1 + random.below(255) as u8);
        }
        // Entry points too.
        bytes[round % 4] = 0xff;
        let damaged = GraphRef::open(copy.as_bytes()).unwrap();
        assert_eq!(damaged.verify().unwrap_err(), GraphError::Damaged("body checksum"));
        damaged.search(&target, data.row(3), Wanted { k: 10, beam: 20 }, &mut scratch, &mut out).unwrap();
        assert!(out.iter().all(|neighbor| neighbor.row < 200));
    }
}

#[test]
fn random_bytes_are_no_graph() {
    let mut random = Random::new(2);
    for length in [0, 1, 64, 127, 128, 1000] {
        let mut bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        assert!(GraphRef::open(&bytes).is_err());
        if length >= 8 {
            bytes[..8].copy_from_slice(&MAGIC);
            assert!(GraphRef::open(&bytes).is_err());
        }
    }
}
