//! Everything that the published client sent and that this crate covers is read, and what it was answered with
//! comes out of our writers with the same meaning.

use lavandin_types::{FieldsRef, RecordIdRef};
use lavandin_wire::binary::{
    RecordsParams, SearchParams, decode_queries, split_batch_reply, split_records, split_search_block,
    split_vectors, write_search_block,
};
use lavandin_wire::{FieldObject, HitRef, Ids, OneOrManyIds, request};
use serde::Deserialize;
use serde_json::Value;

const EXCHANGES: &str = include_str!("../fixtures/lynsedb-0.9.0-exchanges.jsonl");

#[derive(Deserialize)]
struct Exchange {
    path: String,
    request: String,
    status: u16,
    reply: String,
}

impl Exchange {
    fn route(&self) -> &str {
        self.path.split('?').next().unwrap()
    }

    fn query(&self) -> &str {
        self.path.split_once('?').map_or("", |(_, query)| query)
    }
}

fn exchanges() -> Vec<Exchange> {
    EXCHANGES.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bytes_of(text: &str) -> Vec<u8> {
    let Some(hex) = text.strip_prefix("HEX:") else { return text.as_bytes().to_vec() };
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_json_request_is_read() {
    let mut read = 0;
    for exchange in exchanges() {
        let body = exchange.request.as_bytes();
        let result = match exchange.route() {
            "/create_database" | "/drop_database" | "/delete_database" | "/database_exists" => {
                request::parse::<request::Database>(body).map(drop)
            }
            "/required_collection" => request::parse::<request::RequireCollection>(body).map(drop),
            "/add" | "/upsert" => {
                request::parse::<request::Write>(body).map(|write| write.check_counts().unwrap())
            }
            "/delete" | "/restore" => request::parse::<request::SelectIds>(body).map(drop),
            "/build_index" => request::parse::<request::BuildIndex>(body).map(drop),
            "/search" | "/search_profile" => request::parse::<request::Search>(body).map(drop),
            "/batch_search" => request::parse::<request::BatchSearch>(body).map(drop),
            "/search_range" => request::parse::<request::SearchRange>(body).map(drop),
            "/query" | "/query_vectors" => request::parse::<request::Query>(body).map(drop),
            "/head" | "/tail" => request::parse::<request::Ends>(body).map(drop),
            "/read_by_only_id" => request::parse::<request::Read>(body).map(drop),
            "/is_id_exists" => request::parse::<request::IdExists>(body).map(drop),
            "/commit" => request::parse::<request::Commit>(body).map(drop),
            "/stats" | "/max_id" | "/collection_shape" | "/index_mode" | "/compact" | "/flush" => {
                request::parse::<request::Collection>(body).map(drop)
            }
            _ => continue,
        };
        result.unwrap_or_else(|error| panic!("{} {}: {error}", exchange.path, exchange.request));
        read += 1;
    }
    assert!(read > 90, "only {read} exchanges were looked at");
}

#[test]
fn ids_and_fields_of_replies_survive_a_round_trip() {
    let mut objects = 0;
    for exchange in exchanges().iter().filter(|exchange| exchange.status == 200) {
        let Ok(reply) = serde_json::from_str::<Value>(&exchange.reply) else { continue };
        let items = &reply["params"]["items"];
        for object in items["fields"].as_array().into_iter().flatten() {
            let bytes: FieldObject = serde_json::from_value(object.clone()).unwrap();
            let (fields, rest) = FieldsRef::split(&bytes.0).unwrap();
            assert!(rest.is_empty());
            assert_eq!(serde_json::to_value(lavandin_wire::FieldsJson(fields)).unwrap(), *object);
            objects += 1;
        }
        for list in [&items["ids"], &reply["params"]["ids"]] {
            if list.is_array() {
                let ids: OneOrManyIds = serde_json::from_value(list.clone()).unwrap();
                let ids: Ids = ids.0;
                assert_eq!(serde_json::to_value(&ids).unwrap(), *list);
            }
        }
    }
    assert!(objects > 5, "only {objects} field objects were looked at");
}

#[test]
fn every_binary_body_is_split() {
    let mut read = 0;
    for exchange in exchanges() {
        let body = bytes_of(&exchange.request);
        match exchange.route() {
            "/bulk_add_binary" => {
                let params = RecordsParams::parse(exchange.query()).unwrap();
                split_vectors(&body, params.dim, params.count, params.element).unwrap();
            }
            "/add_records_binary" | "/upsert_records_binary" | "/add_binary_ids" | "/upsert_binary" => {
                let params = RecordsParams::parse(exchange.query()).unwrap();
                let layout = split_records(&body, &params).unwrap();
                let size = params.element.size();
                assert_eq!(layout.vectors.len(), params.dim as usize * params.count as usize * size);
            }
            "/search_binary" | "/batch_search_binary" => {
                let batch = exchange.route().starts_with("/batch");
                let params = SearchParams::parse(exchange.query(), batch).unwrap();
                decode_queries(&body, params.dim, params.count, params.element).unwrap();
            }
            _ => continue,
        }
        read += 1;
    }
    assert!(read > 10, "only {read} exchanges were looked at");
}

#[test]
fn binary_replies_are_written_byte_for_byte() {
    let mut read = 0;
    for exchange in exchanges().iter().filter(|exchange| exchange.status == 200) {
        let reply = bytes_of(&exchange.reply);
        let blocks = match exchange.route() {
            "/search_binary" => {
                let (block, rest) = split_search_block(&reply).unwrap();
                assert!(rest.is_empty());
                vec![block]
            }
            "/batch_search_binary" => split_batch_reply(&reply).unwrap(),
            _ => continue,
        };
        let mut written = Vec::new();
        if exchange.route().starts_with("/batch") {
            written.extend_from_slice(&(blocks.len() as u32).to_le_bytes());
        }
        for block in blocks {
            let objects: Vec<FieldObject> = match block.fields {
                [] => vec![FieldObject(vec![0; 4]); block.len()],
                text => serde_json::from_slice(text).unwrap(),
            };
            let hits: Vec<_> = block.ids().zip(block.scores()).zip(&objects).collect();
            let hits = hits.iter().map(|((id, score), object)| HitRef {
                id: RecordIdRef::Int(*id),
                score: *score,
                fields: FieldsRef::from_stored(&object.0),
            });
            write_search_block(&mut written, hits, !block.fields.is_empty()).unwrap();
        }
        assert_eq!(written, reply, "{}", exchange.path);
        read += 1;
    }
    assert!(read >= 4, "only {read} replies were looked at");
}
