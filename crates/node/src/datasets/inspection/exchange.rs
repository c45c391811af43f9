//! How one node asks another to read a shard file, and what that one answers.

use super::Inspected;
use crate::datasets::listings::Found;
use crate::datasets::sync::{Identity, shard_file};
use crate::error::NodeError;
use bytes::{Buf, BufMut, Bytes};
use lavandin_feed::format::ColumnSpec;
use lavandin_feed::inspect::{InspectOptions, Inspection};
use lavandin_feed::location::{Fingerprint, Location};
use lavandin_feed::manifest::Manifest;
use lavandin_feed::statistics::StatisticsKind;
use lavandin_peer::MESSAGE_BYTES_MAX;
use lavandin_types::ShardsetId;
use serde::{Deserialize, Serialize};

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
    pub(super) fn new(shardset: ShardsetId, location: &Location, options: &InspectOptions<'_>) -> Self {
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

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// `None` if it names none.
    pub(super) fn shardset(&self) -> Option<ShardsetId> {
        self.shardset.parse().ok()
    }

    /// Has a file read as it says.
    pub(super) fn with_options<T>(self, read: impl FnOnce(&InspectOptions<'_>) -> T) -> T {
        let kind = |(name, kind)| {
            let kind = match kind {
                KindForm::Categorical => StatisticsKind::Categorical,
                KindForm::Numeric => StatisticsKind::Numeric,
            };
            (name, kind)
        };
        let (declared, earlier) = (columns_of(self.declared), columns_of(self.earlier));
        let kinds: Vec<_> = self.kinds.into_iter().map(kind).collect();
        let uid_column = self.uid_column.as_deref();
        read(&InspectOptions { declared: &declared, earlier: &earlier, uid_column, kinds: &kinds })
    }
}

fn columns_of(told: Vec<(String, String)>) -> Vec<ColumnSpec> {
    told.into_iter().map(|(name, type_text)| ColumnSpec { name, type_text }).collect()
}

/// ```text
/// answer = manifest of the one file, its uid index, its member index; each: u8 whether it is there, u64 bytes, the bytes
/// ```
impl Inspected {
    pub(super) fn encode(self, shardset: ShardsetId, found: &Found) -> Result<Bytes, NodeError> {
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
    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use lavandin_feed::format::{Chunk, Format};
    use lavandin_feed::location::Version;

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
