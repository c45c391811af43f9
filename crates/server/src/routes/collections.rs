//! Collections: creating, describing, dropping, and what keeps them durable.

use crate::http::{ApiError, Call, reply};
use crate::routes::{COLLECTION, DATABASE, Form, Input, NAMES, Output, optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use lavandin_node::{CollectionInfo, CollectionStatistics, RequireCollection};
use lavandin_types::{ElementType, ErrorCode};
use lavandin_wire::{ReplyWriter, request};
use serde_json::{Value, json};

type Done = Result<Response<Body>, ApiError>;

/// The client's unit of reading, which nothing here depends on.
const CHUNK_SIZE: u32 = 100_000;

const CONFIG: &[crate::routes::Value] =
    &[DATABASE, COLLECTION, required("config", Form::Named("CollectionConfig"), "Its configuration")];
const DESCRIPTION: crate::routes::Value = optional("description", Form::TextOrNull, "A text for people");

routes! { "collections":
    Post "/required_collection" Change require, "Create a collection, or open it if it exists", Input::Json(&[
        DATABASE, COLLECTION,
        optional("dim", Form::Integer, "Its dimension; null or 0 takes that of the first write"),
        optional("drop_if_exists", Form::Boolean, "Whether to start over with an empty one"),
        DESCRIPTION,
        optional("dtypes", Form::Text, "How vectors are kept: float32 (default) or float16"),
    ]) => Output::Params(CONFIG);
    Post "/is_collection_exists" Read exists, "Whether a collection exists", Input::Json(NAMES) => Output::Params(&[
        DATABASE, COLLECTION, required("exists", Form::Boolean, "Whether it exists"),
    ]);
    Post "/get_collection_config" Read config, "A collection's configuration", Input::Json(NAMES)
        => Output::Params(CONFIG);
    Post "/drop_collection" Change drop_one, "Drop a collection; a missing one is fine", Input::Json(NAMES)
        => Output::Params(NAMES);
    Post "/update_collection_description" Change describe, "Describe a collection", Input::Json(&[
        DATABASE, COLLECTION, DESCRIPTION,
    ]) => Output::Params(&[DATABASE, COLLECTION, DESCRIPTION]);
    Post "/update_description" Change describe, "The same as /update_collection_description", Input::Json(&[
        DATABASE, COLLECTION, DESCRIPTION,
    ]) => Output::Params(&[DATABASE, COLLECTION, DESCRIPTION]);
    Post "/collection_shape" Read shape, "Rows (deleted ones included) and dimension", Input::Json(NAMES)
        => Output::Params(&[DATABASE, COLLECTION, required("shape", Form::ListOf("Integer"), "[rows, dimension]")]);
    Post "/stats" Read stats, "Counts of a collection", Input::Json(NAMES) => Output::Params(&[
        DATABASE, COLLECTION, required("stats", Form::Named("CollectionStatistics"), "The counts"),
    ]);
    Post "/max_id" Read max_id, "The id before the next one that the server would allot", Input::Json(NAMES)
        => Output::Params(&[DATABASE, COLLECTION, required("max_id", Form::Integer, "-1 before the first record")]);
    Post "/get_collection_path" Read path, "Where the collection's files are", Input::Json(NAMES)
        => Output::Params(&[DATABASE, COLLECTION, required("collection_path", Form::Text, "A path on the server")]);
    Post "/commit" Change commit, "Make all acknowledged writes durable", Input::Json(NAMES) => Output::Params(&[
        required("status", Form::Text, "Success"), required("result", Form::Object, "The names"),
    ]);
    Post "/flush" Change flush, "Make all acknowledged writes durable", Input::Json(NAMES) => Output::Params(NAMES);
    Post "/checkpoint" Change checkpoint, "The same, and shorten the log", Input::Json(NAMES)
        => Output::Params(NAMES);
    Post "/close_collection" Change flush, "The same as /flush", Input::Json(NAMES) => Output::Params(NAMES);
}

fn named(request: &request::Collection) -> ReplyWriter {
    ReplyWriter::of_collection(&request.database_name, &request.collection_name)
}

/// The configuration as clients read it.
///
/// `integer_id_routing` tells the published client how to write and search: present at all, it asks the server for
/// ids instead of predicting them; `internal` makes it use the binary endpoints, whose replies hold integer ids
/// only; `external` keeps it to JSON.
async fn config_of(call: &Call, info: &CollectionInfo) -> Result<Value, ApiError> {
    let context = call.context()?;
    let written = call.app.node.collection_statistics(&context, &info.database, &info.name).await?;
    let routing = match (written.ever_written, written.has_string_ids) {
        (0, _) => None,
        (_, false) => Some("internal"),
        (_, true) => Some("external"),
    };
    Ok(json!({
        "dim": info.dim,
        "chunk_size": CHUNK_SIZE,
        "description": info.description,
        "dtypes": info.element.name(),
        "integer_id_routing": routing,
    }))
}

fn element_named(name: Option<&str>) -> Result<Option<ElementType>, ApiError> {
    let Some(name) = name else { return Ok(None) };
    let element = ElementType::parse(name);
    element.map(Some).ok_or_else(|| {
        ApiError::invalid(format!("unsupported vector dtype {name:?}; expected float32/f32 or float16/f16"))
    })
}

async fn require(mut call: Call) -> Done {
    let request: request::RequireCollection = call.json().await?;
    let (database, name) = (&request.database_name, &request.collection_name);
    let wanted = RequireCollection {
        dim: request.dim,
        element: element_named(request.dtypes.as_deref())?,
        description: request.description,
        drop_if_exists: request.drop_if_exists,
    };
    let context = call.context()?;
    let outcome = call.app.node.require_collection(&context, database, name, wanted).await;
    call.audit("require_collection", database, name, &outcome);
    let config = config_of(&call, &outcome?).await?;
    Ok(reply(ReplyWriter::of_collection(database, name).with("config", &config)))
}

async fn exists(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let exists = match call.app.node.collection(&request.database_name, &request.collection_name).await {
        Ok(_) => true,
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidArgument) => false,
        Err(error) => return Err(error.into()),
    };
    Ok(reply(named(&request).with("exists", &exists)))
}

