//! Metrics that first shift or scale whole vectors: correlation, Hellinger, Wasserstein, Jensen-Shannon.
//!
//! All in double precision: means and masses cancel.

/// Independent sums, so that the additions overlap.
const LANES: usize = 8;

pub(super) fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let count = a.len() as f64;
    let (mean_a, mean_b) = (mass(a) / count, mass(b) / count);
    let centred = |x: f32, y: f32| (f64::from(x) - mean_a, f64::from(y) - mean_b);
    let [covariance, variance_a, variance_b] = sums(a, b, |x, y| {
        let (x, y) = centred(x, y);
        [x * y, x * x, y * y]
    });
    let constant = |vector: &[f32]| vector.iter().all(|x| *x == vector[0]);
    let spread = (variance_a * variance_b).sqrt();
    if spread <= 0.0 || constant(a) || constant(b) {
        return if a == b { 0.0 } else { 1.0 };
    }
    (1.0 - (covariance / spread).clamp(-1.0, 1.0)) as f32
}

pub(super) fn hellinger(a: &[f32], b: &[f32]) -> f32 {
    let Some((mass_a, mass_b)) = masses(a, b) else { return f32::INFINITY };
    if mass_a == 0.0 || mass_b == 0.0 {
        return if mass_a == mass_b { 0.0 } else { 1.0 };
    }
    let [overlap] = sums(a, b, |x, y| [(f64::from(x) * f64::from(y)).sqrt()]);
    (1.0 - (overlap / (mass_a * mass_b).sqrt()).clamp(0.0, 1.0)).sqrt() as f32
}

pub(super) fn wasserstein(a: &[f32], b: &[f32]) -> f32 {
    let Some((mass_a, mass_b)) = masses(a, b) else { return f32::INFINITY };
    if mass_a == 0.0 || mass_b == 0.0 {
        return if mass_a == mass_b { 0.0 } else { f32::INFINITY };
    }
    let (mut carried, mut moved) = (0.0f64, 0.0f64);
    // What the last bin carries on is zero but for rounding.
    for (x, y) in a.iter().zip(b).take(a.len() - 1) {
        carried += f64::from(*x) / mass_a - f64::from(*y) / mass_b;
        moved += carried.abs();
    }
    moved as f32
}

pub(super) fn jensen_shannon(a: &[f32], b: &[f32]) -> f32 {
    let Some((mass_a, mass_b)) = masses(a, b) else { return f32::INFINITY };
    if mass_a == 0.0 || mass_b == 0.0 {
        return if mass_a == mass_b { 0.0 } else { std::f64::consts::LN_2.sqrt() as f32 };
    }
    let [divergence] = sums(a, b, |x, y| {
        let (p, q) = (f64::from(x) / mass_a, f64::from(y) / mass_b);
        let middle = 0.5 * (p + q);
        [relative_entropy(p, middle) + relative_entropy(q, middle)]
    });
    (0.5 * divergence).clamp(0.0, std::f64::consts::LN_2).sqrt() as f32
}

/// `p ln(p / middle)`, 0 for `p` = 0.
fn relative_entropy(p: f64, middle: f64) -> f64 {
    if p > 0.0 { p * (p / middle).ln() } else { 0.0 }
}

/// The sums of two vectors without negative elements.
fn masses(a: &[f32], b: &[f32]) -> Option<(f64, f64)> {
    let negative = |vector: &[f32]| vector.iter().any(|x| *x < 0.0);
    (!negative(a) && !negative(b)).then(|| (mass(a), mass(b)))
}

fn mass(vector: &[f32]) -> f64 {
    let [mass] = sums(vector, vector, |x, _| [f64::from(x)]);
    mass
}

/// Several sums over pairs of elements at once.
#[inline(always)]
fn sums<const N: usize>(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> [f64; N]) -> [f64; N] {
    let mut lanes = [[0.0f64; LANES]; N];
    let mut add = |lane: usize, x: f32, y: f32| {
        for (lanes, value) in lanes.iter_mut().zip(term(x, y)) {
            lanes[lane] += value;
        }
    };
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (lane, (x, y)) in a_chunks.remainder().iter().zip(b_chunks.remainder()).enumerate() {
        add(lane, *x, *y);
    }
    for (a, b) in a_chunks.zip(b_chunks) {
        for (lane, (x, y)) in a.iter().zip(b).enumerate() {
            add(lane, *x, *y);
        }
    }
    lanes.map(|lanes| lanes.iter().sum())
}
