//! The door to all locations: list a directory, get a file onto this machine, put one.

use super::Location;
use super::address::Place;
use super::cached_file::hash_of_url;
use super::disk_cache::{CacheGuard, DiskCache, Pinned};
use super::download::{Download, Source};
use super::error::LocationError;
use super::file_store::FileStore;
use super::fingerprint::{Fingerprint, content_fingerprint, hash_file};
use super::flights::Flights;
use super::options::StoreOptions;
use super::origin::Origin;
use super::remote::Remotes;
use super::retry::{Retry, RetryPolicy};
use super::s3_upload::upload;
use super::version::{ENTRIES_MAX, Entry, Version};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// All stores with one disk cache. Cheap to clone. Its calls need a tokio runtime with I/O and time.
#[derive(Clone, Debug)]
pub struct Stores {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: FileStore,
    remotes: Remotes,
    cache: DiskCache,
    flights: Flights<(u128, Option<Version>), LocalFile>,
    downloads: Semaphore,
    retries: RetryPolicy,
    request_timeout: Duration,
    call_timeout: Duration,
}

/// A file that can be opened on this machine as long as this, or a clone of it, lives.
#[derive(Clone, Debug)]
pub struct LocalFile {
    pub path: PathBuf,
    pub size: u64,
    pub version: Version,
    /// The content's fingerprint, for files that were downloaded.
    pub content: Option<Fingerprint>,
    /// Only held: keeps the disk cache from removing the file.
    _guard: Option<Arc<CacheGuard>>,
}

impl LocalFile {
    /// What the content is known by, among all files. (A store's tag only tells versions of one file apart.) Reads a local
    /// file as a whole, and fails if it is no longer the version it was: belongs on a CPU pool.
    pub fn fingerprint(&self) -> Result<Fingerprint, LocationError> {
        if let Some(content) = self.content {
            return Ok(content);
        }
        let (fingerprint, version) = content_fingerprint(&self.path)?;
        let (file, expected) = (self.path.display().to_string(), self.version.clone());
        match version == expected {
            true => Ok(fingerprint),
            false => Err(LocationError::Changed { file, expected, found: version }),
        }
    }
}

/// What the disk cache holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    pub bytes: u64,
    pub bytes_max: u64,
    /// Set aside for downloads under way.
    pub bytes_reserved: u64,
    pub files: u64,
    /// Files that were asked for and here, since the start.
    pub hits: u64,
    pub downloads: u64,
    pub evictions: u64,
}

