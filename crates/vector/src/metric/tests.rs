use super::*;
use crate::kernels::Level;
use crate::kernels::tests::Numbers;

fn all_kernels() -> Vec<&'static Kernels> {
    Level::ALL.into_iter().filter_map(Kernels::for_level).collect()
}

fn of(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    distance(metric, Kernels::get(), a, Row::F32(b))
}

/// The definitions, in double precision and as plainly as can be.
fn plain(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let a: Vec<f64> = a.iter().map(|x| f64::from(*x)).collect();
    let b: Vec<f64> = b.iter().map(|x| f64::from(*x)).collect();
    let sum = |term: &dyn Fn(f64, f64) -> f64| a.iter().zip(&b).map(|(x, y)| term(*x, *y)).sum::<f64>();
    let (mass_a, mass_b) = (sum(&|x, _| x), sum(&|_, y| y));
    let count = a.len() as f64;
    let set = |x: f64| f64::from(u8::from(x > 0.5));
    let (set_a, set_b, both) = (sum(&|x, _| set(x)), sum(&|_, y| set(y)), sum(&|x, y| set(x) * set(y)));
    match metric {
        Metric::Ip => -sum(&|x, y| x * y),
        Metric::L2 => sum(&|x, y| (x - y) * (x - y)),
        Metric::Cosine => 1.0 - sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt(),
        Metric::L1 => sum(&|x, y| (x - y).abs()),
        Metric::Chebyshev => a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max),
        Metric::Canberra => sum(&|x, y| (x - y).abs() / (x.abs() + y.abs())),
        Metric::BrayCurtis => sum(&|x, y| (x - y).abs()) / sum(&|x, y| (x + y).abs()),
        Metric::Correlation => {
            let (x0, y0) = (mass_a / count, mass_b / count);
            let spread = (sum(&|x, _| (x - x0) * (x - x0)) * sum(&|_, y| (y - y0) * (y - y0))).sqrt();
            1.0 - sum(&|x, y| (x - x0) * (y - y0)) / spread
        }
        Metric::Hellinger => (sum(&|x, y| ((x / mass_a).sqrt() - (y / mass_b).sqrt()).powi(2)) / 2.0).sqrt(),
        Metric::Wasserstein => {
            let cdf = |v: &[f64], mass: f64, end: usize| v[..=end].iter().sum::<f64>() / mass;
            (0..a.len()).map(|end| (cdf(&a, mass_a, end) - cdf(&b, mass_b, end)).abs()).sum()
        }
        Metric::JensenShannon => {
            let entropy = |p: f64| if p > 0.0 { p * p.ln() } else { 0.0 };
            let mixed = sum(&|x, y| entropy((x / mass_a + y / mass_b) / 2.0));
            ((sum(&|x, _| entropy(x / mass_a)) + sum(&|_, y| entropy(y / mass_b))) / 2.0 - mixed).sqrt()
        }
        Metric::Haversine => {
            let [lon_a, lat_a, lon_b, lat_b] = [a[0], a[1], b[0], b[1]].map(f64::to_radians);
            let cosine = lat_a.sin() * lat_b.sin() + lat_a.cos() * lat_b.cos() * (lon_a - lon_b).cos();
            6_371_008.8 * cosine.acos()
        }
        Metric::Hamming => set_a + set_b - 2.0 * both,
        Metric::Jaccard | Metric::Tanimoto => 1.0 - both / (set_a + set_b - both),
        Metric::Dice => 1.0 - 2.0 * both / (set_a + set_b),
    }
}

/// Operands that the metric is meant for.
fn operands(metric: Metric, numbers: &mut Numbers, dim: usize) -> (Vec<f32>, Vec<f32>) {
    let mut vector = || match metric {
        Metric::Haversine => vec![180.0 * numbers.float(), 90.0 * numbers.float()],
        Metric::Hellinger | Metric::Wasserstein | Metric::JensenShannon | Metric::BrayCurtis => {
            numbers.floats(dim).iter().map(|x| x.abs()).collect()
        }
        _ => numbers.floats(dim),
    };
    (vector(), vector())
}

#[test]
fn all_metrics_agree_with_their_definitions_in_double_precision() {
    let mut numbers = Numbers(5);
    for metric in Metric::ALL {
        for dim in [2, 3, 16, 17, 100, 384, 1025, 3000] {
            let (a, b) = operands(metric, &mut numbers, dim);
            let expected = plain(metric, &a, &b);
            if !expected.is_finite() {
                continue;
            }
            let natural = match metric {
                Metric::Ip => plain(Metric::L2, &a, &vec![0.0; a.len()]),
                Metric::Cosine | Metric::Correlation => 1.0,
                _ => expected.abs(),
            };
            for kernels in all_kernels() {
                let got = f64::from(distance(metric, kernels, &a, Row::F32(&b)));
                let off = (got - expected).abs();
                assert!(off <= 1e-5 * natural, "{metric:?} {dim} {:?}: {got} {expected}", kernels.level);
            }
        }
    }
}

#[test]
fn half_rows_are_their_widened_selves() {
    let mut numbers = Numbers(6);
    for metric in Metric::ALL {
        for dim in [1, 2, 64, 77, 1500] {
            let (a, b) = operands(metric, &mut numbers, dim);
            let bits: Vec<u16> = b.iter().map(|x| half::f16::from_f32(*x).to_bits()).collect();
            let wide: Vec<f32> = bits.iter().map(|x| half::f16::from_bits(*x).to_f32()).collect();
            for kernels in all_kernels() {
                let narrow = distance(metric, kernels, &a, Row::F16(&bits));
                let expected = distance(metric, kernels, &a, Row::F32(&wide));
                let off = (narrow - expected).abs();
                assert!(off <= 1e-5 * expected.abs().max(1.0), "{metric:?} {dim}: {narrow} {expected}");
            }
        }
    }
}

