//! The nearest rows of one segment: by its graph where it has one and that is cheaper, else by an exact scan.

use crate::graph_file::GraphFile;
use crate::request::{SearchProfile, SearchRequest};
use crate::sealed::Sealed;
use crate::segment::{Rows, Segment};
use crate::view::View;
use lavandin_types::{Metric, Selection};
use lavandin_vector::batch::batch;
use lavandin_vector::block::Block;
use lavandin_vector::graph::{self, Costs, Path, Scratch, beam_for, planned_search};
use lavandin_vector::kernels::Kernels;
use lavandin_vector::scan::{Found, Target, Wanted, scan};
use lavandin_vector::screen::ScanStats;
use lavandin_vector::top_k::{self, Neighbor};
use std::cell::RefCell;
use std::panic::resume_unwind;
use std::sync::Arc;

/// The word by which explanations tell a graph's answer.
pub(crate) const GRAPH: &str = "graph";
/// Segments whose ways an explanation lists.
const EXPLAINED_MAX: usize = 64;

thread_local! {
    /// A walk's buffers, kept by each thread that searches.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// One segment of a view, about to be searched.
pub(crate) struct Engine<'a> {
    pub view: &'a View,
    pub index: usize,
    /// `None` where every row is allowed.
    pub allowed: Option<&'a Selection>,
    pub metric: Metric,
}

impl Engine<'_> {
    /// The nearest allowed rows for each query.
    pub(crate) fn nearest(&self, request: &SearchRequest, profile: &mut SearchProfile) -> Vec<Vec<Neighbor>> {
        let segment = &self.view.segments[self.index];
        let matches = self.allowed.map_or(segment.len, Selection::count);
        if matches == 0 {
            return vec![Vec::new(); request.queries.len() / self.dim()];
        }
        if request.use_graph
            && let Rows::Sealed(sealed) = &segment.rows
            && let Some(graph) = self.graph_of(sealed)
        {
            return self.by_graph(request, sealed, &graph, matches, profile);
        }
        self.by_scan(request, segment, matches, profile)
    }

    fn dim(&self) -> usize {
        self.view.schema.dim as usize
    }

    /// The segment's graph, if the collection's index is one and the graph is of its metric.
    fn graph_of(&self, sealed: &Sealed) -> Option<Arc<GraphFile>> {
        let wanted = self.view.schema.wants_graph();
        sealed.graph.load_full().filter(|graph| wanted && graph.graph().metric() == self.metric)
    }

    fn by_graph(
        &self,
        request: &SearchRequest,
        sealed: &Sealed,
        file: &GraphFile,
        matches: u32,
        profile: &mut SearchProfile,
    ) -> Vec<Vec<Neighbor>> {
        let block = sealed.block();
        let graph = file.graph();
        let target = graph::Target { kernels: Kernels::get(), block: &block, allowed: self.allowed };
        let given = self.view.schema.index.as_ref().and_then(|index| index.parameters.ef_search);
        let ef = if request.probe > 0 { request.probe } else { given.unwrap_or(EF_DEFAULT) };
        let beam = beam_for(ef as usize, request.k, sealed.rows);
        let wanted = graph::Wanted { k: request.k, beam };
        let costs = Costs::default();
        let mut ways = [0usize; 2];
        let mut lists = Vec::with_capacity(request.queries.len() / self.dim());
        for query in request.queries.chunks_exact(self.dim()) {
            let mut found = Vec::with_capacity(request.k);
            let planned = SCRATCH.with_borrow_mut(|scratch| {
                planned_search(&graph, &target, matches, (query, wanted, &costs), (scratch, &mut found))
            });
            match planned {
                Ok(planned) => {
                    profile.scanned_vectors += planned.screened + planned.compared;
                    ways[usize::from(planned.path == Path::Scan)] += 1;
                }
                // The graph and the block were matched when the file was opened.
                Err(error) => tracing::error!(%error, segment = %sealed.id, "a graph could not be searched"),
            }
            lists.push(found);
        }
        let way =
            if ways[0] > 0 { format!("{GRAPH}, beam {beam}") } else { "scan, cheaper than the graph".into() };
        self.explain(profile, || format!("{way}, {matches} of {} rows allowed", sealed.rows));
        lists
    }

    fn by_scan(
        &self,
        request: &SearchRequest,
        segment: &Segment,
        matches: u32,
        profile: &mut SearchProfile,
    ) -> Vec<Vec<Neighbor>> {
        let blocks = segment.rows.blocks(segment.len);
        let target = target(self.metric, &blocks, self.allowed);
        let wanted = Wanted::top(request.k);
        let found = if request.queries.len() == self.dim() {
            vec![scan_on(request.threads, &target, &request.queries, wanted)]
        } else {
            batch(&target, &request.queries, self.dim(), wanted)
        };
        let neighbors = |found: Found| {
            profile.scanned_vectors += found.stats.screened + found.stats.compared;
            found.neighbors
        };
        let lists = found.into_iter().map(neighbors).collect();
        self.explain(profile, || format!("scan, {matches} of {} rows allowed", segment.len));
        lists
    }

    fn explain(&self, profile: &mut SearchProfile, line: impl FnOnce() -> String) {
        if profile.explain.len() < EXPLAINED_MAX {
            profile.explain.push(format!("segment {}: {}", self.index, line()));
        }
    }
}

