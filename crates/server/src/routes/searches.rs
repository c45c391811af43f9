//! Searches through JSON, and what they share with the binary ones.

use crate::http::{ApiError, Call, reply};
use crate::routes::{COLLECTION, DATABASE, Form, Input, K, NPROBE, Output, RETURN_FIELDS, WHERE};
use crate::routes::{optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use lavandin_node::{Hit, Search, SearchProfile, SearchReply};
use lavandin_types::{FieldsRef, IndexFamily, IndexMode, Metric};
use lavandin_wire::{HitRef, HitsJson, ReplyWriter, request};
use serde_json::json;

type Done = Result<Response<Body>, ApiError>;

const VECTOR: crate::routes::Value = required("vector", Form::Vector, "The query");
const VECTOR_FIELD: crate::routes::Value =
    optional("vector_field", Form::Text, "A named vector field; only \"default\" until named ones come");
const ITEMS: crate::routes::Value = required("items", Form::Named("SearchItems"), "The hits, best first");

routes! { "search":
    Post "/search" Read search, "The nearest records", Input::Json(&[
        DATABASE, COLLECTION, VECTOR, K, WHERE, RETURN_FIELDS, VECTOR_FIELD, NPROBE,
        optional("approx", Form::Boolean, "Whether scores are rounded to multiples of eps (FLAT indexes)"),
        optional("eps", Form::Number, "1e-4 by default"),
    ]) => Output::Params(&[DATABASE, COLLECTION, ITEMS]);
    Post "/batch_search" Read batch, "The nearest records of several queries", Input::Json(&[
        DATABASE, COLLECTION, required("vectors", Form::Vectors, "The queries"), K, WHERE, RETURN_FIELDS, NPROBE,
    ]) => Output::Params(&[DATABASE, COLLECTION, required("results", Form::ListOf("SearchItems"), "One a query")]);
    Post "/search_profile" Read profile, "A search and how it was answered", Input::Json(&[
        DATABASE, COLLECTION, VECTOR, K, WHERE, RETURN_FIELDS, NPROBE,
    ]) => Output::Params(&[
        DATABASE, COLLECTION, ITEMS, required("profile", Form::Named("SearchProfile"), "How it was answered"),
    ]);
    Post "/search_range" Read range, "The records within a threshold, best first", Input::Json(&[
        DATABASE, COLLECTION, VECTOR,
        required("threshold", Form::Number, "Smallest inner product, or largest distance"),
        optional("max_results", Form::Integer, "1000 by default"),
    ]) => Output::Params(&[DATABASE, COLLECTION, required("result", Form::Named("RangeResult"), "The hits")]);
}

/// The parameters of a search, whichever body they came in.
pub(super) struct Asked<'a> {
    pub(super) database: &'a str,
    pub(super) collection: &'a str,
    pub(super) queries: Vec<f32>,
    pub(super) count: usize,
    pub(super) k: u64,
    pub(super) filter: Option<&'a str>,
    pub(super) probe: u64,
    pub(super) with_fields: bool,
    /// What scores are rounded to.
    pub(super) round_to: Option<f64>,
}

