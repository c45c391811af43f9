//! Reading new shard files whole, for a sync: several at a time on each node that has them. What a node cannot read for
//! another one is read here, from a copy, so that there is one place where it fails, and one sentence.

use crate::datasets::file_finder::{WantedFile, check_is_shard};
use crate::datasets::listings::Found;
use crate::datasets::peer_calls::decode_request;
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::sync::{Identity, shard_file};
use crate::datasets::tasks::Progress;
use crate::error::NodeError;
use crate::peers::method;
use bytes::{Buf, BufMut, Bytes};
use lavandin_feed::format::{ColumnSpec, Format};
use lavandin_feed::inspect::{self, InspectOptions, Inspection};
use lavandin_feed::location::{Fingerprint, Location, Scheme, Version};
use lavandin_feed::manifest::Manifest;
use lavandin_feed::statistics::StatisticsKind;
use lavandin_peer::{MESSAGE_BYTES_MAX, PeerStatus};
use lavandin_types::{ErrorCode, NodeId, ShardsetId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long another node may take to read a file whole.
const INSPECT_MAX: Duration = Duration::from_secs(300);
/// Nodes that help, and files that each is asked for at once.
const HELPERS_MAX: usize = 16;
const ASKED_MAX: usize = 8;
/// How long a node that has no room is left alone.
const BUSY_REST: Duration = Duration::from_millis(200);
/// Files here that are looked through for one that another node has too.
const LOOKED_AT_MAX: usize = 64;

/// A file that was read whole.
pub(crate) struct Inspected {
    pub(crate) inspection: Inspection,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) version: Version,
}

/// Files that were read whole, by their places in the listing.
pub(crate) type InspectedFiles = Vec<(usize, Inspected)>;

/// A file that another node is asked to read.
#[derive(Serialize, Deserialize)]
pub(crate) struct InspectForm {
    shardset: String,
    location: String,
    uid_column: Option<String>,
    /// Names and types.
    declared: Vec<(String, String)>,
    earlier: Vec<(String, String)>,
    kinds: Vec<(String, KindForm)>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindForm {
    Categorical,
    Numeric,
}

impl InspectForm {
    fn new(shardset: ShardsetId, location: &Location, options: &InspectOptions<'_>) -> Self {
        let told = |columns: &[ColumnSpec]| {
            columns.iter().map(|column| (column.name.clone(), column.type_text.clone())).collect()
        };
        let kind = |(name, kind): &(String, StatisticsKind)| {
            let kind = match kind {
                StatisticsKind::Categorical => KindForm::Categorical,
                StatisticsKind::Numeric => KindForm::Numeric,
            };
            (name.clone(), kind)
        };
        Self {
            shardset: shardset.to_string(),
            location: location.as_str().to_owned(),
            uid_column: options.uid_column.map(str::to_owned),
            declared: told(options.declared),
            earlier: told(options.earlier),
            kinds: options.kinds.iter().map(kind).collect(),
        }
    }
}

fn columns_of(told: Vec<(String, String)>) -> Vec<ColumnSpec> {
    told.into_iter().map(|(name, type_text)| ColumnSpec { name, type_text }).collect()
}

/// ```text
/// answer = manifest of the one file, its uid index, its member index; each: u8 whether it is there, u64 bytes, the bytes
/// ```
impl Inspected {
    fn encode(self, shardset: ShardsetId, found: &Found) -> Result<Bytes, NodeError> {
        let Self { mut inspection, fingerprint, version } = self;
        let indexes = [inspection.uid_index.take(), inspection.member_index.take()];
        let columns = inspection.columns.clone();
        let names = [String::new(), String::new()];
        let file = shard_file((0, found), Self { inspection, fingerprint, version }, &columns, &names)?;
        let manifest = Manifest::new(shardset, 1, columns, vec![file]).encode();
        let mut out =
            Vec::with_capacity(manifest.len() + indexes.iter().flatten().map(Vec::len).sum::<usize>());
        for part in [Some(manifest)].iter().chain(&indexes) {
            out.put_u8(u8::from(part.is_some()));
            out.put_u64_le(part.as_ref().map_or(0, |part| part.len() as u64));
            out.extend_from_slice(part.as_deref().unwrap_or_default());
        }
        if out.len() > MESSAGE_BYTES_MAX {
            let text = format!(
                "{} has an index of {} bytes, too many for an answer",
                found.location.shown(),
                out.len()
            );
            return Err(NodeError::Refused(text));
        }
        Ok(out.into())
    }