async fn config(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let info = call.app.node.collection(&request.database_name, &request.collection_name).await?;
    Ok(reply(named(&request).with("config", &config_of(&call, &info).await?)))
}

async fn drop_one(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let (database, name, context) = (&request.database_name, &request.collection_name, call.context()?);
    let outcome = call.app.node.drop_collection(&context, database, name).await;
    call.audit("drop_collection", database, name, &outcome);
    outcome?;
    Ok(reply(named(&request)))
}

async fn describe(mut call: Call) -> Done {
    let request: request::Describe = call.json().await?;
    let (database, name, context) = (&request.database_name, &request.collection_name, call.context()?);
    let outcome = call.app.node.set_description(&context, database, name, request.description.clone()).await;
    call.audit("update_description", database, name, &outcome);
    outcome?;
    Ok(reply(ReplyWriter::of_collection(database, name).with("description", &request.description)))
}

async fn shape(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let found = statistics(&call, &request).await?;
    Ok(reply(named(&request).with("shape", &(found.rows, found.dim))))
}

async fn statistics(call: &Call, request: &request::Collection) -> Result<CollectionStatistics, ApiError> {
    let (database, collection, context) = (&request.database_name, &request.collection_name, call.context()?);
    Ok(call.app.node.collection_statistics(&context, database, collection).await?)
}

/// Clients that predict ids start behind this one; -1 before the first record.
fn last_id(statistics: &CollectionStatistics) -> i64 {
    i64::try_from(statistics.next_id()).map_or(i64::MAX, |next| next - 1)
}

async fn stats(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let found = statistics(&call, &request).await?;
    let info = call.app.node.collection(&request.database_name, &request.collection_name).await?;
    let stats = json!({
        "n_vectors": found.rows,
        "n_live": found.live,
        "n_tombstoned": found.deleted,
        "dimension": found.dim,
        "index_mode": info.index.as_ref().map_or("none", |mode| mode.as_str()),
        "max_id": last_id(&found),
        "indexed_vectors": found.indexed_rows,
        "bytes": found.bytes,
    });
    Ok(reply(named(&request).with("stats", &stats)))
}

async fn max_id(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let found = statistics(&call, &request).await?;
    Ok(reply(named(&request).with("max_id", &last_id(&found))))
}

async fn path(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let path = call.app.node.collection_path(&request.database_name, &request.collection_name).await?;
    Ok(reply(named(&request).with("collection_path", &path.to_string_lossy())))
}

async fn commit(mut call: Call) -> Done {
    let request: request::Commit = call.json().await?;
    if request.items.0 > 0 {
        return Err(ApiError::not_implemented("records inside /commit (send them to /add first)"));
    }
    let (database, name, context) = (&request.database_name, &request.collection_name, call.context()?);
    call.app.node.flush(&context, database, name).await?;
    let names = json!({"database_name": database, "collection_name": name});
    Ok(reply(ReplyWriter::new().with("status", "Success").with("result", &names)))
}

async fn flush(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let context = call.context()?;
    call.app.node.flush(&context, &request.database_name, &request.collection_name).await?;
    Ok(reply(named(&request)))
}

async fn checkpoint(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let (database, name, context) = (&request.database_name, &request.collection_name, call.context()?);
    let outcome = call.app.node.checkpoint(&context, database, name).await;
    call.audit("checkpoint", database, name, &outcome);
    outcome?;
    Ok(reply(named(&request)))
}