/// The search width of a request that names none, as HNSW users know it.
const EF_DEFAULT: u32 = 50;

/// Rows that make a thread of their own worth its start.
const ROWS_PER_THREAD_MIN: u32 = 16_384;

/// A scan whose rows are shared out to some threads.
fn scan_on(threads: usize, target: &Target<'_>, query: &[f32], wanted: Wanted) -> Found {
    let rows: u32 = target.blocks.iter().map(|block| block.rows).sum();
    let threads = threads.min((rows / ROWS_PER_THREAD_MIN) as usize);
    if threads < 2 {
        return scan(target, query, wanted);
    }
    let parts = share_out(target.blocks, threads, rows);
    let run = |blocks: &[Block<'_>]| scan(&Target { blocks, ..*target }, query, wanted);
    let found: Vec<Found> = std::thread::scope(|scope| {
        let others: Vec<_> = parts[1..].iter().map(|part| scope.spawn(|| run(part))).collect();
        let own = run(&parts[0]);
        // A scan does not panic; if one did, its panic goes on here.
        let others =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        std::iter::once(own).chain(others).collect()
    });
    let neighbors = top_k::merge(wanted.k, found.iter().map(|found| found.neighbors.as_slice()));
    let mut stats = ScanStats::default();
    found.iter().for_each(|found| stats.add(found.stats));
    Found { neighbors, stats }
}

/// Splits blocks into as many lists of about equally many rows.
fn share_out<'a>(blocks: &[Block<'a>], lists: usize, rows: u32) -> Vec<Vec<Block<'a>>> {
    let share = rows.div_ceil(lists as u32);
    let mut all = vec![Vec::new()];
    let mut room = share;
    for block in blocks {
        let mut start = 0;
        while start < block.rows {
            if room == 0 {
                all.push(Vec::new());
                room = share;
            }
            let end = block.rows.min(start + room);
            let last = all.len() - 1;
            all[last].push(block.part(start, end));
            room -= end - start;
            start = end;
        }
    }
    all
}

fn target<'a>(metric: Metric, blocks: &'a [Block<'a>], selection: Option<&'a Selection>) -> Target<'a> {
    Target { metric, kernels: Kernels::get(), blocks, selection }
}

/// The live rows of a segment whose distance is at most `limit`, nearest first. Exact.
pub(crate) fn within(
    segment: &Segment,
    metric: Metric,
    query: &[f32],
    limit: f32,
    max_results: usize,
) -> Vec<Neighbor> {
    let blocks = segment.rows.blocks(segment.len);
    let target = target(metric, &blocks, segment.live.as_deref());
    scan(&target, query, Wanted { k: max_results, limit }).neighbors
}
