use super::*;

fn check(text: &str) {
    let expected: f32 = text.parse().unwrap();
    // What follows must not matter.
    for tail in ["", ",", "]", " ", ",123456789"] {
        let (found, length) =
            parse(format!("{text}{tail}").as_bytes()).unwrap_or_else(|| panic!("{text} refused"));
        assert_eq!(length, text.len(), "{text}{tail}");
        assert_eq!(found.to_bits(), expected.to_bits(), "{text}: {found:?} for {expected:?}");
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 ^ (self.0 >> 31)
    }
}

#[test]
fn ordinary_and_strange_numbers_are_read_as_the_standard_library_reads_them() {
    for text in [
        "0",
        "-0",
        "0.0",
        "1",
        "-1",
        "10",
        "0.1",
        "0.10000000149011612",
        "-0.30000001192092896",
        "1e0",
        "1E+2",
        "1e-2",
        "123456789",
        "1234567890123456789",
        "12345678901234567890",
        "0.000000000000000000000000000001",
        "1e22",
        "1e23",
        "1e-22",
        "1e-23",
        "1e38",
        "3.4028234663852886e38",
        "3.4028235677973366e38",
        "1e39",
        "1e400",
        "-1e400",
        "1e-400",
        "1.1754943508222875e-38",
        "1.1754942e-38",
        "1e-45",
        "7e-46",
        "16777217",
        "16777219",
        "9007199254740993",
        "0.00000000000000000001234567890123456789",
        "100000000.00000001",
        "1e99999999999999999999",
        "0e99999999999999",
        "1.00000005960464477539062",
        "1.00000005960464477539063",
        "1.000000059604644775390625",
        "1.0000000596046447753906250000000000000000001",
        "8388608.5",
        "8388609.5",
    ] {
        check(text);
    }
}

#[test]
fn floats_in_every_form_come_back() {
    let mut random = Random(3);
    for _ in 0..40_000 {
        let number = f32::from_bits(random.next() as u32);
        if number.is_finite() {
            check(&format!("{number:?}"));
            check(&format!("{:?}", f64::from(number)));
            check(&format!("{number:e}"));
        }
    }
}

#[test]
fn random_digits_are_rounded_correctly() {
    let mut random = Random(5);
    for _ in 0..40_000 {
        let (whole, fraction) = (random.next() % 10u64.pow((random.next() % 10) as u32), random.next());
        let exponent = random.next() as i64 % 60;
        check(&format!("{whole}.{fraction}"));
        check(&format!("-{whole}.{:05}e{exponent}", fraction % 100_000));
    }
}

#[test]
fn middles_between_floats_are_rounded_to_even() {
    let mut random = Random(7);
    for _ in 0..20_000 {
        let low = f32::from_bits((random.next() as u32 & 0x3fff_ffff) | 0x2000_0000);
        let high = f32::from_bits(low.to_bits() + 1);
        let middle = (f64::from(low) + f64::from(high)) / 2.0;
        check(&format!("{middle:?}"));
        check(&format!("{middle:.60}"));
    }
}

#[test]
fn what_is_no_json_number_is_refused() {
    for text in [
        "", "-", "+1", ".5", "1.", "01", "-01", "00", "1e", "1e+", "nan", "inf", "-inf", "NaN", "null", "e5",
        "x",
    ] {
        let found = parse(text.as_bytes());
        assert!(found.is_none_or(|(_, length)| length < text.len()), "{text}: {found:?}");
        assert!(found.is_none(), "{text}: {found:?}");
    }
    assert_eq!(parse(b"1x").map(|(_, length)| length), Some(1), "what follows is the list's to judge");
}