impl Stores {
    /// Checks the settings and takes over the disk cache; blocks while it reads the cache's folder.
    pub fn new(options: StoreOptions) -> Result<Self, LocationError> {
        let inner = Inner {
            files: FileStore::new(&options)?,
            remotes: Remotes::new(&options)?,
            cache: DiskCache::open(&options.cache_dir, options.cache_bytes_max)?,
            flights: Flights::new(),
            downloads: Semaphore::new(options.downloads_max.clamp(1, Semaphore::MAX_PERMITS)),
            retries: RetryPolicy { retries: options.retries, pause: options.retry_pause },
            request_timeout: options.request_timeout,
            call_timeout: options.call_timeout,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The files directly in a directory, sorted by name; none, or more than [`ENTRIES_MAX`], is an error. Hidden files
    /// and directories are left out.
    pub async fn list(&self, directory: &Location) -> Result<Vec<Entry>, LocationError> {
        let shown = directory.shown();
        if let Some(path) = directory.file_path().map(Path::to_owned) {
            return self.blocking(&shown, move |inner, shown| inner.files.list(&path, shown)).await;
        }
        let mut retry = self.inner.retry();
        self.inner.in_time(&shown, self.inner.remotes.list(directory, ENTRIES_MAX, &mut retry)).await
    }

    /// What is known about a file without reading it.
    pub async fn version(&self, file: &Location) -> Result<Version, LocationError> {
        let shown = file.shown();
        if let Some(path) = file.file_path().map(Path::to_owned) {
            return self.blocking(&shown, move |inner, shown| Ok(inner.files.local(&path, shown)?.1)).await;
        }
        self.inner.in_time(&shown, self.inner.remote_version(file)).await
    }

    /// The file on this machine: itself if it is local, else a download, one for all who ask at the same time. With
    /// `expected`, another version is an error; without, it is whatever is there now.
    pub async fn local(
        &self,
        file: &Location,
        expected: Option<&Version>,
    ) -> Result<LocalFile, LocationError> {
        let expected = expected.cloned();
        if let Some(path) = file.file_path().map(Path::to_owned) {
            let shown = file.shown();
            return self.blocking(&shown, move |inner, shown| inner.local_file(&path, shown, expected)).await;
        }
        let url = hash_of_url(&self.inner.remotes.identity(file));
        let (inner, file, key) = (self.inner.clone(), file.clone(), (url, expected.clone()));
        let fetch =
            async move { inner.in_time(&file.shown(), inner.fetch(&file, url, expected.as_ref())).await };
        self.inner.flights.join(key, fetch).await
    }

    /// A file by its content: from the disk cache, else a download from `origin`, one for all who ask at the same time.
    /// `file` is where it is over there, for messages.
    pub async fn by_content(
        &self,
        file: &Location,
        (content, size): (Fingerprint, u64),
        origin: Arc<dyn Origin>,
    ) -> Result<LocalFile, LocationError> {
        let (url, version) = content_key(content, size);
        let (inner, file, key) = (self.inner.clone(), file.clone(), (url, Some(version.clone())));
        let fetch = async move {
            inner.in_time(&file.shown(), inner.fetch_content(&file, (url, version), content, &*origin)).await
        };
        self.inner.flights.join(key, fetch).await
    }

    /// A file by its content, if the disk cache has it.
    pub async fn cached_content(
        &self,
        (content, size): (Fingerprint, u64),
    ) -> Result<Option<LocalFile>, LocationError> {
        let (url, version) = content_key(content, size);
        Ok(self.inner.cached(url, &version).await?.map(|found| local_file(found, version)))
    }

    /// Copies the local file at `source` to `target`, replacing what is there: readers see the old or the new whole.
    /// Into `file://` (the data directory and the roots only) it survives a loss of power after return. Other stores
    /// than `s3://` cannot be written.
    pub async fn put(&self, target: &Location, source: &Path) -> Result<Version, LocationError> {
        let shown = target.shown();
        match target.place() {
            Place::File(path) => {
                let (path, source) = (path.clone(), source.to_owned());
                self.blocking(&shown, move |inner, shown| inner.files.put(&path, shown, &source)).await
            }
            Place::S3 { bucket, key } => {
                let upload = upload(&self.inner.remotes.s3, target, (bucket, key), source);
                self.inner.in_time(&shown, upload).await
            }
            Place::Web(_) | Place::Hf { .. } => {
                Err(LocationError::ReadOnly { scheme: target.scheme().name() })
            }
        }
    }

    /// A URL at which others can read the file for `valid_for`; `None` where there is none: local files, and buckets
    /// without a key to sign with. Asks nobody, so the file need not be there.
    pub async fn url(&self, file: &Location, valid_for: Duration) -> Result<Option<String>, LocationError> {
        self.inner.remotes.url(file, valid_for).await
    }

    pub fn cache_use(&self) -> CacheUse {
        self.inner.cache.usage()
    }

    /// Runs `work` on a thread for blocking calls.
    async fn blocking<T: Send + 'static>(
        &self,
        shown: &str,
        work: impl FnOnce(&Inner, &str) -> Result<T, LocationError> + Send + 'static,
    ) -> Result<T, LocationError> {
        let (inner, owned) = (self.inner.clone(), shown.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&inner, &owned));
        self.inner.in_time(shown, async { LocationError::of_task(done.await, shown)? }).await
    }
}

impl Inner {
    fn retry(&self) -> Retry {
        Retry::new(self.retries, Instant::now() + self.call_timeout)
    }

    /// `work`, unless it takes longer than a call may.
    async fn in_time<T>(
        &self,
        shown: &str,
        work: impl Future<Output = Result<T, LocationError>>,
    ) -> Result<T, LocationError> {
        let late = |_| LocationError::DeadlineExceeded { file: shown.to_owned(), allowed: self.call_timeout };
        tokio::time::timeout(self.call_timeout, work).await.map_err(late)?
    }

    fn local_file(
        &self,
        path: &Path,
        shown: &str,
        expected: Option<Version>,
    ) -> Result<LocalFile, LocationError> {
        let (path, version) = self.files.local(path, shown)?;
        match expected {
            Some(expected) if !expected.agrees_with(&version) => {
                Err(LocationError::Changed { file: shown.to_owned(), expected, found: version })
            }
            _ => {
                let size = version.size.unwrap_or_default();
                Ok(LocalFile { path, size, version, content: None, _guard: None })
            }
        }
    }

