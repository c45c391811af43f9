//! What two nodes say before they trust each other; no I/O, no clock, nonces are arguments.
//!
//! 1. The dialling side (*initiator*) says which protocol numbers it speaks, with a nonce: hello.
//! 2. The side that was dialled (*responder*) chooses a number, with a nonce of its own: challenge.
//! 3. The initiator says who it is and whom it wants, with a MAC over all that was said: proof.
//! 4. The responder says welcome or why not, and who it is, with a MAC over all that was said: verdict.
//! 5. Both derive a key for each direction from all that was said.
//!
//! The MACs carry the speaker's role, so that a message sent back to its author proves nothing, and both nonces, so
//! that a captured one proves nothing either. The initiator proves itself first: a stranger who dials gets nothing
//! to try guesses of the secret against, and does not learn whom it reached. A responder that refuses for another
//! reason than the secret signs that too, and the initiator believes no other refusal.
//!
//! The first two messages are the same in every version, or an old node could not be told that it is old.

use crate::error::HandshakeError;
use crate::frame::{Opener, Sealer};
use crate::identity::{Class, IDENTITY_BYTES, PeerIdentity, Protocols, array};
use crate::secret::{ClusterSecret, HmacSha256, Tag, keyed, mac_of};
use hmac::Mac;
use lavandin_types::NodeId;

pub(crate) const HELLO_BYTES: usize = 48;
pub(crate) const CHALLENGE_BYTES: usize = 48;
const CLAIM_BYTES: usize = IDENTITY_BYTES + 16;
pub(crate) const PROOF_BYTES: usize = CLAIM_BYTES + 32;
const RULING_BYTES: usize = IDENTITY_BYTES + 8;
pub(crate) const VERDICT_BYTES: usize = RULING_BYTES + 32;

pub(crate) type Hello = [u8; HELLO_BYTES];
pub(crate) type Challenge = [u8; CHALLENGE_BYTES];
pub(crate) type Proof = [u8; PROOF_BYTES];
pub(crate) type Verdict = [u8; VERDICT_BYTES];
/// Drawn anew for each connection; what makes a capture of another one worthless.
pub(crate) type Nonce = [u8; 32];

const MAGIC: [u8; 8] = *b"LVNDPEER";
const WELCOME: u16 = 0;
const REFUSED_SECRET: u16 = 1;
const REFUSED_CLUSTER: u16 = 2;
const REFUSED_NODE: u16 = 3;

/// What a side brings to a handshake.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) secret: ClusterSecret,
    pub(crate) identity: PeerIdentity,
    pub(crate) protocols: Protocols,
    pub(crate) nonce: Nonce,
}

/// What the initiator wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// None takes whatever node answers at the address.
    pub(crate) node: Option<NodeId>,
    pub(crate) class: Class,
}

/// Two nodes that trust each other.
pub(crate) struct Session {
    pub(crate) peer: PeerIdentity,
    pub(crate) class: Class,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) protocol: u16,
}

/// A handshake that failed here, with what the other side must still be sent so that it knows why.
#[derive(Debug)]
pub(crate) struct Refused<const N: usize> {
    pub(crate) error: HandshakeError,
    pub(crate) reply: Option<Box<[u8; N]>>,
}

/// The initiator between hello and challenge.
pub(crate) struct Initiator {
    local: Local,
    wanted: Wanted,
    hello: Hello,
}

impl Initiator {
    pub(crate) fn new(local: Local, wanted: Wanted) -> Self {
        let hello = opening(local.protocols.lowest, local.protocols.highest, 0, local.nonce);
        Self { local, wanted, hello }
    }

    pub(crate) const fn hello(&self) -> &Hello {
        &self.hello
    }

    pub(crate) fn challenged(self, challenge: &Challenge) -> Result<AwaitsVerdict, HandshakeError> {
        let (theirs, protocol) = read_opening(challenge)?;
        let ours = self.local.protocols;
        if protocol == 0 {
            return Err(no_common(ours, theirs));
        }
        if ours.common(theirs) != Some(protocol) {
            return Err(HandshakeError::Malformed("the protocol chosen is not the highest common one"));
        }
        let claim = claim(&self.local.identity, self.wanted);
        let mac =
            proof_mac(&self.local.secret, &self.hello, challenge, &claim).finalize().into_bytes().into();
        let said = Said { hello: self.hello, challenge: *challenge, proof: joined(&claim, &mac) };
        Ok(AwaitsVerdict { local: self.local, wanted: self.wanted, protocol, said })
    }
}

