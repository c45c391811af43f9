//! What clients did and were told, and whether what they read agrees with it.
//!
//! A record's writes follow one another: one client has it, and goes on to the next write only when it knows what became
//! of the last one, or leaves the record alone. So the versions of a record are numbered, each read has a lowest version
//! that it may show, and what was refused must never show.

use crate::network::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A usual read shows what its node knew to be committed at most eight seconds ago, and the time for saying so.
const OLD: Duration = Duration::from_secs(10);

/// The node, and which of its lives, that a client was answered by.
pub(crate) type Via = (usize, u64);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Known {
    Pending,
    Acknowledged {
        via: Via,
        at: Instant,
    },
    /// It was said that nothing was done.
    Refused,
    Unknown,
}

#[derive(Clone, Debug)]
struct Write {
    is_delete: bool,
    known: Known,
}

/// A record; its version `n` is the `n`th of the writes.
#[derive(Clone, Debug, Default)]
struct Track {
    writes: Vec<Write>,
    /// The newest that a read showed which must show the newest.
    shown: u64,
}

/// A batch of records without ids.
#[derive(Clone, Debug)]
struct Batch {
    rows: u64,
    known: Known,
    /// The first of the ids that it was given.
    start: Option<u64>,
}

#[derive(Default)]
struct Inner {
    tracks: BTreeMap<u64, Track>,
    batches: BTreeMap<u64, Batch>,
    /// Whom ids were given to.
    given: BTreeMap<u64, u64>,
    violations: Vec<String>,
}

#[derive(Default)]
pub(crate) struct History(Mutex<Inner>);

/// What a read has to show at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Freshness {
    /// All that was acknowledged, and all that such a read has shown.
    Newest,
    /// What was acknowledged by this node.
    Of(Via),
}

/// The lowest versions that a read may show, by record.
pub(crate) type Floors = BTreeMap<u64, u64>;

impl History {
    pub(crate) fn violate(&self, what: String) {
        lock(&self.0).violations.push(what);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        lock(&self.0).violations.clone()
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        let inner = lock(&self.0);
        let writes = inner.tracks.values().flat_map(|track| &track.writes).map(|write| &write.known);
        let known = writes.chain(inner.batches.values().map(|batch| &batch.known));
        known.filter(|known| matches!(known, Known::Acknowledged { .. })).count() as u64
    }

    /// A write begins; its version.
    pub(crate) fn begin(&self, id: u64, is_delete: bool) -> u64 {
        let mut inner = lock(&self.0);
        let track = inner.tracks.entry(id).or_default();
        track.writes.push(Write { is_delete, known: Known::Pending });
        track.writes.len() as u64
    }

    /// What became of a record's last write.
    pub(crate) fn end(&self, id: u64, known: Known) {
        if let Some(last) = lock(&self.0).tracks.get_mut(&id).and_then(|track| track.writes.last_mut()) {
            last.known = known;
        }
    }

    pub(crate) fn begin_batch(&self, tag: u64, rows: u64) {
        lock(&self.0).batches.insert(tag, Batch { rows, known: Known::Pending, start: None });
    }

    pub(crate) fn end_batch(&self, tag: u64, known: Known, start: Option<u64>) {
        let mut inner = lock(&self.0);
        let Inner { batches, given, violations, .. } = &mut *inner;
        let Some(batch) = batches.get_mut(&tag) else { return };
        (batch.known, batch.start) = (known, start);
        for id in start.into_iter().flat_map(|start| start..start + batch.rows) {
            if let Some(other) = given.insert(id, tag) {
                violations.push(format!("id {id} was given to batch {other} and to batch {tag}"));
            }
        }
    }

    /// To be asked before the read begins.
    pub(crate) fn floors(&self, freshness: Freshness) -> Floors {
        let now = Instant::now();
        let counts = |known: &Known| match (known, freshness) {
            (Known::Acknowledged { .. }, Freshness::Newest) => true,
            (Known::Acknowledged { via, at }, Freshness::Of(node)) => *via == node || now > *at + OLD,
            _ => false,
        };
        let floor = |track: &Track| {
            let acknowledged =
                track.writes.iter().rposition(|write| counts(&write.known)).map_or(0, |at| at + 1);
            match freshness {
                Freshness::Newest => track.shown.max(acknowledged as u64),
                Freshness::Of(_) => acknowledged as u64,
            }
        };
        lock(&self.0).tracks.iter().map(|(id, track)| (*id, floor(track))).collect()
    }

