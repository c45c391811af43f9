use super::*;
use tokio::io::duplex;

const GOOD: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lavandin-peer\r\n\r\n";

/// What the dialling side makes of an answer that comes in pieces of `step` bytes and then ends.
async fn answered(answer: &[u8], step: usize) -> Result<(), ConnectionError> {
    const REQUEST: &[u8] =
        b"GET /peer HTTP/1.1\r\nhost: 10.0.0.1:7637\r\nconnection: upgrade\r\nupgrade: lavandin-peer\r\n\r\n";
    let (mut near, mut far) = duplex(64);
    let answer = answer.to_vec();
    let other = tokio::spawn(async move {
        let mut request = [0; REQUEST.len()];
        far.read_exact(&mut request).await.unwrap();
        assert_eq!(request, REQUEST);
        for piece in answer.chunks(step) {
            if far.write_all(piece).await.is_err() {
                break;
            }
        }
    });
    let outcome = request_upgrade(&mut near, "10.0.0.1:7637").await;
    drop(near);
    other.await.unwrap();
    outcome
}

#[tokio::test]
async fn answers_are_told_apart() {
    for step in [1, 7, 1000] {
        assert!(answered(GOOD, step).await.is_ok());
        let refused = answered(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", step).await;
        assert!(matches!(refused, Err(ConnectionError::NotUpgraded { status: 403 })), "{refused:?}");
        let other = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        assert!(matches!(answered(other, step).await, Err(ConnectionError::NotHttp(_))));
        assert!(matches!(answered(b"SSH-2.0-OpenSSH_9.9\r\n", step).await, Err(ConnectionError::NotHttp(_))));
        assert!(matches!(answered(&GOOD[..60], step).await, Err(ConnectionError::NotHttp(_))));
        let endless = b"HTTP/1.1 101 Switching Protocols\r\n".repeat(1000);
        assert!(matches!(answered(&endless, step).await, Err(ConnectionError::NotHttp(_))));
    }
}

#[tokio::test]
async fn an_address_cannot_smuggle_a_header() {
    let (mut near, _far) = duplex(64);
    let outcome = request_upgrade(&mut near, "a:1\r\nx: y").await;
    assert!(matches!(outcome, Err(ConnectionError::NotHttp(_))));
}

#[test]
fn a_request_must_ask_for_this_upgrade() {
    let headers = |connection: &'static str, upgrade: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static(connection));
        headers.insert(UPGRADE, HeaderValue::from_static(upgrade));
        headers
    };
    assert!(is_peer_upgrade(&headers("keep-alive, Upgrade", "Lavandin-Peer")));
    assert!(!is_peer_upgrade(&headers("keep-alive", "lavandin-peer")));
    assert!(!is_peer_upgrade(&headers("upgrade", "websocket")));
    assert!(!is_peer_upgrade(&HeaderMap::new()));
}
