//! What becomes of a message between two places. Places are hosts, and the metadata.

use crate::random::Random;

/// A host by its number, or the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Host(usize),
    Metadata,
    /// Clients are reached always, and lose nothing on their own.
    Client,
}

struct Cut {
    from: Option<Place>,
    to: Option<Place>,
    until_ms: u64,
}

/// A way on which some messages take long.
struct Slow {
    from: Place,
    to: Place,
    extra_ms: u64,
    until_ms: u64,
}

#[derive(Default)]
pub(crate) struct Network {
    cuts: Vec<Cut>,
    slow: Vec<Slow>,
    lossy_per_mille: u64,
    lossy_until_ms: u64,
}

impl Network {
    /// Loses what goes from one place to another; `None` stands for every host and the metadata.
    pub(crate) fn cut(&mut self, from: Option<Place>, to: Option<Place>, until_ms: u64) {
        self.cuts.push(Cut { from, to, until_ms });
    }

    /// Messages from one place to another take up to so much longer, each its own time.
    pub(crate) fn slow(&mut self, from: Place, to: Place, extra_ms: u64, until_ms: u64) {
        self.slow.push(Slow { from, to, extra_ms, until_ms });
    }

    pub(crate) fn lossy(&mut self, per_mille: u64, until_ms: u64) {
        (self.lossy_per_mille, self.lossy_until_ms) = (per_mille, until_ms);
    }

    /// When a message that is sent now arrives: never, once, or twice.
    pub(crate) fn arrivals(&mut self, random: &mut Random, from: Place, to: Place, now: u64) -> Vec<u64> {
        self.cuts.retain(|cut| now < cut.until_ms);
        let between =
            |cut: &Cut| cut.from.is_none_or(|cut| cut == from) && cut.to.is_none_or(|cut| cut == to);
        let with_client = from == Place::Client || to == Place::Client;
        if !with_client && self.cuts.iter().any(between) {
            return Vec::new();
        }
        let lossy = if now < self.lossy_until_ms { self.lossy_per_mille } else { 0 };
        if random.per_mille(lossy) {
            return Vec::new();
        }
        self.slow.retain(|slow| now < slow.until_ms);
        let slow = self.slow.iter().find(|slow| slow.from == from && slow.to == to);
        let extra_ms = slow.map_or(0, |slow| slow.extra_ms);
        let copies = if !with_client && random.per_mille(lossy / 2 + 2) { 2 } else { 1 };
        (0..copies).map(|_| now + delay(random) + random.below(extra_ms + 1)).collect()
    }
}

/// Mostly 1 to 3 ms; sometimes long, so that later messages overtake.
fn delay(random: &mut Random) -> u64 {
    match random.below(100) {
        0 => random.range(10..250),
        1..=5 => random.range(3..30),
        _ => random.range(1..4),
    }
}
