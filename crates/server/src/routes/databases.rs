//! Databases.

use crate::http::{ApiError, Call, reply};
use crate::routes::{DATABASE, Form, Input, Output, optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use lavandin_wire::{ReplyWriter, request};
use serde_json::{Map, Value, json};

type Done = Result<Response<Body>, ApiError>;

routes! { "databases":
    Get "/list_databases" Read list, "The databases' names", Input::Nothing => Output::Params(&[
        required("databases", Form::TextList, "Names"),
    ]);
    Post "/create_database" Change create, "Create a database; one that exists is left as it is", Input::Json(&[
        DATABASE, optional("drop_if_exists", Form::Boolean, "Whether to start over with an empty one"),
    ]) => Output::Params(&[DATABASE]);
    Post "/drop_database" Change drop_one, "Drop a database with all its collections", Input::Json(&[DATABASE])
        => Output::Params(&[DATABASE]);
    Post "/delete_database" Change drop_one, "The same as /drop_database", Input::Json(&[DATABASE])
        => Output::Params(&[DATABASE]);
    Post "/database_exists" Read exists, "Whether a database exists", Input::Json(&[DATABASE]) => Output::Params(&[
        DATABASE, required("exists", Form::Boolean, "Whether it exists"),
    ]);
    Post "/show_collections" Read collections, "The names of a database's collections", Input::Json(&[DATABASE])
        => Output::Params(&[DATABASE, required("collections", Form::TextList, "Names")]);
    Post "/show_collections_details" Read details, "A database's collections", Input::Json(&[DATABASE])
        => Output::Params(&[DATABASE, required("collections", Form::Object, "CollectionDetails by name")]);
}

fn named(database: &str) -> ReplyWriter {
    ReplyWriter::new().with("database_name", &database)
}

async fn list(call: Call) -> Done {
    Ok(reply(ReplyWriter::new().with("databases", &call.app.node.databases().await?)))
}

async fn create(mut call: Call) -> Done {
    let request: request::Database = call.json().await?;
    let (name, context) = (&request.database_name, call.context()?);
    let outcome = call.app.node.create_database(&context, name, request.drop_if_exists).await;
    call.audit("create_database", name, "", &outcome);
    outcome?;
    Ok(reply(named(name)))
}

async fn drop_one(mut call: Call) -> Done {
    let request: request::Database = call.json().await?;
    let (name, context) = (&request.database_name, call.context()?);
    let outcome = call.app.node.drop_database(&context, name).await;
    call.audit("drop_database", name, "", &outcome);
    outcome?;
    Ok(reply(named(name)))
}

async fn exists(mut call: Call) -> Done {
    let request: request::Database = call.json().await?;
    let exists = call.app.node.database_exists(&request.database_name).await?;
    Ok(reply(named(&request.database_name).with("exists", &exists)))
}

async fn collections(mut call: Call) -> Done {
    let request: request::Database = call.json().await?;
    let all = call.app.node.collections(&request.database_name).await?;
    let names: Vec<_> = all.iter().map(|info| info.name.as_str()).collect();
    Ok(reply(named(&request.database_name).with("collections", &names)))
}

async fn details(mut call: Call) -> Done {
    let request: request::Database = call.json().await?;
    let (database, context) = (&request.database_name, call.context()?);
    let mut all = Map::new();
    for info in call.app.node.collections(database).await? {
        // One that was dropped in between is left out.
        let statistics = call.app.node.collection_statistics(&context, database, &info.name).await;
        let Ok(statistics) = statistics else { continue };
        let details: Value = json!({
            "name": info.name,
            "shape": [statistics.rows, info.dim],
            "dim": info.dim,
            "dtypes": info.element.name(),
            "index_mode": info.index.as_ref().map(|mode| mode.as_str()),
            "description": info.description,
        });
        all.insert(info.name, details);
    }
    Ok(reply(named(database).with("collections", &all)))
}
