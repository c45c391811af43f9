//! The headers that say which copies may answer a request's reads, and which did.

use crate::http::ApiError;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use lavandin_node::{Consistency, Progress, Reading};
use lavandin_types::GroupId;
use std::fmt::Write;
use std::time::Duration;

const CONSISTENCY: HeaderName = HeaderName::from_static("x-read-consistency");
const STALENESS: HeaderName = HeaderName::from_static("x-max-staleness-ms");
const SESSION: HeaderName = HeaderName::from_static("x-session-token");
const ANSWERED_BY: HeaderName = HeaderName::from_static("x-answered-by");
/// Groups that a session's token may name.
const SESSION_GROUPS_MAX: usize = 4096;

/// What the request asks of its reads.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Reading, ApiError> {
    let Some(mode) = headers.get(CONSISTENCY) else { return Ok(Reading::default()) };
    let consistency = match mode.as_bytes() {
        b"primary" => Consistency::Primary,
        b"linearizable" => Consistency::Linearizable,
        b"session" => Consistency::Session(progress(headers.get(SESSION))?),
        b"bounded" => Consistency::Bounded(staleness(headers.get(STALENESS))?),
        b"any" => Consistency::Any,
        _ => {
            let text = "x-read-consistency is primary, linearizable, session, bounded or any";
            return Err(ApiError::invalid(text));
        }
    };
    Ok(Reading::new(consistency))
}

fn staleness(header: Option<&HeaderValue>) -> Result<Duration, ApiError> {
    let given = header.and_then(|value| value.to_str().ok()?.parse().ok());
    given.map(Duration::from_millis).ok_or_else(|| {
        ApiError::invalid("x-read-consistency: bounded needs x-max-staleness-ms, a number of milliseconds")
    })
}

/// `group:sequence,group:sequence`; nothing begins a session.
fn progress(header: Option<&HeaderValue>) -> Result<Progress, ApiError> {
    let Some(header) = header.filter(|header| !header.is_empty()) else { return Ok(Progress::new()) };
    let malformed = || {
        ApiError::invalid("x-session-token is none that a reply of this cluster carried; begin without one")
    };
    let mut progress = Progress::new();
    for part in header.to_str().map_err(|_| malformed())?.split(',') {
        let (group, applied) = part.split_once(':').ok_or_else(malformed)?;
        let group = GroupId::new(group.parse().map_err(|_| malformed())?);
        progress.insert(group, applied.parse().map_err(|_| malformed())?);
        if progress.len() > SESSION_GROUPS_MAX {
            return Err(malformed());
        }
    }
    Ok(progress)
}

/// Says in the reply what came of it.
pub(super) fn tell<T>(reading: &Reading, response: &mut Response<T>) {
    let mut tell = |name: HeaderName, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    };
    let others = reading.answered_by_others();
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(|node| node.get().to_string()).collect();
        tell(ANSWERED_BY, names.join(","));
    }
    if let Some(progress) = reading.progress() {
        let mut token = String::new();
        for (group, applied) in progress {
            let comma = if token.is_empty() { "" } else { "," };
            // A string takes what is written.
            let _ = write!(token, "{comma}{}:{applied}", group.get());
        }
        tell(SESSION, token);
    }
}

#[cfg(test)]
mod tests;
