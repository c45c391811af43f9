//! What a simulated log drives: the ledger, and the real iterations of training jobs.

use crate::ledger::{Claim, Ledger, Taken};
use lavandin_group::{Consumer, MultisetHash};
use lavandin_plan::iterations::{IterationLimits, Iterations, Outcome, Rejection, Request};
use lavandin_types::{CollectionId, SequenceNumber};

/// The first byte of the ledger's operations; those on iterations begin with 64 or more.
const LEDGER: u8 = 0;

#[derive(Debug)]
pub(crate) enum Asked {
    Claim(Claim),
    Iterations(Request),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// How many operations there are now.
    Claim(u64),
    Iterations(Outcome),
}

#[derive(Debug)]
pub(crate) enum Refused {
    Taken(Taken),
    Iterations(Rejection),
}

pub(crate) struct GroupState {
    pub ledger: Ledger,
    pub iterations: Iterations,
}

impl GroupState {
    /// What copies at one record must have in common.
    pub(crate) fn digest(&self) -> (MultisetHash, u64) {
        self.ledger.digest()
    }

    /// The iterations as a checkpoint has them.
    pub(crate) fn iterations_part(&self) -> Vec<u8> {
        let mut part = Vec::new();
        self.iterations.encode(&mut part);
        part
    }

    /// The whole state but what is pending.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let (ledger, iterations) = (self.ledger.payload(), self.iterations_part());
        [&(ledger.len() as u64).to_le_bytes()[..], &ledger, &iterations].concat()
    }

    pub(crate) fn from_payload(payload: Option<&[u8]>) -> Result<Self, &'static str> {
        let limits = IterationLimits::default();
        let Some(payload) = payload else {
            return Ok(Self { ledger: Ledger::default(), iterations: Iterations::new(limits) });
        };
        let ends_early = "a payload ends early";
        let (length, rest) = payload.split_first_chunk::<8>().ok_or(ends_early)?;
        let (ledger, iterations) =
            rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or(ends_early)?;
        let iterations = Iterations::decode(limits, iterations).ok_or("a payload without iterations")?;
        Ok(Self { ledger: Ledger::from_payload(ledger)?, iterations })
    }
}

impl Consumer for GroupState {
    type Request = Asked;
    type Outcome = Answered;
    type Rejection = Refused;

    fn prepare(&mut self, asked: Asked, op: &mut Vec<u8>) -> Result<CollectionId, Refused> {
        match asked {
            Asked::Claim(claim) => {
                op.push(LEDGER);
                self.ledger.prepare(claim, op).map_err(Refused::Taken)?;
            }
            Asked::Iterations(request) => {
                self.iterations.prepare(request, op).map_err(Refused::Iterations)?
            }
        }
        Ok(CollectionId::new(1))
    }

    fn apply(&mut self, _: SequenceNumber, _: CollectionId, op: &[u8]) -> Answered {
        match op.split_first() {
            Some((&LEDGER, claim)) => Answered::Claim(self.ledger.apply(claim)),
            _ => {
                self.ledger.note(op);
                Answered::Iterations(self.iterations.apply(op))
            }
        }
    }

    fn discard_pending(&mut self) {
        self.ledger.discard_pending();
        self.iterations.discard_pending();
    }

    fn encode_outcome(outcome: &Answered, out: &mut Vec<u8>) {
        match outcome {
            Answered::Claim(count) => {
                out.push(LEDGER);
                out.extend_from_slice(&count.to_le_bytes());
            }
            Answered::Iterations(outcome) => Iterations::encode_outcome(outcome, out),
        }
    }

    fn decode_outcome(bytes: &[u8]) -> Option<Answered> {
        match bytes.split_first()? {
            (&LEDGER, count) => Some(Answered::Claim(u64::from_le_bytes(count.try_into().ok()?))),
            _ => Iterations::decode_outcome(bytes).map(Answered::Iterations),
        }
    }
}
