//! The rows of samples: from the chunks of shard files, joined by uid, filtered and sorted into categories.

use crate::datasets::plan_cache::{IterationPlan, PlanFile, PlanShardset};
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::user_code::Verdict;
use crate::error::NodeError;
use arrow::array::RecordBatch;
use lavandin_feed::cache::ChunkKey;
use lavandin_feed::rows::{Chunks, PartRows, Place};
use lavandin_feed::uid_index::UidColumn;
use lavandin_plan::iterations::Sample;
use std::sync::Arc;

/// Why a chunk of a file could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FileError(pub(crate) String);

/// What became of samples on their way to a batch.
pub(crate) struct Selected {
    /// The rows that are kept.
    pub(crate) rows: RecordBatch,
    /// One a sample.
    pub(crate) fates: Vec<Fate>,
}

pub(crate) enum Fate {
    Kept { row: u32, category: Option<Arc<str>> },
    Filtered,
    Failed(String),
}

impl IterationPlan {
    /// Reads, joins, filters and sorts samples.
    pub(crate) fn select(
        &self,
        runtime: &DatasetRuntime,
        samples: &[Sample],
        retries: u32,
    ) -> Result<Selected, NodeError> {
        let mut fates: Vec<Option<Fate>> = Vec::new();
        fates.resize_with(samples.len(), || None);
        let (rows, of_row) = self.read(runtime, samples, &mut fates)?;
        let verdicts = self.judge(runtime, &rows, retries);
        for ((row, sample), verdict) in of_row.into_iter().enumerate().zip(verdicts) {
            fates[sample] = Some(match verdict {
                Verdict::Passed(category) => Fate::Kept { row: row as u32, category },
                Verdict::Filtered => Fate::Filtered,
                Verdict::Failed(message) => Fate::Failed(message),
            });
        }
        let fates = fates.into_iter().map(|fate| fate.unwrap_or(Fate::Filtered)).collect();
        Ok(Selected { rows, fates })
    }

    /// The joined rows of samples that all have some.
    pub(crate) fn rows(
        &self,
        runtime: &DatasetRuntime,
        samples: &[Sample],
    ) -> Result<RecordBatch, NodeError> {
        let mut fates: Vec<Option<Fate>> = Vec::new();
        fates.resize_with(samples.len(), || None);
        let (rows, of_row) = self.read(runtime, samples, &mut fates)?;
        match of_row.len() == samples.len() {
            true => Ok(rows),
            false => Err(NodeError::Unavailable("some of these samples cannot be read here".to_owned())),
        }
    }

    /// The joined rows of the samples that have some, and which sample each is of.
    fn read(
        &self,
        runtime: &DatasetRuntime,
        samples: &[Sample],
        fates: &mut [Option<Fate>],
    ) -> Result<(RecordBatch, Vec<usize>), NodeError> {
        let places: Vec<Option<Place>> = samples.iter().map(|sample| self.place(sample.index)).collect();
        let main = self.main();
        let chunks = self.chunks(runtime, main, places.iter().flatten().copied());
        let mut of_row = Vec::with_capacity(samples.len());
        for (sample, place) in places.iter().enumerate() {
            match place {
                None => fates[sample] = Some(Fate::Failed("it is in no file of the manifest".to_owned())),
                Some(place) => match chunks.failure(*place) {
                    Some(error) => fates[sample] = Some(Fate::Failed(error.to_string())),
                    None => of_row.push(sample),
                },
            }
        }
        let mut parts: Vec<(Vec<Option<Place>>, Chunks<FileError>)> = Vec::new();
        for joined in self.joined() {
            let found = self.join(runtime, joined, (&places, &chunks), &of_row, fates)?;
            of_row.retain(|sample| fates[*sample].is_none());
            parts.push(found);
        }
        let pick = |all: &[Option<Place>]| of_row.iter().map(|sample| all[*sample]).collect::<Vec<_>>();
        let main_places = pick(&places);
        let joined_places: Vec<_> = parts.iter().map(|(places, _)| pick(places)).collect();
        let mut rows = vec![PartRows { places: &main_places, chunks: &chunks }];
        for ((_, chunks), places) in parts.iter().zip(&joined_places) {
            rows.push(PartRows { places, chunks });
        }
        Ok((self.columns().gather(&rows)?, of_row))
    }

    /// The rows of a feature shardset for samples, by uid within the same shard index. A sample without one is filtered
    /// out, unless the shardset has no file of that index: then its columns are null.
    fn join(
        &self,
        runtime: &DatasetRuntime,
        joined: &PlanShardset,
        (places, main): (&[Option<Place>], &Chunks<FileError>),
        samples: &[usize],
        fates: &mut [Option<Fate>],
    ) -> Result<(Vec<Option<Place>>, Chunks<FileError>), NodeError> {
        let mut wanted: Vec<(usize, Vec<Place>, String)> = Vec::new();
        let mut found = vec![None; places.len()];
        for &sample in samples {
            let Some(place) = places[sample] else { continue };
            let Some(file) = joined.files.get(place.file as usize) else { continue };
            let Some(uid) = self.uid_at(main, place)? else {
                fates[sample] = Some(Fate::Failed("it has no uid".to_owned()));
                continue;
            };
            match file.uids(runtime) {
                Err(error) => fates[sample] = Some(Fate::Failed(error)),
                Ok(uids) => {
                    let candidates = uids.rows(&uid);
                    let candidates = candidates.filter_map(|row| file.place(place.file, row)).collect();
                    wanted.push((sample, candidates, uid));
                }
            }
        }
        let all = wanted.iter().flat_map(|(_, candidates, _)| candidates.iter().copied());
        let chunks = self.chunks(runtime, joined, all);
        for (sample, candidates, uid) in wanted {
            let mut failure = None;
            for place in candidates {
                if let Some(error) = chunks.failure(place) {
                    failure = Some(error.to_string());
                    continue;
                }
                if self.uid_at(&chunks, place)?.as_ref() == Some(&uid) {
                    found[sample] = Some(place);
                    failure = None;
                    break;
                }
            }
            if let Some(message) = failure {
                fates[sample] = Some(Fate::Failed(message));
            } else if found[sample].is_none() {
                fates[sample] = Some(Fate::Filtered);
            }
        }
        Ok((found, chunks))
    }

    /// The uid of a row, as the text that joins compare.
    fn uid_at(&self, chunks: &Chunks<FileError>, place: Place) -> Result<Option<String>, NodeError> {
        let column = chunks.batch(place)?.column_by_name(self.uid_column());
        let Some(uids) = column.and_then(UidColumn::new) else { return Ok(None) };
        let mut text = String::new();
        Ok(uids.write(place.row as usize, &mut text).then_some(text))
    }

    fn chunks(
        &self,
        runtime: &DatasetRuntime,
        shardset: &PlanShardset,
        places: impl IntoIterator<Item = Place>,
    ) -> Chunks<FileError> {
        Chunks::read(places, |file, chunk| match shardset.files.get(file as usize) {
            Some(file) => read_chunk(runtime, file, chunk, shardset.columns_hash),
            None => Err(FileError("it is in no file of the manifest".to_owned())),
        })
    }
}

fn read_chunk(
    runtime: &DatasetRuntime,
    file: &PlanFile,
    chunk: u32,
    columns: u64,
) -> Result<Arc<RecordBatch>, FileError> {
    let key = ChunkKey { file: file.fingerprint(), chunk, columns };
    runtime.chunks.get_or_read(key, || {
        let local = file.local(runtime)?;
        let reader = file.reader(&local)?;
        reader.read_chunk(chunk as usize).map_err(|error| FileError(error.to_string()))
    })
}
