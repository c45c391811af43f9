//! Building a graph, on several threads.
//!
//! Threads take rows from a shared counter, in an order that strides through the rows by the golden ratio, so that
//! rows which arrived together (often alike) are not inserted together. The walks of a thread read rows of links that others are
//! changing; see [`super::links`] for why that is sound. One thread always builds the same graph from the same input;
//! several may not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lavandin_types::Metric;

use super::GraphError;
use super::format::{ENTRIES_MAX, Graph, GraphRef, NONE, Parts, is_supported, words_of};
use super::key::{ROWS_MAX, key};
use super::links::Links;
use super::parameters::{DEGREE_MAX, Parameters};
use super::prune::{Pruning, prune};
use super::reach::connect;
use super::reuse::Reuse;
use super::scratch::{Seen, Walk};
use super::space::{LinkSpace, RowTarget, Work};
use super::walk::walk;
use crate::block::Block;
use crate::kernels::Kernels;

/// Builds a graph over a block.
#[derive(Debug)]
pub struct GraphBuilder<'a> {
    block: Block<'a>,
    metric: Metric,
    parameters: Parameters,
    kernels: &'a Kernels,
    reuse: Option<Reuse<'a>>,
}

/// A graph under construction.
pub(super) struct Build<'a> {
    pub(super) space: LinkSpace<'a>,
    pub(super) links: Links,
    entries: Vec<u32>,
    parameters: Parameters,
}

/// One thread's buffers.
#[derive(Default)]
pub(super) struct Worker {
    seen: Seen,
    walk: Walk,
    target: RowTarget,
    work: Work,
    visited: Vec<u64>,
    candidates: Vec<u64>,
    /// Rows to choose neighbours among.
    pub(super) rows: Vec<u32>,
    chosen: Vec<u32>,
    pruning: Pruning,
}

/// How the phases of a build run.
#[derive(Clone, Copy)]
struct Run<'a> {
    threads: usize,
    cancel: &'a AtomicBool,
}

impl<'a> GraphBuilder<'a> {
    pub fn new(block: Block<'a>, metric: Metric, parameters: Parameters) -> Result<Self, GraphError> {
        if !is_supported(metric) {
            return Err(GraphError::Metric(metric.name()));
        }
        if !(1..=DEGREE_MAX).contains(&parameters.degree) {
            return Err(GraphError::Degree(parameters.degree));
        }
        if block.rows > ROWS_MAX {
            return Err(GraphError::TooManyRows { rows: block.rows, max: ROWS_MAX });
        }
        let alpha = if parameters.alpha >= 1.0 { parameters.alpha } else { 1.0 };
        let parameters = Parameters { alpha, beam: parameters.beam.max(2), ..parameters };
        Ok(Self { block, metric, parameters, kernels: Kernels::get(), reuse: None })
    }

    /// Builds with certain kernels, for tests and benchmarks.
    pub fn with_kernels(self, kernels: &'a Kernels) -> Self {
        Self { kernels, ..self }
    }

    /// Starts from a graph over the block's first rows: only the rows after them are inserted.
    pub fn extending(self, graph: GraphRef<'a>) -> Self {
        Self { reuse: Some(Reuse { graph, new_rows: None }), ..self }
    }

    /// Starts from a graph over other rows, of which some are in this block: row `i` of the graph is the block's row
    /// `new_rows[i]`, or was dropped (`DROPPED`). The block's other rows are inserted.
    pub fn reusing(self, graph: GraphRef<'a>, new_rows: &'a [u32]) -> Self {
        Self { reuse: Some(Reuse { graph, new_rows: Some(new_rows) }), ..self }
    }

    /// Builds on `threads` threads. `progress` is set to 0 and counts rows up to the block's; once `cancel` is set, the
    /// build ends within about a millisecond (while unreachable rows are linked: tens of them).
    pub fn build(
        self,
        threads: usize,
        cancel: &AtomicBool,
        progress: &AtomicU64,
    ) -> Result<Graph, GraphError> {
        progress.store(0, Ordering::Relaxed);
        let run = Run { threads: threads.max(1), cancel };
        let (rows, degree) = (self.block.rows, self.parameters.degree);
        let order = Order::new(rows);
        let mut build = Build {
            space: LinkSpace::new(&self.block, self.metric, self.kernels),
            links: Links::new(rows, degree as usize * 3 / 2 + 1),
            entries: Vec::new(),
            parameters: self.parameters,
        };
        if let Some(reuse) = &self.reuse {
            reuse.check(&self.block)?;
            run.each(reuse.graph.rows(), |row, worker| reuse.take(row, &build, worker))?;
            build.entries.extend(reuse.entries());
        }
        build.add_entries(&order);
        let mut worker = Worker::default();
        for row in &build.entries {
            build.insert(*row, &mut worker);
        }
        run.each(rows, |index, worker| {
            build.insert(order.get(index), worker);
            progress.fetch_add(1, Ordering::Relaxed);
        })?;
        run.each(rows, |row, worker| build.trim(row, worker))?;
        build.finish(&self, cancel)
    }
}