    /// What the store says; where it says nothing, what it says when the file is opened.
    async fn remote_version(&self, file: &Location) -> Result<Version, LocationError> {
        if let Some(version) = self.asked_version(file).await? {
            return Ok(version);
        }
        let mut retry = self.retry();
        loop {
            match self.remotes.open(file, 0).await {
                Ok(opened) => return Ok(opened.version),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn asked_version(&self, file: &Location) -> Result<Option<Version>, LocationError> {
        let mut retry = self.retry();
        loop {
            match self.remotes.version(file).await {
                Ok(version) => return Ok(version),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn fetch(
        &self,
        file: &Location,
        url: u128,
        expected: Option<&Version>,
    ) -> Result<LocalFile, LocationError> {
        // Without an expectation only a tag can tell that what is here is what is there.
        let wanted = match expected {
            Some(expected) => Some(expected.clone()),
            None => self.asked_version(file).await?.filter(|version| version.tag.is_some()),
        };
        if let Some(wanted) = wanted
            && let Some(found) = self.cached(url, &wanted).await?
        {
            let version = Version::new(found.size, wanted.tag);
            return Ok(local_file(found, version));
        }
        let stopped =
            |_| LocationError::Stopped { file: file.shown(), cause: "the stores are closed".to_owned() };
        let _permit = self.downloads.acquire().await.map_err(stopped)?;
        let (cache, request_timeout) = (&self.cache, self.request_timeout);
        let source = Source::Stores(&self.remotes);
        let download = Download { source, cache, file, url, expected, request_timeout };
        let (pinned, version) = download.run(self.retry()).await?;
        Ok(local_file(pinned, version))
    }

    async fn fetch_content(
        &self,
        file: &Location,
        (url, version): (u128, Version),
        content: Fingerprint,
        origin: &dyn Origin,
    ) -> Result<LocalFile, LocationError> {
        if let Some(found) = self.cached(url, &version).await? {
            return Ok(local_file(found, version));
        }
        let stopped =
            |_| LocationError::Stopped { file: file.shown(), cause: "the stores are closed".to_owned() };
        let _permit = self.downloads.acquire().await.map_err(stopped)?;
        let (source, expected) = (Source::Origin(origin, &version), Some(&version));
        let (cache, request_timeout) = (&self.cache, self.request_timeout);
        let download = Download { source, cache, file, url, expected, request_timeout };
        let (pinned, version) = download.run(self.retry()).await?;
        if Fingerprint::of_content(pinned.content) != content {
            self.cache.discard(&pinned.guard);
            let cause = "its bytes are not those that were synced".to_owned();
            return Err(LocationError::Broken { file: file.shown(), got: pinned.size, cause });
        }
        Ok(local_file(pinned, version))
    }

    /// The file from the cache, if its bytes are those that were downloaded.
    async fn cached(&self, url: u128, version: &Version) -> Result<Option<Pinned>, LocationError> {
        let Some(found) = self.cache.find(url, version) else { return Ok(None) };
        let (path, size, content, is_verified) =
            (found.path.clone(), found.size, found.content, found.is_verified);
        let checked =
            tokio::task::spawn_blocking(move || is_whole(&path, size, (!is_verified).then_some(content)));
        match LocationError::of_task(checked.await, &found.path.display().to_string())? {
            true => {
                self.cache.mark_verified(&found.guard);
                Ok(Some(found))
            }
            false => {
                tracing::warn!(path = %found.path.display(), "a file of the disk cache is damaged; it is downloaded again");
                self.cache.discard(&found.guard);
                Ok(None)
            }
        }
    }
}

/// What the disk cache knows a file by whose content is known.
fn content_key(content: Fingerprint, size: u64) -> (u128, Version) {
    (hash_of_url(&format!("content {content}")), Version::new(size, Some(content.to_string())))
}

fn local_file(pinned: Pinned, version: Version) -> LocalFile {
    LocalFile {
        path: pinned.path,
        size: pinned.size,
        version,
        content: Some(Fingerprint::of_content(pinned.content)),
        _guard: Some(Arc::new(pinned.guard)),
    }
}

/// Whether the file has that size and, if it is to be read, that content.
fn is_whole(path: &Path, size: u64, content: Option<u128>) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let has_size = file.metadata().is_ok_and(|metadata| metadata.len() == size);
    has_size && content.is_none_or(|content| hash_file(&mut file).is_ok_and(|(hash, _)| hash == content))
}