/// Searches, rounds the scores if that was asked for, and warns if it took long.
pub(super) async fn run(call: &Call, asked: Asked<'_>) -> Result<SearchReply, ApiError> {
    let (database, collection) = (asked.database, asked.collection);
    let k = call.check_top_k("k", asked.k)?;
    call.check_batch("the number of queries", asked.count)?;
    let search = Search {
        queries: asked.queries,
        count: asked.count,
        k,
        filter: asked.filter.map(str::to_owned),
        probe: u32::try_from(asked.probe).unwrap_or(u32::MAX),
        with_fields: asked.with_fields,
    };
    let context = call.context()?;
    let mut found = call.app.node.search(&context, database, collection, search).await?;
    // Filtered searches are exact scans of the matches: theirs are not rounded.
    if let Some(step) = asked.round_to.filter(|_| asked.filter.is_none()) {
        let mode = call
            .app
            .node
            .collection(database, collection)
            .await?
            .index
            .unwrap_or_else(IndexMode::default_flat);
        if rounds(&mode) {
            found.results.iter_mut().flatten().for_each(|hit| hit.score = round(hit.score, step));
        }
    }
    if let Some(elapsed) = call.slow() {
        let SearchProfile { path, scanned_vectors, filter_matches, filter_us, search_us, .. } =
            &found.profile;
        tracing::warn!(
            event = "slow_query",
            route = call.route.path,
            database,
            collection,
            queries = asked.count,
            k,
            filter = asked.filter,
            elapsed_ms = elapsed.as_millis() as u64,
            path = path.as_str(),
            scanned_vectors,
            filter_matches,
            filter_us,
            search_us,
            request_id = call.request_id.to_str().unwrap_or_default(),
            "slow query"
        );
    }
    Ok(found)
}

/// What `approx` and `eps` ask for; a step that is no positive number asks for nothing.
pub(super) fn rounding(approx: bool, eps: Option<f64>) -> Option<f64> {
    eps.filter(|eps| approx && eps.is_finite() && *eps > 0.0)
}

/// The modes for which the API promises rounded scores.
fn rounds(mode: &IndexMode) -> bool {
    use Metric::{BrayCurtis, Canberra, Chebyshev, Cosine, Ip, L1, L2};
    mode.family == IndexFamily::Flat
        && matches!(mode.metric, Ip | L2 | Cosine | L1 | Chebyshev | Canberra | BrayCurtis)
}

fn round(score: f32, step: f64) -> f32 {
    ((f64::from(score) / step).round() * step) as f32
}

/// Refuses a vector field other than the one that every collection has.
pub(super) fn check_vector_field(name: Option<&str>) -> Result<(), ApiError> {
    match name {
        None | Some("default") => Ok(()),
        Some(name) => Err(ApiError::not_implemented(&format!("named vector fields (vector_field {name:?})"))),
    }
}

/// Hits as the writers take them.
pub(super) fn hits_of(hits: &[Hit]) -> impl ExactSizeIterator<Item = HitRef<'_>> + Clone {
    hits.iter().map(|hit| HitRef {
        id: hit.id.as_ref(),
        score: hit.score,
        fields: if hit.fields.is_empty() { FieldsRef::EMPTY } else { FieldsRef::from_stored(&hit.fields) },
    })
}

fn asked_of(request: &mut request::Search) -> Asked<'_> {
    Asked {
        database: &request.database_name,
        collection: &request.collection_name,
        queries: std::mem::take(&mut request.vector.0),
        count: 1,
        k: request.k.0,
        filter: request.filter.as_deref(),
        probe: request.nprobe.0,
        with_fields: request.return_fields,
        round_to: rounding(request.approx, request.eps),
    }
}

async fn search(mut call: Call) -> Done {
    let mut request: request::Search = call.json().await?;
    check_vector_field(request.vector_field.as_deref())?;
    let found = run(&call, asked_of(&mut request)).await?;
    let hits = found.results.first().map_or(&[][..], Vec::as_slice);
    let items = HitsJson {
        hits: hits_of(hits),
        k: Some(request.k.0),
        with_fields: request.return_fields,
        extra: &[("vector_field", "default")],
    };
    Ok(reply(
        ReplyWriter::of_collection(&request.database_name, &request.collection_name).with("items", &items),
    ))
}

async fn batch(mut call: Call) -> Done {
    let request: request::BatchSearch = call.json().await?;
    check_vector_field(request.vector_field.as_deref())?;
    let asked = Asked {
        database: &request.database_name,
        collection: &request.collection_name,
        queries: request.vectors.numbers,
        count: request.vectors.rows,
        k: request.k.0,
        filter: request.filter.as_deref(),
        probe: request.nprobe.0,
        with_fields: request.return_fields,
        round_to: None,
    };
    let found = run(&call, asked).await?;
    let with_fields = request.return_fields;
    let results: Vec<_> = found
        .results
        .iter()
        .map(|hits| HitsJson { hits: hits_of(hits), k: None, with_fields, extra: &[] })
        .collect();
    let answer = ReplyWriter::of_collection(&request.database_name, &request.collection_name);
    Ok(reply(answer.with("results", &results)))
}

