//! Shard files on this machine: where they were synced, or else fetched from another node that has them.
//!
//! What a file is, says its fingerprint, the hash of its content. A local file counts as that one if its size and its time
//! of change are those that the sync saw, else once its content has been compared, which is remembered as long as it
//! does not change. A file that is not here is asked for from the other nodes, and kept in the disk cache under its
//! fingerprint. Files of stores are the same for all nodes; each reads them itself.

use crate::datasets::files::FileError;
use crate::datasets::manifests::Named;
use crate::datasets::peer_calls::{DatasetPeers, DatasetReply, DatasetRequest, FileForm, FileRequest};
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::sync::Identity;
use crate::error::NodeError;
use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use lavandin_feed::format::Format;
use lavandin_feed::location::{
    Body, Entry, Fingerprint, LocalFile, Location, LocationError, Origin, Scheme, Version,
    content_fingerprint,
};
use lavandin_feed::manifest::{Manifest, ShardFile};
use lavandin_types::NodeId;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a node may take to say whether it has a file; it may have to read it.
const FIND_MAX: Duration = Duration::from_secs(60);
/// How long one part of a file may take.
const PIECE_MAX: Duration = Duration::from_secs(30);
/// Contents that are remembered; all are forgotten beyond.
const KNOWN_MAX: usize = 500_000;

/// A shard file as a sync saw it.
#[derive(Clone, Debug)]
pub(crate) struct WantedFile {
    pub(crate) location: Location,
    /// Where it was synced.
    pub(crate) version: Version,
    pub(crate) fingerprint: u128,
}

impl WantedFile {
    pub(crate) fn of(file: &ShardFile) -> Result<Self, NodeError> {
        let identity = Identity::parse(file)
            .ok_or_else(|| NodeError::Manifest(format!("shard file {} has no fingerprint", file.name)))?;
        let Identity { fingerprint, version } = identity;
        Ok(Self { location: Location::parse(&file.location)?, version, fingerprint })
    }

    fn content(&self) -> Fingerprint {
        Fingerprint::of_content(self.fingerprint)
    }
}

/// Contents of local files, by path and version.
#[derive(Default)]
pub(crate) struct KnownContents {
    known: Mutex<HashMap<(PathBuf, Version), Fingerprint>>,
}

impl KnownContents {
    /// Reads the file unless it is known. Blocks.
    pub(crate) fn content(&self, path: &Path, version: &Version) -> Result<Fingerprint, LocationError> {
        let key = (path.to_owned(), version.clone());
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(*known);
        }
        let (content, version) = content_fingerprint(path)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert((path.to_owned(), version), content);
        Ok(content)
    }
}

/// Why a file is not on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Absence {
    Missing,
    /// There is another file of its name.
    Changed,
}

impl Absence {
    fn told(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "another content",
        }
    }
}

impl DatasetRuntime {
    /// The file on this machine, if it is still the one that was synced. Blocks.
    pub(crate) fn nearest(&self, wanted: &WantedFile) -> Result<LocalFile, FileError> {
        self.handle.block_on(self.find_nearest(wanted)).map_err(|error| FileError(error.to_string()))
    }

    async fn find_nearest(&self, wanted: &WantedFile) -> Result<LocalFile, NodeError> {
        if wanted.location.scheme() != Scheme::File {
            return Ok(self.stores.local(&wanted.location, Some(&wanted.version)).await?);
        }
        let here = match self.held(wanted).await? {
            Ok(file) => return Ok(file),
            Err(absence) => absence,
        };
        let content = (wanted.content(), wanted.version.size.unwrap_or_default());
        if let Some(copy) = self.stores.cached_content(content).await? {
            return Ok(copy);
        }
        let mut told = vec![format!("{} here", here.told())];
        let request = DatasetRequest::FindFile(FileForm::of(wanted));
        let request = &request;
        let ask = |node| async move { (node, self.peers.ask(node, request, FIND_MAX).await) };
        let mut answers: FuturesUnordered<_> = self.peers.others(&[]).into_iter().map(ask).collect();
        while let Some((node, answer)) = answers.next().await {
            match answer {
                Ok(DatasetReply::File { absence: None }) => match self.copy_from(wanted, node).await {
                    Ok(file) => return Ok(file),
                    Err(error) => told.push(format!("{}: {error}", self.peers.shown(node))),
                },
                Ok(DatasetReply::File { absence: Some(absence) }) => {
                    told.push(format!("{} on {}", absence.told(), self.peers.shown(node)));
                }
                Ok(_) => told.push(format!("{} answered another question", self.peers.shown(node))),
                Err(error) => told.push(self.peers.told(node, &error)),
            }
        }
        Err(self.nowhere(&wanted.location, here, &told))
    }

