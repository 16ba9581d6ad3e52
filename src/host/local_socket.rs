//! A conversation with a server of this machine over its local (AF_UNIX) socket, bounded in time
//! and bytes. Only sockets that the operator declared are opened, and the system's message bus.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::{Host, ReadError};

/// Longest conversation.
pub const TALK_TIME: Duration = Duration::from_secs(20);
/// Most bytes that a server may send in one conversation.
pub const TALK_BYTES: usize = 32 << 20;

/// An open conversation.
#[derive(Debug)]
pub struct LocalSocket {
    stream: UnixStream,
    path: String,
    until: Instant,
    bytes_left: usize,
}

impl LocalSocket {
    /// Connects without waiting: a server whose queue is full is busy.
    pub fn connect(host: &Host, path: &str, time: Duration) -> Result<Self, ReadError> {
        if !host.is_this_machine() {
            return Err(ReadError::Io(path.into(), "servers of another root do not run here".into()));
        }
        let fail = |e| ReadError::from_errno(path, e);
        let address = SocketAddrUnix::new(path).map_err(fail)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(fail)?;
        net::connect(&socket, &address).map_err(fail)?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false).map_err(|e| ReadError::Io(path.into(), e.to_string()))?;
        Ok(Self { stream, path: path.into(), until: Instant::now() + time, bytes_left: TALK_BYTES })
    }

    /// Exactly so many bytes.
    pub fn receive(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        self.bytes_left = self.bytes_left.checked_sub(length).ok_or_else(|| ReadError::TooLarge(self.path.clone(), TALK_BYTES))?;
        let mut out = Vec::new();
        let mut chunk = [0; 16 << 10];
        while out.len() < length {
            let want = chunk.len().min(length - out.len());
            let left = self.time_left()?;
            self.stream.set_read_timeout(Some(left)).map_err(|e| self.failed(&e))?;
            match self.stream.read(chunk.get_mut(..want).unwrap_or_default()) {
                Ok(0) => return Err(ReadError::Io(self.path.clone(), "the server closed the connection".into())),
                Ok(n) => out.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(&e)),
            }
        }
        Ok(out)
    }

    /// Sends all of it.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let left = self.time_left()?;
        self.stream.set_write_timeout(Some(left)).map_err(|e| self.failed(&e))?;
        self.stream.write_all(bytes).map_err(|e| self.failed(&e))
    }

    /// What does not follow the protocol.
    pub fn malformed(&self, what: &str) -> ReadError {
        ReadError::Io(self.path.clone(), format!("the server does not speak the expected protocol: {what}"))
    }

    fn time_left(&self) -> Result<Duration, ReadError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.late()) } else { Ok(left) }
    }

    fn failed(&self, error: &std::io::Error) -> ReadError {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.late(),
            _ => ReadError::Io(self.path.clone(), error.to_string()),
        }
    }

    fn late(&self) -> ReadError {
        ReadError::Io(self.path.clone(), "the server did not answer in time".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn silence_drips_and_floods_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for (i, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                if i == 1 {
                    std::thread::spawn(move || {
                        while stream.write_all(b"x").is_ok() {
                            std::thread::sleep(Duration::from_millis(20));
                        }
                    });
                } else {
                    kept.push(stream);
                }
            }
        });
        let host = Host::live().unwrap();
        let path = path.to_str().unwrap();
        for length in [1, 1 << 20] {
            let error = LocalSocket::connect(&host, path, Duration::from_millis(200)).unwrap().receive(length).unwrap_err();
            assert!(error.to_string().contains("in time"), "{error}");
        }
        let mut flood = LocalSocket::connect(&host, path, Duration::from_secs(5)).unwrap();
        assert!(matches!(flood.receive(TALK_BYTES + 1), Err(ReadError::TooLarge(..))));
        assert!(LocalSocket::connect(&host, "/nonexistent/socket", TALK_TIME).unwrap_err().is_not_found());
        let rooted = Host::rooted(dir.path()).unwrap();
        assert!(LocalSocket::connect(&rooted, "/s", TALK_TIME).is_err());
    }
}
