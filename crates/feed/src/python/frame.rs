//! Frames on the socket to a worker: u32 length of the header, the header (JSON), u64 length of the body, the body; all
//! little-endian. Lengths that a worker sends are checked against limits before anything is allocated.

use std::io::{self, Read, Write};
use thiserror::Error;

/// Headers carry specifications, tracebacks and keys, never samples.
const HEADER_BYTES_MAX: u32 = 32 << 20;

#[derive(Debug, Error)]
pub(super) enum FrameError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Malformed(String),
}

/// A frame from a worker.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) header: Vec<u8>,
    pub(super) body: Vec<u8>,
}

pub(super) fn read(from: &mut impl Read, body_bytes_max: u64) -> Result<Frame, FrameError> {
    let length = u32::from_le_bytes(array(from)?);
    if length > HEADER_BYTES_MAX {
        return Err(FrameError::Malformed(format!("a header of {length} bytes")));
    }
    let header = exactly(from, length as usize)?;
    let length = u64::from_le_bytes(array(from)?);
    if length > body_bytes_max {
        return Err(FrameError::Malformed(format!(
            "a body of {length} bytes, {body_bytes_max} are the limit"
        )));
    }
    let length = usize::try_from(length).map_err(|_| FrameError::Malformed("an endless body".to_owned()))?;
    Ok(Frame { header, body: exactly(from, length)? })
}

pub(super) fn write(to: &mut impl Write, header: &[u8], body: &[u8]) -> Result<(), FrameError> {
    let length = u32::try_from(header.len())
        .ok()
        .filter(|length| *length <= HEADER_BYTES_MAX)
        .ok_or_else(|| FrameError::Malformed("a header that is too long".to_owned()))?;
    let mut start = Vec::with_capacity(header.len() + 12);
    start.extend_from_slice(&length.to_le_bytes());
    start.extend_from_slice(header);
    start.extend_from_slice(&(body.len() as u64).to_le_bytes());
    to.write_all(&start)?;
    to.write_all(body)?;
    Ok(())
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn exactly(from: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
