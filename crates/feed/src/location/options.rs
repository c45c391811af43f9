//! Settings of the stores. The environment is read by the caller, who hands in a function that looks variables up.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where `hf://` locations are served unless the caller says otherwise.
const HF_ENDPOINT: &str = "https://huggingface.co";
const S3_REGION: &str = "us-east-1";

/// All settings of [`super::Stores`].
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Downloads are kept here. Made if absent; belongs to one process at a time.
    pub cache_dir: PathBuf,
    /// Bytes of files in the cache, at most, downloads under way included.
    pub cache_bytes_max: u64,
    /// How long a server may take to connect, to begin its answer, and between two pieces of it.
    pub request_timeout: Duration,
    /// How long a whole call (a listing, a download, a put) may take, all tries and waits included.
    pub call_timeout: Duration,
    /// Tries after the first.
    pub retries: u32,
    /// The pause before the first retry; doubled for each further one, with jitter.
    pub retry_pause: Duration,
    /// Downloads at once, at most; further ones wait.
    pub downloads_max: usize,
    /// If any, `file://` is confined to these folders and `data_dir`.
    pub file_roots: Vec<PathBuf>,
    /// Where `file://` may be written, besides `file_roots`.
    pub data_dir: PathBuf,
    /// Whether the proxies that the process' environment names are used.
    pub environment_proxies: bool,
    pub s3: S3Settings,
    pub hf: HfSettings,
}

impl StoreOptions {
    /// The defaults, with the cache in `data_dir`.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            cache_dir: data_dir.join("file-cache"),
            cache_bytes_max: 16 << 30,
            request_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(1800),
            retries: 4,
            retry_pause: Duration::from_millis(250),
            downloads_max: 16,
            file_roots: Vec::new(),
            data_dir,
            environment_proxies: true,
            s3: S3Settings::default(),
            hf: HfSettings::default(),
        }
    }
}

/// How `s3://` locations are reached. Without a key requests are not signed, which public buckets allow.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Another service than Amazon's; may be plain `http://`. Buckets are addressed by path.
    pub endpoint: Option<String>,
    pub region: String,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
}

impl S3Settings {
    /// Reads `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`, and `AWS_REGION` or `AWS_DEFAULT_REGION`. An empty variable counts as unset.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| first_set(variable, names);
        Self {
            endpoint: first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
            region: first(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_else(|| S3_REGION.to_owned()),
            access_key_id: first(&["AWS_ACCESS_KEY_ID"]),
            secret_access_key: first(&["AWS_SECRET_ACCESS_KEY"]),
            session_token: first(&["AWS_SESSION_TOKEN"]),
        }
    }
}

impl Default for S3Settings {
    fn default() -> Self {
        Self::from_variables(&|_| None)
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// How `hf://` locations are reached.
#[derive(Clone, PartialEq, Eq)]
pub struct HfSettings {
    pub endpoint: String,
    /// Sent to the endpoint only, never to where it redirects.
    pub token: Option<String>,
}

impl HfSettings {
    /// Reads `HF_ENDPOINT` and `HF_TOKEN`. An empty variable counts as unset.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let endpoint = first_set(variable, &["HF_ENDPOINT"]);
        Self {
            endpoint: endpoint.unwrap_or_else(|| HF_ENDPOINT.to_owned()),
            token: first_set(variable, &["HF_TOKEN"]),
        }
    }
}

impl Default for HfSettings {
    fn default() -> Self {
        Self::from_variables(&|_| None)
    }
}

impl fmt::Debug for HfSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HfSettings").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

fn first_set(variable: &dyn Fn(&str) -> Option<String>, names: &[&str]) -> Option<String> {
    let values = names.iter().filter_map(|name| variable(name));
    values.map(|value| value.trim().to_owned()).find(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
