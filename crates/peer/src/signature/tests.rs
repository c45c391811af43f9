use super::*;
use crate::secret::ClusterSecret;

const START: u64 = 1_000_000;
const NOW: u64 = START + 100;

fn key() -> RequestKey {
    ClusterSecret::new(b"correct horse").request_key()
}

fn request() -> SignedRequest<'static> {
    SignedRequest {
        method: "POST",
        audience: "http://10.0.0.1:7637",
        path: "/cluster/register?x=1",
        body: br#"{"a":1}"#,
    }
}

fn verifier() -> Verifier {
    Verifier::new(key(), START)
}

#[test]
fn a_signature_is_good_once() {
    let mut verifier = verifier();
    let signature = sign(&key(), &request(), NOW, [1; 16]);
    assert_eq!(verifier.verify(NOW, &request(), &signature), Ok(()));
    assert_eq!(verifier.verify(NOW + 1, &request(), &signature), Err(SignatureError::Replayed));
    let another = sign(&key(), &request(), NOW, [2; 16]);
    assert_eq!(verifier.verify(NOW, &request(), &another), Ok(()));
}

#[test]
fn what_is_signed_cannot_be_changed() {
    let good = request();
    let signature = sign(&key(), &good, NOW, [1; 16]);
    let changed = [
        SignedRequest { method: "GET", ..good },
        SignedRequest { audience: "http://10.0.0.2:7637", ..good },
        SignedRequest { path: "/cluster/register", ..good },
        SignedRequest { body: b"{}", ..good },
        // The same bytes, cut in another way.
        SignedRequest { method: "POSThttp", audience: "://10.0.0.1:7637", ..good },
    ];
    for request in changed {
        assert_eq!(verifier().verify(NOW, &request, &signature), Err(SignatureError::Wrong), "{request:?}");
    }
    let other_time = Signature { time: (NOW + 1).to_string(), ..signature.clone() };
    let other_nonce = Signature { nonce: "00".repeat(16), ..signature.clone() };
    for signature in [other_time, other_nonce] {
        assert_eq!(verifier().verify(NOW, &good, &signature), Err(SignatureError::Wrong));
    }
    for bit in 0..256 {
        let mut mac: [u8; 32] = from_hex(&signature.mac).unwrap();
        mac[bit / 8] ^= 1 << (bit % 8);
        let signature = Signature { mac: to_hex(&mac), ..signature.clone() };
        assert_eq!(verifier().verify(NOW, &good, &signature), Err(SignatureError::Wrong), "bit {bit}");
    }
    let stranger = sign(&ClusterSecret::new(b"other").request_key(), &good, NOW, [1; 16]);
    assert_eq!(verifier().verify(NOW, &good, &stranger), Err(SignatureError::Wrong));
}

#[test]
fn clocks_may_differ_within_bounds() {
    let at = |signed: u64| verifier().verify(NOW, &request(), &sign(&key(), &request(), signed, [1; 16]));
    assert_eq!(at(NOW - CLOCK_BEHIND_S_MAX), Ok(()));
    assert_eq!(
        at(NOW - CLOCK_BEHIND_S_MAX - 1),
        Err(SignatureError::TooOld { age_s: CLOCK_BEHIND_S_MAX + 1 })
    );
    assert_eq!(at(NOW + CLOCK_AHEAD_S_MAX), Ok(()));
    assert_eq!(
        at(NOW + CLOCK_AHEAD_S_MAX + 1),
        Err(SignatureError::Ahead { ahead_s: CLOCK_AHEAD_S_MAX + 1 })
    );
    assert_eq!(at(u64::MAX), Err(SignatureError::Ahead { ahead_s: u64::MAX - NOW }));
}

/// The process before this one accepted signatures of up to its own time and the bound; all of them are refused.
#[test]
fn a_restart_does_not_open_a_window() {
    let mut verifier = verifier();
    for signed in START - 5..=START + CLOCK_AHEAD_S_MAX {
        let signature = sign(&key(), &request(), signed, [1; 16]);
        let refused = verifier.verify(START, &request(), &signature);
        assert!(matches!(refused, Err(SignatureError::JustStarted { .. })), "{refused:?}");
    }
    let now = START + CLOCK_AHEAD_S_MAX + 1;
    assert_eq!(verifier.verify(now, &request(), &sign(&key(), &request(), now, [1; 16])), Ok(()));
}

#[test]
fn nonces_are_forgotten_when_their_time_refuses_them_and_stay_refused_when_the_clock_is_set_back() {
    let mut verifier = verifier();
    let old = sign(&key(), &request(), NOW, [1; 16]);
    assert_eq!(verifier.verify(NOW, &request(), &old), Ok(()));
    let later = NOW + CLOCK_BEHIND_S_MAX;
    assert_eq!(verifier.verify(later, &request(), &old), Err(SignatureError::Replayed), "the last second");
    let new = sign(&key(), &request(), later + 1, [2; 16]);
    assert_eq!(verifier.verify(later + 1, &request(), &new), Ok(()));
    assert_eq!((verifier.nonces.len(), verifier.by_time.len()), (1, 1));
    assert!(verifier.verify(NOW, &request(), &old).is_err(), "the clock was set back");
}

#[test]
fn a_full_memory_refuses_instead_of_forgetting() {
    let mut verifier = verifier();
    let nonce = |number: usize| (number as u128).to_le_bytes();
    for number in 0..NONCES_MAX {
        verifier.nonces.insert(nonce(number));
        verifier.by_time.insert((NOW, nonce(number)));
    }
    let signature = sign(&key(), &request(), NOW, nonce(NONCES_MAX));
    assert_eq!(verifier.verify(NOW, &request(), &signature), Err(SignatureError::Full));
    let later = NOW + CLOCK_BEHIND_S_MAX + 1;
    let signature = sign(&key(), &request(), later, nonce(NONCES_MAX));
    assert_eq!(verifier.verify(later, &request(), &signature), Ok(()));
}

#[test]
fn one_spelling_only() {
    let good = sign(&key(), &request(), NOW, [0xab; 16]);
    let bad = [
        Signature { time: format!("+{NOW}"), ..good.clone() },
        Signature { time: String::new(), ..good.clone() },
        Signature { time: "9".repeat(30), ..good.clone() },
        Signature { nonce: good.nonce.to_uppercase(), ..good.clone() },
        Signature { nonce: "é".repeat(16), ..good.clone() },
        Signature { mac: good.mac[..62].to_owned(), ..good.clone() },
        Signature { mac: good.mac.clone() + "00", ..good },
    ];
    for signature in bad {
        assert_eq!(
            verifier().verify(NOW, &request(), &signature),
            Err(SignatureError::Malformed),
            "{signature:?}"
        );
    }
}

/// As docs/formats/peer.md has it; the MAC comes from another implementation of that page.
#[test]
fn the_bytes_of_a_signature() {
    let nonce = std::array::from_fn(|at| at as u8);
    let signature = sign(&key(), &request(), 1_700_000_000, nonce);
    let headers = [
        (HEADER_TIME, "1700000000"),
        (HEADER_NONCE, "000102030405060708090a0b0c0d0e0f"),
        (HEADER_MAC, "7920d72fd6565426e9ea9122af3a1461957d2f391bfb949d75933f9f3b212ccc"),
    ];
    assert_eq!(signature.headers(), headers);
}
