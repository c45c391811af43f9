//! Putting a file into a bucket: in one request, or part by part if it is large. The object appears whole or not at all.

use super::Location;
use super::error::LocationError;
use super::s3_store::S3Store;
use super::version::{Version, tag_of_etag};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use object_store::{MultipartUpload, ObjectStoreExt, PutResult};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a part, at least; the protocol wants 5 MiB.
const PART_BYTES: u64 = 8 << 20;
/// Parts of an upload, at most: the protocol's limit.
const PARTS_MAX: u64 = 10_000;
/// Parts on their way at once.
const PARTS_UNDER_WAY: usize = 3;

/// Copies the local file at `source` to `target`.
pub(super) async fn upload(
    store: &S3Store,
    target: &Location,
    (bucket, key): (&str, &str),
    source: &Path,
) -> Result<Version, LocationError> {
    let shown = target.shown();
    let key = store.path(key, &shown)?;
    let bucket = store.bucket(bucket, &shown)?;
    let mut source = Source::open(source).await?;
    if source.left <= PART_BYTES {
        let bytes = source.next().await?;
        let size = bytes.len() as u64;
        let put = bucket.writer.put(&key, bytes.into()).await.map_err(|error| store.error(&error, &shown))?;
        return Ok(version_of(size, &put));
    }
    let size = source.left;
    source.part_bytes = PART_BYTES.max(size.div_ceil(PARTS_MAX));
    let failed = |error: object_store::Error| store.error(&error, &shown);
    let mut upload = bucket.writer.put_multipart(&key).await.map_err(failed)?;
    match send_parts(upload.as_mut(), source, &failed).await {
        Ok(()) => Ok(version_of(size, &upload.complete().await.map_err(failed)?)),
        Err(error) => {
            // What stays behind if this fails too is the bucket's own to clean up.
            if let Err(error) = upload.abort().await {
                tracing::warn!(file = shown, %error, key = key.as_ref(), "an unfinished upload stays in the bucket");
            }
            Err(error)
        }
    }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    mut source: Source,
    failed: &impl Fn(object_store::Error) -> LocationError,
) -> Result<(), LocationError> {
    let mut under_way = FuturesUnordered::new();
    while source.left > 0 {
        if under_way.len() == PARTS_UNDER_WAY {
            under_way.next().await.transpose().map_err(failed)?;
        }
        let part = source.next().await?;
        under_way.push(upload.put_part(part.into()));
    }
    while let Some(sent) = under_way.next().await {
        sent.map_err(failed)?;
    }
    Ok(())
}

fn version_of(size: u64, put: &PutResult) -> Version {
    Version::new(size, put.e_tag.as_deref().and_then(tag_of_etag))
}

/// The file to upload, read part by part.
struct Source {
    file: Option<File>,
    shown: String,
    left: u64,
    part_bytes: u64,
}

impl Source {
    async fn open(path: &Path) -> Result<Self, LocationError> {
        let shown = path.display().to_string();
        let (path, name) = (path.to_owned(), shown.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            std::io::Result::Ok((file, size))
        });
        let (file, left) = LocationError::of_task(opened.await, &name)?
            .map_err(|error| LocationError::of_file("open", &name, error))?;
        Ok(Self { file: Some(file), shown, left, part_bytes: PART_BYTES })
    }

    /// The next part; shorter than the others at the end. Fails if the file ends before its size said.
    async fn next(&mut self) -> Result<Bytes, LocationError> {
        let size = self.left.min(self.part_bytes);
        let Some(mut file) = self.file.take() else { return Ok(Bytes::new()) };
        let read = tokio::task::spawn_blocking(move || {
            let mut part = vec![0; size as usize];
            file.read_exact(&mut part)?;
            std::io::Result::Ok((file, part))
        });
        let read = LocationError::of_task(read.await, &self.shown)?;
        let (file, part) = read.map_err(|error| LocationError::of_file("read", &self.shown, error))?;
        self.file = Some(file);
        self.left -= size;
        Ok(part.into())
    }
}
