//! How replies look: as LynseDB's clients expect them, or as Lavender Data's do. The path decides.

use axum::http::HeaderValue;

/// A form of errors and of the reply to a missing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `{"error": …, "code": …, "request_id": …}`
    Collections,
    /// `{"detail": …}` and the rest beside it.
    Datasets,
}

/// The first parts of the dataset wing's paths.
const DATASETS: [&str; 6] = ["datasets", "iterations", "registries", "background-tasks", "files", "cluster"];

impl Dialect {
    pub(crate) fn of(path: &str) -> Self {
        let first = path.split('/').nth(1).unwrap_or_default();
        if DATASETS.contains(&first) { Self::Datasets } else { Self::Collections }
    }

    /// What a 401 asks for.
    pub(crate) fn challenge(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Collections => crate::auth::CHALLENGE,
            Self::Datasets => "Basic",
        })
    }
}
