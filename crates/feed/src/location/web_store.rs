//! `http://` and `https://`: a directory has an `index.html` that names one file on each line.

use super::Location;
use super::address::Place;
use super::answer::Hints;
use super::error::LocationError;
use super::remote::Opened;
use super::retry::Retry;
use super::version::{Entries, Version, bad_name};
use super::web::{Request, Web};
use futures_util::{StreamExt, stream};
use reqwest::Url;

/// Bytes of an `index.html`, at most.
const INDEX_BYTES_MAX: usize = 64 << 20;
/// Questions for sizes under way at once.
const HEADS_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct WebStore {
    web: Web,
}

impl WebStore {
    pub(super) fn new(web: Web) -> Self {
        Self { web }
    }

    pub(super) async fn list(
        &self,
        directory: &Location,
        entries: &mut Entries,
        retry: &mut Retry,
    ) -> Result<(), LocationError> {
        let names = self.names(directory, retry).await?;
        let retry = &*retry;
        let mut versions = stream::iter(names)
            .map(|name| async move {
                let version = self.listed_version(directory, &name, retry.again()).await?;
                Ok::<_, LocationError>((name, version))
            })
            .buffer_unordered(HEADS_MAX);
        while let Some(entry) = versions.next().await {
            let (name, version) = entry?;
            entries.push(&name, version)?;
        }
        Ok(())
    }

    /// The first word of each line that is not empty.
    async fn names(&self, directory: &Location, retry: &mut Retry) -> Result<Vec<String>, LocationError> {
        let index = directory.join("index.html")?;
        let Place::Web(url) = index.place() else { return Ok(Vec::new()) };
        let file = index.shown();
        let hints = Hints {
            not_found: "; a directory needs an index.html that names one file on each line",
            denied: "",
        };
        let request = Request { url, file: &file, token: None, hints };
        let body = loop {
            match self.web.read(request, INDEX_BYTES_MAX).await {
                Ok((body, _)) => break body,
                Err(error) => retry.after(error).await?,
            }
        };
        names_of_index(&body, &file)
    }

    /// Nothing is known about a file that the server does not answer for: reading it will tell.
    async fn listed_version(
        &self,
        directory: &Location,
        name: &str,
        mut retry: Retry,
    ) -> Result<Version, LocationError> {
        let file = directory.join(name)?;
        let Place::Web(url) = file.place() else { return Ok(Version::default()) };
        loop {
            match self.version(&file, url).await {
                Ok(version) => return Ok(version.unwrap_or_default()),
                Err(LocationError::NotFound { .. }) => return Ok(Version::default()),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    pub(super) async fn version(&self, file: &Location, url: &Url) -> Result<Option<Version>, LocationError> {
        self.web.version(Request { url, file: &file.shown(), token: None, hints: Hints::default() }).await
    }

    pub(super) async fn open(
        &self,
        file: &Location,
        url: &Url,
        offset: u64,
    ) -> Result<Opened, LocationError> {
        self.web
            .open(Request { url, file: &file.shown(), token: None, hints: Hints::default() }, offset)
            .await
    }
}

fn names_of_index(body: &[u8], file: &str) -> Result<Vec<String>, LocationError> {
    let unreadable =
        |what: &str| LocationError::BadListing { directory: file.to_owned(), what: what.to_owned() };
    let text = std::str::from_utf8(body).map_err(|_| unreadable("it is not UTF-8 text"))?;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('<') {
            return Err(unreadable("it is an HTML page, where one file name on each line is expected"));
        }
        let name = line.split(' ').next().unwrap_or_default();
        match bad_name(name) {
            Some(what) => {
                return Err(unreadable(&format!("the name {:?} cannot be used: {what}", shortened(name))));
            }
            None => names.push(name.to_owned()),
        }
    }
    Ok(names)
}

fn shortened(name: &str) -> String {
    name.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
