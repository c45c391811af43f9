//! What an HTTP answer says: its error, the file's version, the part it brings. Pure.

use super::error::LocationError;
use super::version::{Version, tag_of_etag};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

/// Characters of a cause that are shown.
const CAUSE_CHARS_MAX: usize = 200;

/// What errors of a store advise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hints {
    pub(super) not_found: &'static str,
    pub(super) denied: &'static str,
}

/// The error for a status that is not a success. `cause` is what the body says, possibly nothing.
pub(super) fn failure(
    file: &str,
    status: StatusCode,
    headers: &HeaderMap,
    cause: &str,
    hints: Hints,
) -> LocationError {
    let file = file.to_owned();
    let shown = if cause.is_empty() { String::new() } else { format!(": {cause}") };
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => LocationError::NotFound { file, hint: hints.not_found },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            LocationError::Denied { file, cause: format!("{}{shown}", status.as_u16()), hint: hints.denied }
        }
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => {
            LocationError::Refused { file, status: status.as_u16(), cause: shown }
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => LocationError::Busy {
            file,
            status: status.as_u16(),
            cause: shown,
            retry_after: retry_after(headers),
        },
        _ if status.is_server_error() => LocationError::Busy {
            file,
            status: status.as_u16(),
            cause: shown,
            retry_after: retry_after(headers),
        },
        _ => LocationError::Refused { file, status: status.as_u16(), cause: shown },
    }
}

pub(super) fn refused(file: &str, status: StatusCode, what: impl Display) -> LocationError {
    LocationError::Refused { file: file.to_owned(), status: status.as_u16(), cause: format!(" with {what}") }
}

/// Only the form in seconds: the form with a date needs both clocks to agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// One line of text out of an error's body; nothing of markup.
pub(super) fn readable_cause(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.starts_with('<') {
        true => String::new(),
        false => line.chars().filter(|letter| !letter.is_control()).take(CAUSE_CHARS_MAX).collect(),
    }
}

pub(super) fn redirect_target(response: &Response) -> Option<&str> {
    let follows = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response.headers().get(LOCATION).filter(|_| follows)?.to_str().ok()
}

/// What the site says about a file that it keeps elsewhere; the other host has tags of its own.
pub(super) fn linked_version(headers: &HeaderMap) -> Version {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Version {
        size: header("x-linked-size").and_then(|size| size.parse().ok()),
        tag: header("x-linked-etag").and_then(tag_of_etag),
    }
}

pub(super) fn tag(headers: &HeaderMap) -> Option<String> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    header(ETAG).and_then(tag_of_etag).or_else(|| header(LAST_MODIFIED).and_then(tag_of_etag))
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// First byte and full size of a part: `bytes 5-9/10`, `bytes 5-9/*`.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    let (range, size) = text.split_once('/')?;
    let first = range.split_once('-')?.0.trim().parse().ok()?;
    match size.trim() {
        "*" => Some((first, None)),
        size => Some((first, Some(size.parse().ok()?))),
    }
}

/// The error at the bottom, which says what happened; those above only say where.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests;
