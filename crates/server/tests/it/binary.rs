//! The binary endpoints, and the ids that the server allots.

use crate::program::Server;
use lavandin_wire::FieldsList;
use lavandin_wire::binary::{encode_records, split_batch_reply, split_search_block};
use serde_json::json;

fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn url(endpoint: &str, collection: &str, rest: &str) -> String {
    format!("/{endpoint}?database_name=db&collection_name={collection}&dim=2{rest}")
}

fn routing(server: &Server, collection: &str) -> serde_json::Value {
    let config = server.ask("/get_collection_config", collection, json!({}))["config"].clone();
    assert!(config.as_object().unwrap().contains_key("integer_id_routing"), "{config}");
    config["integer_id_routing"].clone()
}

#[test]
fn the_server_allots_ids_and_says_so() {
    let server = Server::start();
    server.make("auto", 2);
    assert_eq!(routing(&server, "auto"), json!(null));
    assert_eq!(server.ask("/max_id", "auto", json!({}))["max_id"], -1);
    let body = bytes_of(&[1.0, 0.0, 0.0, 1.0]);
    let add = |rest: &str| server.octets(&url("bulk_add_binary", "auto", rest), &body).params();
    assert_eq!(add("&n_vectors=2&return_ids=true")["ids"], json!([0, 1]));
    let silent = add("&n_vectors=2");
    assert_eq!((&silent["n_vectors"], silent.get("ids")), (&json!(2), None));
    assert_eq!(server.ask("/max_id", "auto", json!({}))["max_id"], 3);
    assert_eq!(routing(&server, "auto"), json!("internal"));
    server.ask("/add", "auto", json!({"ids": ["text"], "vectors": [[5, 5]]}));
    assert_eq!(routing(&server, "auto"), json!("external"));
    assert_eq!(add("&n_vectors=2&return_ids=true")["ids"], json!([5, 6]), "five records came before");
}

#[test]
fn records_and_searches_in_bytes() {
    let server = Server::start();
    server.make("ints", 2);
    let fields: FieldsList = serde_json::from_str(r#"[{"a":1},null]"#).unwrap();
    let body = encode_records(&bytes_of(&[1.0, 0.0, 0.0, 1.0]), Some(&[u64::MAX, 10]), Some(&fields));
    let written = server.octets(&url("add_records_binary", "ints", "&n_vectors=2"), &body).params();
    assert_eq!(written["ids"], json!([u64::MAX, 10]));
    let halves = [0x3c00u16, 0x3c00].iter().flat_map(|half| half.to_le_bytes()).collect::<Vec<u8>>();
    let rest = "&n_vectors=1&vector_encoding=float16&ids_encoding=range&ids_start=10&return_ids=false";
    let replaced = server.octets(&url("upsert_binary", "ints", rest), &halves).params();
    assert_eq!((&replaced["n_vectors"], replaced.get("ids")), (&json!(1), None));

    let reply =
        server.octets(&url("search_binary", "ints", "&k=5&return_fields=true"), &bytes_of(&[1.0, 0.5]));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/octet-stream")));
    let (block, rest) = split_search_block(&reply.body).unwrap();
    assert!(rest.is_empty());
    assert_eq!(block.ids().collect::<Vec<_>>(), [10, u64::MAX]);
    assert_eq!(block.scores().collect::<Vec<_>>(), [1.5, 1.0]);
    assert_eq!(block.fields, br#"[{},{"a":1}]"#);

    let filtered = url("search_binary", "ints", "&where=a%20%3D%201&approx=false&eps=inf&nprobe=10");
    let reply = server.octets(&filtered, &bytes_of(&[1.0, 0.5]));
    let (block, _) = split_search_block(&reply.body).unwrap();
    assert_eq!((block.ids().collect::<Vec<_>>(), block.fields), (vec![u64::MAX], &b""[..]));

    let queries = bytes_of(&[1.0, 0.5, 0.0, 1.0, 1.0, 1.0]);
    let reply = server.octets(&url("batch_search_binary", "ints", "&n_queries=3&k=1"), &queries);
    let blocks = split_batch_reply(&reply.body).unwrap();
    let best: Vec<u64> = blocks.iter().flat_map(|block| block.ids()).collect();
    assert_eq!(best, [10, 10, 10]);

    let head = server.get("/head_binary?database_name=db&collection_name=ints&n=1");
    assert_eq!(
        (&head.body[..8], &head.body[16..24]),
        (&[1, 0, 0, 0, 2, 0, 0, 0][..], &u64::MAX.to_le_bytes()[..])
    );
}

#[test]
fn a_string_id_never_becomes_a_number() {
    let server = Server::start();
    server.make("mixed", 2);
    server.ask("/add", "mixed", json!({"ids": ["a", 1], "vectors": [[1, 0], [0, 1]]}));
    let search = |query: &[f32]| server.octets(&url("search_binary", "mixed", "&k=1"), &bytes_of(query));
    let message = search(&[1.0, 0.0]).error(409, "invalid_argument");
    assert!(message.contains("string id \"a\"") && message.contains("/search"), "{message}");
    assert_eq!(search(&[0.0, 1.0]).status, 200);
    let batch = url("batch_search_binary", "mixed", "&n_queries=2&k=1");
    server.octets(&batch, &bytes_of(&[0.0, 1.0, 1.0, 0.0])).error(409, "invalid_argument");
    server.get("/tail_binary?database_name=db&collection_name=mixed").error(409, "invalid_argument");
}

#[test]
fn wrong_bytes_are_refused_and_nothing_is_stored() {
    let server = Server::start();
    server.make("ints", 2);
    let add = |rest: &str, body: &[u8]| server.octets(&url("add_records_binary", "ints", rest), body);
    let good = bytes_of(&[1.0, 2.0]);
    let range = "&n_vectors=1&ids_encoding=range&ids_start=0";
    for (rest, body, words) in [
        (range, &good[..7], "the body has 7 bytes, expected 8"),
        (range, &[good.as_slice(), &[0]].concat()[..], "the body has 9 bytes, expected 8"),
        (range, &[&good[..], b"LDBF1\x02\0\0\0"].concat()[..], "names 2 records, expected 1"),
        (range, &bytes_of(&[f32::NAN, 0.0])[..], "not finite"),
        (range, &bytes_of(&[f32::INFINITY, 0.0])[..], "not finite"),
        ("&n_vectors=1", &good[..], "the body has 8 bytes, expected 16"),
        ("&n_vectors=1&ids_encoding=range&ids_start=x", &good[..], "ids_start is \"x\""),
        (
            "&n_vectors=2&ids_encoding=range&ids_start=18446744073709551615",
            &[0; 16],
            "passes 18446744073709551615",
        ),
        ("&n_vectors=0", b"", "n_vectors is \"0\""),
        ("", &good[..], "n_vectors is missing"),
    ] {
        let message = add(rest, body).error(400, "invalid_argument");
        assert!(message.contains(words), "{rest}: {message}");
    }
    let wide = "/add_records_binary?database_name=db&collection_name=ints&dim=3&n_vectors=1&ids_encoding=range&ids_start=0";
    let message = server.octets(wide, &[0; 12]).error(400, "invalid_argument");
    assert!(message.contains("Dimension mismatch: expected 2, got 3"), "{message}");
    assert_eq!(server.ask("/collection_shape", "ints", json!({}))["shape"], json!([0, 2]));
    let message =
        server.octets(&url("search_binary", "ints", "&k=1"), &good[..4]).error(400, "invalid_argument");
    assert!(message.contains("the body has 4 bytes, expected 8"), "{message}");
}
