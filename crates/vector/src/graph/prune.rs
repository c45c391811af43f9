//! Choosing a vertex's neighbours among candidates: Vamana's robust pruning.
//!
//! 1. Candidates come sorted by distance from the vertex `p`.
//! 2. A chosen neighbour `k` occludes a candidate `j` to the degree `d(p, j) / d(k, j)` (squared distances): above 1,
//!    `j` is nearer to `k` than to `p`, so a walk would reach it through `k`.
//! 3. First pass: choose candidates that no chosen neighbour occludes beyond 1. Second pass: also those occluded up to
//!    `alpha^2`; these longer links make walks shorter.
//! 4. Where fewer than wanted were chosen, fill up with the nearest of the rest: vertices with few links keep walks
//!    from some parts of the graph.
//!
//! Each candidate remembers how many chosen neighbours it was compared with and the largest occlusion among them, so
//! that no pair is compared twice and none that cannot matter: the comparisons are about a quarter of those of the
//! textbook loop, which compares every candidate with every chosen neighbour.

use super::key::{distance_of, row_of};
use super::parameters::Parameters;
use super::space::{LinkSpace, RowTarget, Work};

/// Buffers of one thread's prunings.
#[derive(Default)]
pub(super) struct Pruning {
    candidates: Vec<Candidate>,
    target: RowTarget,
    work: Work,
    pub(super) chosen: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Candidate {
    row: u32,
    distance: f32,
    /// How many of the chosen it was compared with; `CHOSEN` once it is one of them.
    compared: u32,
    /// Largest occlusion by one of those.
    occlusion: f32,
}

const CHOSEN: u32 = u32::MAX;

/// Compared in one call: enough to hide the call, few enough not to compare in vain.
const CHUNK: usize = 4;

/// Sets `pruning.chosen` to at most `degree` of the candidates (ascending keys; `p` itself is skipped).
pub(super) fn prune(
    space: &LinkSpace<'_>,
    p: u32,
    candidates: &[u64],
    parameters: Parameters,
    pruning: &mut Pruning,
) {
    let Pruning { candidates: list, target, work, chosen } = pruning;
    let degree = parameters.degree as usize;
    list.clear();
    chosen.clear();
    for key in candidates {
        let (row, distance) = (row_of(*key), distance_of(*key).max(0.0));
        if row != p && list.last().is_none_or(|last| last.row != row) {
            list.push(Candidate { row, distance, compared: 0, occlusion: 0.0 });
        }
    }
    if list.len() <= degree {
        chosen.extend(list.iter().map(|candidate| candidate.row));
        return;
    }
    for limit in [1.0, parameters.alpha * parameters.alpha] {
        for candidate in &mut *list {
            if chosen.len() >= degree {
                return;
            }
            if candidate.compared != CHOSEN && is_open(candidate, chosen, limit, (space, target, work)) {
                candidate.compared = CHOSEN;
                chosen.push(candidate.row);
            }
        }
    }
    let rest = list.iter().filter(|candidate| candidate.compared != CHOSEN);
    chosen.extend(rest.take(degree - chosen.len()).map(|candidate| candidate.row));
}

/// Whether no chosen neighbour occludes the candidate beyond `limit`.
fn is_open(
    candidate: &mut Candidate,
    chosen: &[u32],
    limit: f32,
    (space, target, work): (&LinkSpace<'_>, &mut RowTarget, &mut Work),
) -> bool {
    if candidate.occlusion > limit {
        return false;
    }
    let remaining = &chosen[candidate.compared as usize..];
    if remaining.is_empty() {
        return true;
    }
    space.target_of(candidate.row, target);
    for chunk in remaining.chunks(CHUNK) {
        space.space().distances(chunk, &target.target(), work);
        for distance in &work.distances {
            // Equal rows (distance 0 of both) occlude each other.
            let occlusion = if *distance > 0.0 { candidate.distance / distance } else { f32::MAX };
            candidate.occlusion = candidate.occlusion.max(occlusion);
        }
        candidate.compared += chunk.len() as u32;
        if candidate.occlusion > limit {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests;
