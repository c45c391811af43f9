use super::*;
use crate::kernels::Kernels;
use crate::kernels::tests::Numbers;

fn encoded(row: &[f32]) -> (Vec<u8>, CodeMeta) {
    let mut codes = vec![0; stride_for(row.len())];
    let meta = encode_row(row, &mut codes);
    (codes, meta)
}

/// Rows of all sizes and shapes.
fn odd_rows() -> Vec<Vec<f32>> {
    let mut numbers = Numbers(3);
    let mut rows = Vec::new();
    for dim in [1, 2, 5, 63, 64, 65, 384, 1000] {
        for exponent in [-44, -38, -30, -10, 0, 10, 18] {
            let factor = 10f64.powi(exponent);
            rows.push(numbers.floats(dim).iter().map(|x| (f64::from(*x) * factor) as f32).collect());
        }
        rows.push(vec![0.0; dim]);
        rows.push(vec![1.0; dim]);
        // One large element makes all others zeros.
        let mut spike = numbers.floats(dim);
        spike[0] = 1e6;
        rows.push(spike);
    }
    rows
}

#[test]
fn the_stored_error_is_an_upper_bound() {
    for row in odd_rows() {
        let (codes, meta) = encoded(&row);
        let scale = f64::from(meta.scale);
        let lost2: f64 = row
            .iter()
            .zip(&codes)
            .map(|(x, code)| (f64::from(*x) - scale * (f64::from(*code) - 128.0)).powi(2))
            .sum();
        assert!(f64::from(meta.error) >= lost2.sqrt(), "{row:?}");
        assert!(codes[row.len()..].iter().all(|byte| *byte == 128));
        assert!(codes.iter().all(|byte| *byte >= 1));
        let norm2: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert_eq!(meta.norm2, norm2 as f32);
        if (1e-37..=1e37).contains(&norm2) {
            assert!(meta.error <= norm2.sqrt() as f32);
            assert!((f64::from(meta.inv_norm) * norm2.sqrt() - 1.0).abs() < 1e-6);
        } else if norm2 > 0.0 {
            assert_eq!(meta.error, f32::INFINITY);
        } else {
            assert_eq!(meta, CodeMeta::default());
        }
    }
}

#[test]
fn the_bound_on_the_inner_product_holds() {
    let rows = odd_rows();
    for query in &rows {
        let coded = QueryCodes::new(query);
        for row in rows.iter().filter(|row| row.len() == query.len()) {
            let (codes, meta) = encoded(row);
            if !meta.error.is_finite() || !coded.error.is_finite() {
                continue;
            }
            let truth: f64 = query.iter().zip(row).map(|(q, x)| f64::from(*q) * f64::from(*x)).sum();
            let raw = (Kernels::get().dot_codes)(&codes, &coded.bytes);
            let dot = f64::from(coded.scale) * f64::from(meta.scale) * f64::from(raw - coded.offset);
            let (query_norm, norm) = (f64::from(coded.norm2).sqrt(), f64::from(meta.norm2).sqrt());
            let error = f64::from(meta.error);
            let bound = query_norm * error + f64::from(coded.error) * (norm + error);
            assert!((truth - dot).abs() <= bound * 1.000_001 + 1e-7 * query_norm * norm);
            let single = f64::from(coded.dot(raw, &meta));
            assert!((single - dot).abs() <= 1e-6 * dot.abs() + 1e-37);
        }
    }
}

#[test]
fn what_is_not_finite_is_not_trusted() {
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (codes, meta) = encoded(&[1.0, odd, 2.0]);
        assert_eq!(meta.error, f32::INFINITY);
        assert!(codes.iter().all(|byte| *byte == 128));
    }
}

#[test]
fn estimated_distances_are_near_the_true_ones() {
    let mut numbers = Numbers(4);
    for _ in 0..100 {
        let (query, row) = (numbers.floats(128), numbers.floats(128));
        let (codes, meta) = encoded(&row);
        let coded = QueryCodes::new(&query);
        let raw = (Kernels::get().dot_codes)(&codes, &coded.bytes);
        for metric in [Metric::Ip, Metric::L2, Metric::Cosine] {
            let truth = crate::metric::distance(metric, Kernels::get(), &query, crate::block::Row::F32(&row));
            let scale = if metric == Metric::Cosine { 1.0 } else { coded.norm2 };
            assert!((coded.distance(metric, raw, &meta) - truth).abs() < 0.02 * scale, "{metric:?}");
        }
    }
}
