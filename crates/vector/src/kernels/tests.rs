use super::*;
use crate::codes::{CodeMeta, DIMENSION_MAX};

/// A small reproducible generator: tests need many numbers, not good ones.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    /// Within -1..1.
    pub(crate) fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }
}

fn levels() -> Vec<&'static Kernels> {
    Level::ALL.into_iter().filter_map(Kernels::for_level).collect()
}

const LENGTHS: [usize; 26] =
    [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 96, 127, 128, 129, 200, 255, 384, 1000];

#[test]
fn the_best_level_is_the_last_supported() {
    let best = Level::ALL.into_iter().rev().find(|level| level.is_supported()).unwrap();
    assert_eq!(Kernels::get().level, best);
    assert!(Kernels::for_level(Level::Scalar).is_some());
}

#[test]
fn names_are_parsed_back() {
    for level in Level::ALL {
        assert_eq!(Level::parse(level.name()), Some(level));
    }
    assert_eq!(Level::parse("AVX2"), Some(Level::Avx2));
    assert_eq!(Level::parse("sse"), None);
}

/// Checks a float kernel of every level against double precision, on slices that begin anywhere.
fn check_floats(what: &str, run: impl Fn(&Kernels, &[f32], &[f32]) -> f32, term: impl Fn(f64, f64) -> f64) {
    let mut numbers = Numbers(7);
    for length in LENGTHS {
        for shift in [0, 1, 3] {
            let (a, b) = (numbers.floats(length + shift), numbers.floats(length + 3));
            let (a, b) = (&a[shift..], &b[3..]);
            let terms = a.iter().zip(b).map(|(a, b)| term(f64::from(*a), f64::from(*b)));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            for kernels in levels() {
                let got = f64::from(run(kernels, a, b));
                assert!((got - sum).abs() <= 1e-6 * size, "{what} {:?} {length}: {got} {sum}", kernels.level);
            }
        }
    }
}

#[test]
fn float_kernels_agree_with_double_precision() {
    check_floats("dot", |kernels, a, b| (kernels.dot_f32)(a, b), |a, b| a * b);
    check_floats("l2", |kernels, a, b| (kernels.l2_f32)(a, b), |a, b| (a - b) * (a - b));
}

#[test]
fn half_kernels_agree_with_the_scalar_ones_and_double_precision() {
    let mut numbers = Numbers(8);
    for length in LENGTHS {
        for shift in [0, 1] {
            let row: Vec<u16> =
                numbers.floats(length + shift).iter().map(|x| half::f16::from_f32(*x).to_bits()).collect();
            let row = &row[shift..];
            let query = numbers.floats(length);
            let wide: Vec<f64> = row.iter().map(|x| half::f16::from_bits(*x).to_f64()).collect();
            let pairs = || wide.iter().zip(query.iter().map(|x| f64::from(*x)));
            let dot: f64 = pairs().map(|(a, b)| a * b).sum();
            let size: f64 = pairs().map(|(a, b)| (a * b).abs()).sum();
            let l2: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
            for kernels in levels() {
                let got = f64::from((kernels.dot_f16)(row, &query));
                assert!((got - dot).abs() <= 1e-6 * size, "{:?} {length}", kernels.level);
                let got = f64::from((kernels.l2_f16)(row, &query));
                assert!((got - l2).abs() <= 1e-6 * l2, "{:?} {length}", kernels.level);
            }
        }
    }
}

#[test]
fn half_kernels_know_subnormal_and_largest_numbers() {
    for kernels in levels() {
        for (bits, value) in
            [(0x0001, 2f32.powi(-24)), (0x83ff, -1023.0 * 2f32.powi(-24)), (0x7bff, 65_504.0)]
        {
            for length in [1, 16, 33, 64] {
                let sum = (kernels.dot_f16)(&vec![bits; length], &vec![1.0; length]);
                assert_eq!(sum, value * length as f32, "{:?} {length}", kernels.level);
            }
        }
    }
}

#[test]
fn extreme_floats_overflow_alike() {
    let a = vec![f32::MAX; 100];
    for kernels in levels() {
        assert_eq!((kernels.dot_f32)(&a, &a), f32::INFINITY);
        assert_eq!((kernels.l2_f32)(&a, &a), 0.0);
        assert_eq!((kernels.dot_f32)(&[f32::MIN_POSITIVE; 3], &[0.5; 3]), 1.5 * f32::MIN_POSITIVE);
    }
}

fn wide_dot(codes: &[u8], query: &[i8]) -> i64 {
    codes.iter().zip(query).map(|(code, q)| i64::from(*code) * i64::from(*q)).sum()
}

#[test]
fn code_kernels_are_exact_for_all_bytes() {
    let mut numbers = Numbers(9);
    for length in LENGTHS {
        for kind in 0..4 {
            let byte = |numbers: &mut Numbers| match kind {
                0 => 255,
                1 => 0,
                _ => numbers.next() as u8,
            };
            let codes: Vec<u8> = (0..length + 1).map(|_| byte(&mut numbers)).collect();
            let query: Vec<i8> = (0..length)
                .map(|_| match kind {
                    0 => -128,
                    1 | 2 => 127,
                    _ => numbers.next() as i8,
                })
                .collect();
            for kernels in levels() {
                let got = i64::from((kernels.dot_codes)(&codes[1..], &query));
                assert_eq!(got, wide_dot(&codes[1..], &query), "{:?} {length}", kernels.level);
            }
        }
    }
}