async fn profile(mut call: Call) -> Done {
    let mut request: request::Search = call.json().await?;
    check_vector_field(request.vector_field.as_deref())?;
    let found = run(&call, asked_of(&mut request)).await?;
    let info = call.app.node.collection(&request.database_name, &request.collection_name).await?;
    let mode = info.index.unwrap_or_else(IndexMode::default_flat);
    let hits = found.results.first().map_or(&[][..], Vec::as_slice);
    let items = HitsJson {
        hits: hits_of(hits),
        k: Some(request.k.0),
        with_fields: request.return_fields,
        extra: &[("index", mode.as_str())],
    };
    let told = found.profile;
    let profile = json!({
        "query_kind": "vector",
        "vector_field": "default",
        "index_path": told.path,
        "total_vectors": told.total_vectors,
        "filter_expression": request.filter,
        "filter_matches": told.filter_matches,
        "scanned_vectors": told.scanned_vectors,
        "result_count": hits.len(),
        "filter_us": told.filter_us,
        "search_us": told.search_us,
        "rerank_us": told.rerank_us,
        "total_us": told.total_us,
        "explain": told.explain,
    });
    let answer = ReplyWriter::of_collection(&request.database_name, &request.collection_name);
    Ok(reply(answer.with("items", &items).with("profile", &profile)))
}

async fn range(mut call: Call) -> Done {
    let request: request::SearchRange = call.json().await?;
    let (database, collection) = (&request.database_name, &request.collection_name);
    let most = call.check_top_k("max_results", request.max_results.0)?;
    let context = call.context()?;
    let threshold = request.threshold as f32;
    let hits =
        call.app.node.search_range(&context, database, collection, request.vector.0, threshold, most).await?;
    if let Some(elapsed) = call.slow() {
        tracing::warn!(
            event = "slow_query",
            route = call.route.path,
            database,
            collection,
            threshold,
            max_results = most,
            elapsed_ms = elapsed.as_millis() as u64,
            request_id = call.request_id.to_str().unwrap_or_default(),
            "slow query"
        );
    }
    let ids: Vec<_> = hits.iter().map(|hit| lavandin_wire::IdJson(hit.id.as_ref())).collect();
    let distances: Vec<f32> = hits.iter().map(|hit| hit.score).collect();
    let result = Range { ids: &ids, distances: &distances };
    Ok(reply(ReplyWriter::of_collection(database, collection).with("result", &result)))
}

#[derive(serde::Serialize)]
struct Range<'a> {
    ids: &'a [lavandin_wire::IdJson<'a>],
    distances: &'a [f32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_rounded_to_multiples() {
        assert_eq!(round(0.30004, 1e-4), 0.3);
        assert_eq!(round(-1.26, 0.5), -1.5);
        assert_eq!(round(f32::INFINITY, 0.5), f32::INFINITY);
    }

    #[test]
    fn only_a_positive_finite_step_rounds() {
        assert_eq!(rounding(true, Some(0.5)), Some(0.5));
        for (approx, eps) in [
            (false, Some(0.5)),
            (true, None),
            (true, Some(0.0)),
            (true, Some(f64::INFINITY)),
            (true, Some(f64::NAN)),
        ] {
            assert_eq!(rounding(approx, eps), None);
        }
    }

    #[test]
    fn other_vector_fields_come_later() {
        assert!(check_vector_field(None).is_ok() && check_vector_field(Some("default")).is_ok());
        assert_eq!(check_vector_field(Some("img")).unwrap_err().status().as_u16(), 501);
    }
}
