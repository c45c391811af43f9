//! Reading records back through JSON.

use crate::http::{ApiError, Call, aside, reply};
use crate::routes::{COLLECTION, DATABASE, Form, Input, NAMES, Output, WHERE, optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use lavandin_node::{Record, Which};
use lavandin_types::FieldsRef;
use lavandin_wire::{IdJson, RecordRef, RecordsJson, ReplyWriter, request};

type Done = Result<Response<Body>, ApiError>;

/// Replies with more numbers than this are written away from the threads that serve connections.
const WRITTEN_IN_PLACE_MAX: usize = 16 << 10;

const COLUMNS: &str = "Columns";
const FILTER_IDS: crate::routes::Value = optional(
    "filter_ids",
    Form::IdOrIds,
    "Which records, where no filter is given; an unknown id is an error",
);
const N: crate::routes::Value = optional("n", Form::Integer, "Records wanted; 5 by default");

routes! { "reads":
    Post "/query" Read query, "Records by filter or by id; all of them without either", Input::Json(&[
        DATABASE, COLLECTION, WHERE, FILTER_IDS,
        optional("return_ids_only", Form::Boolean, "Whether to answer ids instead of records"),
    ]) => Output::Params(&[DATABASE, COLLECTION, required("result", Form::ListOf("Row"), "In insertion order")]);
    Post "/query_vectors" Read query_vectors, "The same with vectors", Input::Json(&[
        DATABASE, COLLECTION, WHERE, FILTER_IDS,
    ]) => Output::Params(&[DATABASE, COLLECTION, required("result", Form::Named(COLUMNS), "Columns")]);
    Post "/head" Read head, "The first records", Input::Json(&[DATABASE, COLLECTION, N])
        => Output::Params(&[DATABASE, COLLECTION, required("head", Form::Named(COLUMNS), "Columns")]);
    Post "/tail" Read tail, "The last records", Input::Json(&[DATABASE, COLLECTION, N])
        => Output::Params(&[DATABASE, COLLECTION, required("tail", Form::Named(COLUMNS), "Columns")]);
    Post "/read_by_only_id" Read read, "Records by id; an unknown one is an error", Input::Json(&[
        DATABASE, COLLECTION, required("id", Form::IdOrIds, "Which records"),
    ]) => Output::Params(&[DATABASE, COLLECTION, required("item", Form::Named(COLUMNS), "Columns")]);
    Post "/is_id_exists" Read id_exists, "Whether a record exists and is not deleted", Input::Json(&[
        DATABASE, COLLECTION, required("id", Form::Id, "The record"),
    ]) => Output::Params(&[DATABASE, COLLECTION, required("is_id_exists", Form::Boolean, "Whether it exists")]);
    Post "/list_deleted_ids" Read deleted, "Deleted records that can be restored", Input::Json(NAMES)
        => Output::Params(&[DATABASE, COLLECTION, required("ids", Form::Ids, "Their ids")]);
    Post "/list_fields" Read fields, "The names of all fields", Input::Json(NAMES)
        => Output::Params(&[DATABASE, COLLECTION, required("fields", Form::TextList, "Names")]);
}

/// The layout of a listing.
#[derive(Clone, Copy)]
enum Shape {
    Columns,
    Rows,
    Ids,
}

pub(super) fn records_of(records: &[Record]) -> impl ExactSizeIterator<Item = RecordRef<'_>> + Clone {
    records.iter().map(|record| RecordRef {
        id: record.id.as_ref(),
        vector: &record.vector,
        fields: if record.fields.is_empty() {
            FieldsRef::EMPTY
        } else {
            FieldsRef::from_stored(&record.fields)
        },
    })
}

