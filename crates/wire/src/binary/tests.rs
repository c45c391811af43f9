use super::*;
use crate::{FieldsList, HitRef, RecordRef, WireError};
use lavandin_types::{ElementType, FieldsRef, RecordIdRef};

fn params(query: &str) -> RecordsParams<'_> {
    RecordsParams::parse(query).unwrap()
}

const RAW: &str = "database_name=d&collection_name=c&dim=2&n_vectors=2";
const RANGE: &str = "database_name=d&collection_name=c&dim=2&n_vectors=2&ids_encoding=range&ids_start=7";

fn fields() -> FieldsList {
    serde_json::from_str(r#"[{"a":1},null]"#).unwrap()
}

#[test]
fn parameters_have_the_defaults_of_the_api() {
    let parsed = SearchParams::parse("database_name=d&collection_name=a%2Fb&dim=4", false).unwrap();
    assert_eq!((parsed.k, parsed.probe, parsed.count), (10, 10, 1));
    assert_eq!((parsed.element, parsed.with_fields, parsed.approx), (ElementType::F32, false, false));
    assert_eq!(parsed.collection, "a/b");
    assert_eq!(params(RAW).ids, IdsEncoding::Raw);
    assert_eq!(params(RANGE).ids, IdsEncoding::Range { start: 7 });
    let named = SearchParams::parse("database_name=d&collection_name=c&dim=4&vector_field=default", false);
    assert_eq!(named.unwrap().vector_field, None);
}

#[test]
fn wrong_parameters_are_named() {
    for (query, words) in [
        ("collection_name=c&dim=2&n_vectors=1", "database_name is missing"),
        ("database_name=d&collection_name=c&n_vectors=1", "dim is missing"),
        ("database_name=d&collection_name=c&dim=0&n_vectors=1", "dim is \"0\", expected an integer from 1"),
        ("database_name=d&collection_name=c&dim=2&n_vectors=-1", "n_vectors is \"-1\""),
        ("database_name=d&collection_name=c&dim=2&n_vectors=4294967296", "n_vectors is \"4294967296\""),
        ("database_name=d&collection_name=c&dim=2&n_vectors=1&ids_encoding=range", "ids_start is missing"),
        ("database_name=d&collection_name=c&dim=2&n_vectors=1&ids_encoding=x", "expected raw or range"),
        ("database_name=d&collection_name=c&dim=2&n_vectors=1&vector_encoding=int8", "float32 or float16"),
        ("database_name=d&collection_name=c&dim=2&n_vectors=1&return_ids=maybe", "true or false"),
    ] {
        let message = RecordsParams::parse(query).unwrap_err().to_string();
        assert!(message.contains(words), "{query}: {message}");
    }
    let error = SearchParams::parse("database_name=d&collection_name=c&dim=2", true).unwrap_err();
    assert_eq!(error, WireError::MissingParameter("n_queries"));
}

#[test]
fn a_records_body_is_split_into_its_parts() {
    let vectors: Vec<u8> = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let body = encode_records(&vectors, Some(&[9, u64::MAX]), Some(&fields()));
    let layout = split_records(&body, &params(RAW)).unwrap();
    assert_eq!(layout.vectors, 0..16);
    assert_eq!(layout.ids, BinaryIds::Ints(vec![9, u64::MAX]));
    assert_eq!(body[layout.fields.unwrap()], fields().bytes);

    let body = encode_records(&vectors, None, None);
    let layout = split_records(&body, &params(RANGE)).unwrap();
    assert_eq!((layout.ids, layout.fields), (BinaryIds::Range { start: 7, count: 2 }, None));
}

#[test]
fn every_wrong_length_is_refused() {
    let body = encode_records(&[0; 16], Some(&[9, 8]), Some(&fields()));
    for length in (0..body.len()).filter(|length| *length != 32) {
        assert!(split_records(&body[..length], &params(RAW)).is_err(), "accepted {length} bytes");
    }
    let mut longer = body.clone();
    longer.push(0);
    let error = split_records(&longer, &params(RAW)).unwrap_err();
    assert!(error.to_string().contains("bytes follow the last record"), "{error}");
    assert!(split_vectors(&[0; 15], 2, 2, ElementType::F32).is_err());
    assert!(split_vectors(&[0; 8], 2, 2, ElementType::F16).is_ok());
    let error = split_records(&[0; 33], &params(RAW)).unwrap_err();
    assert!(
        error.to_string().starts_with("the body has 33 bytes, expected 32: 2 vectors of 2 float32"),
        "{error}"
    );
}

#[test]
fn counts_beyond_the_body_allocate_nothing() {
    let huge = "database_name=d&collection_name=c&dim=4294967295&n_vectors=4294967295";
    assert!(matches!(split_records(&[0; 64], &params(huge)), Err(WireError::Length { .. })));
    assert!(decode_queries(&[0; 64], u32::MAX, u32::MAX, ElementType::F32).is_err());
}

#[test]
fn a_range_past_the_last_id_is_refused() {
    let query = RANGE.replace("=7", "=18446744073709551615");
    let error = split_records(&[0; 16], &params(&query)).unwrap_err();
    assert_eq!(error, WireError::IdRange { start: u64::MAX, count: 2 });
}

#[test]
fn broken_field_blocks_are_refused() {
    let body = |block: &[u8]| [&[0u8; 32][..], block].concat();
    for (block, words) in [
        (&b"LDBF1"[..], "ends in its count"),
        (b"LDBF1\x03\0\0\0", "names 3 records, expected 2"),
        (b"LDBF1\x02\0\0\0\0", "ends before the last record"),
        (b"LDBF1\x02\0\0\0\0\x02", "neither 0 nor 1"),
        (b"LDBF1\x02\0\0\0\0\x01\x01\0\0\0", "record 1 of the field block: the fields end too early"),
        (b"XDBF1\x02\0\0\0\0\0", "the body has 43 bytes, expected 32"),
    ] {
        let message = split_records(&body(block), &params(RAW)).unwrap_err().to_string();
        assert!(message.contains(words), "{block:?}: {message}");
    }
}

#[test]
fn queries_are_read_in_both_encodings() {
    let halves: Vec<u8> = [0x3c00u16, 0xb800].iter().flat_map(|half| half.to_le_bytes()).collect();
    assert_eq!(decode_queries(&halves, 2, 1, ElementType::F16).unwrap(), [1.0, -0.5]);
    let singles: Vec<u8> = [1f32, -0.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(decode_queries(&singles, 1, 2, ElementType::F32).unwrap(), [1.0, -0.5]);
}

#[test]
fn search_blocks_come_back() {
    let object = serde_json::from_str::<crate::FieldObject>(r#"{"t":"x"}"#).unwrap().0;
    let hit = |id, score| HitRef { id: RecordIdRef::Int(id), score, fields: FieldsRef::from_stored(&object) };
    let hits = [hit(4, 0.25), hit(u64::MAX, -1.0)];
    let mut reply = 2u32.to_le_bytes().to_vec();
    write_search_block(&mut reply, hits.iter().copied(), true).unwrap();
    write_search_block(&mut reply, hits[..0].iter().copied(), true).unwrap();
    let blocks = split_batch_reply(&reply).unwrap();
    assert_eq!(blocks[0].ids().collect::<Vec<_>>(), [4, u64::MAX]);
    assert_eq!(blocks[0].scores().collect::<Vec<_>>(), [0.25, -1.0]);
    assert_eq!(blocks[0].fields, br#"[{"t":"x"},{"t":"x"}]"#);
    assert!(blocks[1].is_empty() && blocks[1].fields.is_empty());
    for length in 0..reply.len() {
        assert!(split_batch_reply(&reply[..length]).is_err(), "accepted {length} bytes");
    }
}

#[test]
fn a_string_id_is_refused_and_leaves_the_buffer_as_it_was() {
    let hit = HitRef { id: RecordIdRef::Str("a"), score: 0.0, fields: FieldsRef::EMPTY };
    let mut out = vec![1, 2];
    let error = write_search_block(&mut out, [hit].iter().copied(), false).unwrap_err();
    assert_eq!((out.as_slice(), error.id.as_str()), (&[1, 2][..], "\"a\""));
    let record = RecordRef { id: RecordIdRef::Str("a"), vector: &[], fields: FieldsRef::EMPTY };
    assert!(write_records_block(&mut out, 0, [record].iter().copied()).is_err());
    assert_eq!(out, [1, 2]);
}

#[test]
fn a_records_reply_has_its_layout() {
    let record = RecordRef { id: RecordIdRef::Int(3), vector: &[1.0], fields: FieldsRef::EMPTY };
    let mut out = Vec::new();
    write_records_block(&mut out, 1, [record].iter().copied()).unwrap();
    let expected =
        [&[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 128, 63, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0][..], b"[{}]"];
    assert_eq!(out, expected.concat());
}
