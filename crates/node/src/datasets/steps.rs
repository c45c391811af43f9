//! Static mode: shares that are fixed at an iteration's creation, steps that are asked for by number, and cursors.
//!
//! A rank's batches come in their planned order by themselves. A batch whose answer is in doubt (its node died, or its
//! connection broke) comes again, unless one of its samples was acknowledged: the client may have it already, and only the
//! client knows. One that names the step it wants need not care: it gets that step's batch as often as it asks, and asking for
//! a step says that all before it have arrived.

use crate::datasets::iterations::IterationRequest;
use crate::datasets::made::{self, Wishes};
use crate::datasets::maker::{Maker, Source};
use crate::datasets::next::{Batch, BatchFailure, Delivery, NextOptions, NextOutcome};
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_plan::iterations::{FixedShares, Found, Look, Outline, Place, Rejection, Taken};
use lavandin_plan::{Cursor, Ending, Order, PlanHash, ShardRows, Steps};
use lavandin_types::IterationId;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

/// How far a client may be ahead of what its rank was granted: as many answers may be in doubt.
const AHEAD_MAX: u64 = 64;
/// How often a step is looked for while others change the rank.
const ATTEMPTS_MAX: usize = 8;

/// How ranks share the samples where that is fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareOptions {
    #[serde(with = "EndingForm")]
    pub ending: Ending,
    /// Where to begin, as an earlier iteration told it.
    pub cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Ending", rename_all = "snake_case")]
enum EndingForm {
    Balanced,
    Pad,
    Drop,
}

/// Where an iteration stands after some steps, for whoever goes on there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepsInfo {
    pub cursor: Cursor,
    /// Steps of the iteration.
    pub steps: u64,
    /// Samples that fill up the last batches.
    pub repeated: u64,
    /// Samples that no rank gets.
    pub left_out: u64,
}

/// The shares that are asked for.
pub(crate) fn fixed_shares(
    request: &IterationRequest,
    order: Order,
    (rows, manifest): (&ShardRows, u128),
) -> Result<Option<FixedShares>, NodeError> {
    let options = &request.options;
    let Some(ShareOptions { ending, cursor }) = &options.shares else { return Ok(None) };
    let refused = |text: &str| NodeError::Refused(text.to_owned());
    if options.drop_last {
        return Err(refused("mode static ends as ending says: use ending \"drop\" instead of drop_last"));
    }
    let groups = options.replication_groups.as_ref().map(|groups| groups.len());
    let lanes = groups.and_then(|groups| u32::try_from(groups).ok()).or(request.world_size);
    let lanes = lanes.and_then(NonZeroU32::new);
    let lanes = lanes.ok_or_else(|| refused("mode static needs world_size, from 1, or replication_pg"))?;
    let first = match cursor {
        None => 0,
        Some(text) => {
            let cursor = parse_cursor(text)?;
            cursor
                .check(PlanHash::new(order, rows, manifest))
                .map_err(|error| refused(&error.to_string()))?;
            if cursor.epoch != order.epoch() {
                let text = format!("this cursor is of epoch {}, not {}", cursor.epoch, order.epoch());
                return Err(NodeError::Refused(text));
            }
            cursor.place
        }
    };
    Ok(Some(FixedShares { lanes, ending: *ending, first }))
}

pub fn parse_cursor(text: &str) -> Result<Cursor, NodeError> {
    text.parse().map_err(|error: lavandin_plan::CursorError| NodeError::Refused(error.to_string()))
}

/// The cursors of one iteration.
#[derive(Clone, Debug)]
pub(crate) struct Cursors {
    steps: Steps,
    /// Where it began.
    begin: Cursor,
}

impl Cursors {
    /// `None` of iterations whose batches are not their steps.
    pub(crate) fn of(outline: &Outline, shares: Option<&ShareOptions>) -> Option<Self> {
        let (steps, definition) = (outline.steps()?.clone(), &outline.definition);
        let manifest = definition.shardsets.first()?.manifest_hash;
        let before = shares.and_then(|shares| shares.cursor.as_deref()?.parse::<Cursor>().ok());
        let begin = Cursor {
            plan: PlanHash::new(definition.order, &outline.rows, manifest),
            epoch: definition.order.epoch(),
            step: before.map_or(0, |cursor| cursor.step),
            place: steps.place(0),
        };
        Some(Self { steps, begin })
    }