    /// A copy of another node's file, from the disk cache if it is there.
    pub(crate) async fn copy_from(&self, wanted: &WantedFile, node: NodeId) -> Result<LocalFile, NodeError> {
        let origin = PeerOrigin { peers: self.peers.clone(), node, wanted: wanted.clone() };
        let content = (wanted.content(), wanted.version.size.unwrap_or_default());
        Ok(self.stores.by_content(&wanted.location, content, Arc::new(origin)).await?)
    }

    /// What to do about a file that no node has.
    fn nowhere(&self, location: &Location, here: Absence, told: &[String]) -> NodeError {
        let alone = self.peers.others(&[]).is_empty();
        let file = location.shown();
        let text = match (here, alone) {
            (Absence::Missing, true) => format!(
                "shard file {file} is missing: put it back, or sync the shardset again to go on without it"
            ),
            (Absence::Changed, true) => {
                format!("shard file {file} was changed since it was synced: sync the shardset again")
            }
            (_, false) => format!(
                "shard file {file} is on no node as it was synced ({}): put it back on one of them, or sync the shardset \
                 again",
                told.join("; ")
            ),
        };
        NodeError::Refused(text)
    }

    /// The file where it was synced, if it is on this machine.
    async fn held(&self, wanted: &WantedFile) -> Result<Result<LocalFile, Absence>, NodeError> {
        match self.stores.local(&wanted.location, Some(&wanted.version)).await {
            Ok(file) => return Ok(Ok(file)),
            Err(LocationError::NotFound { .. } | LocationError::NotADirectory { .. }) => {
                return Ok(Err(Absence::Missing));
            }
            // Its time of change is another.
            Err(LocationError::Changed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let file = self.stores.local(&wanted.location, None).await?;
        if wanted.version.size.is_some_and(|size| size != file.size) {
            return Ok(Err(Absence::Changed));
        }
        match self.content_of(&file).await? == wanted.content() {
            true => Ok(Ok(file)),
            false => Ok(Err(Absence::Changed)),
        }
    }

    /// The content of a local file; read unless it is known.
    pub(crate) async fn content_of(&self, file: &LocalFile) -> Result<Fingerprint, NodeError> {
        let (contents, path, version) = (Arc::clone(&self.contents), file.path.clone(), file.version.clone());
        let content = tokio::task::spawn_blocking(move || contents.content(&path, &version)).await;
        Ok(content.map_err(|_| NodeError::Internal("reading a shard file panicked"))??)
    }

    /// Answers whether this node has a file.
    pub(crate) async fn tell_file(&self, wanted: &WantedFile) -> Result<DatasetReply, NodeError> {
        check_is_shard(&wanted.location)?;
        Ok(DatasetReply::File { absence: self.held(wanted).await?.err() })
    }

    /// A part of a file that this node has, and how long the whole is.
    pub(crate) async fn held_piece(
        &self,
        wanted: &WantedFile,
        offset: u64,
        bytes_max: usize,
    ) -> Result<(u64, Vec<u8>), NodeError> {
        use std::os::unix::fs::FileExt;
        check_is_shard(&wanted.location)?;
        let gone =
            || NodeError::Unavailable(format!("shard file {} is not on this node any more", wanted.location));
        let file = self.held(wanted).await?.map_err(|_| gone())?;
        // Whoever asks proves to know what it asks for: read once, and remembered.
        if self.content_of(&file).await? != wanted.content() {
            return Err(gone());
        }
        let left = usize::try_from(file.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let read = move || {
            let mut bytes = vec![0; left.min(bytes_max)];
            std::fs::File::open(&file.path)?.read_exact_at(&mut bytes, offset)?;
            Ok((file.size, bytes))
        };
        let read: std::io::Result<_> = tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| NodeError::Internal("reading a file panicked"))?;
        read.map_err(|error| NodeError::Unavailable(format!("shard file {}: {error}", wanted.location)))
    }

    /// The files of a manifest that this machine does not have as they were synced, by their indices. For files of stores,
    /// as far as a listing tells.
    pub(crate) async fn absent_files(
        &self,
        directory: &Location,
        manifest: &Manifest,
    ) -> Result<Vec<(u32, Absence)>, NodeError> {
        let listed = match self.stores.list(directory).await {
            Ok(listed) => listed,
            Err(
                LocationError::NotFound { .. }
                | LocationError::NotADirectory { .. }
                | LocationError::Empty { .. },
            ) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let listed: HashMap<&str, &Entry> = listed.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        let mut absent = Vec::new();
        for file in &manifest.files {
            let wanted = WantedFile::of(file)?;
            let absence = match listed.get(file.name.as_str()) {
                None => Some(Absence::Missing),
                Some(entry) if wanted.version.agrees_with(&entry.version) => None,
                Some(_) if directory.scheme() != Scheme::File => Some(Absence::Changed),
                Some(_) => self.held(&wanted).await?.err(),
            };
            absent.extend(absence.map(|absence| (file.index, absence)));
        }
        Ok(absent)
    }

    /// Makes sure that each file of a manifest is on some node that can be reached, as it was synced.
    pub(crate) async fn check_present(
        &self,
        directory: &Location,
        (named, manifest): (Named, &Manifest),
    ) -> Result<(), NodeError> {
        let absent = self.absent_files(directory, manifest).await?;
        let Some((_, here)) = absent.first().copied() else { return Ok(()) };
        let mut left: HashMap<u32, Vec<String>> = absent
            .iter()
            .map(|(index, absence)| (*index, vec![format!("{} here", absence.told())]))
            .collect();
        if directory.scheme() == Scheme::File {
            let (shardset, version, hash) = named;
            let request = DatasetRequest::AbsentFiles {
                directory: directory.as_str().to_owned(),
                shardset: shardset.to_string(),
                version,
                hash: format!("{hash:032x}"),
            };
            let request = &request;
            let ask = |node| async move { (node, self.peers.ask(node, request, FIND_MAX).await) };
            for (node, answer) in join_all(self.peers.others(&[]).into_iter().map(ask)).await {
                let told = match answer {
                    Ok(DatasetReply::Absent { files }) => Ok(files.into_iter().collect::<HashMap<_, _>>()),
                    Ok(_) => Err(format!("{} answered another question", self.peers.shown(node))),
                    Err(error) => Err(self.peers.told(node, &error)),
                };
                left.retain(|index, reasons| match &told {
                    Ok(absent) => absent.get(index).is_some_and(|absence| {
                        reasons.push(format!("{} on {}", absence.told(), self.peers.shown(node)));
                        true
                    }),
                    Err(reason) => {
                        reasons.push(reason.clone());
                        true
                    }
                });
            }
        }
        match left.into_iter().min_by_key(|(index, _)| *index) {
            None => Ok(()),
            Some((index, reasons)) => {
                let location = manifest.files.get(index as usize).map_or("", |file| file.location.as_str());
                Err(self.nowhere(&Location::parse(location)?, here, &reasons))
            }
        }
    }
}

/// Other nodes are told of shard files on this machine, and of nothing else.
pub(crate) fn check_is_shard(location: &Location) -> Result<(), NodeError> {
    match location.scheme() == Scheme::File && Format::of_name(&location.name()).is_some() {
        true => Ok(()),
        false => Err(NodeError::Refused(format!("{location} is no shard file of this node"))),
    }
}

/// Another node that has a file.
struct PeerOrigin {
    peers: DatasetPeers,
    node: NodeId,
    wanted: WantedFile,
}

impl std::fmt::Debug for PeerOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on node {}", self.wanted.location, self.node)
    }
}

impl Origin for PeerOrigin {
    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Body, LocationError>> {
        let (peers, node, wanted) = (self.peers.clone(), self.node, self.wanted.clone());
        let pieces = stream::try_unfold(Some(offset), move |next| {
            let (peers, wanted) = (peers.clone(), wanted.clone());
            async move {
                let Some(offset) = next else { return Ok(None) };
                read_piece(&peers, node, &wanted, offset).await
            }
        });
        async move { Ok(pieces.boxed()) }.boxed()
    }
}

/// One part, and where the next one begins.
async fn read_piece(
    peers: &DatasetPeers,
    node: NodeId,
    wanted: &WantedFile,
    offset: u64,
) -> Result<Option<(Bytes, Option<u64>)>, LocationError> {
    let request = FileRequest::ShardFile { file: FileForm::of(wanted), offset };
    let broken = |cause: String| LocationError::Broken { file: wanted.location.shown(), got: offset, cause };
    let piece = peers.piece(node, &request, PIECE_MAX).await.map_err(|error| broken(error.to_string()))?;
    let end = offset + piece.bytes.len() as u64;
    if piece.bytes.is_empty() {
        return match end >= piece.length {
            true => Ok(None),
            false => Err(broken(format!("node {node} sent nothing"))),
        };
    }
    Ok(Some((piece.bytes, (end < piece.length).then_some(end))))
}