    /// `None` on bytes that are none.
    fn decode(mut bytes: Bytes) -> Option<Self> {
        let manifest = Manifest::decode(&part(&mut bytes)??).ok()?;
        let (uid_index, member_index) = (part(&mut bytes)?, part(&mut bytes)?);
        let [file] = <[_; 1]>::try_from(manifest.files).ok()?;
        let identity = Identity::parse(&file)?;
        let names = manifest.columns.iter().map(|column| column.name.clone());
        let statistics = names.zip(file.statistics).filter_map(|(name, found)| Some((name, found?)));
        let inspection = Inspection {
            bytes: file.bytes,
            rows: file.rows,
            chunks: file.chunks.to_vec(),
            statistics: statistics.collect(),
            columns: manifest.columns,
            uid_index: uid_index.map(Vec::from),
            member_index: member_index.map(Vec::from),
        };
        let fingerprint = Fingerprint::of_content(identity.fingerprint);
        bytes.is_empty().then_some(Self { inspection, fingerprint, version: identity.version })
    }
}

/// The next part of an answer, if it is there.
fn part(bytes: &mut Bytes) -> Option<Option<Bytes>> {
    if bytes.len() < 9 {
        return None;
    }
    let (is_there, length) = (bytes.get_u8() == 1, usize::try_from(bytes.get_u64_le()).ok()?);
    if length > bytes.len() {
        return None;
    }
    let part = bytes.split_to(length);
    Some(is_there.then_some(part))
}

/// What a sync reads.
pub(crate) struct Reading<'a> {
    pub(crate) shardset: ShardsetId,
    pub(crate) found: &'a [Found],
    pub(crate) options: &'a InspectOptions<'a>,
    pub(crate) progress: &'a Progress,
}

/// Files to be read, by who has them: none for this node and for stores.
struct Waiting(BTreeMap<Option<NodeId>, VecDeque<usize>>);

impl Waiting {
    fn new(found: &[Found], files: &[usize]) -> Self {
        let mut waiting: BTreeMap<_, VecDeque<usize>> = BTreeMap::new();
        for at in files {
            waiting.entry(found[*at].holder).or_default().push_back(*at);
        }
        Self(waiting)
    }

    /// The next one for this node: what is not here has to be copied, so that comes last, from whoever has most to do.
    fn for_here(&mut self) -> Option<usize> {
        let here = self.0.get_mut(&None).and_then(VecDeque::pop_front);
        here.or_else(|| self.0.values_mut().max_by_key(|of_node| of_node.len())?.pop_back())
    }

    /// The next one for another node.
    fn for_node(&mut self, node: NodeId, found: &[Found]) -> Option<usize> {
        let own = self.0.get_mut(&Some(node)).and_then(VecDeque::pop_front);
        own.or_else(|| {
            let here = self.0.get_mut(&None)?;
            let at = here.iter().take(LOOKED_AT_MAX).position(|at| found[*at].is_on(node))?;
            here.remove(at)
        })
    }

    fn put_back(&mut self, at: usize, holder: Option<NodeId>) {
        self.0.entry(holder).or_default().push_front(at);
    }
}

/// What the threads of a sync share.
struct Shared {
    waiting: Mutex<Waiting>,
    made: Mutex<InspectedFiles>,
    failure: Mutex<Option<NodeError>>,
}

impl Shared {
    /// The next file; `None` once there is none, or something failed.
    fn take(&self, next: impl Fn(&mut Waiting) -> Option<usize>) -> Option<usize> {
        if lock(&self.failure).is_some() {
            return None;
        }
        next(&mut lock(&self.waiting))
    }

    fn fail(&self, error: NodeError) {
        lock(&self.failure).get_or_insert(error);
    }
}

