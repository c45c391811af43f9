//! The sixteen metrics: the distance of a row from a query, smaller is nearer.
//!
//! [`Measure`] is a query prepared for many rows; [`distance`] is the same for one. Definitions, for a query `a` and a
//! row `b` (`ip` is negated here and shown positive, see [`score`]):
//!
//! | Metric | Distance | Where it has no value |
//! |---|---|---|
//! | ip | `-sum(ab)` | |
//! | l2 | `sum((a-b)^2)`, not rooted | |
//! | cosine | `1 - sum(ab) / (norm(a) norm(b))` | a zero vector: 1 |
//! | l1 | `sum(abs(a-b))` | |
//! | chebyshev | `max(abs(a-b))` | |
//! | canberra | `sum(abs(a-b) / (abs(a)+abs(b)))` | a term 0/0 is 0 |
//! | bray_curtis | `sum(abs(a-b)) / sum(abs(a+b))` | 0/0 is 0 |
//! | correlation | `1 - r` (Pearson) | a constant vector: 1, two equal ones: 0 |
//! | hellinger | `sqrt(1 - sum(sqrt(pq)))` | both zero: 0, one: 1 |
//! | wasserstein | `sum(abs(cdf(p) - cdf(q)))` over unit bins | both zero: 0, one: infinite |
//! | jensen_shannon | `sqrt(sum(p ln(p/m) + q ln(q/m)) / 2)`, `m = (p+q)/2` | both zero: 0, one: `sqrt(ln 2)` |
//! | haversine | metres between `[longitude, latitude]` in degrees | beyond the poles, or not 2 dimensions: infinite |
//! | hamming | bits that differ (a bit is set above 0.5) | |
//! | jaccard, tanimoto | `1 - intersection / union` of the bits | both empty: 0 |
//! | dice | `1 - 2 intersection / (count + count)` of the bits | both empty: 0 |
//!
//! Hellinger, Wasserstein and Jensen-Shannon scale `a` and `b` to sum 1 (`p`, `q`); a negative element makes them
//! infinite.
//!
//! Invariants: a distance is never NaN for finite vectors and never -0, so that equal distances compare equal;
//! the same query, row and kernels give the same bits, whichever search asked. Sums are in single precision only
//! where their terms cannot cancel or the screening bound accounts for it ([`crate::screen`]); results agree with
//! double precision to about 1e-5 of their natural scale, and sums that leave the range of single precision are
//! repeated in double precision. Deliberately absent: checking the elements (a request with NaN is refused at the door).

use lavandin_types::Metric;

use crate::block::Row;
use crate::kernels::Kernels;

mod binary;
mod elementwise;
mod geographic;
mod linear;
mod profile;

/// The distance of `row` from `query`.
pub fn distance(metric: Metric, kernels: &Kernels, query: &[f32], row: Row<'_>) -> f32 {
    Measure::new(metric, kernels, query).distance(row)
}

/// The number that a reply shows for a distance: the inner product itself, any other distance as it is. Its own
/// inverse.
pub fn score(metric: Metric, distance: f32) -> f32 {
    if metric.higher_is_better() { 0.0 - distance } else { distance }
}

/// A query, prepared to be compared with many rows.
#[derive(Clone, Copy, Debug)]
pub struct Measure<'a> {
    metric: Metric,
    kernels: &'a Kernels,
    query: &'a [f32],
    /// `|query|^2`, for the cosine.
    norm2: f64,
}

impl<'a> Measure<'a> {
    pub fn new(metric: Metric, kernels: &'a Kernels, query: &'a [f32]) -> Self {
        let norm2 = if metric == Metric::Cosine { linear::norm2(query) } else { 0.0 };
        Self { metric, kernels, query, norm2 }
    }

    pub fn query(&self) -> &'a [f32] {
        self.query
    }

    /// The distance of a row of the query's dimension.
    pub fn distance(&self, row: Row<'_>) -> f32 {
        let distance = match self.metric {
            Metric::Ip => linear::inner_product(self.kernels, self.query, row),
            Metric::L2 => linear::l2(self.kernels, self.query, row),
            Metric::Cosine => linear::cosine(self.kernels, self.query, self.norm2, row),
            _ => match row {
                Row::F32(row) => self.distance_f32(row),
                Row::F16(row) => linear::widened(row, |row| self.distance_f32(row)),
            },
        };
        // Only vectors that are not finite get here; they are nearest to nothing.
        if distance.is_nan() { f32::INFINITY } else { distance }
    }

    fn distance_f32(&self, row: &[f32]) -> f32 {
        assert_eq!(self.query.len(), row.len());
        match self.metric {
            Metric::Ip | Metric::L2 | Metric::Cosine => self.distance(Row::F32(row)),
            Metric::L1 => elementwise::l1(self.query, row),
            Metric::Chebyshev => elementwise::chebyshev(self.query, row),
            Metric::Canberra => elementwise::canberra(self.query, row),
            Metric::BrayCurtis => elementwise::bray_curtis(self.query, row),
            Metric::Correlation => profile::correlation(self.query, row),
            Metric::Hellinger => profile::hellinger(self.query, row),
            Metric::Wasserstein => profile::wasserstein(self.query, row),
            Metric::JensenShannon => profile::jensen_shannon(self.query, row),
            Metric::Haversine => geographic::haversine(self.query, row),
            Metric::Hamming => binary::hamming(self.query, row),
            Metric::Jaccard | Metric::Tanimoto => binary::jaccard(self.query, row),
            Metric::Dice => binary::dice(self.query, row),
        }
    }
}

#[cfg(test)]
mod tests;
