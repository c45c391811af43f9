//! The binary endpoints: see docs/formats/http-binary.md for their bodies.

use crate::http::{ApiError, Call, octets, reply};
use crate::routes::reads::records_of;
use crate::routes::records::change;
use crate::routes::searches::{Asked, check_vector_field, hits_of, rounding, run};
use crate::routes::{COLLECTION, DATABASE, Form, Input, K, NPROBE, Output, RETURN_FIELDS, Value, WHERE};
use crate::routes::{optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use lavandin_node::{BatchIds, Change, Outcome, RecordBatch, VectorBatch, Which};
use lavandin_wire::ReplyWriter;
use lavandin_wire::binary::{
    BinaryIds, EndsParams, RecordsParams, SearchParams, decode_queries, split_records, split_vectors,
    write_records_block, write_search_block,
};

type Done = Result<Response<Body>, ApiError>;

const DIM: Value = required("dim", Form::Integer, "Elements of a vector");
const N_VECTORS: Value = required("n_vectors", Form::Integer, "Vectors in the body");
const VECTOR_ENCODING: Value = optional("vector_encoding", Form::Text, "float32 (default) or float16");
const IDS_ENCODING: Value = optional("ids_encoding", Form::Text, "raw (default) or range");
const IDS_START: Value = optional("ids_start", Form::Integer, "The first id, with ids_encoding=range");
const RETURN_IDS: Value = optional("return_ids", Form::Boolean, "Whether the reply lists the ids");

const RECORDS: &[Value] =
    &[DATABASE, COLLECTION, DIM, N_VECTORS, VECTOR_ENCODING, IDS_ENCODING, IDS_START, RETURN_IDS];
const RECORDS_BODY: Option<&str> =
    Some("Vectors, ids (8 bytes each, with ids_encoding=raw), optionally a field block");
const WRITTEN: &[Value] = &[
    DATABASE,
    COLLECTION,
    required("n_vectors", Form::Integer, "Records written"),
    optional("ids", Form::Ids, "Their ids, where asked for"),
];
const ENDS: &[Value] = &[DATABASE, COLLECTION, optional("n", Form::Integer, "Records wanted; 5 by default")];

routes! { "binary":
    Post "/bulk_add_binary" Change bulk_add, "Insert records under ids that the server allots", Input::Query(&[
        DATABASE, COLLECTION, DIM, N_VECTORS, VECTOR_ENCODING, RETURN_IDS,
    ], Some("Vectors")) => Output::Params(WRITTEN);
    Post "/add_records_binary" Change add, "Insert records under integer ids", Input::Query(RECORDS, RECORDS_BODY)
        => Output::Params(WRITTEN);
    Post "/add_binary_ids" Change add, "The same as /add_records_binary", Input::Query(RECORDS, RECORDS_BODY)
        => Output::Params(WRITTEN);
    Post "/upsert_records_binary" Change upsert, "Insert or replace records under integer ids",
        Input::Query(RECORDS, RECORDS_BODY) => Output::Params(WRITTEN);
    Post "/upsert_binary" Change upsert, "The same as /upsert_records_binary", Input::Query(RECORDS, RECORDS_BODY)
        => Output::Params(WRITTEN);
    Post "/search_binary" Read search, "The nearest records; 409 where a hit has a string id", Input::Query(&[
        DATABASE, COLLECTION, DIM, K, WHERE, RETURN_FIELDS, VECTOR_ENCODING, NPROBE,
        optional("approx", Form::Boolean, "Whether scores are rounded to multiples of eps (FLAT indexes)"),
        optional("eps", Form::Number, "1e-4 by default"),
        optional("vector_field", Form::Text, "Only \"default\" until named ones come"),
    ], Some("One vector")) => Output::Octets("A search block");
    Post "/batch_search_binary" Read batch, "The nearest records of several queries", Input::Query(&[
        DATABASE, COLLECTION, DIM, required("n_queries", Form::Integer, "Vectors in the body"), K, WHERE,
        RETURN_FIELDS, VECTOR_ENCODING, NPROBE,
    ], Some("The queries")) => Output::Octets("A count and that many search blocks");
    Get "/head_binary" Read head, "The first records", Input::Query(ENDS, None) => Output::Octets("A records block");
    Get "/tail_binary" Read tail, "The last records", Input::Query(ENDS, None) => Output::Octets("A records block");
}

async fn bulk_add(mut call: Call) -> Done {
    let body = call.bytes().await?;
    let params = RecordsParams::parse(call.query())?;
    split_vectors(&body, params.dim, params.count, params.element)?;
    call.check_batch("the number of vectors", params.count as usize)?;
    let vectors = VectorBatch { element: params.element, dim: params.dim, bytes: body };
    let batch =
        RecordBatch { ids: BatchIds::Assigned { count: params.count }, vectors, fields: None, places: None };
    let names = (&*params.database, &*params.collection);
    let outcome = change(&call, "add", names, Change::Add(batch)).await?;
    let answer = ReplyWriter::of_collection(names.0, names.1).with("n_vectors", &params.count);
    Ok(reply(match (params.return_ids, outcome) {
        (Some(true), Outcome::Assigned { start, count }) => answer.with("ids", &IdRun { start, count }),
        _ => answer,
    }))
}

async fn add(call: Call) -> Done {
    write(call, "add", Change::Add).await
}

async fn upsert(call: Call) -> Done {
    write(call, "upsert", Change::Upsert).await
}

async fn write(mut call: Call, action: &'static str, make: fn(RecordBatch) -> Change) -> Done {
    let body = call.bytes().await?;
    let params = RecordsParams::parse(call.query())?;
    let layout = split_records(&body, &params)?;
    call.check_batch("the number of vectors", params.count as usize)?;
    let names = (&*params.database, &*params.collection);
    let answer = ReplyWriter::of_collection(names.0, names.1).with("n_vectors", &params.count);
    // The ids are written before they move into the change.
    let answer = match &layout.ids {
        _ if params.return_ids == Some(false) => answer,
        BinaryIds::Ints(ids) => answer.with("ids", ids),
        BinaryIds::Range { start, count } => answer.with("ids", &IdRun { start: *start, count: *count }),
    };
    let batch = RecordBatch {
        ids: match layout.ids {
            BinaryIds::Ints(ids) => BatchIds::Ints(ids),
            BinaryIds::Range { start, count } => BatchIds::Range { start, count },
        },
        vectors: VectorBatch { element: params.element, dim: params.dim, bytes: body.slice(layout.vectors) },
        fields: layout.fields.map(|fields| Bytes::slice(&body, fields)),
        places: None,
    };
    change(&call, action, names, make(batch)).await?;
    Ok(reply(answer))
}

/// Consecutive ids, written without being listed first.
struct IdRun {
    start: u64,
    count: u32,
}

impl serde::Serialize for IdRun {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..u64::from(self.count)).map(|offset| self.start.wrapping_add(offset)))
    }
}

