//! Great-circle distance.

/// The mean radius of the Earth (IUGG), in metres.
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Metres between two `[longitude, latitude]` in degrees, on a sphere.
pub(super) fn haversine(a: &[f32], b: &[f32]) -> f32 {
    let ([longitude_a, latitude_a], [longitude_b, latitude_b]) = (a, b) else { return f32::INFINITY };
    if latitude_a.abs() > 90.0 || latitude_b.abs() > 90.0 {
        return f32::INFINITY;
    }
    let radians = |degrees: &f32| f64::from(*degrees).to_radians();
    let (latitude_a, latitude_b) = (radians(latitude_a), radians(latitude_b));
    let half_latitude = ((latitude_b - latitude_a) / 2.0).sin();
    let half_longitude = ((radians(longitude_b) - radians(longitude_a)) / 2.0).sin();
    let chord2 =
        half_latitude * half_latitude + latitude_a.cos() * latitude_b.cos() * half_longitude * half_longitude;
    (2.0 * EARTH_RADIUS_M * chord2.clamp(0.0, 1.0).sqrt().asin()) as f32
}
