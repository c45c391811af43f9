//! Whether a filtered search scans the matches or walks the graph.
//!
//! A scan of `m` matches costs about `m` times what a listed row's code costs; a walk over `n` rows of which `m` match must see
//! about `n / m` times as many rows as an unfiltered one, because it collects only matches. So scans win up to
//! some fifth of a segment of 40,000 rows and up to a few hundredths of one of a million.
//!
//! The planner prefers the scan where they are close: its time is certain and its result exact. Where a walk comes back
//! with fewer than `k` rows although more match, the matches are scanned after all.

use super::GraphError;
use super::format::GraphRef;
use super::scratch::Scratch;
use super::search::{Target, Wanted};
use crate::scan::{self, scan};
use crate::top_k::Neighbor;

/// What searches cost on this machine, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// A listed row in a scan, besides its bytes.
    pub scan_row: f32,
    /// 64 bytes of codes in a scan.
    pub scan_line: f32,
    /// Expanding a vertex.
    pub walk_vertex: f32,
    /// A distance estimated in a walk, besides the row's bytes.
    pub walk_row: f32,
    /// 64 bytes of codes in a walk.
    pub walk_line: f32,
}

impl Default for Costs {
    /// Measured with `graph_bench` on a server core with AVX-512 VNNI, 39,000 x 384 and 100,000 x 128.
    fn default() -> Self {
        Self { scan_row: 8.0, scan_line: 2.3, walk_vertex: 200.0, walk_row: 15.0, walk_line: 4.0 }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Scan the matches.
    Scan,
    /// Walk the graph with this beam.
    Graph { beam: usize },
}

/// Which way a search went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Scan,
    Graph,
    /// The walk found too few, so the matches were scanned.
    GraphThenScan,
}

/// What a planned search did; its result is in `out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub path: Path,
    /// Rows whose codes were looked at.
    pub screened: u64,
    /// Rows whose full vectors were.
    pub compared: u64,
}

/// A walk must be predicted to cost at most this part of the scan to be preferred.
const ADVANTAGE: f32 = 0.75;

/// The share of matches beyond which a scan reads every row (see `crate::scan`).
const DENSE: f32 = 0.25;

/// Distances that a walk estimates on its way to the query, and for each row of its beam, at 32 neighbours.
const WALK_START: f32 = 250.0;
const WALK_PER_BEAM: f32 = 16.0;

/// Plans a search in a graph of `rows` rows of `stride` code bytes, of which `matches` may be found.
pub fn plan(matches: u32, graph: &GraphRef<'_>, wanted: Wanted, costs: &Costs) -> Plan {
    let (rows, matches) = (graph.rows() as f32, matches as f32);
    let lines = graph.dim().div_ceil(64) as f32;
    // Where matches are dense a scan reads all codes in order rather than listing the matches.
    let scan = match matches > rows * DENSE {
        true => rows * costs.scan_line * lines,
        false => matches * (costs.scan_row + costs.scan_line * lines),
    };
    let beam = wanted.beam.max(wanted.k);
    let effective = (beam as f32 * rows / matches.max(1.0)).min(rows);
    let estimates = (WALK_START + WALK_PER_BEAM * effective) * graph.parameters().degree as f32 / 32.0;
    let walk =
        effective * costs.walk_vertex + estimates.min(rows) * (costs.walk_row + costs.walk_line * lines);
    if walk <= scan * ADVANTAGE { Plan::Graph { beam } } else { Plan::Scan }
}

/// Plans and searches. `matches` is the number of rows of the graph that `target.allowed` allows (all, without one). As
/// many rows as `k` and the matches permit are found, always.
pub fn planned_search(
    graph: &GraphRef<'_>,
    target: &Target<'_>,
    matches: u32,
    (query, wanted, costs): (&[f32], Wanted, &Costs),
    (scratch, out): (&mut Scratch, &mut Vec<Neighbor>),
) -> Result<Planned, GraphError> {
    let scan_target = scan::Target {
        metric: graph.metric(),
        kernels: target.kernels,
        blocks: std::slice::from_ref(target.block),
        selection: target.allowed,
    };
    let mut planned = Planned { path: Path::Scan, screened: 0, compared: 0 };
    if let Plan::Graph { beam } = plan(matches, graph, wanted, costs) {
        let stats = graph.search(target, query, Wanted { beam, ..wanted }, scratch, out)?;
        planned = Planned { path: Path::Graph, screened: stats.estimated, compared: stats.compared };
        if out.len() >= wanted.k.min(matches as usize) {
            return Ok(planned);
        }
        planned.path = Path::GraphThenScan;
    }
    let found = scan(&scan_target, query, scan::Wanted::top(wanted.k));
    out.clear();
    out.extend(found.neighbors);
    planned.screened += found.stats.screened;
    planned.compared += found.stats.compared;
    Ok(planned)
}

#[cfg(test)]
mod tests;
