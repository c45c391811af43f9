//! The stores behind one door: listing a directory, asking for a file's version, opening its bytes.

use super::address::Place;
use super::error::LocationError;
use super::hf_store::HfStore;
use super::options::StoreOptions;
use super::s3_store::S3Store;
use super::version::{Entries, Entry, Version};
use super::web::Web;
use super::web_store::WebStore;
use super::{Location, retry::Retry};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use std::time::Duration;

/// A file's bytes on their way.
pub(super) struct Opened {
    /// Of the whole file.
    pub(super) version: Version,
    /// Where the body begins: what was asked for, or 0.
    pub(super) offset: u64,
    /// Whether the version's tag promises equal bytes, so that another request may continue this one.
    pub(super) is_resumable: bool,
    pub(super) body: BoxStream<'static, Result<Bytes, LocationError>>,
}

/// All stores that are not this machine's files.
#[derive(Debug)]
pub(super) struct Remotes {
    web: WebStore,
    hf: HfStore,
    pub(super) s3: S3Store,
}

impl Remotes {
    pub(super) fn new(options: &StoreOptions) -> Result<Self, LocationError> {
        let web = Web::new(options)?;
        let s3 = S3Store::new(options, web.clone())?;
        Ok(Self { s3, hf: HfStore::new(&options.hf, web.clone())?, web: WebStore::new(web) })
    }

    /// The files directly in a directory, sorted by name. `retry` is for the whole listing: pages that came are kept.
    pub(super) async fn list(
        &self,
        directory: &Location,
        entries_max: usize,
        retry: &mut Retry,
    ) -> Result<Vec<Entry>, LocationError> {
        let mut entries = Entries::new(&directory.shown(), entries_max);
        match directory.place() {
            Place::Web(_) => self.web.list(directory, &mut entries, retry).await?,
            Place::S3 { bucket, key } => self.s3.list(directory, (bucket, key), &mut entries, retry).await?,
            Place::Hf { repository, path } => {
                self.hf.list(directory, (repository, path), &mut entries, retry).await?
            }
            Place::File(_) => return Err(not_remote(directory)),
        }
        entries.finish()
    }

    /// What the store says about a file; `None` where it can only be read.
    pub(super) async fn version(&self, file: &Location) -> Result<Option<Version>, LocationError> {
        match file.place() {
            Place::Web(url) => self.web.version(file, url).await,
            Place::S3 { bucket, key } => self.s3.version(file, bucket, key).await.map(Some),
            Place::Hf { repository, path } => self.hf.version(file, repository, path).await,
            Place::File(_) => Err(not_remote(file)),
        }
    }

    /// The bytes of a file from `offset` on.
    pub(super) async fn open(&self, file: &Location, offset: u64) -> Result<Opened, LocationError> {
        match file.place() {
            Place::Web(url) => self.web.open(file, url, offset).await,
            Place::S3 { bucket, key } => self.s3.open(file, (bucket, key), offset).await,
            Place::Hf { repository, path } => self.hf.open(file, (repository, path), offset).await,
            Place::File(_) => Err(not_remote(file)),
        }
    }

    /// A URL at which others can read the file.
    pub(super) async fn url(
        &self,
        file: &Location,
        valid_for: Duration,
    ) -> Result<Option<String>, LocationError> {
        match file.place() {
            Place::File(_) => Ok(None),
            Place::Web(url) => Ok(Some(url.to_string())),
            Place::S3 { bucket, key } => self.s3.signed_url(file, (bucket, key), valid_for).await,
            Place::Hf { repository, path } => Ok(Some(self.hf.file_url(repository, path).to_string())),
        }
    }

    /// What tells one file from all others, whatever the settings: the key of the cache.
    pub(super) fn identity(&self, file: &Location) -> String {
        match file.place() {
            Place::Web(url) => url.to_string(),
            Place::S3 { bucket, key } => format!("s3 {} {bucket}/{key}", self.s3.endpoint()),
            Place::Hf { repository, path } => format!("hf {} {repository}/{path}", self.hf.endpoint()),
            Place::File(path) => path.display().to_string(),
        }
    }
}

fn not_remote(location: &Location) -> LocationError {
    let what = "it is not in a store".to_owned();
    LocationError::Malformed { text: location.shown(), what }
}
