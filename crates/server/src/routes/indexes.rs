//! Indexes.

use crate::http::{ApiError, Call, reply};
use crate::routes::{COLLECTION, DATABASE, Form, Input, NAMES, Output, optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use lavandin_types::{BuildParameters, IndexMode};
use lavandin_wire::{ReplyWriter, request};

type Done = Result<Response<Body>, ApiError>;

const INDEX_MODE: crate::routes::Value =
    required("index_mode", Form::TextOrNull, "The mode as it was given; null without an index");

routes! { "indexes":
    Post "/build_index" Change build, "Build an index; answers when it is built", Input::Json(&[
        DATABASE, COLLECTION,
        optional("index_mode", Form::Text, "FAMILY-METRIC[-QUANTIZER] such as HNSW-L2; FLAT-IP by default"),
        optional("n_clusters", Form::Integer, "Of partition indexes; ignored by others"),
        optional("params", Form::Named("BuildParameters"), "Tuning values"),
    ]) => Output::Params(&[
        DATABASE, COLLECTION, INDEX_MODE,
        required("n_clusters", Form::Integer, "As it was given"),
        required("params", Form::Named("BuildParameters"), "As they were given"),
    ]);
    Post "/remove_index" Change remove, "Drop the index; searches scan by inner product", Input::Json(NAMES)
        => Output::Params(NAMES);
    Post "/index_mode" Read index_mode, "The mode of the index", Input::Json(NAMES)
        => Output::Params(&[DATABASE, COLLECTION, INDEX_MODE]);
    Post "/list_vector_fields" Read vector_fields, "The vector fields; one, until named ones come", Input::Json(NAMES)
        => Output::Params(&[DATABASE, COLLECTION, required("fields", Form::ListOf("VectorField"), "The fields")]);
}

/// Tuning values: the names that the API knows; what another family means by one is ignored, zero is a mistake.
fn parameters(request: &request::BuildIndex) -> Result<(BuildParameters, Vec<(String, u64)>), ApiError> {
    const OTHERS: [&str; 8] =
        ["n_clusters", "n_centroids", "nprobe", "replica_count", "max_level", "r", "l", "max_degree"];
    let mut known = BuildParameters::default();
    let mut others = Vec::new();
    for (name, value) in request.params.iter().flatten() {
        if name == "alpha" {
            if value.as_f64().is_none_or(|alpha| alpha < 1.0) {
                return Err(ApiError::invalid(format!(
                    "the build parameter alpha is {value}, expected 1 or more"
                )));
            }
            continue;
        }
        let number = value.as_u64().filter(|number| *number > 0 && *number <= u64::from(u32::MAX));
        let number = number.ok_or_else(|| {
            ApiError::invalid(format!(
                "the build parameter {name} is {value}, expected an integer greater than 0"
            ))
        })?;
        let small = Some(number as u32);
        match name.as_str() {
            "m" => known.m = small,
            "ef_construction" => known.ef_construction = small,
            "ef_search" => known.ef_search = small,
            other if OTHERS.contains(&other) => others.push((name.clone(), number)),
            other => {
                let expected = format!("m, ef_construction, ef_search, alpha, {}", OTHERS.join(", "));
                return Err(ApiError::invalid(format!(
                    "unknown build parameter {other:?}; expected one of {expected}"
                )));
            }
        }
    }
    if request.n_clusters == Some(request::Count(0)) {
        return Err(ApiError::invalid("n_clusters must be greater than 0"));
    }
    Ok((known, others))
}

async fn build(mut call: Call) -> Done {
    let request: request::BuildIndex = call.json().await?;
    let (database, collection) = (request.database_name.as_str(), request.collection_name.as_str());
    let text = request.index_mode.as_deref().unwrap_or("FLAT-IP");
    let mode = IndexMode::parse(text).map_err(|error| ApiError::invalid(error.to_string()))?;
    let (known, others) = parameters(&request)?;
    let context = call.context()?;
    let outcome = call.app.node.build_index(&context, database, collection, mode, known, others).await;
    call.audit("build_index", database, collection, &outcome);
    outcome?;
    let answer = ReplyWriter::of_collection(database, collection).with("index_mode", text);
    Ok(reply(answer.with("n_clusters", &request.n_clusters).with("params", &request.params)))
}

async fn remove(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let (database, collection, context) = (&request.database_name, &request.collection_name, call.context()?);
    let outcome = call.app.node.remove_index(&context, database, collection).await;
    call.audit("remove_index", database, collection, &outcome);
    outcome?;
    Ok(reply(ReplyWriter::of_collection(database, collection)))
}

async fn index_mode(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let info = call.app.node.collection(&request.database_name, &request.collection_name).await?;
    let mode = info.index.as_ref().map(IndexMode::as_str);
    let answer = ReplyWriter::of_collection(&request.database_name, &request.collection_name);
    Ok(reply(answer.with("index_mode", &mode)))
}

async fn vector_fields(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let info = call.app.node.collection(&request.database_name, &request.collection_name).await?;
    let mode = info.index.clone().unwrap_or_else(IndexMode::default_flat);
    let fields = serde_json::json!([{
        "name": "default",
        "dimension": info.dim,
        "metric": mode.metric.name(),
        "index_mode": mode.as_str(),
        "dtypes": info.element.name(),
    }]);
    let answer = ReplyWriter::of_collection(&request.database_name, &request.collection_name);
    Ok(reply(answer.with("fields", &fields)))
}