#[test]
fn the_longest_codes_do_not_overflow() {
    let codes = vec![255; DIMENSION_MAX];
    let query = vec![-127; DIMENSION_MAX];
    for kernels in levels() {
        assert_eq!(i64::from((kernels.dot_codes)(&codes, &query)), wide_dot(&codes, &query));
    }
}

#[test]
fn blocked_code_kernels_agree_with_the_single_one() {
    let mut numbers = Numbers(10);
    for stride in [64, 128, 192, 384] {
        for rows in [0, 1, 3, 4, 5, 8, 15, 16, 17, 31, 33, 63, 64] {
            let codes: Vec<u8> = (0..rows * stride).map(|_| numbers.next() as u8).collect();
            let queries: Vec<i8> = (0..7 * stride).map(|_| numbers.next() as i8).collect();
            for kernels in levels() {
                check_blocked(kernels, &codes, &queries, stride, &mut numbers);
            }
        }
    }
}

fn check_blocked(kernels: &Kernels, codes: &[u8], queries: &[i8], stride: usize, numbers: &mut Numbers) {
    let rows = codes.len() / stride;
    let expected = |row: usize, query: usize| {
        let (row, query) = (&codes[row * stride..][..stride], &queries[query * stride..][..stride]);
        wide_dot(row, query) as i32
    };
    let mut out = vec![0; rows];
    (kernels.dot_rows)(codes, &queries[..stride], &mut out);
    assert!((0..rows).all(|row| out[row] == expected(row, 0)), "{:?} {rows} {stride}", kernels.level);
    if rows > 0 {
        let listed: Vec<u32> = (0..rows + 20).map(|_| numbers.below(rows as u64) as u32).collect();
        let mut out = vec![0; listed.len()];
        (kernels.dot_listed)(codes, &listed, &queries[..stride], &mut out);
        assert!(listed.iter().zip(out).all(|(row, out)| out == expected(*row as usize, 0)));
    }
    for count in 0..=7 {
        let mut out = vec![0; count * TILE_ROWS];
        (kernels.dot_tile)(codes, &queries[..count * stride], stride, &mut out);
        for query in 0..count {
            for row in 0..rows {
                assert_eq!(out[query * TILE_ROWS + row], expected(row, query), "{:?}", kernels.level);
            }
        }
    }
}

#[test]
#[should_panic]
fn listed_rows_beyond_the_codes_are_refused() {
    (Kernels::get().dot_listed)(&[0; 128], &[2; 16], &[0; 64], &mut [0; 16]);
}

#[test]
#[should_panic]
fn lengths_are_checked() {
    (Kernels::get().dot_f32)(&[0.0; 3], &[0.0; 4]);
}

fn some_meta(numbers: &mut Numbers) -> CodeMeta {
    let norm2 = numbers.float().abs() * 10.0;
    CodeMeta {
        scale: numbers.float().abs(),
        norm2,
        inv_norm: 1.0 / norm2.sqrt(),
        error: numbers.float().abs(),
    }
}

#[test]
fn screening_agrees_with_the_scalar_kernel_but_for_rounding() {
    let mut numbers = Numbers(11);
    let scalar = Kernels::for_level(Level::Scalar).unwrap();
    for form in [Form::InnerProduct, Form::L2 { base_factor: 0.999 }, Form::Cosine] {
        for rows in [1, 17, 63, 64] {
            let meta: Vec<CodeMeta> = (0..rows).map(|_| some_meta(&mut numbers)).collect();
            let dots: [i32; TILE_ROWS] = std::array::from_fn(|_| numbers.below(2_000_000) as i32 - 1_000_000);
            let line = Line { offset: 12_345, bias: 0.5, dot: 1e-4, error: 0.7, norm: 0.01 };
            let mut reference = Tile::EMPTY;
            (scalar.fill_tile)(&meta, form, &mut reference);
            let present = u64::MAX >> (64 - rows);
            for kernels in levels() {
                let mut tile = Tile::EMPTY;
                (kernels.fill_tile)(&meta, form, &mut tile);
                assert_eq!(tile.scale, reference.scale);
                assert_eq!(tile.error, reference.error);
                assert_eq!(tile.norm, reference.norm);
                assert_eq!(tile.base, reference.base);
                for limit in [-60.0, -3.0, 0.0, 3.0, 60.0] {
                    let passed = (kernels.screen)(&tile, &dots, &line, limit);
                    let strict = (scalar.screen)(&reference, &dots, &line, limit - 1e-3);
                    let loose = (scalar.screen)(&reference, &dots, &line, limit + 1e-3);
                    assert_eq!(passed & strict & present, strict & present, "{:?}", kernels.level);
                    assert_eq!(passed & !loose & present, 0, "{:?}", kernels.level);
                }
            }
        }
    }
}

#[test]
fn screening_lets_pass_what_has_no_bound() {
    let infinite = CodeMeta { error: f32::INFINITY, ..CodeMeta::default() };
    for kernels in levels() {
        for form in [Form::InnerProduct, Form::L2 { base_factor: 1.0 }, Form::Cosine] {
            let mut tile = Tile::EMPTY;
            (kernels.fill_tile)(&[infinite; TILE_ROWS], form, &mut tile);
            for error in [0.0, 1.0, f32::INFINITY] {
                let line = Line { error, ..Line::default() };
                let passed = (kernels.screen)(&tile, &[0; TILE_ROWS], &line, f32::NEG_INFINITY);
                assert_eq!(passed, u64::MAX, "{:?}", kernels.level);
            }
        }
    }
}