fn asked_of<'a>(params: &'a SearchParams<'_>, queries: Vec<f32>) -> Asked<'a> {
    Asked {
        database: &params.database,
        collection: &params.collection,
        queries,
        count: params.count as usize,
        k: params.k,
        filter: params.filter.as_deref(),
        probe: params.probe,
        with_fields: params.with_fields,
        round_to: rounding(params.approx, Some(params.eps)),
    }
}

async fn search(mut call: Call) -> Done {
    let body = call.bytes().await?;
    let params = SearchParams::parse(call.query(), false)?;
    check_vector_field(params.vector_field.as_deref())?;
    let queries = decode_queries(&body, params.dim, 1, params.element)?;
    let found = run(&call, asked_of(&params, queries)).await?;
    let hits = found.results.first().map_or(&[][..], Vec::as_slice);
    let mut out = Vec::with_capacity(8 + hits.len() * 12);
    write_search_block(&mut out, hits_of(hits), params.with_fields)?;
    Ok(octets(out))
}

async fn batch(mut call: Call) -> Done {
    let body = call.bytes().await?;
    let params = SearchParams::parse(call.query(), true)?;
    check_vector_field(params.vector_field.as_deref())?;
    let queries = decode_queries(&body, params.dim, params.count, params.element)?;
    let found = run(&call, asked_of(&params, queries)).await?;
    let hits: usize = found.results.iter().map(Vec::len).sum();
    let mut out = Vec::with_capacity(4 + found.results.len() * 8 + hits * 12);
    out.extend_from_slice(&(found.results.len() as u32).to_le_bytes());
    for hits in &found.results {
        write_search_block(&mut out, hits_of(hits), params.with_fields)?;
    }
    Ok(octets(out))
}

async fn head(call: Call) -> Done {
    ends(call, Which::First).await
}

async fn tail(call: Call) -> Done {
    ends(call, Which::Last).await
}

async fn ends(call: Call, which: fn(usize) -> Which) -> Done {
    let params = EndsParams::parse(call.query())?;
    let which = which(call.check_top_k("n", params.n)?);
    let context = call.context()?;
    let info = call.app.node.collection(&params.database, &params.collection).await?;
    let records = call.app.node.records(&context, &params.database, &params.collection, which, true).await?;
    let mut out = Vec::new();
    write_records_block(&mut out, info.dim, records_of(&records))?;
    Ok(octets(out))
}