    /// Compares what a read showed (ids and versions) with the history; `what` says which read. Raises `floors` to what
    /// it showed.
    pub(crate) fn check(&self, what: &str, floors: &mut Floors, shown: &[(u64, u64)], is_newest: bool) {
        let mut inner = lock(&self.0);
        let Inner { tracks, violations, .. } = &mut *inner;
        let mut found: BTreeMap<u64, u64> = BTreeMap::new();
        for (id, version) in shown {
            if found.insert(*id, *version).is_some() {
                violations.push(format!("{what}: record {id} is there twice"));
            }
            if !tracks.contains_key(id) {
                violations.push(format!("{what}: nobody wrote record {id}"));
            }
        }
        for (id, track) in tracks {
            let floor = floors.entry(*id).or_default();
            let version = found.get(id).copied();
            match track.judge(*floor, version) {
                Ok(at_least) => {
                    *floor = at_least;
                    if is_newest {
                        track.shown = track.shown.max(at_least);
                    }
                }
                Err(wrong) => violations.push(format!(
                    "{what}: {wrong}: record {id} is {version:?}, at least {floor} of {}",
                    track.tell()
                )),
            }
        }
    }

    /// Compares the records without ids of their own, as (id, batch, row), with what their writers were told.
    pub(crate) fn check_batches(&self, what: &str, shown: &[(u64, u64, u64)]) {
        let mut inner = lock(&self.0);
        let Inner { batches, violations, .. } = &mut *inner;
        let mut found: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
        for (id, tag, row) in shown {
            found.entry((*tag, *row)).or_default().push(*id);
            if batches.get(tag).is_none_or(|batch| *row >= batch.rows) {
                violations.push(format!("{what}: nobody wrote row {row} of batch {tag}, which has id {id}"));
            }
        }
        for (tag, batch) in batches {
            for row in 0..batch.rows {
                let ids = found.get(&(*tag, row)).map_or(&[][..], Vec::as_slice);
                let is_right = match batch.known {
                    Known::Acknowledged { .. } => batch.start.is_some_and(|start| ids == [start + row]),
                    Known::Refused => ids.is_empty(),
                    Known::Pending | Known::Unknown => ids.len() <= 1,
                };
                if !is_right {
                    violations
                        .push(format!("{what}: row {row} of batch {tag} ({batch:?}) has the ids {ids:?}"));
                }
            }
        }
    }
}

impl Track {
    /// The last writes, for a reader.
    fn tell(&self) -> String {
        let from = self.writes.len().saturating_sub(4);
        let tell = |(version, write): (usize, &Write)| {
            let kind = if write.is_delete { "delete" } else { "write" };
            format!("{version} ({kind}, {:?})", write.known)
        };
        let last: Vec<String> = (1..).zip(&self.writes).skip(from).map(tell).collect();
        last.join(", ")
    }

    /// Whether a read may show a version, or with `None` nothing; the lowest version that explains it.
    fn judge(&self, floor: u64, version: Option<u64>) -> Result<u64, &'static str> {
        let Some(version) = version else {
            let deleted = (1..).zip(&self.writes).find(|(version, write)| {
                *version >= floor && write.is_delete && write.known != Known::Refused
            });
            return match deleted {
                _ if floor == 0 => Ok(0),
                Some((version, _)) => Ok(version),
                None => Err("an acknowledged write is lost"),
            };
        };
        match self.writes.get((version as usize).wrapping_sub(1)) {
            None => Err("nobody wrote this"),
            Some(write) if write.is_delete => Err("nobody wrote this"),
            Some(write) if write.known == Known::Refused => Err("what was refused is there"),
            Some(_) if version < floor => Err("the read is stale"),
            Some(_) => Ok(version),
        }
    }
}
