//! `s3://bucket/path`: Amazon's service or one that speaks its protocol (`AWS_ENDPOINT_URL`), buckets addressed by path.
//!
//! `object_store` signs requests and reads listings. It gets our HTTP client, and retries nothing when reading: our
//! callers do, for all stores alike.

use super::Location;
use super::answer::Hints;
use super::error::LocationError;
use super::options::{S3Settings, StoreOptions};
use super::remote::Opened;
use super::retry::{Retry, RetryPolicy};
use super::s3_client::{Client, error_of};
use super::version::{Entries, Version, tag_of_etag};
use super::web::{Web, within};
use futures_util::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
};
use reqwest::Method;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Buckets whose clients are kept.
const BUCKETS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct S3Store {
    settings: S3Settings,
    web: Web,
    retries: RetryPolicy,
    call_timeout: Duration,
    hints: Hints,
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// The clients of one bucket.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Never retries.
    reader: Arc<AmazonS3>,
    /// Retries each request by itself, so that one failed part does not cost a whole upload.
    pub(super) writer: Arc<AmazonS3>,
}

impl S3Store {
    pub(super) fn new(options: &StoreOptions, web: Web) -> Result<Self, LocationError> {
        let settings = options.s3.clone();
        let unusable = |setting, what: &str| LocationError::Setting { setting, what: what.to_owned() };
        let denied = match (&settings.access_key_id, &settings.secret_access_key) {
            (Some(_), Some(_)) => {
                "; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do with the bucket"
            }
            (None, None) => "; the request was not signed: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            (Some(_), None) => {
                return Err(unusable("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID needs it too"));
            }
            (None, Some(_)) => {
                return Err(unusable("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY needs it too"));
            }
        };
        let is_web = |endpoint: &String| endpoint.starts_with("http://") || endpoint.starts_with("https://");
        if settings.endpoint.as_ref().is_some_and(|endpoint| !is_web(endpoint)) {
            return Err(unusable("AWS_ENDPOINT_URL", "http:// or https:// is expected at its beginning"));
        }
        Ok(Self {
            settings,
            web,
            retries: RetryPolicy { retries: options.retries, pause: options.retry_pause },
            call_timeout: options.call_timeout,
            hints: Hints { not_found: "", denied },
            buckets: Mutex::default(),
        })
    }

    pub(super) fn endpoint(&self) -> &str {
        self.settings.endpoint.as_deref().unwrap_or_default()
    }

    pub(super) async fn list(
        &self,
        directory: &Location,
        (bucket, key): (&str, &str),
        entries: &mut Entries,
        retry: &mut Retry,
    ) -> Result<(), LocationError> {
        let shown = directory.shown();
        let bucket = self.bucket(bucket, &shown)?;
        let prefix = (!key.is_empty()).then(|| format!("{key}/"));
        let mut page_token = None;
        loop {
            let options = PaginatedListOptions {
                delimiter: Some("/".into()),
                page_token: page_token.clone(),
                ..PaginatedListOptions::default()
            };
            let page = within(
                self.web.request_timeout,
                &shown,
                bucket.reader.list_paginated(prefix.as_deref(), options),
            );
            let page = match page.await.and_then(|page| page.map_err(|error| self.error(&error, &shown))) {
                Ok(page) => page,
                Err(error) => {
                    retry.after(error).await?;
                    continue;
                }
            };
            for object in &page.result.objects {
                let full = object.location.as_ref();
                // An object whose key ends with `/` stands for the directory itself; its location has lost the `/`.
                let name = prefix.as_deref().map_or(Some(full), |prefix| full.strip_prefix(prefix));
                if let Some(name) = name {
                    entries.push(name, version_of(object))?;
                }
            }
            page_token = page.page_token;
            if page_token.is_none() {
                return Ok(());
            }
        }
    }

    pub(super) async fn version(
        &self,
        file: &Location,
        bucket: &str,
        key: &str,
    ) -> Result<Version, LocationError> {
        let shown = file.shown();
        let path = self.path(key, &shown)?;
        let bucket = self.bucket(bucket, &shown)?;
        let meta = within(self.web.request_timeout, &shown, bucket.reader.head(&path)).await?;
        meta.map(|meta| version_of(&meta)).map_err(|error| self.error(&error, &shown))
    }

    pub(super) async fn open(
        &self,
        file: &Location,
        (bucket, key): (&str, &str),
        offset: u64,
    ) -> Result<Opened, LocationError> {
        let shown = file.shown();
        let path = self.path(key, &shown)?;
        let bucket = self.bucket(bucket, &shown)?;
        let options = GetOptions::new().with_range((offset > 0).then_some(GetRange::Offset(offset)));
        let got = within(self.web.request_timeout, &shown, bucket.reader.get_opts(&path, options)).await?;
        let got = got.map_err(|error| self.error(&error, &shown))?;
        let (version, offset) = (version_of(&got.meta), got.range.start);
        let hints = self.hints;
        let body = got.into_stream().map(move |piece| piece.map_err(|error| error_of(&error, &shown, hints)));
        Ok(Opened { is_resumable: version.tag.is_some(), version, offset, body: body.boxed() })
    }

    /// Whoever has the URL may read the object for that time, with this process' rights.
    pub(super) async fn signed_url(
        &self,
        file: &Location,
        (bucket, key): (&str, &str),
        valid_for: Duration,
    ) -> Result<Option<String>, LocationError> {
        if self.settings.access_key_id.is_none() {
            return Ok(None);
        }
        let shown = file.shown();
        let path = self.path(key, &shown)?;
        let signed = self.bucket(bucket, &shown)?.reader.signed_url(Method::GET, &path, valid_for).await;
        signed.map(|url| Some(url.to_string())).map_err(|error| self.error(&error, &shown))
    }

    pub(super) fn path(&self, key: &str, shown: &str) -> Result<Path, LocationError> {
        if key.is_empty() {
            return Err(LocationError::NotAFile { file: shown.to_owned() });
        }
        Path::parse(key)
            .map_err(|error| LocationError::Malformed { text: shown.to_owned(), what: error.to_string() })
    }

    pub(super) fn error(&self, error: &object_store::Error, shown: &str) -> LocationError {
        error_of(error, shown, self.hints)
    }

    pub(super) fn bucket(&self, name: &str, shown: &str) -> Result<Bucket, LocationError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name) {
            return Ok(bucket.clone());
        }
        let unusable = |error: object_store::Error| LocationError::Malformed {
            text: shown.to_owned(),
            what: error.to_string(),
        };
        let reader = Arc::new(self.client(name, 0).map_err(unusable)?);
        let writer = Arc::new(self.client(name, self.retries.retries).map_err(unusable)?);
        let bucket = Bucket { reader, writer };
        if buckets.len() == BUCKETS_MAX {
            buckets.clear();
        }
        buckets.insert(name.to_owned(), bucket.clone());
        Ok(bucket)
    }

    fn client(&self, bucket: &str, retries: u32) -> object_store::Result<AmazonS3> {
        let settings = &self.settings;
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: self.retries.pause, ..BackoffConfig::default() },
            max_retries: retries as usize,
            retry_timeout: self.call_timeout,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&settings.region)
            .with_retry(retry)
            .with_http_connector(Client { web: self.web.clone() })
            .with_client_options(ClientOptions::new().with_allow_http(true));
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(true);
        }
        builder = match (&settings.access_key_id, &settings.secret_access_key) {
            (Some(id), Some(secret)) => builder.with_access_key_id(id).with_secret_access_key(secret),
            _ => builder.with_skip_signature(true),
        };
        if let Some(token) = &settings.session_token {
            builder = builder.with_token(token);
        }
        builder.build()
    }
}

fn version_of(object: &ObjectMeta) -> Version {
    Version::new(object.size, object.e_tag.as_deref().and_then(tag_of_etag))
}

#[cfg(test)]
mod tests;
