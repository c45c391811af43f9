//! How a connection to a node's one port becomes a peer connection: an HTTP/1.1 request with `Upgrade:
//! lavandin-peer`, answered with 101. What follows is the handshake; the dialling side speaks first, so nothing of it
//! can have been read with the head of the answer.

use crate::error::ConnectionError;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Where peers ask for the upgrade.
pub const PEER_PATH: &str = "/peer";
pub const UPGRADE_TOKEN: &str = "lavandin-peer";

/// Head of an answer. A node's own has about 150 bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// The dialling side: asks for the upgrade and reads the answer's head. `authority` is the host and port addressed.
pub async fn request_upgrade<S>(stream: &mut S, authority: &str) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !authority.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConnectionError::NotHttp("the address has a character that no address has"));
    }
    let request = format!(
        "GET {PEER_PATH} HTTP/1.1\r\nhost: {authority}\r\nconnection: upgrade\r\nupgrade: {UPGRADE_TOKEN}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Err(ConnectionError::NotHttp("its head has no end"));
        }
        // Nothing comes behind the head of a 101, so this never reads too far; behind another it does not matter.
        if stream.read_buf(&mut head).await? == 0 {
            return Err(ConnectionError::NotHttp("it ended within its head"));
        }
        if status(&head).is_some_and(|status| status != 101) {
            break;
        }
    }
    read_head(&head)
}

fn read_head(head: &[u8]) -> Result<(), ConnectionError> {
    let status = status(head).ok_or(ConnectionError::NotHttp("its first line is another"))?;
    if status != 101 {
        return Err(ConnectionError::NotUpgraded { status });
    }
    let text = String::from_utf8_lossy(head);
    let upgraded = text.lines().filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("upgrade") && value.trim().eq_ignore_ascii_case(UPGRADE_TOKEN)
    });
    upgraded.then_some(()).ok_or(ConnectionError::NotHttp("it upgrades to another protocol"))
}

/// The status of an answer whose first line is complete.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next().filter(|line| line.len() < head.len())?;
    let digits = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The answering side: whether a request asks for a peer connection.
pub fn is_peer_upgrade(headers: &HeaderMap) -> bool {
    let names = |name, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    };
    names(CONNECTION, "upgrade") && names(UPGRADE, UPGRADE_TOKEN)
}

/// The answering side: the answer to such a request. The connection must be served with upgrades.
pub fn accept_upgrade<B: Default>() -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(UPGRADE_TOKEN));
    response
}

/// The answering side: the stream that the request's connection becomes once the answer was sent. Await it in a task
/// of its own, and bound the time.
pub async fn upgraded<B>(
    request: Request<B>,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, ConnectionError> {
    match hyper::upgrade::on(request).await {
        Ok(stream) => Ok(TokioIo::new(stream)),
        Err(_) => Err(ConnectionError::Lost),
    }
}

#[cfg(test)]
mod tests;
