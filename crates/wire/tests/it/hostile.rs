//! Random and damaged inputs: none panics, and none makes a reader allocate far beyond what came in.
//!
//! 20,000 inputs a test by default, a million with LAVANDIN_SLOW_TESTS=1.

use crate::allocations::largest_while;
use lavandin_types::ElementType;
use lavandin_wire::binary::{
    EndsParams, RecordsParams, SearchParams, decode_queries, encode_records, split_batch_reply,
    split_records, split_search_block, split_vectors, write_search_block,
};
use lavandin_wire::{FieldsList, HitRef, QueryString, request};

fn rounds() -> u64 {
    if std::env::var("LAVANDIN_SLOW_TESTS").is_ok_and(|value| value == "1") { 1_000_000 } else { 20_000 }
}

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Replaces, drops, repeats or cuts some of the bytes.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 | 1 if at < bytes.len() => bytes[at] = self.next() as u8,
                2 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                3 if at < bytes.len() => {
                    bytes.remove(at);
                }
                4 => bytes.insert(at.min(bytes.len()), [0, 1, 7, 8, 255, b'9', b'[', b'"'][self.below(8)]),
                _ => bytes.truncate(at),
            }
        }
    }
}

/// Runs `read` on damaged copies of `seeds` and on noise; checks what each run allocated at once.
fn torment(seed: u64, seeds: &[Vec<u8>], read: impl Fn(&[u8], &mut Random)) {
    let mut random = Random(seed);
    for round in 0..rounds() {
        let mut input = if round % 4 == 0 {
            random.bytes(96)
        } else {
            let mut copy = seeds[random.below(seeds.len())].clone();
            random.damage(&mut copy);
            copy
        };
        input.shrink_to_fit();
        let largest = largest_while(|| read(&input, &mut random));
        assert!(largest <= 16 * input.len() + 4096, "{largest} bytes at once for {} bytes", input.len());
    }
}

fn fields() -> FieldsList {
    let text = r#"[{"a":1,"s":"text","l":[1,[2.5,null]],"o":{"p":{"q":true}}},null,{"n":-3}]"#;
    serde_json::from_str(text).unwrap()
}

#[test]
fn records_bodies() {
    let raw = encode_records(&[0; 24], Some(&[1, 2, 3]), Some(&fields()));
    let range = encode_records(&[0; 24], None, Some(&fields()));
    torment(1, &[raw, range], |input, random| {
        let ids = ["raw", "range&ids_start=5", "range&ids_start=18446744073709551614"][random.below(3)];
        let count = [3, 3, 3, 1, 4, u32::MAX][random.below(6)];
        let dim = [2, 2, 1, u32::MAX][random.below(4)];
        let query =
            format!("database_name=d&collection_name=c&dim={dim}&n_vectors={count}&ids_encoding={ids}");
        let params = RecordsParams::parse(&query).unwrap();
        if let Ok(layout) = split_records(input, &params) {
            assert!(layout.vectors.end <= input.len());
            assert!(layout.fields.is_none_or(|fields| fields.end == input.len()));
        }
        let _ = split_vectors(input, dim, count, ElementType::F16);
        let _ = decode_queries(input, dim, count, ElementType::F32);
    });
}

#[test]
fn search_replies() {
    let object = [1, 0, 0, 0, 1, 0, 0, 0, b'a', 4, 1, 0, 0, 0, 0, 0, 0, 0];
    let hit = |id| HitRef {
        id: lavandin_types::RecordIdRef::Int(id),
        score: 0.5,
        fields: lavandin_types::FieldsRef::split(&object).unwrap().0,
    };
    let hits = [hit(1), hit(2)];
    let mut block = Vec::new();
    write_search_block(&mut block, hits.iter().copied(), true).unwrap();
    let batch = [&2u32.to_le_bytes()[..], &block, &block].concat();
    torment(2, &[block, batch], |input, _| {
        if let Ok((block, _)) = split_search_block(input) {
            assert_eq!(block.ids().count(), block.scores().count());
        }
        let _ = split_batch_reply(input);
    });
}

#[test]
fn query_strings() {
    let seeds = [
        "database_name=d&collection_name=c&dim=4&n_vectors=3&ids_encoding=range&ids_start=1&return_ids=false",
        "database_name=d%20x&collection_name=c&dim=4&k=10&return_fields=true&nprobe=5&approx=false&eps=0.0001\
         &where=a%20%3D%20%27x%27&vector_encoding=float16&n_queries=2",
    ];
    torment(3, &seeds.map(|seed| seed.as_bytes().to_vec()), |input, _| {
        let text = String::from_utf8_lossy(input);
        let _ = QueryString(&text).pairs().count();
        let _ = RecordsParams::parse(&text);
        let _ = SearchParams::parse(&text, true);
        let _ = EndsParams::parse(&text);
    });
}

#[test]
fn json_bodies() {
    let seeds = [
        r#"{"database_name":"d","collection_name":"c","ids":[1,"a"],"vectors":[[1.5,2],[3e2,-4]],"fields":[{"a":[1,{"b":null}]},null]}"#,
        r#"{"database_name":"d","collection_name":"c","vector":[0.1,0.2],"k":3,"where":"a = 'x'","return_fields":true,"nprobe":null}"#,
        r#"{"database_name":"d","collection_name":"c","index_mode":"HNSW-L2","params":{"m":8},"id":["a",5],"n":5,"threshold":0.5}"#,
    ];
    torment(4, &seeds.map(|seed| seed.as_bytes().to_vec()), |input, random| match random.below(7) {
        0 | 1 => {
            if let Ok(write) = request::parse::<request::Write>(input) {
                let _ = write.check_counts();
            }
        }
        2 => drop(request::parse::<request::Search>(input)),
        3 => drop(request::parse::<request::BuildIndex>(input)),
        4 => drop(request::parse::<request::Read>(input)),
        5 => drop(request::parse::<request::SearchRange>(input)),
        _ => drop(request::parse::<request::BatchSearch>(input)),
    });
}
