//! Applying the commands of preprocessing jobs.

use super::Catalogue;
use super::apply::{check_count, check_length};
use crate::error::CatalogueError;
use crate::job::{JobFailure, JobInfo};
use crate::limit;
use crate::reply::Reply;
use lavandin_types::DatasetId;
use std::sync::Arc;

impl Catalogue {
    pub(super) fn begin_job(&mut self, new: JobInfo) -> Result<Reply, CatalogueError> {
        self.dataset(new.dataset)?;
        if let Some(present) = self.jobs.get(&new.name)
            && (present.is_running() || present.run == new.run)
        {
            return Ok(Reply::Job { info: Arc::clone(present) });
        }
        check_length("job name", new.name.len(), limit::JOB_NAME_BYTES_MAX)?;
        check_length("job", new.request.len(), limit::JOB_REQUEST_BYTES_MAX)?;
        check_count("shardsets of a job", new.sources.len(), limit::SHARDSETS_PER_DATASET_MAX + 1)?;
        let info = JobInfo { failure: None, ..new };
        let replaced = match self.jobs.contains_key(&info.name) {
            true => Some(info.name.clone()),
            false => self.room_for_job()?,
        };
        let freed = replaced.as_ref().and_then(|name| self.jobs.get(name)).map_or(0, |job| job.weight());
        self.check_room(info.weight(), freed)?;
        if let Some(name) = replaced {
            self.remove_job(&name);
        }
        self.bytes += info.weight();
        let info = Arc::new(info);
        self.jobs.insert(info.name.clone(), Arc::clone(&info));
        Ok(Reply::Job { info })
    }

    pub(super) fn end_job(&mut self, name: &str, run: u64, failure: Option<JobFailure>) -> Reply {
        let Some(job) = self.jobs.get(name).filter(|job| job.run == run && job.is_running()) else {
            return Reply::Done;
        };
        let mut info = JobInfo::clone(job);
        self.remove_job(name);
        if let Some(JobFailure { is_aborted, reason }) = failure {
            let reason = shortened(reason, limit::JOB_REASON_BYTES_MAX);
            info.request = String::new();
            info.failure = Some(JobFailure { is_aborted, reason });
            self.bytes += info.weight();
            self.jobs.insert(info.name.clone(), Arc::new(info));
        }
        Reply::Done
    }

    /// Jobs of a dataset that is gone.
    pub(super) fn remove_jobs_of(&mut self, dataset: DatasetId) {
        let names: Vec<_> = self.jobs.values().filter(|job| job.dataset == dataset).collect();
        let names: Vec<_> = names.into_iter().map(|job| job.name.clone()).collect();
        names.iter().for_each(|name| self.remove_job(name));
    }

    /// The failed job that goes for another one, where there are as many as there may be.
    fn room_for_job(&self) -> Result<Option<String>, CatalogueError> {
        if self.jobs.len() < limit::JOBS_MAX {
            return Ok(None);
        }
        let failed = self.jobs.values().filter(|job| !job.is_running());
        let oldest = failed.min_by_key(|job| job.created_at_s).map(|job| job.name.clone());
        match oldest {
            Some(name) => Ok(Some(name)),
            None => Err(CatalogueError::LimitReached {
                what: "preprocessing jobs".to_owned(),
                max: limit::JOBS_MAX as u64,
            }),
        }
    }

    fn remove_job(&mut self, name: &str) {
        if let Some(job) = self.jobs.remove(name) {
            self.bytes -= job.weight();
        }
    }
}

fn shortened(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests;
