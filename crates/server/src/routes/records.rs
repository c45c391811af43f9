//! Changes of records through JSON.

use crate::http::{ApiError, Call, reply};
use crate::routes::{COLLECTION, DATABASE, Form, Input, NAMES, Output, optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use lavandin_node::{BatchIds, Change, Outcome, RecordBatch, VectorBatch};
use lavandin_types::ElementType;
use lavandin_wire::{Ids, ReplyWriter, request};

type Done = Result<Response<Body>, ApiError>;

const WRITE: &[crate::routes::Value] = &[
    DATABASE,
    COLLECTION,
    required("ids", Form::Ids, "One a vector"),
    required("vectors", Form::Vectors, "All of one dimension"),
    optional("fields", Form::FieldList, "One object (or null) a vector; null for none at all"),
];
const WRITTEN: &[crate::routes::Value] =
    &[DATABASE, COLLECTION, required("ids", Form::Ids, "As they were given")];
const SELECTED: &[crate::routes::Value] =
    &[DATABASE, COLLECTION, required("ids", Form::IdOrIds, "Which records")];
const DONE: &[crate::routes::Value] = &[
    DATABASE,
    COLLECTION,
    required("status", Form::Text, "ok"),
    required("count", Form::Integer, "Records changed"),
];

routes! { "records":
    Post "/add" Change add, "Insert records; refused as a whole if any id exists", Input::Json(WRITE)
        => Output::Params(WRITTEN);
    Post "/upsert" Change upsert, "Insert records or replace them; fields that are not given stay", Input::Json(WRITE)
        => Output::Params(WRITTEN);
    Post "/delete" Change delete, "Hide records until they are restored; unknown ids are ignored",
        Input::Json(SELECTED) => Output::Params(DONE);
    Post "/restore" Change restore, "Show deleted records again; other ids are ignored", Input::Json(SELECTED)
        => Output::Params(DONE);
    Post "/compact" Change compact, "Remove deleted records for good", Input::Json(NAMES) => Output::Params(&[
        DATABASE, COLLECTION, required("vectors_removed", Form::Integer, "Records removed"),
    ]);
}

/// Makes a change and logs it.
pub(super) async fn change(
    call: &Call,
    action: &'static str,
    (database, collection): (&str, &str),
    change: Change,
) -> Result<Outcome, ApiError> {
    let context = call.context()?;
    let outcome = call.app.node.change(&context, database, collection, change).await;
    call.audit(action, database, collection, &outcome);
    Ok(outcome?)
}

async fn add(call: Call) -> Done {
    write(call, "add", Change::Add).await
}

async fn upsert(call: Call) -> Done {
    write(call, "upsert", Change::Upsert).await
}

async fn write(mut call: Call, action: &'static str, make: fn(RecordBatch) -> Change) -> Done {
    let request: request::Write = call.json().await?;
    request.check_counts()?;
    call.check_batch("the number of vectors", request.vectors.rows)?;
    let (database, collection) = (request.database_name, request.collection_name);
    // The reply is made first: the ids move into the change.
    let answer = reply(ReplyWriter::of_collection(&database, &collection).with("ids", &request.ids));
    let batch = RecordBatch {
        ids: match request.ids {
            Ids::Ints(ids) => BatchIds::Ints(ids),
            Ids::Mixed(ids) => BatchIds::Mixed(ids),
        },
        vectors: VectorBatch {
            element: ElementType::F32,
            dim: u32::try_from(request.vectors.dim).map_err(|_| ApiError::invalid("a vector is too long"))?,
            bytes: Bytes::from(request.vectors.into_le_bytes()),
        },
        fields: request.fields.map(|fields| Bytes::from(fields.bytes)),
        places: None,
    };
    change(&call, action, (&database, &collection), make(batch)).await?;
    Ok(answer)
}

async fn delete(call: Call) -> Done {
    select(call, "delete", Change::Delete).await
}

async fn restore(call: Call) -> Done {
    select(call, "restore", Change::Restore).await
}

async fn select(
    mut call: Call,
    action: &'static str,
    make: fn(Vec<lavandin_types::RecordId>) -> Change,
) -> Done {
    let request: request::SelectIds = call.json().await?;
    let ids = request.ids.0.into_record_ids();
    call.check_batch("the number of ids", ids.len())?;
    let names = (request.database_name.as_str(), request.collection_name.as_str());
    let outcome = change(&call, action, names, make(ids)).await?;
    let answer = ReplyWriter::of_collection(names.0, names.1).with("status", "ok");
    Ok(reply(answer.with("count", &outcome.count())))
}

async fn compact(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let names = (request.database_name.as_str(), request.collection_name.as_str());
    let outcome = change(&call, "compact", names, Change::Compact).await?;
    Ok(reply(ReplyWriter::of_collection(names.0, names.1).with("vectors_removed", &outcome.count())))
}
