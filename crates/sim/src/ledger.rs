//! The part of what stands behind simulated logs that is made to show what went wrong: names are claimed once, and every
//! operation that was ever applied is remembered, so that a lost, doubled or invented one shows.

use lavandin_group::MultisetHash;
use std::collections::{BTreeMap, BTreeSet};

/// One client operation: unique, and for a name that others want, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Unique among all operations of a run.
    pub operation: u64,
    /// 0 claims nothing; another name is refused if it is claimed or about to be.
    pub name: u64,
}

/// The name is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken;

/// The state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// How often each operation was applied: once, if all is well.
    pub applied: BTreeMap<u64, u32>,
    names: BTreeSet<u64>,
    pending: BTreeSet<u64>,
    digest: MultisetHash,
    count: u64,
}

impl Ledger {
    /// What copies at one record must have in common.
    pub(crate) fn digest(&self) -> (MultisetHash, u64) {
        (self.digest, self.count)
    }

    fn perform(&mut self, claim: Claim) -> u64 {
        *self.applied.entry(claim.operation).or_default() += 1;
        if claim.name != 0 {
            self.names.insert(claim.name);
        }
        self.digest.add(u128::from(claim.operation) << 64 | u128::from(claim.name) | 1 << 63);
        self.count += 1;
        self.count
    }

    /// The whole state but what is pending.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut words = vec![self.count, self.digest.get() as u64, (self.digest.get() >> 64) as u64];
        words.push(self.names.len() as u64);
        words.extend(&self.names);
        words.extend(self.applied.iter().flat_map(|(operation, times)| [*operation, u64::from(*times)]));
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    pub(crate) fn from_payload(payload: &[u8]) -> Result<Self, &'static str> {
        let (words, _) = payload.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next().ok_or("a payload ends early");
        let (count, low, high) = (word()?, word()?, word()?);
        let names = (0..word()?).map(|_| word()).collect::<Result<_, _>>()?;
        let mut applied = BTreeMap::new();
        while let Some(operation) = words.next() {
            applied.insert(operation, words.next().ok_or("a payload ends early")? as u32);
        }
        let digest = MultisetHash::from_value(u128::from(high) << 64 | u128::from(low));
        Ok(Self { applied, names, pending: BTreeSet::new(), digest, count })
    }

    pub(crate) fn prepare(&mut self, claim: Claim, op: &mut Vec<u8>) -> Result<(), Taken> {
        if claim.name != 0 {
            if self.names.contains(&claim.name) || self.pending.contains(&claim.name) {
                return Err(Taken);
            }
            self.pending.insert(claim.name);
        }
        op.extend_from_slice(&claim.operation.to_le_bytes());
        op.extend_from_slice(&claim.name.to_le_bytes());
        // Some operations are longer than a segment file of the simulated logs.
        op.resize(op.len() + (claim.operation % 13) as usize * 60, 7);
        Ok(())
    }

    pub(crate) fn apply(&mut self, op: &[u8]) -> u64 {
        let word =
            |at: usize| op.get(at..at + 8).and_then(|word| Some(u64::from_le_bytes(word.try_into().ok()?)));
        let claim = Claim { operation: word(0).unwrap_or_default(), name: word(8).unwrap_or_default() };
        self.pending.remove(&claim.name);
        self.perform(claim)
    }

    pub(crate) fn discard_pending(&mut self) {
        self.pending.clear();
    }

    /// Another operation of the log was applied.
    pub(crate) fn note(&mut self, op: &[u8]) {
        let fold =
            |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013B);
        self.digest.add(op.iter().fold(u128::from(self.count), fold));
        self.count += 1;
    }
}
