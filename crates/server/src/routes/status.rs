//! What the server says of itself.

use crate::http::{ApiError, Call, reply, with_type};
use crate::openapi;
use crate::routes::{Form, Input, Output, optional, required, routes};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use lavandin_wire::ReplyWriter;
use serde_json::json;

type Done = Result<Response<Body>, ApiError>;

routes! { "status":
    Get "/" Open root, "A greeting", Input::Nothing => Output::Json(&[
        required("status", Form::Text, "success"),
        required("message", Form::Text, "What is running"),
        required("version", Form::Text, "Its version"),
    ]);
    Get "/version" Open version, "The version", Input::Nothing => Output::Json(&[
        required("name", Form::Text, "lavandin"),
        required("version", Form::Text, "Its version"),
    ]);
    Get "/healthz" Open health, "Whether the process answers", Input::Nothing => Output::Json(&[
        required("status", Form::Text, "ok"),
    ]);
    Get "/readyz" Open ready, "Whether requests can be served; 503 otherwise", Input::Nothing => Output::Json(&[
        required("status", Form::Text, "ready or not_ready"),
        optional("reason", Form::Text, "Why it is not ready"),
    ]);
    Get "/metrics" Read metrics, "Metrics in the Prometheus text format", Input::Nothing => Output::Text;
    Get "/openapi.json" Read description, "This description", Input::Nothing => Output::Json(&[]);
    Get "/cluster_info" Read cluster_info, "Databases and shard groups", Input::Nothing => Output::Params(&[
        required("databases", Form::TextList, "The databases"),
        required("shard_groups", Form::ListOf("ShardGroup"), "The shard groups"),
    ]);
}

fn json_reply(value: &serde_json::Value) -> Response<Body> {
    with_type(value.to_string().into_bytes(), "application/json")
}

async fn root(_: Call) -> Done {
    let version = env!("CARGO_PKG_VERSION");
    Ok(json_reply(&json!({"status": "success", "message": "Lavandin HTTP API", "version": version})))
}

async fn version(_: Call) -> Done {
    Ok(json_reply(&json!({"name": "lavandin", "version": env!("CARGO_PKG_VERSION")})))
}

async fn health(_: Call) -> Done {
    Ok(json_reply(&json!({"status": "ok"})))
}

async fn ready(call: Call) -> Done {
    let reason = match call.app.node.ready() {
        Ok(()) if call.app.is_stopping() => "the node is stopping".to_owned(),
        Ok(()) => return Ok(json_reply(&json!({"status": "ready"}))),
        Err(error) => error.to_string(),
    };
    let mut response = json_reply(&json!({"status": "not_ready", "reason": reason}));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    Ok(response)
}

async fn metrics(call: Call) -> Done {
    let text = crate::metrics::exposition(&call.app);
    Ok(with_type(text.into_bytes(), "text/plain; version=0.0.4; charset=utf-8"))
}

async fn description(_: Call) -> Done {
    Ok(with_type(openapi::document().as_bytes().to_vec(), "application/json"))
}

/// A client that was given no collection configuration asks here whether ids are allotted by the server; that the
/// reply is a success is the answer.
async fn cluster_info(call: Call) -> Done {
    let databases = call.app.node.databases();
    let config = &call.app.config;
    let address = format!("http://{}:{}", config.host, config.port);
    let groups = json!([{"name": "sg0", "primary": address, "primary_epoch": 1, "replicas": []}]);
    Ok(reply(ReplyWriter::new().with("databases", &databases).with("shard_groups", &groups)))
}
