//! What a rank of a training job gets at the copy that leads: as a session of a real node does it, in one go and from what the
//! copy shows at that moment.

use super::trainers::{BATCH, Batch, TrainerAnswer};
use crate::group_state::{Asked, Refused};
use crate::host::Slot;
use lavandin_group::{GroupError, StageError, Staged};
use lavandin_plan::iterations::{
    Grant, IterationsReader, Outline, Owner, Places, Rejection, Request, Sample, Step, Walk,
};
use lavandin_types::{IterationId, RequestId, SequenceNumber};

/// What a wish comes to at a host.
pub(super) enum CameTo {
    Answer(TrainerAnswer),
    /// The answer, once a record is committed.
    Waits(SequenceNumber, TrainerAnswer),
    Wrong(String),
}

/// What of an iteration is not as it was acknowledged.
pub(super) fn lost(reader: &IterationsReader, iteration: IterationId, done: &[u64]) -> Option<String> {
    let Some(progress) = reader.progress(iteration) else { return Some(format!("{iteration} is lost")) };
    let open = reader.completable(iteration, done).unwrap_or_default();
    let settled = progress.completed + progress.filtered + progress.failed;
    if settled + progress.in_progress != progress.current || progress.current > progress.total {
        return Some(format!("the numbers of {iteration} do not add up: {progress:?}"));
    }
    let is_short = progress.completed < done.len() as u64 || !open.is_empty();
    is_short.then(|| format!("of {done:?} that were acknowledged as done {open:?} are open: {progress:?}"))
}

/// A rank at the copy that leads.
pub(super) struct Visit<'a> {
    pub slot: &'a mut Slot,
    pub now: u64,
    pub rank: u32,
    pub owner: Owner,
    pub iteration: IterationId,
}

