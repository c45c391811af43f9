//! The shard files of a directory, wherever they are: of a directory of files the union of what all nodes list, sorted by
//! name. Nodes may hold the same files, or some of them each. One name with two contents is an error that names the file
//! and the nodes.

use crate::datasets::file_finder::check_is_shard;
use crate::datasets::peer_calls::{DatasetReply, DatasetRequest};
use crate::datasets::runtime::DatasetRuntime;
use crate::error::NodeError;
use futures_util::future::join_all;
use lavandin_feed::format::Format;
use lavandin_feed::location::{Entry, Fingerprint, Location, LocationError, Scheme, Version};
use lavandin_types::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a node may take to list a directory, and to read a file for its content.
const LIST_MAX: Duration = Duration::from_secs(30);
const CONTENT_MAX: Duration = Duration::from_secs(300);

/// Shard files of a directory.
pub(crate) struct Listing {
    /// Sorted by name.
    pub(crate) files: Vec<Found>,
    /// Nodes that could not be asked, and why.
    pub(crate) silent: Vec<String>,
}

/// What lies in a directory.
pub(crate) struct Names {
    pub(crate) names: BTreeMap<String, Holders>,
    /// Nodes that could not be asked, and why.
    pub(crate) silent: Vec<String>,
}

/// A file of a listing.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    /// As some node lists it.
    pub(crate) version: Version,
    pub(crate) format: Format,
    pub(crate) location: Location,
    /// The node that lists it so, if this one has none of its name.
    pub(crate) holder: Option<NodeId>,
    holders: Holders,
}

impl Found {
    /// A file that this node has, or a store, whoever else has it.
    pub(crate) fn here(location: Location, format: Format) -> Self {
        let (name, version) = (location.name().to_string(), Version::default());
        Self { name, version, format, location, holder: None, holders: Holders::new() }
    }

    /// How a node lists it.
    pub(crate) fn version_on(&self, node: NodeId) -> Option<&Version> {
        self.holders.iter().find(|(holder, _)| *holder == node).map(|(_, version)| version)
    }

    /// Whether a node has it, or can read it by itself.
    pub(crate) fn is_on(&self, node: NodeId) -> bool {
        self.location.scheme() != Scheme::File || self.holders().any(|holder| holder == node)
    }

    /// The nodes that have a file of this name.
    fn holders(&self) -> impl Iterator<Item = NodeId> {
        self.holders.iter().map(|(node, _)| *node)
    }
}

/// Who lists a file, and how.
pub(crate) type Holders = Vec<(NodeId, Version)>;

impl DatasetRuntime {
    /// The shard files of a directory. Where nodes list a file differently, the version that is `known` counts, else that of
    /// this node. Files of one name are the same as far as a listing tells: `check_same` reads them.
    pub(crate) async fn list_shards(
        &self,
        directory: &Location,
        known: impl Fn(&str) -> Option<Version>,
    ) -> Result<Listing, NodeError> {
        let own = self.peers.own();
        let Names { mut names, silent } = self.list_names(directory).await?;
        names.retain(|name, _| Format::of_name(name).is_some());
        let mut files = Vec::with_capacity(names.len());
        for (name, holders) in names {
            let Some(format) = Format::of_name(&name) else { continue };
            let location = directory.join(&name)?;
            self.check_sizes(&location, &holders)?;
            let wanted = known(&name);
            let is_known = |(_, version): &&(NodeId, Version)| wanted.as_ref() == Some(version);
            let own_one = holders.iter().find(|(node, _)| *node == own);
            let Some((node, version)) = holders.iter().find(is_known).or(own_one).or(holders.first()) else {
                continue;
            };
            let holder = own_one.is_none().then_some(*node);
            let version = version.clone();
            files.push(Found { name, version, format, location, holder, holders });
        }
        Ok(Listing { files, silent })
    }

    /// All files of a directory, by name, with who lists them: of a store this node, of a directory of files all nodes.
    pub(crate) async fn list_names(&self, directory: &Location) -> Result<Names, NodeError> {
        let own = self.peers.own();
        let mut names: BTreeMap<String, Holders> = BTreeMap::new();
        let mut failure = None;
        match self.stores.list(directory).await {
            Ok(entries) => add(&mut names, own, entries),
            Err(error) => failure = Some(error),
        }
        let mut silent = Vec::new();
        if let Some(error) = failure.as_ref().filter(|error| !is_empty(error)) {
            silent.push(format!("{}: {error}", self.peers.shown(own)));
        }
        if directory.scheme() == Scheme::File {
            let request = DatasetRequest::ListFolder { location: directory.as_str().to_owned() };
            let request = &request;
            let ask = |node| async move { (node, self.peers.ask(node, request, LIST_MAX).await) };
            for (node, answer) in join_all(self.peers.others(&[]).into_iter().map(ask)).await {
                match answer {
                    Ok(DatasetReply::Entries { entries }) => {
                        let entry = |(name, size, tag)| Entry { name, version: Version { size, tag } };
                        add(&mut names, node, entries.into_iter().map(entry).collect());
                    }
                    Ok(_) => silent.push(format!("{} answered another question", self.peers.shown(node))),
                    Err(error) => silent.push(self.peers.told(node, &error)),
                }
            }
        }
        match failure {
            // What is not here may be on a node that says nothing.
            Some(failure) if names.is_empty() && (silent.is_empty() || !is_empty(&failure)) => {
                Err(failure.into())
            }
            _ => Ok(Names { names, silent }),
        }
    }

