//! Bounds of a row's distance from its codes alone, and the search that needs the full vectors of few rows.
//!
//! # The bounds
//!
//! `codes` proves `|<q,x> - <q',x'>| <= |q| error + error_q (|x| + error)`. So with
//! `lost = (|q| + error_q) error + error_q |x|`, the true inner product lies within `<q',x'> +- lost`, and
//!
//! ```text
//! inner product   -<q,x>              in   -<q',x'>                   +- lost
//! L2              |q|^2+|x|^2-2<q,x>  in   |q|^2 + |x|^2 - 2 <q',x'>  +- 2 lost
//! cosine          1 - <q,x>/(|q||x|)  in   1 - <q',x'> / (|q| |x|)    +- lost / (|q| |x|)
//! ```
//!
//! Searches promise the distances that [`Measure`] computes, not the true ones, and the bounds themselves are computed
//! in single precision. With `u = 2^-24` and `gamma = 1.1 (dim + 32) u`:
//!
//! - a computed inner product is off by at most `gamma |q| |x|` in any order of summation; a computed squared distance
//!   by `gamma` of itself, which is at most `2 (|q|^2 + |x|^2)`; a computed cosine by `3 gamma`. (Underflow adds less
//!   than `dim 2^-149 < 1e-36`. Where single precision would overflow, `Measure` does not use it.)
//! - `|q|`, `|x|`, the products by which columns are scaled and the six operations of the bound have relative errors of
//!   at most `u` each, at most 16 in a row, of terms that are at most `(|q| + error_q) (|x| + error)`.
//!
//! Both are covered by enlarging the coefficients: `line.error` by `32 u` of itself, `line.norm` by
//! `gamma |q| + 32 u (|q| + error_q)`, the squared norms of L2 by `3 gamma + 32 u` of themselves and the cosine's bias
//! by `4 gamma + 64 u`. Rows and queries whose `error` is infinite (their squares leave the range of single precision)
//! get bounds that exclude nothing.
//!
//! # The search
//!
//! 1. A tile of rows is screened: only rows whose lower bound is within the limit go on.
//! 2. For those the upper bound is computed too; the `k`-th smallest upper bound so far is the limit, because `k` rows
//!    are known to be at most that far.
//! 3. At the end (or when too many rows are waiting) the waiting rows' full vectors are compared, least lower bound
//!    first, until the next lower bound exceeds the `k`-th distance.
//!
//! A row is dropped only if its computed distance is certainly greater than that of `k` others, so the result, ties
//! included, is the one of comparing every row.

use lavandin_types::Metric;

use crate::block::Block;
use crate::codes::{CodeMeta, QueryCodes};
use crate::kernels::{Form, Line};
use crate::metric::Measure;
use crate::top_k::{Neighbor, TopK};

mod prefetch;

pub(crate) use prefetch::prefetch_bytes;

/// The unit roundoff of single precision.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// More than what underflow can add up to.
const UNDERFLOW: f64 = 1e-36;

/// Rows that may wait for their full comparison; they are compared early beyond it, which bounds the memory.
const WAITING_MAX: usize = 4096;

/// Whether rows are screened by codes for this metric.
pub fn has_screen(metric: Metric) -> bool {
    matches!(metric, Metric::Ip | Metric::L2 | Metric::Cosine)
}

/// What a search did, for its explanation and for tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanStats {
    /// Rows whose codes were looked at.
    pub screened: u64,
    /// Rows whose full vectors were.
    pub compared: u64,
}

impl ScanStats {
    pub fn add(&mut self, other: Self) {
        self.screened += other.screened;
        self.compared += other.compared;
    }
}

/// One query's side of the bounds.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    pub(crate) codes: QueryCodes,
    pub(crate) line: Line,
    pub(crate) form: Form,
    metric: Metric,
    /// The upper bound's bias, and what to multiply a squared norm by.
    upper_bias: f64,
    upper_base: f64,
}

impl Screen {
    pub(crate) fn new(metric: Metric, query: &[f32]) -> Self {
        let codes = QueryCodes::new(query);
        let gamma = 1.1 * (query.len() + 32) as f64 * UNIT;
        let norm2 = f64::from(codes.norm2);
        let norm = norm2.sqrt() * (1.0 + 4.0 * UNIT);
        let error = f64::from(codes.error);
        let coded = norm + error;
        let by_error = coded * (1.0 + 32.0 * UNIT);
        let by_norm = error + gamma * norm + 32.0 * UNIT * coded;
        let slack = 3.0 * gamma + 32.0 * UNIT;
        let (form, factor, lower_bias, upper_bias) = match metric {
            Metric::L2 => {
                let form = Form::L2 { base_factor: (1.0 - slack) as f32 };
                (form, 2.0, norm2 * (1.0 - slack), norm2 * (1.0 + slack))
            }
            Metric::Cosine => {
                let slack = 4.0 * gamma + 64.0 * UNIT;
                (Form::Cosine, f64::from(codes.inv_norm), 1.0 - slack, 1.0 + slack)
            }
            _ => (Form::InnerProduct, 1.0, 0.0, 0.0),
        };
        let line = Line {
            offset: codes.offset,
            bias: (lower_bias - UNDERFLOW) as f32,
            dot: (factor * f64::from(codes.scale)) as f32,
            error: (factor * by_error) as f32,
            norm: (factor * by_norm) as f32,
        };
        let upper_base = if metric == Metric::L2 { 1.0 + slack } else { 0.0 };
        Self { codes, line, form, metric, upper_bias: upper_bias + UNDERFLOW, upper_base }
    }