impl Visit<'_> {
    fn reader(&self) -> IterationsReader {
        self.slot.replica.copy().consumer().iterations.reader()
    }

    /// A refusal where the log takes nothing is `None`.
    fn stage(&mut self, request: Request) -> Result<Result<SequenceNumber, Option<Rejection>>, GroupError> {
        match self.slot.replica.stage(RequestId::NONE, Asked::Iterations(request), self.now) {
            Ok(Staged::Pending(sequence)) => {
                self.slot.staged_for.insert(self.rank, sequence);
                Ok(Ok(sequence))
            }
            Ok(Staged::Rejected(Refused::Iterations(rejection))) => Ok(Err(Some(rejection))),
            Err(StageError::Group(error @ (GroupError::Poisoned { .. } | GroupError::Storage(_)))) => {
                Err(error)
            }
            _ => Ok(Err(None)),
        }
    }

    /// Whether nothing that was staged here for the rank is still to be applied.
    fn is_quiet(&self) -> bool {
        let staged = self.slot.staged_for.get(&self.rank);
        staged.is_none_or(|staged| *staged <= self.slot.replica.copy().applied().sequence)
    }

    pub(super) fn begin(&mut self, create: Request) -> Result<CameTo, GroupError> {
        if self.reader().outline(self.iteration).is_ok() {
            return Ok(CameTo::Answer(TrainerAnswer::Begun));
        }
        let staged = self.stage(create)?;
        Ok(staged.map_or(CameTo::Answer(TrainerAnswer::Again), |sequence| {
            CameTo::Waits(sequence, TrainerAnswer::Begun)
        }))
    }

    pub(super) fn complete(&mut self, indices: Vec<u64>) -> Result<CameTo, GroupError> {
        let iteration = self.iteration;
        let staged = self.stage(Request::Complete { iteration, indices: indices.clone() })?;
        Ok(staged.map_or(CameTo::Answer(TrainerAnswer::Again), |sequence| {
            CameTo::Waits(sequence, TrainerAnswer::Completed(indices))
        }))
    }

    pub(super) fn next(&mut self, delivered: Option<u64>, done: &[u64]) -> Result<CameTo, GroupError> {
        let (iteration, rank, reader) = (self.iteration, self.rank, self.reader());
        if let Some(what) = lost(&reader, iteration, done) {
            return Ok(CameTo::Wrong(what));
        }
        let (Ok(outline), Ok(status)) = (reader.outline(iteration), reader.rank(iteration, rank)) else {
            return Ok(CameTo::Wrong("the rank is not known".to_owned()));
        };
        let again = Ok(CameTo::Answer(TrainerAnswer::Again));
        let (arrived, stale): (Vec<_>, Vec<_>) =
            status.open.iter().copied().partition(|(number, _)| Some(*number) == delivered);
        if !stale.is_empty() {
            // What is on the way may be among it.
            if self.is_quiet() {
                for (number, owner) in stale.into_iter().rev() {
                    let refused =
                        self.stage(Request::Return { iteration, rank, number, owner })?.err().flatten();
                    if let Some(rejection) = refused {
                        return Ok(CameTo::Wrong(format!("{number} cannot be returned: {rejection}")));
                    }
                }
            }
            return again;
        }
        let mut walk = match Walk::new(outline.clone(), rank, &status) {
            Ok(walk) => walk,
            Err(rejection) => return Ok(CameTo::Wrong(rejection.to_string())),
        };
        let (samples, end) = gather(&mut walk, &outline, &reader);
        let delivered: Vec<_> = arrived.iter().map(|(number, _)| (rank, *number)).collect();
        if !samples.is_empty() {
            return self.grant((&walk, &outline), &samples, delivered);
        }
        match end {
            // Another rank may have been faster, and what is staged for this one may be that.
            Step::TakeBlock { group, block } => {
                drop(self.stage(Request::TakeBlock { iteration, group, block })?)
            }
            Step::End if !arrived.is_empty() => {
                drop(self.stage(Request::Delivered { iteration, grants: delivered })?);
            }
            Step::End if self.is_quiet() => return Ok(CameTo::Answer(TrainerAnswer::End)),
            _ => {}
        }
        again
    }

    fn grant(
        &mut self,
        (walk, outline): (&Walk, &Outline),
        samples: &[Sample],
        delivered: Vec<(u32, u64)>,
    ) -> Result<CameTo, GroupError> {
        let (number, rank, was_quiet) = (walk.number(), self.rank, self.is_quiet());
        let step = outline.step_at(samples[0].place);
        if step.is_some_and(|step| outline.samples_at(rank, step).as_deref() != Some(samples)) {
            return Ok(CameTo::Wrong(format!("step {step:?} comes in part: {samples:?}")));
        }
        let places: Places = samples.iter().map(|sample| sample.place).collect();
        let staged = self.stage(Request::Grant(Box::new(Grant {
            iteration: self.iteration,
            rank,
            number,
            generation: walk.generation(),
            samples: places,
            filtered: Places::new(),
            failed: Places::new(),
            delivered,
            now_ms: self.now,
            owner: self.owner,
        })))?;
        let indices = samples.iter().map(|sample| sample.index).collect();
        Ok(match staged {
            Ok(sequence) => CameTo::Waits(sequence, TrainerAnswer::Batch(Batch { number, indices, step })),
            Err(Some(rejection)) if was_quiet => CameTo::Wrong(format!(
                "nothing of the rank is on the way, and {number} is refused: {rejection}"
            )),
            Err(_) => CameTo::Answer(TrainerAnswer::Again),
        })
    }
}

/// The samples of the next batch as far as the walk goes, and where it ended.
fn gather(walk: &mut Walk, outline: &Outline, reader: &IterationsReader) -> (Vec<Sample>, Step) {
    let mut samples: Vec<Sample> = Vec::new();
    loop {
        let step = walk.step(|look| reader.look(look)).unwrap_or(Step::Stale);
        let Step::Sample(sample) = step else { return (samples, step) };
        let is_next = |first: &Sample| outline.step_at(first.place) != outline.step_at(sample.place);
        if samples.len() == BATCH || samples.first().is_some_and(is_next) {
            return (samples, step);
        }
        samples.push(sample);
    }
}