    /// Where to go on after so many steps.
    pub(crate) fn after(&self, steps: u64) -> Cursor {
        let done = steps.min(self.steps.count());
        let place = self.steps.place(done);
        Cursor { step: self.begin.step.saturating_add(done), place, ..self.begin }
    }
}

impl Node {
    /// Where an iteration of static mode stands after so many of its steps.
    pub async fn steps_info(
        &self,
        context: &CallContext,
        id: IterationId,
        done: u64,
    ) -> Result<StepsInfo, NodeError> {
        let outline = self.datasets.iterations.outline(context, id).await?;
        let options = self.datasets.options(&outline);
        let steps = outline.steps().filter(|_| !options.selects()).ok_or_else(not_stepped)?;
        let cursors = Cursors::of(&outline, options.shares.as_ref()).ok_or_else(not_stepped)?;
        if done > steps.count() {
            let text = format!("{done} steps are more than the {} of this iteration", steps.count());
            return Err(NodeError::Refused(text));
        }
        let (cursor, repeated, left_out) = (cursors.after(done), steps.repeated(), steps.left_out());
        Ok(StepsInfo { cursor, steps: steps.count(), repeated, left_out })
    }

    /// The rank's batch of a step: granted, or made again if it was.
    pub(crate) async fn batch_at(
        &self,
        context: &CallContext,
        (iteration, rank): (IterationId, u32),
        step: u64,
        options: NextOptions,
    ) -> Result<NextOutcome, NodeError> {
        let outline = match self.datasets.known_outline(iteration) {
            Some(outline) => outline,
            None => self.datasets.iterations.outline(context, iteration).await?,
        };
        let is_stepped = !self.datasets.options(&outline).selects();
        let count = outline.steps().filter(|_| is_stepped).ok_or_else(not_stepped)?.count();
        if step >= count {
            return Ok(NextOutcome::End);
        }
        // Of a step that was granted in part the whole is made again, whatever part comes first.
        let mut in_part = false;
        for _ in 0..ATTEMPTS_MAX {
            match self.standing(context, &outline, rank, step).await? {
                Standing::Taken => return self.batch_again(context, (outline, rank), step, options).await,
                Standing::Ahead(next) => {
                    let text = format!(
                        "step {step} is more than {AHEAD_MAX} steps ahead of rank {rank}, which is at {next}; begin a new \
                         iteration with the cursor of step {step}"
                    );
                    return Err(NodeError::Refused(text));
                }
                Standing::InPart => in_part = true,
                Standing::Open => {}
            }
            match self.next_up_to(context, (iteration, rank), step, options).await? {
                NextOutcome::Batch(batch) if batch.step == Some(step) && !in_part => {
                    return Ok(NextOutcome::Batch(batch));
                }
                NextOutcome::Batch(mut batch) if batch.step == Some(step) => batch.delivery.done(),
                NextOutcome::Failed(failure) if failure.step == Some(step) => in_part = true,
                failed @ NextOutcome::Failed(_) => return Ok(failed),
                // Another call was faster, or the step is empty; a batch that is not the one goes back.
                NextOutcome::Batch(_) | NextOutcome::End => {}
            }
        }
        // Others take of the rank all the while.
        Err(NodeError::Overloaded)
    }

    /// The rank's first batch or failure that is not of an earlier step: those before have arrived, as who asks says.
    async fn next_up_to(
        &self,
        context: &CallContext,
        (iteration, rank): (IterationId, u32),
        step: u64,
        options: NextOptions,
    ) -> Result<NextOutcome, NodeError> {
        loop {
            match self.next_in_order(context, iteration, rank, options).await? {
                NextOutcome::Batch(mut batch) if batch.step < Some(step) => batch.delivery.done(),
                NextOutcome::Failed(BatchFailure { step: of, .. }) if of < Some(step) => {}
                outcome => return Ok(outcome),
            }
        }
    }