#[test]
fn vectors_without_a_direction_or_a_mass() {
    let (zero, one) = ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0]);
    assert_eq!(of(Metric::Cosine, &zero, &one), 1.0);
    assert_eq!(of(Metric::Cosine, &one, &zero), 1.0);
    assert_eq!(of(Metric::Cosine, &zero, &zero), 1.0);
    assert_eq!(of(Metric::Canberra, &zero, &zero), 0.0);
    assert_eq!(of(Metric::Canberra, &zero, &one), 3.0);
    assert_eq!(of(Metric::BrayCurtis, &zero, &zero), 0.0);
    assert_eq!(of(Metric::BrayCurtis, &zero, &one), 1.0);
    assert_eq!(of(Metric::Correlation, &[2.0; 3], &[2.0; 3]), 0.0);
    assert_eq!(of(Metric::Correlation, &[2.0; 3], &[3.0; 3]), 1.0);
    assert_eq!(of(Metric::Correlation, &[0.1; 3], &one), 1.0);
    assert_eq!(of(Metric::Hellinger, &zero, &zero), 0.0);
    assert_eq!(of(Metric::Hellinger, &zero, &one), 1.0);
    assert_eq!(of(Metric::Wasserstein, &zero, &zero), 0.0);
    assert_eq!(of(Metric::Wasserstein, &zero, &one), f32::INFINITY);
    assert_eq!(of(Metric::JensenShannon, &zero, &zero), 0.0);
    assert!((of(Metric::JensenShannon, &one, &zero) - 0.832_554_6).abs() < 1e-6);
    for metric in [Metric::Jaccard, Metric::Tanimoto, Metric::Dice] {
        assert_eq!(of(metric, &zero, &zero), 0.0);
        assert_eq!(of(metric, &zero, &one), 1.0);
    }
}

#[test]
fn negative_masses_and_places_off_the_earth_are_infinitely_far() {
    for metric in [Metric::Hellinger, Metric::Wasserstein, Metric::JensenShannon] {
        assert_eq!(of(metric, &[-1.0, 2.0], &[1.0, 2.0]), f32::INFINITY);
        assert_eq!(of(metric, &[1.0, 2.0], &[1.0, -2.0]), f32::INFINITY);
    }
    assert_eq!(of(Metric::Haversine, &[0.0, 91.0], &[0.0, 0.0]), f32::INFINITY);
    assert_eq!(of(Metric::Haversine, &[0.0, 0.0], &[0.0, -90.5]), f32::INFINITY);
    assert_eq!(of(Metric::Haversine, &[0.0, 0.0, 0.0], &[0.0, 0.0, 0.0]), f32::INFINITY);
}

#[test]
fn known_distances() {
    let paris_london = of(Metric::Haversine, &[2.3522, 48.8566], &[-0.1276, 51.5072]);
    assert!((paris_london - 343_556.0).abs() < 500.0, "{paris_london}");
    assert_eq!(of(Metric::Hamming, &[1.0, 0.0, 0.6, 0.5], &[1.0, 1.0, 0.0, 0.4]), 2.0);
    assert_eq!(of(Metric::Wasserstein, &[1.0, 0.0, 0.0], &[0.0, 0.0, 5.0]), 2.0);
    assert_eq!(of(Metric::Dice, &[1.0, 1.0, 0.0], &[1.0, 0.0, 0.0]), (1.0 - 2.0 / 3.0) as f32);
    assert_eq!(of(Metric::Chebyshev, &[1.0, -4.0], &[2.0, 3.0]), 7.0);
    assert_eq!(score(Metric::Ip, of(Metric::Ip, &[1.0, 2.0], &[3.0, 4.0])), 11.0);
    assert_eq!(score(Metric::L2, 4.0), 4.0);
}

#[test]
fn huge_and_tiny_vectors_keep_their_digits() {
    let (huge, other) = ([3e25, 1e25, -2e25], [1e25, 1e25, 1e25]);
    let (tiny, small) = ([3e-25, 1e-25, -2e-25], [1e-25, 1e-25, 1e-25]);
    let expected = of(Metric::Cosine, &[3.0, 1.0, -2.0], &[1.0, 1.0, 1.0]);
    assert!((of(Metric::Cosine, &huge, &other) - expected).abs() < 1e-6);
    assert!((of(Metric::Cosine, &tiny, &small) - expected).abs() < 1e-6);
    assert!((of(Metric::Cosine, &huge, &small) - expected).abs() < 1e-6);
    assert_eq!(of(Metric::L2, &huge, &other), f32::INFINITY);
    // Terms overflow and cancel: the sum itself is small.
    assert_eq!(of(Metric::Ip, &[1e30, 1e30, 1.0], &[1e30, -1e30, 2.0]), -2.0);
    assert_eq!(of(Metric::L1, &[3e38, 1.0], &[-3e38, 1.0]), f32::INFINITY);
    assert_eq!(of(Metric::Canberra, &[3e38, 1.0], &[-3e38, 1.0]), 1.0);
    assert_eq!(of(Metric::BrayCurtis, &[3e38, 3e38], &[1.5e38, 1.5e38]), (1.0f64 / 3.0) as f32);
}

#[test]
fn zero_distances_are_positive_zero() {
    for metric in Metric::ALL {
        let vector = if metric == Metric::Haversine { vec![3.0, 4.0] } else { vec![0.0; 5] };
        let zero = of(metric, &vector, &vector);
        assert!(zero.is_sign_positive(), "{metric:?}");
    }
    assert!(of(Metric::Ip, &[-1.0], &[0.0]).is_sign_positive());
    assert!(of(Metric::Ip, &[1.0], &[0.0]).is_sign_positive());
}
