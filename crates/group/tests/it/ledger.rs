//! A small consumer: names are claimed once, with a value, until they are released.
//!
//! Outcomes depend on everything that was applied before, so that an answer can be told from another one.

use lavandin_group::{Consumer, MultisetHash};
use lavandin_types::{CollectionId, SequenceNumber};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Refused if the name is claimed, or staged to be.
    Claim {
        name: u64,
        value: u64,
    },
    Release {
        name: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken(pub u64);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    claims: BTreeMap<u64, u64>,
    digest: MultisetHash,
    /// Operations applied.
    pub(crate) applied: u64,
    pub(crate) pending: BTreeSet<u64>,
}

impl Ledger {
    /// What a request does to a ledger; the outcome.
    pub(crate) fn perform(&mut self, request: Request) -> u64 {
        self.applied += 1;
        let element = |name: u64, value: u64| u128::from(name) << 64 | u128::from(value);
        match request {
            Request::Claim { name, value } => {
                self.claims.insert(name, value);
                self.digest.add(element(name, value));
                self.applied
            }
            Request::Release { name } => match self.claims.remove(&name) {
                Some(value) => {
                    self.digest.remove(element(name, value));
                    self.applied << 32 | value
                }
                None => self.applied,
            },
        }
    }

    pub(crate) fn is_taken(&self, name: u64) -> bool {
        self.claims.contains_key(&name) || self.pending.contains(&name)
    }

    /// All of the state, as a checkpoint keeps it.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut out = self.applied.to_le_bytes().to_vec();
        for (name, value) in &self.claims {
            out.extend_from_slice(&name.to_le_bytes());
            out.extend_from_slice(&value.to_le_bytes());
        }
        out
    }

    pub(crate) fn from_payload(payload: Option<&[u8]>) -> Result<Self, String> {
        let mut ledger = Self::default();
        let Some(payload) = payload else { return Ok(ledger) };
        let (words, rest) = payload.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let applied = words.next().ok_or("no count of operations")?;
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            ledger.perform(Request::Claim { name, value });
        }
        ledger.applied = applied;
        rest.is_empty().then_some(ledger).ok_or_else(|| "left-over bytes".to_owned())
    }
}

impl Consumer for Ledger {
    type Request = Request;
    type Outcome = u64;
    type Rejection = Taken;

    fn prepare(&mut self, request: Request, op: &mut Vec<u8>) -> Result<CollectionId, Taken> {
        let (kind, name, value) = match request {
            Request::Claim { name, .. } if self.is_taken(name) => {
                op.extend_from_slice(b"the start of what is refused");
                return Err(Taken(name));
            }
            Request::Claim { name, value } => {
                self.pending.insert(name);
                (1, name, value)
            }
            Request::Release { name } => (2, name, 0),
        };
        op.push(kind);
        op.extend_from_slice(&name.to_le_bytes());
        op.extend_from_slice(&value.to_le_bytes());
        Ok(CollectionId::new(1 + name % 3))
    }

    fn apply(&mut self, _: SequenceNumber, collection: CollectionId, op: &[u8]) -> u64 {
        let word = |at: usize| u64::from_le_bytes(op[at..at + 8].try_into().unwrap());
        let (name, value) = (word(1), word(9));
        assert_eq!(collection, CollectionId::new(1 + name % 3));
        self.pending.remove(&name);
        match op[0] {
            1 => self.perform(Request::Claim { name, value }),
            2 => self.perform(Request::Release { name }),
            other => panic!("operation {other} was never made"),
        }
    }

    fn discard_pending(&mut self) {
        self.pending.clear();
    }

    fn encode_outcome(outcome: &u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&outcome.to_le_bytes());
    }

    fn decode_outcome(bytes: &[u8]) -> Option<u64> {
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}