/// The initiator between proof and verdict.
pub(crate) struct AwaitsVerdict {
    local: Local,
    wanted: Wanted,
    protocol: u16,
    said: Said,
}

impl AwaitsVerdict {
    pub(crate) const fn proof(&self) -> &Proof {
        &self.said.proof
    }

    pub(crate) fn judged(self, verdict: &Verdict) -> Result<Session, HandshakeError> {
        let (ruling, mac) = verdict.split_at(RULING_BYTES);
        let expected = verdict_mac(&self.local.secret, &self.said, ruling);
        // Covers a responder that says so, one that knows another secret, and a forged verdict: all the same here.
        expected.verify_slice(mac).map_err(|_| HandshakeError::WrongSecret)?;
        let peer = PeerIdentity::from_bytes(&array(ruling, 8));
        match u16::from_le_bytes(array(ruling, 0)) {
            WELCOME | REFUSED_CLUSTER | REFUSED_NODE => {}
            _ => {
                return Err(HandshakeError::Malformed(
                    "it refuses for a reason that this version does not know",
                ));
            }
        }
        // A refusal is judged by what it says of the other node, as a welcome is: the reasons are the same.
        same_cluster(&self.local.identity, &peer)?;
        reached(self.wanted.node, &peer)?;
        if ruling[..8] != [0; 8] {
            return Err(HandshakeError::Malformed("it refuses without a reason"));
        }
        let (outgoing, incoming) = self.said.keys(&self.local.secret, verdict);
        let (sealer, opener) = (Sealer::new(outgoing), Opener::new(incoming));
        Ok(Session { peer, class: self.wanted.class, sealer, opener, protocol: self.protocol })
    }
}

/// The responder between challenge and proof.
pub(crate) struct Responder {
    local: Local,
    protocol: u16,
    hello: Hello,
    challenge: Challenge,
}

impl Responder {
    pub(crate) fn new(local: Local, hello: &Hello) -> Result<Self, Refused<CHALLENGE_BYTES>> {
        let (theirs, zero) = read_opening(hello).map_err(|error| Refused { error, reply: None })?;
        if zero != 0 {
            let error = HandshakeError::Malformed("a hello chooses no protocol");
            return Err(Refused { error, reply: None });
        }
        let ours = local.protocols;
        let challenge = |protocol| opening(ours.lowest, ours.highest, protocol, local.nonce);
        let Some(protocol) = ours.common(theirs) else {
            return Err(Refused { error: no_common(ours, theirs), reply: Some(Box::new(challenge(0))) });
        };
        let challenge = challenge(protocol);
        Ok(Self { local, protocol, hello: *hello, challenge })
    }

    pub(crate) const fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    pub(crate) fn proved(self, proof: &Proof) -> Result<(Session, Verdict), Refused<VERDICT_BYTES>> {
        let (claim, mac) = proof.split_at(CLAIM_BYTES);
        let expected = proof_mac(&self.local.secret, &self.hello, &self.challenge, claim);
        if expected.verify_slice(mac).is_err() {
            // Who does not know the secret gets no byte that depends on it, nor the name of this node.
            let mut reply = [0; VERDICT_BYTES];
            reply[..2].copy_from_slice(&REFUSED_SECRET.to_le_bytes());
            return Err(Refused { error: HandshakeError::WrongSecret, reply: Some(Box::new(reply)) });
        }
        let said = Said { hello: self.hello, challenge: self.challenge, proof: *proof };
        let peer = PeerIdentity::from_bytes(&array(claim, 0));
        let verdict = |code| signed_verdict(&self.local, &said, code);
        let wanted = match read_wanted(claim) {
            Ok(wanted) => wanted,
            Err(error) => return Err(Refused { error, reply: None }),
        };
        if let Err(error) = same_cluster(&self.local.identity, &peer) {
            return Err(Refused { error, reply: Some(Box::new(verdict(REFUSED_CLUSTER))) });
        }
        if let Err(error) = reached(wanted.node, &self.local.identity) {
            return Err(Refused { error, reply: Some(Box::new(verdict(REFUSED_NODE))) });
        }
        let verdict = verdict(WELCOME);
        let (incoming, outgoing) = said.keys(&self.local.secret, &verdict);
        let (sealer, opener) = (Sealer::new(outgoing), Opener::new(incoming));
        let session = Session { peer, class: wanted.class, sealer, opener, protocol: self.protocol };
        Ok((session, verdict))
    }
}

/// All but the verdict.
struct Said {
    hello: Hello,
    challenge: Challenge,
    proof: Proof,
}