    /// How a step stands with a rank.
    async fn standing(
        &self,
        context: &CallContext,
        outline: &Outline,
        rank: u32,
        step: u64,
    ) -> Result<Standing, NodeError> {
        let (groups, iteration) = (&self.datasets.iterations, outline.id);
        let places = outline.places_at(rank, step).ok_or(Rejection::UnknownRank(rank))?;
        let Some((block, offsets)) = places else { return Ok(Standing::Taken) };
        for _ in 0..ATTEMPTS_MAX {
            let generation = groups.rank(context, iteration, rank).await?.generation;
            let look = |from| groups.look(context, Look { iteration, rank, generation, from });
            let in_part = match look(block).await? {
                Found::Stale => continue,
                found => match taken_of(&found, (block, &offsets)) {
                    taken if taken == offsets.end - offsets.start => return Ok(Standing::Taken),
                    taken => taken > 0,
                },
            };
            let next = match look(0).await? {
                Found::Stale => continue,
                found => first_left(outline, &found).unwrap_or(step),
            };
            return Ok(match in_part {
                _ if step > next + AHEAD_MAX => Standing::Ahead(next),
                true => Standing::InPart,
                false => Standing::Open,
            });
        }
        Err(NodeError::Overloaded)
    }

    /// A batch that the rank was granted before; nothing changes.
    async fn batch_again(
        &self,
        context: &CallContext,
        (outline, rank): (Arc<Outline>, u32),
        step: u64,
        options: NextOptions,
    ) -> Result<NextOutcome, NodeError> {
        let (iteration, dataset) = (outline.id, self.dataset(outline.dataset).await?);
        let (runtime, wishes) = (Arc::clone(&self.datasets), Arc::new(Wishes::default()));
        wishes.set(options);
        let make = move || {
            let source = Source { dataset, outline };
            Maker::new(runtime, source, (iteration, rank), wishes).make_again(step)
        };
        let made = self.blocking(context, make).await??;
        if let Some(message) = made.failure() {
            return Ok(NextOutcome::Failed(BatchFailure { message, current: step, step: Some(step) }));
        }
        let cursor = made.cursor;
        let segments = made::encode(vec![made], options.format)?;
        let delivery = Delivery::default();
        Ok(NextOutcome::Batch(Batch { segments, current: step, delivery, step: Some(step), cursor }))
    }
}

enum Standing {
    /// It was granted.
    Taken,
    /// It comes next, or after others whose answers were in doubt.
    Open,
    /// The same, but some samples of it were granted, and done or lost.
    InPart,
    /// The rank is far from it, at this step.
    Ahead(u64),
}

/// How many of these offsets of a block are taken; `found` was looked for from that block on.
fn taken_of(found: &Found, (block, offsets): (u32, &Range<u64>)) -> u64 {
    let all = offsets.end - offsets.start;
    match found {
        Found::Block { block: first, taken } if *first == block => match taken {
            Taken::Nothing => 0,
            Taken::All => all,
            Taken::Offsets(taken) => {
                offsets.clone().filter(|offset| taken.contains(*offset as u32)).count() as u64
            }
        },
        Found::Block { .. } | Found::TakeBlock { .. } | Found::End => all,
        Found::Stale => 0,
    }
}

/// The step of the first place that is not taken; `found` was looked for from the first block on.
fn first_left(outline: &Outline, found: &Found) -> Option<u64> {
    let Found::Block { block, taken } = found else { return None };
    let offset = match taken {
        Taken::Nothing | Taken::All => 0,
        Taken::Offsets(offsets) => (0..).find(|offset| !offsets.contains(*offset))?,
    };
    outline.step_at(Place { block: *block, offset })
}

fn not_stepped() -> NodeError {
    let text =
        "steps and cursors are of iterations of mode static without filters and categorizer; leave step out";
    NodeError::Refused(text.to_owned())
}