/// Answers records under `name`.
async fn listing(call: &Call, names: (&str, &str), which: Which, name: &'static str, shape: Shape) -> Done {
    let context = call.context()?;
    let with_vectors = matches!(shape, Shape::Columns);
    let records = call.app.node.records(&context, names.0, names.1, which, with_vectors).await?;
    if let Some(elapsed) = call.slow() {
        tracing::warn!(
            event = "slow_query",
            route = call.route.path,
            database = names.0,
            collection = names.1,
            results = records.len(),
            elapsed_ms = elapsed.as_millis() as u64,
            request_id = call.request_id.to_str().unwrap_or_default(),
            "slow query"
        );
    }
    let numbers =
        records.iter().map(|record| record.vector.len() + 1 + record.fields.len() / 16).sum::<usize>();
    let start = ReplyWriter::of_collection(names.0, names.1);
    let write = move || {
        let listed = records_of(&records);
        match shape {
            Shape::Columns => start.with(name, &RecordsJson::Columns(listed)),
            Shape::Rows => start.with(name, &RecordsJson::Rows(listed)),
            Shape::Ids => start.with(name, &RecordsJson::Ids(listed)),
        }
    };
    Ok(reply(if numbers <= WRITTEN_IN_PLACE_MAX { write() } else { aside(write).await? }))
}

/// A filter wins over ids; neither means all.
fn which_of(call: &Call, request: request::Query) -> Result<Which, ApiError> {
    Ok(match (request.filter, request.filter_ids) {
        (Some(filter), _) => Which::Matching(filter),
        (None, Some(ids)) => {
            call.check_batch("the number of ids", ids.0.len())?;
            Which::Ids(ids.0.into_record_ids())
        }
        (None, None) => Which::All,
    })
}

async fn query(mut call: Call) -> Done {
    let mut request: request::Query = call.json().await?;
    let names = (std::mem::take(&mut request.database_name), std::mem::take(&mut request.collection_name));
    let shape = if request.return_ids_only { Shape::Ids } else { Shape::Rows };
    let which = which_of(&call, request)?;
    listing(&call, (&names.0, &names.1), which, "result", shape).await
}

async fn query_vectors(mut call: Call) -> Done {
    let mut request: request::Query = call.json().await?;
    let names = (std::mem::take(&mut request.database_name), std::mem::take(&mut request.collection_name));
    let which = which_of(&call, request)?;
    listing(&call, (&names.0, &names.1), which, "result", Shape::Columns).await
}

async fn head(mut call: Call) -> Done {
    let request: request::Ends = call.json().await?;
    let which = Which::First(call.check_top_k("n", request.n.0)?);
    listing(&call, (&request.database_name, &request.collection_name), which, "head", Shape::Columns).await
}

async fn tail(mut call: Call) -> Done {
    let request: request::Ends = call.json().await?;
    let which = Which::Last(call.check_top_k("n", request.n.0)?);
    listing(&call, (&request.database_name, &request.collection_name), which, "tail", Shape::Columns).await
}

async fn read(mut call: Call) -> Done {
    let request: request::Read = call.json().await?;
    call.check_batch("the number of ids", request.id.0.len())?;
    let which = Which::Ids(request.id.0.into_record_ids());
    listing(&call, (&request.database_name, &request.collection_name), which, "item", Shape::Columns).await
}

async fn id_exists(mut call: Call) -> Done {
    let request: request::IdExists = call.json().await?;
    let (database, collection, context) = (&request.database_name, &request.collection_name, call.context()?);
    let exists = match request.id.0 {
        Some(id) => call.app.node.id_exists(&context, database, collection, id).await?,
        None => false,
    };
    Ok(reply(ReplyWriter::of_collection(database, collection).with("is_id_exists", &exists)))
}

async fn deleted(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let (database, collection, context) = (&request.database_name, &request.collection_name, call.context()?);
    let ids = call.app.node.deleted_ids(&context, database, collection).await?;
    let ids: Vec<_> = ids.iter().map(|id| IdJson(id.as_ref())).collect();
    Ok(reply(ReplyWriter::of_collection(database, collection).with("ids", &ids)))
}

async fn fields(mut call: Call) -> Done {
    let request: request::Collection = call.json().await?;
    let (database, collection, context) = (&request.database_name, &request.collection_name, call.context()?);
    let names = call.app.node.field_names(&context, database, collection).await?;
    Ok(reply(ReplyWriter::of_collection(database, collection).with("fields", &names)))
}