impl Said {
    /// The keys of the two directions: from the initiator, and to it.
    fn keys(&self, secret: &ClusterSecret, verdict: &Verdict) -> (Tag, Tag) {
        let parts: [&[u8]; 5] = [b"session", &self.hello, &self.challenge, &self.proof, verdict];
        let session = keyed(&mac_of(secret.connections(), &parts).finalize().into_bytes());
        let key = |label: &[u8]| mac_of(&session, &[label]).finalize().into_bytes().into();
        (key(b"from initiator"), key(b"from responder"))
    }
}

/// Hello and challenge have one layout.
fn opening(lowest: u16, highest: u16, chosen: u16, nonce: Nonce) -> [u8; HELLO_BYTES] {
    let mut bytes = [0; HELLO_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&lowest.to_le_bytes());
    bytes[10..12].copy_from_slice(&highest.to_le_bytes());
    bytes[12..14].copy_from_slice(&chosen.to_le_bytes());
    bytes[16..].copy_from_slice(&nonce);
    bytes
}

/// The numbers spoken and the one chosen. The nonce is only ever used as part of the whole.
fn read_opening(bytes: &[u8; HELLO_BYTES]) -> Result<(Protocols, u16), HandshakeError> {
    let number = |at| u16::from_le_bytes(array(bytes, at));
    if bytes[..8] != MAGIC {
        return Err(HandshakeError::Malformed("its first bytes are others"));
    }
    let protocols = Protocols { lowest: number(8), highest: number(10) };
    if protocols.lowest == 0 || protocols.lowest > protocols.highest {
        return Err(HandshakeError::Malformed("its protocol numbers are no range"));
    }
    Ok((protocols, number(12)))
}

fn claim(identity: &PeerIdentity, wanted: Wanted) -> [u8; CLAIM_BYTES] {
    let mut bytes = [0; CLAIM_BYTES];
    bytes[..IDENTITY_BYTES].copy_from_slice(&identity.to_bytes());
    bytes[48..56].copy_from_slice(&wanted.node.unwrap_or_default().to_le_bytes());
    bytes[56] = wanted.class as u8;
    bytes
}

fn read_wanted(claim: &[u8]) -> Result<Wanted, HandshakeError> {
    let node = NodeId::from_le_bytes(array(claim, 48));
    let class =
        Class::from_byte(claim[56]).ok_or(HandshakeError::Malformed("it asks for an unknown class"))?;
    Ok(Wanted { node: (node != NodeId::ZERO).then_some(node), class })
}

fn signed_verdict(local: &Local, said: &Said, code: u16) -> Verdict {
    let mut ruling = [0; RULING_BYTES];
    ruling[..2].copy_from_slice(&code.to_le_bytes());
    ruling[8..].copy_from_slice(&local.identity.to_bytes());
    let mac: Tag = verdict_mac(&local.secret, said, &ruling).finalize().into_bytes().into();
    joined(&ruling, &mac)
}

/// Every part but the last has a fixed length, so the parts cannot be cut in another way.
fn proof_mac(secret: &ClusterSecret, hello: &Hello, challenge: &Challenge, claim: &[u8]) -> HmacSha256 {
    mac_of(secret.connections(), &[b"initiator", hello, challenge, claim])
}

fn verdict_mac(secret: &ClusterSecret, said: &Said, ruling: &[u8]) -> HmacSha256 {
    mac_of(secret.connections(), &[b"responder", &said.hello, &said.challenge, &said.proof, ruling])
}

fn joined<const N: usize>(head: &[u8], mac: &Tag) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..head.len()].copy_from_slice(head);
    bytes[head.len()..].copy_from_slice(mac);
    bytes
}

fn no_common(ours: Protocols, theirs: Protocols) -> HandshakeError {
    if theirs.highest < ours.lowest {
        HandshakeError::ProtocolTooOld { ours, theirs }
    } else {
        HandshakeError::ProtocolTooNew { ours, theirs }
    }
}

/// A node that belongs to no cluster yet may talk to any.
fn same_cluster(ours: &PeerIdentity, theirs: &PeerIdentity) -> Result<(), HandshakeError> {
    match (ours.cluster, theirs.cluster) {
        (Some(ours), Some(theirs)) if ours != theirs => Err(HandshakeError::WrongCluster { ours, theirs }),
        _ => Ok(()),
    }
}

fn reached(addressed: Option<NodeId>, reached: &PeerIdentity) -> Result<(), HandshakeError> {
    match addressed {
        Some(addressed) if reached.node != Some(addressed) => {
            Err(HandshakeError::WrongNode { addressed, reached: reached.node })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
