//! Metrics of sets: an element above 0.5 is a member.

/// How many dimensions are set in the first, the second and both.
struct Counts {
    a: u32,
    b: u32,
    both: u32,
}

impl Counts {
    fn of(a: &[f32], b: &[f32]) -> Self {
        let mut counts = Self { a: 0, b: 0, both: 0 };
        for (x, y) in a.iter().zip(b) {
            let (x, y) = (u32::from(*x > 0.5), u32::from(*y > 0.5));
            counts.a = counts.a.wrapping_add(x);
            counts.b = counts.b.wrapping_add(y);
            counts.both = counts.both.wrapping_add(x & y);
        }
        counts
    }
}

pub(super) fn hamming(a: &[f32], b: &[f32]) -> f32 {
    let counts = Counts::of(a, b);
    (counts.a + counts.b - 2 * counts.both) as f32
}

pub(super) fn jaccard(a: &[f32], b: &[f32]) -> f32 {
    let counts = Counts::of(a, b);
    one_minus(counts.both, counts.a + counts.b - counts.both)
}

pub(super) fn dice(a: &[f32], b: &[f32]) -> f32 {
    let counts = Counts::of(a, b);
    one_minus(2 * counts.both, counts.a + counts.b)
}

fn one_minus(part: u32, whole: u32) -> f32 {
    if whole == 0 { 0.0 } else { (1.0 - f64::from(part) / f64::from(whole)) as f32 }
}