impl Run<'_> {
    /// Calls `each` with the numbers up to `count`, on all threads.
    fn each(&self, count: u32, each: impl Fn(u32, &mut Worker) + Sync) -> Result<(), GraphError> {
        let next = AtomicU64::new(0);
        let work = || {
            let mut worker = Worker::default();
            while !self.cancel.load(Ordering::Relaxed) {
                match u32::try_from(next.fetch_add(1, Ordering::Relaxed)) {
                    Ok(number) if number < count => each(number, &mut worker),
                    _ => return,
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(work);
            }
            work();
        });
        if self.cancel.load(Ordering::Relaxed) { Err(GraphError::Cancelled) } else { Ok(()) }
    }
}

impl Build<'_> {
    /// Adds entry points up to the number that the graph has. They stay few, for each costs every walk a distance.
    fn add_entries(&mut self, order: &Order) {
        let wanted = entries_for(order.rows()) as usize;
        self.entries.truncate(wanted);
        for row in (0..order.rows()).map(|index| order.get(index)) {
            if self.entries.len() >= wanted {
                return;
            }
            if !self.entries.contains(&row) {
                self.entries.push(row);
            }
        }
    }

    /// Links a row, if it is not linked yet.
    fn insert(&self, row: u32, worker: &mut Worker) {
        if self.links.count(row) > 0 {
            return;
        }
        let Worker { seen, walk: buffers, target, visited, pruning, .. } = worker;
        self.space.target_of(row, target);
        visited.clear();
        let beam = self.parameters.beam as usize;
        let start = (&self.entries[..], seen, buffers);
        walk(&self.space.space(), &self.links, &target.target(), beam, start, |key| visited.push(key));
        visited.sort_unstable();
        prune(&self.space, row, visited, self.parameters, pruning);
        std::mem::swap(&mut worker.chosen, &mut pruning.chosen);
        self.links.lock(row).replace(&worker.chosen);
        for index in 0..worker.chosen.len() {
            self.link(worker.chosen[index], row, worker);
        }
    }

    /// Makes `to` a neighbour of `from`, choosing anew where there is no room.
    fn link(&self, from: u32, to: u32, worker: &mut Worker) {
        let mut locked = self.links.lock(from);
        if locked.iter().any(|row| row == to) || locked.push(to) {
            return;
        }
        worker.rows.clear();
        worker.rows.extend(locked.iter());
        worker.rows.push(to);
        locked.replace(self.choose(from, worker));
    }

    /// The best neighbours of a row among `worker.rows`, at most `degree`.
    pub(super) fn choose<'w>(&self, of: u32, worker: &'w mut Worker) -> &'w [u32] {
        let Worker { rows, target, work, candidates, pruning, .. } = worker;
        self.space.target_of(of, target);
        self.space.space().distances(rows, &target.target(), work);
        candidates.clear();
        candidates.extend(rows.iter().zip(&work.distances).map(|(row, distance)| key(*distance, *row)));
        candidates.sort_unstable();
        prune(&self.space, of, candidates, self.parameters, pruning);
        &pruning.chosen
    }

    /// Brings a row down to `degree` neighbours.
    fn trim(&self, row: u32, worker: &mut Worker) {
        let mut locked = self.links.lock(row);
        if locked.len() > self.parameters.degree as usize {
            worker.rows.clear();
            worker.rows.extend(locked.iter());
            locked.replace(self.choose(row, worker));
        }
    }

    /// Packs the links, makes every row reachable, and writes the bytes.
    fn finish(&self, builder: &GraphBuilder<'_>, cancel: &AtomicBool) -> Result<Graph, GraphError> {
        let words = words_of(self.parameters.degree);
        let rows = self.space.terms.len();
        let mut neighbours = vec![NONE; rows * words];
        for (row, neighbours) in neighbours.chunks_exact_mut(words).enumerate() {
            for (word, neighbour) in neighbours.iter_mut().zip(self.links.lock(row as u32).iter()) {
                *word = neighbour;
            }
        }
        connect(&self.space, &self.entries, self.parameters.degree, &mut neighbours, cancel)?;
        Ok(Graph::new(&Parts {
            metric: builder.metric,
            dim: builder.block.dim,
            parameters: self.parameters,
            entries: &self.entries,
            terms: &self.space.terms,
            neighbours: &neighbours,
        }))
    }
}

/// How many entry points a graph has: enough that one lies near, few against the hundreds of distances of a walk. On
/// 100,000 rows in 200 clusters they save a fifth of those distances.
fn entries_for(rows: u32) -> u32 {
    (rows.isqrt() / 8).clamp(1, ENTRIES_MAX as u32).min(rows)
}

/// A permutation of the rows that visits all regions evenly.
struct Order {
    rows: u32,
    step: u64,
}

impl Order {
    fn new(rows: u32) -> Self {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let start = ((f64::from(rows) * GOLDEN) as u64).max(1);
        let step = (start..).find(|step| common_divisor(*step, u64::from(rows.max(1))) == 1);
        Self { rows, step: step.unwrap_or(1) }
    }

    fn rows(&self) -> u32 {
        self.rows
    }

    /// The row at a place, which is less than the number of rows.
    fn get(&self, place: u32) -> u32 {
        (u64::from(place) * self.step % u64::from(self.rows)) as u32
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests;