impl DatasetRuntime {
    /// Reads a file whole. Blocks.
    pub(crate) fn inspect(
        &self,
        found: &Found,
        options: &InspectOptions<'_>,
    ) -> Result<Inspected, NodeError> {
        self.handle.block_on(self.check_same(found))?;
        let (local, fingerprint, version) = match found.holder {
            Some(node) => {
                let (content, version) = self.handle.block_on(self.content_on(&found.location, node))?;
                let wanted = WantedFile {
                    location: found.location.clone(),
                    version: version.clone(),
                    fingerprint: content.get(),
                };
                (self.handle.block_on(self.copy_from(&wanted, node))?, content, version)
            }
            None => {
                let known = Some(&found.version).filter(|version| version.size.is_some());
                let known = known.filter(|_| found.location.scheme() != Scheme::File);
                let local = self.handle.block_on(self.stores.local(&found.location, known))?;
                let (fingerprint, version) = (local.fingerprint()?, local.version.clone());
                (local, fingerprint, version)
            }
        };
        let inspection = inspect::inspect(&local.path, found.format, options)?;
        Ok(Inspected { inspection, fingerprint, version })
    }

    /// Reads files on all nodes that have them; the first failure ends it. Blocks.
    pub(crate) fn inspect_all(
        &self,
        reading: &Reading<'_>,
        files: &[usize],
    ) -> Result<InspectedFiles, NodeError> {
        let waiting = Mutex::new(Waiting::new(reading.found, files));
        let shared = Shared { waiting, made: Mutex::default(), failure: Mutex::default() };
        let threads = self.threads.max(1).min(files.len());
        let helpers = self.peers.others(&[]);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.read_here(reading, &shared));
            }
            let is_worth_it =
                files.len() > threads || files.iter().any(|at| reading.found[*at].holder.is_some());
            for node in helpers.into_iter().take(if is_worth_it { HELPERS_MAX } else { 0 }) {
                for _ in 0..threads.min(ASKED_MAX) {
                    let shared = &shared;
                    scope.spawn(move || self.have_read(node, reading, shared));
                }
            }
        });
        // What a node gave back after all threads of this one had ended.
        self.read_here(reading, &shared);
        if let Some(error) = shared.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut made = shared.made.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.sort_by_key(|(at, _)| *at);
        Ok(made)
    }

    fn read_here(&self, reading: &Reading<'_>, shared: &Shared) {
        while let Some(at) = shared.take(Waiting::for_here) {
            if reading.progress.is_cancelled() {
                return shared.fail(NodeError::Refused("the sync was aborted".to_owned()));
            }
            match self.inspect(&reading.found[at], reading.options) {
                Ok(inspected) => lock(&shared.made).push((at, inspected)),
                Err(error) => return shared.fail(error),
            }
            reading.progress.advance();
        }
    }

    /// Has another node read what it has; ends when there is nothing more, or when it cannot.
    fn have_read(&self, node: NodeId, reading: &Reading<'_>, shared: &Shared) {
        while let Some(at) = shared.take(|waiting| waiting.for_node(node, reading.found)) {
            let put_back = || lock(&shared.waiting).put_back(at, reading.found[at].holder);
            if reading.progress.is_cancelled() {
                return put_back();
            }
            match self.inspect_on(node, reading, &reading.found[at]) {
                Ok(inspected) => {
                    lock(&shared.made).push((at, inspected));
                    reading.progress.advance();
                }
                Err(error) => {
                    put_back();
                    if error.code() != ErrorCode::Overloaded {
                        tracing::debug!(%node, %error, "a shard file is read here instead");
                        return;
                    }
                    std::thread::sleep(BUSY_REST);
                }
            }
        }
    }

    fn inspect_on(&self, node: NodeId, reading: &Reading<'_>, found: &Found) -> Result<Inspected, NodeError> {
        self.handle.block_on(self.check_same(found))?;
        let form = InspectForm::new(reading.shardset, &found.location, reading.options);
        let payload = serde_json::to_vec(&form)
            .map_err(|_| NodeError::Internal("a call to another node cannot be written down"))?;
        let asked = self.peers.call(node, method::INSPECT, payload.into(), INSPECT_MAX);
        let told = Inspected::decode(self.handle.block_on(asked)?);
        let inspected =
            told.ok_or_else(|| NodeError::Unavailable(format!("node {node} told nothing of a shard file")))?;
        let is_as_listed = found.version_on(node).is_none_or(|listed| *listed == inspected.version);
        if found.location.scheme() == Scheme::File && !is_as_listed {
            let text =
                format!("shard file {} was changed on node {node} while it was read", found.location.shown());
            return Err(NodeError::Unavailable(text));
        }
        // It is the same file, and this node's own times are those that its next listing shows.
        let is_here = found.holder.is_none() && found.location.scheme() == Scheme::File;
        let version = if is_here { found.version.clone() } else { inspected.version };
        Ok(Inspected { version, ..inspected })
    }

    /// Reads a file that this node has for another one. Refuses while it reads as many as it has threads.
    pub(crate) async fn inspect_for(self: &Arc<Self>, payload: &[u8]) -> Result<Bytes, PeerStatus> {
        let form: InspectForm = decode_request(payload)?;
        let runtime = Arc::clone(self);
        let permit = Arc::clone(&self.inspections).try_acquire_owned();
        let permit = permit.map_err(|_| crate::datasets::runtime::status(NodeError::Overloaded))?;
        let read = tokio::task::spawn_blocking(move || {
            let inspected = runtime.inspect_form(form);
            drop(permit);
            inspected
        });
        let read = read.await.unwrap_or(Err(NodeError::Internal("reading a shard file panicked")));
        read.map_err(crate::datasets::runtime::status)
    }

    fn inspect_form(&self, form: InspectForm) -> Result<Bytes, NodeError> {
        let location = Location::parse(&form.location)?;
        if location.scheme() == Scheme::File {
            check_is_shard(&location)?;
        }
        let malformed = |text: &str| NodeError::Invalid(text.to_owned());
        let format =
            Format::of_name(&location.name()).ok_or_else(|| malformed("what was sent is no shard file"))?;
        let shardset = form.shardset.parse().map_err(|_| malformed("what was sent names no shardset"))?;
        let kind = |(name, kind)| {
            let kind = match kind {
                KindForm::Categorical => StatisticsKind::Categorical,
                KindForm::Numeric => StatisticsKind::Numeric,
            };
            (name, kind)
        };
        let (declared, earlier) = (columns_of(form.declared), columns_of(form.earlier));
        let kinds: Vec<_> = form.kinds.into_iter().map(kind).collect();
        let options = InspectOptions {
            declared: &declared,
            earlier: &earlier,
            uid_column: form.uid_column.as_deref(),
            kinds: &kinds,
        };
        let found = Found::here(location, format);
        self.inspect(&found, &options)?.encode(shardset, &found)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lavandin_feed::format::Chunk;

    #[test]
    fn an_answer_says_what_was_found() {
        let location = Location::parse("file:///data/shard.00000.csv").unwrap();
        let found = Found::here(location, Format::Csv);
        for index in [None, Some(vec![1, 2, 3])] {
            let columns = vec![ColumnSpec::new("id", "int64"), ColumnSpec::new("text", "string")];
            let inspection = Inspection {
                bytes: 30,
                rows: 3,
                chunks: vec![Chunk { rows: 3, place: 7, span: 23 }],
                columns: columns.clone(),
                statistics: Vec::new(),
                uid_index: Some(vec![9; 40]),
                member_index: index.clone(),
            };
            let (fingerprint, version) =
                (Fingerprint::of_content(42), Version::new(30, Some("t".to_owned())));
            let shardset = ShardsetId::new(5, [1; 20]);
            let told = Inspected { inspection, fingerprint, version: version.clone() };
            let bytes = told.encode(shardset, &found).unwrap();
            let heard = Inspected::decode(bytes.clone()).unwrap();
            assert_eq!((heard.inspection.bytes, heard.inspection.rows, heard.version), (30, 3, version));
            assert_eq!((heard.inspection.columns, heard.inspection.chunks.len()), (columns, 1));
            assert_eq!(
                (heard.inspection.uid_index, heard.inspection.member_index),
                (Some(vec![9; 40]), index)
            );
            assert_eq!(heard.fingerprint.get(), 42);
            for end in 0..bytes.len() {
                assert!(Inspected::decode(bytes.slice(..end)).is_none(), "{end}");
            }
        }
    }
}
