//! What stands around every handler: name, key, limits, deadline, counting and the access log.
//!
//! One function instead of a tower of layers, because it runs on every search: a search takes tens of microseconds.

use crate::app::App;
use crate::auth::Refusal;
use crate::http::body::drain;
use crate::http::name::X_REQUEST_ID;
use crate::http::{ApiError, Call, Dialect, reading};
use crate::metrics::Ended;
use crate::routes::{Access, Route};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use lavandin_types::ErrorCode;
use std::sync::Arc;
use std::time::Instant;

/// Serves a request of a route.
pub(crate) async fn serve(app: Arc<App>, route: &'static Route, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let request_id = app.names.name(request.headers());
    let under_way = app.metrics.begin(route.index);
    let path = request.uri().path_and_query().cloned();
    let dialect = Dialect::of(route.path);
    let admitted = admit(&app, (route.access, dialect), request.headers(), app.metrics.under_way());
    let admitted = admitted.and_then(|()| check_joined(&app, dialect, route.path));
    let outcome = match admitted.and_then(|()| reading::wanted(request.headers())) {
        Err(error) => {
            drain(request.into_body()).await;
            Err(error)
        }
        Ok(reading) => {
            let named = (request_id.clone(), started);
            let call = Call::new(Arc::clone(&app), route, named, reading.clone(), request);
            let deadline = tokio::time::Instant::from_std(call.deadline);
            let unread = call.unread();
            let outcome = tokio::time::timeout_at(deadline, (route.handler)(call)).await;
            unread.drain().await;
            let mut outcome = outcome.unwrap_or_else(|_| Err(out_of_time(&app)));
            if let Ok(response) = &mut outcome {
                reading::tell(&reading, response);
            }
            outcome
        }
    };
    let path = path.as_ref().map_or("", |path| path.as_str());
    let response = finish(&app, outcome, request_id, (route.method.name(), path, dialect), started);
    under_way.end(ended(&response, started));
    response
}

/// What there is instead of what was asked for.
pub(crate) enum Instead {
    Nothing,
    /// Other methods of the path.
    Methods(String),
    /// The path with a slash behind it, which some clients leave out.
    Slash,
}

/// Serves a request that no route takes.
pub(crate) async fn serve_nothing(app: Arc<App>, instead: Instead, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let request_id = app.names.name(request.headers());
    let under_way = app.metrics.begin(crate::metrics::NO_ROUTE);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let dialect = Dialect::of(&path);
    let outcome = match admit(&app, (Access::Read, dialect), request.headers(), 0) {
        Err(error) => Err(error),
        Ok(()) => match &instead {
            Instead::Slash => redirect(request.uri()),
            Instead::Methods(allowed) => Err(wrong_method(&method, &path, allowed)),
            Instead::Nothing if dialect == Dialect::Datasets => {
                Err(ApiError::new(ErrorCode::NotFound, "Not Found"))
            }
            Instead::Nothing => {
                Err(ApiError::new(ErrorCode::NotFound, format!("there is no endpoint {path}")))
            }
        },
    };
    drain(request.into_body()).await;
    let mut response = finish(&app, outcome, request_id, (method.as_str(), &path, dialect), started);
    if let Instead::Methods(allowed) = instead
        && response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Ok(allowed) = HeaderValue::try_from(allowed)
    {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    under_way.end(ended(&response, started));
    response
}

fn wrong_method(method: &Method, path: &str, allowed: &str) -> ApiError {
    ApiError::invalid(format!("{path} takes {allowed}, not {method}"))
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// To the same place with a slash behind its path.
fn redirect(uri: &Uri) -> Result<Response<Body>, ApiError> {
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    let response = Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(header::LOCATION, format!("{}/{query}", uri.path()))
        .body(Body::empty());
    response.map_err(|_| ApiError::invalid("the path cannot be redirected"))
}

/// Checks the key, and that there is room for the request.
fn admit(
    app: &App,
    (access, dialect): (Access, Dialect),
    headers: &HeaderMap,
    under_way: u64,
) -> Result<(), ApiError> {
    if access == Access::Open {
        return Ok(());
    }
    if access != Access::Signed
        && let Err(refusal) = app.keys.admit(headers, &app.node.catalogue())
    {
        return Err(ApiError::new(ErrorCode::Unauthorized, unauthorized(refusal, dialect)));
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

fn unauthorized(refusal: Refusal, dialect: Dialect) -> &'static str {
    match (refusal, dialect) {
        (Refusal::Missing, Dialect::Datasets) => "Not authenticated",
        (Refusal::Malformed, Dialect::Datasets) => "Invalid authentication credentials",
        (Refusal::Wrong, Dialect::Datasets) => "Invalid API key",
        (Refusal::Missing, Dialect::Collections) => {
            "this server wants an API key: send Authorization: Bearer KEY"
        }
        (Refusal::Malformed | Refusal::Wrong, Dialect::Collections) => "wrong API key",
        (Refusal::Expired, _) => "API key expired",
        (Refusal::Locked, _) => "API key is locked",
    }
}

/// Refuses paths of the dataset wing while this node waits for a head.
fn check_joined(app: &App, dialect: Dialect, path: &str) -> Result<(), ApiError> {
    match dialect == Dialect::Datasets && !path.starts_with("/cluster/") {
        true => Ok(app.node.check_joined()?),
        false => Ok(()),
    }
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
    (method, path, dialect): (&str, &str, Dialect),
    started: Instant,
) -> Response<Body> {
    let mut response = match outcome {
        Ok(response) => response,
        Err(error) => {
            log_failure(&error, &request_id, method, path);
            error.into_response(&request_id, dialect)
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
    if app.is_stopping() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    name_reply(response, request_id)
}

/// The reply with the name of its request.
pub(crate) fn name_reply(mut response: Response<Body>, request_id: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(X_REQUEST_ID, request_id);
    response
}

/// Logs a failure that is not the client's.
fn log_failure(error: &ApiError, request_id: &HeaderValue, method: &str, path: &str) {
    let (code, message) = (error.code.name(), &error.message);
    let request_id = request_id.to_str().unwrap_or_default();
    if error.is_of_samples {
        tracing::warn!(event = "samples_failed", path, error = %message, request_id, "samples failed");
    } else if error.status().is_server_error() && error.code != ErrorCode::NotImplemented {
        tracing::error!(event = "request_failed", method, path, code, error = %message, request_id, "request failed");
    }
}

fn ended(response: &Response<Body>, started: Instant) -> Ended {
    Ended { status: response.status().as_u16(), duration: started.elapsed() }
}
