//! Messages between agent and gatherer: a length and canonical JSON, bounded in bytes and time.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::model::canonical;

/// Longest wait for the bytes of a request, or for room to write a response.
pub const TALK_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends one message of at most `limit` bytes.
pub fn send<T: Serialize>(stream: &mut UnixStream, message: &T, limit: usize) -> io::Result<()> {
    let bytes = canonical::to_bytes(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= limit);
    let length = length.ok_or_else(|| io::Error::other(format!("message of {} bytes is larger than {limit}", bytes.len())))?;
    stream.set_write_timeout(Some(TALK_TIMEOUT))?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&bytes)
}

/// Reads one message; the deadline holds for all of it, so a dripping peer gains nothing.
pub fn receive(stream: &mut UnixStream, limit: usize, until: Instant) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    fill(stream, &mut head, until)?;
    let length = u32::from_be_bytes(head) as usize;
    if length > limit {
        return Err(io::Error::other(format!("message of {length} bytes is larger than {limit}")));
    }
    // Grows with what really arrives, not with what is announced.
    let mut bytes = Vec::new();
    let mut chunk = vec![0; length.min(64 << 10)];
    while bytes.len() < length {
        let want = chunk.len().min(length - bytes.len());
        let part = chunk.get_mut(..want).unwrap_or_default();
        fill(stream, part, until)?;
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

fn fill(stream: &mut UnixStream, mut buffer: &mut [u8], until: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no whole message in time"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => buffer = buffer.get_mut(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::Error::new(io::ErrorKind::TimedOut, "no whole message in time")),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
