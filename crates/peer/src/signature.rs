//! Signed HTTP requests between nodes: a keyed MAC over method, audience, path, body, time and nonce; no I/O, the
//! time is an argument.
//!
//! A signature is good once: the verifier keeps every nonce that it accepted for as long as its time is acceptable,
//! and refuses what may have been accepted by the process before it. It is good at one node: the audience, such as
//! the URL that the node goes by, is under the MAC, or a request captured on its way to one node could be shown to
//! another.

use crate::secret::{RequestKey, mac_of};
use hmac::Mac;
use lavandin_types::ErrorCode;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashSet};

pub const HEADER_TIME: &str = "x-lavandin-time";
pub const HEADER_NONCE: &str = "x-lavandin-nonce";
pub const HEADER_MAC: &str = "x-lavandin-mac";

/// How old a signature may be: transit, and a sender's clock that is behind.
pub const CLOCK_BEHIND_S_MAX: u64 = 30;
/// How far ahead of the verifier's the sender's clock may be. For so long after its start a verifier refuses
/// everything, because the process before it may have accepted any signature of that time.
pub const CLOCK_AHEAD_S_MAX: u64 = 2;
/// Nonces kept: 2,000 requests a second for the 32 seconds that each is kept, 3 MB.
pub const NONCES_MAX: usize = 1 << 16;

/// What a signature is for.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// In capitals.
    pub method: &'a str,
    /// Which node it is for, as both sides name it.
    pub audience: &'a str,
    /// Path and query, as sent.
    pub path: &'a str,
    pub body: &'a [u8],
}

/// A request that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the request is not signed, or not as {HEADER_TIME}, {HEADER_NONCE} and {HEADER_MAC} have it")]
    Malformed,
    #[error(
        "the signature is wrong: the secrets differ, or the request was changed or meant for another node"
    )]
    Wrong,
    #[error(
        "the signature is {age_s} s old, more than {CLOCK_BEHIND_S_MAX}: send it again, or set the sender's clock"
    )]
    TooOld { age_s: u64 },
    #[error(
        "the sender's clock is {ahead_s} s ahead, more than {CLOCK_AHEAD_S_MAX}: set the clocks of both nodes"
    )]
    Ahead { ahead_s: u64 },
    #[error("this node has just started and takes signed requests in {retry_s} s: sign it again then")]
    JustStarted { retry_s: u64 },
    #[error("the request was received before")]
    Replayed,
    #[error("{NONCES_MAX} signed requests are remembered, which is the limit: sign it again in a moment")]
    Full,
}

impl SignatureError {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::JustStarted { .. } => ErrorCode::Unavailable,
            Self::Full => ErrorCode::Overloaded,
            _ => ErrorCode::Unauthorized,
        }
    }
}

/// The three headers of a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Seconds since 1970 on the sender's clock, in decimal digits.
    pub time: String,
    /// 32 hexadecimal digits.
    pub nonce: String,
    /// 64 hexadecimal digits.
    pub mac: String,
}

impl Signature {
    /// The headers to send.
    pub fn headers(&self) -> [(&'static str, &str); 3] {
        [(HEADER_TIME, &self.time), (HEADER_NONCE, &self.nonce), (HEADER_MAC, &self.mac)]
    }
}

/// Signs `request`. `nonce` is drawn at random for each request, `now_s` counts from 1970.
pub fn sign(key: &RequestKey, request: &SignedRequest<'_>, now_s: u64, nonce: [u8; 16]) -> Signature {
    let mac = request_mac(key, request, now_s, nonce).finalize().into_bytes();
    Signature { time: now_s.to_string(), nonce: to_hex(&nonce), mac: to_hex(&mac) }
}

/// Accepts each signature once. One verifier a process.
#[derive(Debug)]
pub struct Verifier {
    key: RequestKey,
    started_s: u64,
    nonces: HashSet<[u8; 16]>,
    by_time: BTreeSet<(u64, [u8; 16])>,
}

impl Verifier {
    /// `now_s` is when this process started, on the clock of [`Verifier::verify`].
    pub fn new(key: RequestKey, now_s: u64) -> Self {
        Self { key, started_s: now_s, nonces: HashSet::new(), by_time: BTreeSet::new() }
    }

    /// Whether `signature` is one of `request` by a holder of the secret, of now, and not seen before.
    pub fn verify(
        &mut self,
        now_s: u64,
        request: &SignedRequest<'_>,
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let (time_s, nonce, mac) = read(signature).ok_or(SignatureError::Malformed)?;
        // Before anything is said or kept: only holders of the secret fill the memory, or learn this node's time.
        let expected = request_mac(&self.key, request, time_s, nonce);
        expected.verify_slice(&mac).map_err(|_| SignatureError::Wrong)?;
        let age_s = now_s.saturating_sub(time_s);
        if age_s > CLOCK_BEHIND_S_MAX {
            return Err(SignatureError::TooOld { age_s });
        }
        let ahead_s = time_s.saturating_sub(now_s);
        if ahead_s > CLOCK_AHEAD_S_MAX {
            return Err(SignatureError::Ahead { ahead_s });
        }
        let trusted_s = self.started_s.saturating_add(CLOCK_AHEAD_S_MAX);
        if time_s <= trusted_s {
            return Err(SignatureError::JustStarted { retry_s: trusted_s - time_s + 1 });
        }
        self.forget(now_s);
        if self.nonces.contains(&nonce) {
            return Err(SignatureError::Replayed);
        }
        if self.nonces.len() >= NONCES_MAX {
            return Err(SignatureError::Full);
        }
        self.nonces.insert(nonce);
        self.by_time.insert((time_s, nonce));
        Ok(())
    }

    /// Drops the nonces whose time alone refuses them. A clock that is set back later cannot bring them in again:
    /// `started_s` rises with what is dropped.
    fn forget(&mut self, now_s: u64) {
        while let Some(&(time_s, nonce)) = self.by_time.first()
            && time_s.saturating_add(CLOCK_BEHIND_S_MAX) < now_s
        {
            self.by_time.pop_first();
            self.nonces.remove(&nonce);
            self.started_s = self.started_s.max(time_s.saturating_sub(CLOCK_AHEAD_S_MAX));
        }
    }
}

/// Texts are preceded by their length, so that no two requests are the same bytes.
fn request_mac(
    key: &RequestKey,
    request: &SignedRequest<'_>,
    time_s: u64,
    nonce: [u8; 16],
) -> crate::secret::HmacSha256 {
    let length = |text: &str| (text.len() as u64).to_le_bytes();
    let SignedRequest { method, audience, path, body } = *request;
    let digest: [u8; 32] = Sha256::digest(body).into();
    mac_of(
        &key.0,
        &[
            &length(method),
            method.as_bytes(),
            &length(audience),
            audience.as_bytes(),
            &length(path),
            path.as_bytes(),
            &digest,
            &time_s.to_le_bytes(),
            &nonce,
        ],
    )
}

fn read(signature: &Signature) -> Option<(u64, [u8; 16], [u8; 32])> {
    // `u64::from_str` takes a plus sign; one spelling only.
    let time =
        signature.time.bytes().all(|byte| byte.is_ascii_digit()).then(|| signature.time.parse().ok())??;
    Some((time, from_hex(&signature.nonce)?, from_hex(&signature.mac)?))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
