//! Durations of requests: the histogram of the reference, and quantiles from a finer one.

use super::text::Text;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds, as LynseDB has them.
const BOUNDS_US: [u64; 11] =
    [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];
/// Steps of a factor of two, four steps between; the last one is 2^36 µs, some 19 hours.
const FINE: usize = 36 * 4;

/// Counts of durations.
pub(super) struct Durations {
    coarse: [AtomicU64; BOUNDS_US.len() + 1],
    fine: [AtomicU64; FINE],
    sum_us: AtomicU64,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            coarse: std::array::from_fn(|_| AtomicU64::new(0)),
            fine: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_us: AtomicU64::new(0),
        }
    }
}

impl Durations {
    pub(super) fn record(&self, duration: Duration) {
        let micros = duration.as_micros() as u64;
        let coarse = BOUNDS_US.partition_point(|bound| *bound < micros);
        self.coarse[coarse].fetch_add(1, Ordering::Relaxed);
        self.fine[step(micros)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn write(&self, text: &mut Text) {
        let name = "http_request_duration_seconds";
        text.family(name, "histogram", "Time from a request's headers to its reply");
        let mut total = 0;
        for (index, counter) in self.coarse.iter().enumerate() {
            total += counter.load(Ordering::Relaxed);
            let bound = BOUNDS_US.get(index).map(|bound| (*bound as f64 / 1e6).to_string());
            let bound = bound.unwrap_or_else(|| "+Inf".to_owned());
            text.sample("http_request_duration_seconds_bucket", &format!("le=\"{bound}\""), total);
        }
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        text.sample("http_request_duration_seconds_sum", "", sum);
        text.sample("http_request_duration_seconds_count", "", total);
        let name = "http_request_duration_seconds_quantile";
        text.family(name, "gauge", "Quantiles of that time since the start, to within a fifth");
        for quantile in [0.5, 0.9, 0.99] {
            text.sample(name, &format!("quantile=\"{quantile}\""), self.quantile(quantile));
        }
    }

    /// The upper end of the step in which the quantile lies, in seconds.
    pub(super) fn quantile(&self, quantile: f64) -> f64 {
        let counts: Vec<u64> = self.fine.iter().map(|counter| counter.load(Ordering::Relaxed)).collect();
        let rank = (counts.iter().sum::<u64>() as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (index, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return step_end(index) as f64 / 1e6;
            }
        }
        0.0
    }
}

/// The step of a duration: the place of its highest bit, and the two bits behind it.
fn step(micros: u64) -> usize {
    let micros = micros.max(4);
    let high = micros.ilog2() as usize;
    let quarter = (micros >> (high - 2)) as usize & 3;
    ((high - 2) * 4 + quarter).min(FINE - 1)
}

/// The first duration beyond a step.
fn step_end(step: usize) -> u64 {
    let (high, quarter) = (step / 4 + 2, step as u64 % 4);
    (4 + quarter + 1) << (high - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_cover_every_duration_once() {
        for micros in (4..10_000).chain([1 << 20, (1 << 30) + 12_345]) {
            let index = step(micros);
            assert!(micros < step_end(index), "{micros} is beyond its step");
            assert!(index == 0 || micros >= step_end(index - 1), "{micros} belongs to an earlier step");
        }
        assert_eq!(step(u64::MAX), FINE - 1);
        assert_eq!(step(0), 0);
    }

    #[test]
    fn quantiles_are_near() {
        let durations = Durations::default();
        assert_eq!(durations.quantile(0.5), 0.0);
        (1..=1000).for_each(|micros| durations.record(Duration::from_micros(micros)));
        for (quantile, exact) in [(0.5, 500e-6), (0.9, 900e-6), (0.99, 990e-6)] {
            let found = durations.quantile(quantile);
            assert!(found >= exact && found <= exact * 1.25, "{quantile}: {found}");
        }
    }
}
