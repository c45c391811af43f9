//! API keys: made, listed, locked and removed by whoever holds one (or by everyone while there is none).

use crate::http::{ApiError, Call, with_type};
use crate::keys;
use crate::routes::{Form, Input, Output, optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use lavandin_node::ApiKey;
use lavandin_types::ErrorCode;
use serde::Deserialize;

type Done = Result<Response<Body>, ApiError>;

const KEY: &[crate::routes::Value] = &[
    required("id", Form::Text, "Its name: la- and 20 characters"),
    optional("note", Form::TextOrNull, "What it is for"),
    required("locked", Form::Boolean, "Whether it is refused for now"),
    optional("expires_at_s", Form::Integer, "When it ends, in seconds since 1970; null for never"),
    required("created_at_s", Form::Integer, "When it was made"),
];

routes! { "keys":
    Get "/keys" Read list, "All API keys, without their secrets", Input::Nothing => Output::Json(&[
        required("keys", Form::ListOf("Key"), "By id"),
    ]);
    Post "/keys" Change create, "Make an API key; its secret is shown once", Input::Json(&[
        optional("note", Form::TextOrNull, "What it is for"),
        optional("expires_at_s", Form::Integer, "When it ends, in seconds since 1970"),
    ]) => Output::Json(&[
        required("id", Form::Text, "Its name"),
        required("key", Form::Text, "id:secret, for Basic or Bearer authorization"),
    ]);
    Put "/keys/{id}" Change update, "Lock or unlock an API key", Input::Json(&[
        required("locked", Form::Boolean, "Whether to refuse it"),
    ]) => Output::Json(KEY);
    Delete "/keys/{id}" Change remove, "Remove an API key", Input::Nothing => Output::Json(KEY);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    note: Option<String>,
    expires_at_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    locked: bool,
}

async fn list(call: Call) -> Done {
    let keys: Vec<_> = call.app.node.catalogue().keys().map(|key| keys::described(key)).collect();
    json(&serde_json::json!({ "keys": keys }))
}

async fn create(mut call: Call) -> Done {
    let Create { note, expires_at_s } = parse(&mut call).await?;
    let context = call.context()?;
    let made = keys::create(&call.app.node, &context, note, expires_at_s).await;
    call.audit_key("create_key", made.as_ref().map_or("", |made| &made.id), &made);
    let made = made?;
    json(&serde_json::json!({ "id": made.id, "key": made.text }))
}

async fn update(mut call: Call) -> Done {
    let Update { locked } = parse(&mut call).await?;
    let key = ApiKey { locked, ..find(&call)? };
    let context = call.context()?;
    let changed = call.app.node.put_key(&context, key.clone()).await;
    call.audit_key(if locked { "lock_key" } else { "unlock_key" }, &key.id, &changed);
    changed?;
    json(&keys::described(&key))
}

async fn remove(call: Call) -> Done {
    let key = find(&call)?;
    let context = call.context()?;
    let removed = call.app.node.remove_key(&context, &key.id).await;
    call.audit_key("remove_key", &key.id, &removed);
    removed?;
    json(&keys::described(&key))
}

fn find(call: &Call) -> Result<ApiKey, ApiError> {
    let id = call.part(2)?;
    let missing = || ApiError::new(ErrorCode::NotFound, format!("there is no key {id:?}"));
    call.app.node.catalogue().key(&id).map(|key| ApiKey::clone(key)).ok_or_else(missing)
}

async fn parse<T: for<'de> Deserialize<'de>>(call: &mut Call) -> Result<T, ApiError> {
    let body = call.json_bytes().await?;
    serde_json::from_slice(&body).map_err(|error| ApiError::invalid(format!("the body: {error}")))
}

fn json(value: &serde_json::Value) -> Done {
    Ok(with_type(value.to_string().into_bytes(), "application/json"))
}
