//! What stands around every handler: name, key, limits, deadline, counting and the access log.
//!
//! One function instead of a tower of layers, because it runs on every search: a search takes tens of microseconds.

use crate::app::App;
use crate::http::body::drain;
use crate::http::name::X_REQUEST_ID;
use crate::http::{ApiError, Call};
use crate::metrics::Ended;
use crate::routes::{Access, Route};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use lavandin_types::ErrorCode;
use std::sync::Arc;
use std::time::Instant;

/// Serves a request of a route.
pub(crate) async fn serve(app: Arc<App>, route: &'static Route, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let request_id = app.names.name(request.headers());
    let under_way = app.metrics.begin(route.index);
    let path = request.uri().path_and_query().cloned();
    let outcome = match admit(&app, route.access, request.headers(), app.metrics.under_way()) {
        Err(error) => {
            drain(request.into_body()).await;
            Err(error)
        }
        Ok(()) => {
            let call = Call::new(Arc::clone(&app), route, request_id.clone(), started, request);
            let deadline = tokio::time::Instant::from_std(call.deadline);
            match tokio::time::timeout_at(deadline, (route.handler)(call)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(out_of_time(&app)),
            }
        }
    };
    let path = path.as_ref().map_or("", |path| path.as_str());
    let response = finish(&app, outcome, request_id, (route.method.name(), path), started);
    under_way.end(ended(&response, started));
    response
}

/// Serves a request that no route takes; `allowed` lists the methods of its path, if there is such a path.
pub(crate) async fn serve_nothing(
    app: Arc<App>,
    allowed: Option<&'static str>,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let request_id = app.names.name(request.headers());
    let under_way = app.metrics.begin(crate::metrics::NO_ROUTE);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let error = match admit(&app, Access::Read, request.headers(), 0) {
        Err(error) => error,
        Ok(()) => no_route(&method, &path, allowed),
    };
    drain(request.into_body()).await;
    let mut response = finish(&app, Err(error), request_id, (method.as_str(), &path), started);
    if let Some(allowed) = allowed.filter(|_| response.status() == StatusCode::METHOD_NOT_ALLOWED) {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    under_way.end(ended(&response, started));
    response
}

fn no_route(method: &Method, path: &str, allowed: Option<&str>) -> ApiError {
    match allowed {
        None => ApiError::new(ErrorCode::NotFound, format!("there is no endpoint {path}")),
        Some(allowed) => ApiError::invalid(format!("{path} takes {allowed}, not {method}"))
            .with_status(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Checks the key, and that there is room for the request.
fn admit(app: &App, access: Access, headers: &HeaderMap, under_way: u64) -> Result<(), ApiError> {
    if access == Access::Open {
        return Ok(());
    }
    if !app.keys.admit(headers) {
        let message = match headers.contains_key(header::AUTHORIZATION) {
            true => "wrong API key",
            false => "this server wants an API key: send Authorization: Bearer KEY",
        };
        return Err(ApiError::new(ErrorCode::Unauthorized, message));
    }
    let limit = app.config.requests_max as u64;
    if under_way > limit {
        return Err(ApiError::new(
            ErrorCode::Overloaded,
            format!("{limit} requests are under way already; try again"),
        ));
    }
    Ok(())
}

fn out_of_time(app: &App) -> ApiError {
    let seconds = app.config.request_timeout.as_secs();
    ApiError::new(
        ErrorCode::DeadlineExceeded,
        format!(
            "no outcome within {seconds} s (--request-timeout-secs); a change may still take place: send it again \
             with the same idempotency-key to learn"
        ),
    )
}

/// Turns the outcome into the reply that goes out, and logs it.
fn finish(
    app: &App,
    outcome: Result<Response<Body>, ApiError>,
    request_id: HeaderValue,
    (method, path): (&str, &str),
    started: Instant,
) -> Response<Body> {
    let mut response = match outcome {
        Ok(response) => response,
        Err(error) => {
            if error.status().is_server_error() && error.code != ErrorCode::NotImplemented {
                let request_id = request_id.to_str().unwrap_or_default();
                tracing::error!(event = "request_failed", method, path, code = error.code.name(), error = %error.message, request_id, "request failed");
            }
            error.into_response(&request_id)
        }
    };
    if tracing::enabled!(tracing::Level::DEBUG) {
        let (status, duration_us) = (response.status().as_u16(), started.elapsed().as_micros() as u64);
        let request_id = request_id.to_str().unwrap_or_default();
        tracing::debug!(
            event = "http_request",
            method,
            path,
            status,
            duration_us,
            request_id,
            "http request"
        );
    }
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, request_id);
    if app.is_stopping() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn ended(response: &Response<Body>, started: Instant) -> Ended {
    Ended { status: response.status().as_u16(), duration: started.elapsed() }
}