    /// What this node lists, for another one.
    pub(crate) async fn tell_listing(&self, location: &str) -> Result<DatasetReply, NodeError> {
        let location = Location::parse(location)?;
        if location.scheme() != Scheme::File {
            return Err(NodeError::Refused("nodes list folders of their own for each other".to_owned()));
        }
        let entries = match self.stores.list(&location).await {
            Ok(entries) => entries,
            Err(error) if is_empty(&error) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let shards = entries.into_iter().filter(|entry| Format::of_name(&entry.name).is_some());
        let told = |Entry { name, version }: Entry| (name, version.size, version.tag);
        Ok(DatasetReply::Entries { entries: shards.map(told).collect() })
    }

    /// Refuses a file that is not the same on all nodes that list it. Where their times differ, each reads it.
    pub(crate) async fn check_same(&self, found: &Found) -> Result<(), NodeError> {
        let Some((_, first)) = found.holders.first() else { return Ok(()) };
        if found.holders.iter().all(|(_, version)| version == first) {
            return Ok(());
        }
        let ask = |(node, _): &(NodeId, Version)| self.content_on(&found.location, *node);
        let contents = join_all(found.holders.iter().map(ask)).await;
        let contents = contents.into_iter().collect::<Result<Vec<_>, _>>()?;
        // Their times say nothing.
        if contents.iter().all(|(content, _)| *content == contents[0].0) {
            return Ok(());
        }
        let told = |((node, _), (content, _)): (&(NodeId, Version), &(Fingerprint, Version))| {
            format!("{content} on {}", self.peers.shown(*node))
        };
        Err(differs(&found.location, found.holders.iter().zip(&contents).map(told).collect()))
    }

    fn check_sizes(&self, location: &Location, holders: &[(NodeId, Version)]) -> Result<(), NodeError> {
        let Some((_, first)) = holders.first() else { return Ok(()) };
        if holders.iter().all(|(_, version)| version.size == first.size) {
            return Ok(());
        }
        let told = |(node, version): &(NodeId, Version)| {
            let size = version.size.map_or_else(|| "?".to_owned(), |size| size.to_string());
            format!("{size} bytes on {}", self.peers.shown(*node))
        };
        Err(differs(location, holders.iter().map(told).collect()))
    }

    /// The content of a file on a node, and its version there.
    pub(crate) async fn content_on(
        &self,
        location: &Location,
        node: NodeId,
    ) -> Result<(Fingerprint, Version), NodeError> {
        if node == self.peers.own() {
            return self.own_content(location).await;
        }
        let request = DatasetRequest::Content { location: location.as_str().to_owned() };
        match self.peers.ask(node, &request, CONTENT_MAX).await? {
            DatasetReply::Content { fingerprint, bytes, tag } => {
                let malformed = |_| NodeError::Internal("a node told no fingerprint");
                let hash = u128::from_str_radix(&fingerprint, 16).map_err(malformed)?;
                Ok((Fingerprint::of_content(hash), Version::new(bytes, tag)))
            }
            _ => Err(NodeError::Internal("a node answered another question")),
        }
    }

    /// The content of a file here, and its version.
    pub(crate) async fn own_content(&self, location: &Location) -> Result<(Fingerprint, Version), NodeError> {
        check_is_shard(location)?;
        let file = self.stores.local(location, None).await?;
        Ok((self.content_of(&file).await?, file.version))
    }
}

fn differs(location: &Location, told: Vec<String>) -> NodeError {
    NodeError::Refused(format!(
        "shard file {} differs between nodes ({}): make them the same, or give them different names",
        location.shown(),
        told.join(", ")
    ))
}

/// Whether there is nothing to list.
fn is_empty(error: &LocationError) -> bool {
    matches!(
        error,
        LocationError::NotFound { .. } | LocationError::NotADirectory { .. } | LocationError::Empty { .. }
    )
}

fn add(names: &mut BTreeMap<String, Holders>, node: NodeId, entries: Vec<Entry>) {
    for Entry { name, version } in entries {
        names.entry(name).or_default().push((node, version));
    }
}
