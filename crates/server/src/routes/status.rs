//! What the server says of itself.

use crate::http::{ApiError, Call, with_type};
use crate::openapi;
use crate::routes::{Form, Input, Output, optional, required, routes};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

type Done = Result<Response<Body>, ApiError>;

routes! { "status":
    Get "/" Open root, "A greeting", Input::Nothing => Output::Json(&[
        required("status", Form::Text, "success"),
        required("message", Form::Text, "What is running"),
        required("version", Form::Text, "Its version"),
        required("params", Form::Object, "The message once more, where clients of a coordinator look for it"),
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
}

fn json_reply(value: &serde_json::Value) -> Response<Body> {
    with_type(value.to_string().into_bytes(), "application/json")
}

async fn root(call: Call) -> Done {
    let message = match call.app.config.is_coordinator() {
        true => "Lavandin cluster coordinator",
        false => "Lavandin HTTP API",
    };
    let version = env!("CARGO_PKG_VERSION");
    let params = json!({"message": message});
    Ok(json_reply(&json!({"status": "success", "message": message, "version": version, "params": params})))
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
