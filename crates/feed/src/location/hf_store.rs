//! `hf://organisation/repository/path`: dataset repositories of the Hugging Face hub, at the branch `main`.
//!
//! A directory is listed page by page through `/api/datasets/{repository}/tree/main/{path}`; a file is read from
//! `/datasets/{repository}/resolve/main/{path}`, which redirects large files to another host. The tag of a file is the
//! hash that the tree names (of a large file that of its content), which the redirecting answer repeats as
//! `X-Linked-ETag`. Deliberately absent: other branches, writing.

use super::Location;
use super::address::percent_encoded;
use super::answer::Hints;
use super::error::LocationError;
use super::options::HfSettings;
use super::remote::Opened;
use super::retry::Retry;
use super::version::{Entries, Version, tag_of_etag};
use super::web::{Request, Web};
use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};
use serde_json::Value;

/// Bytes of one page of a listing, at most; a page has some thousand entries.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Pages of a listing, at most: against a server whose pages never end.
const PAGES_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct HfStore {
    web: Web,
    settings: HfSettings,
    endpoint: Url,
}

impl HfStore {
    pub(super) fn new(settings: &HfSettings, web: Web) -> Result<Self, LocationError> {
        let unusable = |what: String| LocationError::Setting { setting: "HF_ENDPOINT", what };
        let endpoint = Url::parse(&settings.endpoint);
        let endpoint =
            endpoint.map_err(|error| unusable(format!("{:?} is not a URL: {error}", settings.endpoint)))?;
        match endpoint.scheme() {
            "http" | "https" => Ok(Self { web, settings: settings.clone(), endpoint }),
            scheme => Err(unusable(format!("its scheme is {scheme}; http:// or https:// is expected"))),
        }
    }

    pub(super) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    pub(super) async fn list(
        &self,
        directory: &Location,
        (repository, path): (&str, &str),
        entries: &mut Entries,
        retry: &mut Retry,
    ) -> Result<(), LocationError> {
        let shown = directory.shown();
        let bad = |what: String| LocationError::BadListing { directory: shown.clone(), what };
        let mut page = Some(self.url(&["api", "datasets"], repository, "tree", path));
        for _ in 0..PAGES_MAX {
            let Some(url) = page else { return Ok(()) };
            let (body, headers) = loop {
                match self.web.read(self.request(&url, &shown), PAGE_BYTES_MAX).await {
                    Ok(read) => break read,
                    Err(error) => retry.after(error).await?,
                }
            };
            read_page(&body, path, entries).map_err(|error| match error {
                PageError::Unreadable(what) => bad(what),
                PageError::Entry(error) => error,
            })?;
            page = next_page(&headers, &url, &self.endpoint).map_err(bad)?;
        }
        Err(bad(format!("it has more than {PAGES_MAX} pages")))
    }

    pub(super) async fn version(
        &self,
        file: &Location,
        repository: &str,
        path: &str,
    ) -> Result<Option<Version>, LocationError> {
        let url = self.file_url(repository, path);
        self.web.version(self.request(&url, &file.shown())).await
    }

    pub(super) async fn open(
        &self,
        file: &Location,
        (repository, path): (&str, &str),
        offset: u64,
    ) -> Result<Opened, LocationError> {
        let url = self.file_url(repository, path);
        self.web.open(self.request(&url, &file.shown()), offset).await
    }

    pub(super) fn file_url(&self, repository: &str, path: &str) -> Url {
        self.url(&["datasets"], repository, "resolve", path)
    }

    fn request<'a>(&'a self, url: &'a Url, file: &'a str) -> Request<'a> {
        let hints = match self.settings.token {
            Some(_) => Hints {
                not_found: "; check the repository and the path",
                denied: "; the token in HF_TOKEN may not read this repository, or there is none of that name",
            },
            None => Hints {
                not_found: "; check the repository and the path, and set HF_TOKEN if it is private",
                denied: "; set HF_TOKEN if the repository is private; there may be none of that name",
            },
        };
        Request { url, file, token: self.settings.token.as_deref(), hints }
    }

    fn url(&self, area: &[&str], repository: &str, verb: &str, path: &str) -> Url {
        let mut url = self.endpoint.clone();
        let segments =
            area.iter().copied().chain(repository.split('/')).chain([verb, "main"]).chain(path.split('/'));
        let encoded: Vec<String> =
            segments.filter(|segment| !segment.is_empty()).map(percent_encoded).collect();
        url.set_path(&format!("{}/{}", self.endpoint.path().trim_end_matches('/'), encoded.join("/")));
        url
    }
}

enum PageError {
    Unreadable(String),
    Entry(LocationError),
}

/// Adds the files of one page: `[{"type": "file", "path": …, "size": …, "oid": …, "lfs": {"oid": …, "size": …}}, …]`.
fn read_page(body: &[u8], path: &str, entries: &mut Entries) -> Result<(), PageError> {
    let unreadable = |what: &str| PageError::Unreadable(what.to_owned());
    let page: Value = serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    let page = page.as_array().ok_or_else(|| unreadable("it is not a list of files"))?;
    for item in page {
        if item["type"].as_str() != Some("file") {
            continue;
        }
        let full = item["path"].as_str().ok_or_else(|| unreadable("a file has no path"))?;
        let name = match path {
            "" => Some(full),
            _ => full.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')),
        };
        let name = name.ok_or_else(|| unreadable(&format!("{full:?} is not in the directory")))?;
        entries.push(name, listed_version(item)).map_err(PageError::Entry)?;
    }
    Ok(())
}

fn listed_version(item: &Value) -> Version {
    let large = &item["lfs"];
    let size = large["size"].as_u64().or_else(|| item["size"].as_u64());
    let hash = large["oid"].as_str().or_else(|| item["oid"].as_str());
    let hash = hash.map(|hash| hash.strip_prefix("sha256:").unwrap_or(hash));
    Version { size, tag: hash.and_then(tag_of_etag) }
}

/// The URL of `Link: <URL>; rel="next"`. It must stay with the endpoint, which gets the token.
fn next_page(headers: &HeaderMap, current: &Url, endpoint: &Url) -> Result<Option<Url>, String> {
    let links =
        headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok()).flat_map(|link| link.split(','));
    let next = links.map(str::trim).find(|link| link.contains("rel=\"next\""));
    let Some(target) =
        next.and_then(|link| link.strip_prefix('<')?.split_once('>')).map(|(target, _)| target)
    else {
        return Ok(None);
    };
    match current.join(target) {
        Ok(url) if url.origin() == endpoint.origin() => Ok(Some(url)),
        _ => Err("its next page is on another host".to_owned()),
    }
}

#[cfg(test)]
mod tests;