    /// The bounds of a row's distance, lower and upper, from its integer dot product. The least and the greatest there
    /// are where the codes say nothing.
    #[inline]
    fn bounds(&self, dot: i32, row: &CodeMeta) -> (f32, f32) {
        let inverse = if self.metric == Metric::Cosine { f64::from(row.inv_norm) } else { 1.0 };
        let norm = f64::from(row.norm2) * f64::from(row.inv_norm);
        let product =
            f64::from(self.line.dot) * f64::from(row.scale) * f64::from(dot.wrapping_sub(self.line.offset));
        let lost = f64::from(self.line.error) * f64::from(row.error) + f64::from(self.line.norm) * norm;
        let (base, middle) = (f64::from(row.norm2), product * inverse);
        let lost = lost * inverse;
        let base_factor = if let Form::L2 { base_factor } = self.form { f64::from(base_factor) } else { 0.0 };
        let lower = f64::from(self.line.bias) + base * base_factor - middle - lost;
        let upper = self.upper_bias + base * self.upper_base - middle + lost;
        if lower.is_nan() || upper.is_nan() {
            return (f32::NEG_INFINITY, f32::INFINITY);
        }
        ((lower as f32).next_down(), (upper as f32).next_up())
    }
}

/// A row that waits for its full comparison.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    lower: f32,
    block: u32,
    /// Position in the block.
    index: u32,
}

/// The state of one query's search over screened rows.
#[derive(Debug)]
pub(crate) struct Shortlist {
    /// Rows at a larger distance are of no interest: the caller's limit, then what the bounds allow.
    limit: f32,
    /// The `k` smallest upper bounds; `row` is a running number, because only distances matter.
    uppers: TopK,
    waiting: Vec<Waiting>,
    best: TopK,
    waiting_max: usize,
    pub(crate) stats: ScanStats,
}

impl Shortlist {
    /// Looks for the best `k` rows within `limit`.
    pub(crate) fn new(k: usize, limit: f32) -> Self {
        Self {
            limit,
            uppers: TopK::new(k),
            waiting: Vec::new(),
            best: TopK::new(k),
            waiting_max: WAITING_MAX.max(k.saturating_mul(2)),
            stats: ScanStats::default(),
        }
    }

    /// Rows with a greater lower bound need not be offered.
    #[inline]
    pub(crate) fn limit(&self) -> f32 {
        self.limit
    }

    /// Considers a row that passed the screen. Whether rows now have to be compared ([`Shortlist::compare`]) before
    /// more are offered.
    #[inline]
    pub(crate) fn offer(&mut self, screen: &Screen, dot: i32, meta: &CodeMeta, at: (u32, u32)) -> bool {
        let (lower, upper) = screen.bounds(dot, meta);
        if lower > self.limit {
            return false;
        }
        if upper < self.uppers.limit() {
            self.uppers.offer(upper, 0);
            self.limit = self.limit.min(self.uppers.limit());
        }
        self.waiting.push(Waiting { lower, block: at.0, index: at.1 });
        if self.waiting.len() < self.waiting_max {
            return false;
        }
        let limit = self.limit;
        self.waiting.retain(|waiting| waiting.lower <= limit);
        self.waiting.len() > self.waiting_max / 2
    }

    /// Compares the full vectors of the waiting rows.
    pub(crate) fn compare(&mut self, measure: &Measure<'_>, blocks: &[Block<'_>]) {
        let limit = self.limit;
        self.waiting.retain(|waiting| waiting.lower <= limit);
        self.waiting.sort_unstable_by(|a, b| a.lower.total_cmp(&b.lower));
        const AHEAD: usize = 4;
        for ahead in self.waiting.iter().take(AHEAD) {
            prefetch::row(&blocks[ahead.block as usize], ahead.index as usize);
        }
        for (position, waiting) in self.waiting.iter().enumerate() {
            if waiting.lower > self.limit {
                break;
            }
            if let Some(ahead) = self.waiting.get(position + AHEAD) {
                prefetch::row(&blocks[ahead.block as usize], ahead.index as usize);
            }
            let block = &blocks[waiting.block as usize];
            let distance = measure.distance(block.row(waiting.index as usize));
            self.stats.compared += 1;
            if distance <= self.limit {
                self.best.offer(distance, block.first_row + waiting.index);
                self.limit = self.limit.min(self.best.limit());
            }
        }
        self.waiting.clear();
    }

    /// The best rows, best first. Everything that was offered must have been compared.
    pub(crate) fn into_best(self) -> Vec<Neighbor> {
        debug_assert!(self.waiting.is_empty());
        self.best.into_sorted()
    }
}

#[cfg(test)]
mod tests;
