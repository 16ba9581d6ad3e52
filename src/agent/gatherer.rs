//! The privileged half: reads the machine for the agent and touches no network.
//!
//! ```text
//! request   length (4 bytes, big endian)  {"families":[NAME…],"format":"assay.gather.v1","seconds":LIMIT}
//! response  length (4 bytes, big endian)  {"cut":BOOL,"families":{NAME:DOCUMENT…},"format":"assay.gathered.v1","gaps":[…]}
//! ```
//! AF_UNIX stream, one request a connection, one connection at a time. Only root and the agent's
//! user may ask (SO_PEERCRED, unix(7)); a request names families and nothing else.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::{self, Gathered};
use crate::facts::Side;
use crate::host::{Host, ReadError};
use crate::model::canonical;
use crate::model::gap::{Gap, Gaps, reason};

/// Version of the request.
const REQUEST: &str = "assay.gather.v1";
/// Version of the response.
const RESPONSE: &str = "assay.gathered.v1";
/// Largest request, bytes.
const MAX_REQUEST: usize = 16 << 10;
/// Largest response, bytes.
const MAX_RESPONSE: usize = 128 << 20;
/// Longest wait for the bytes of a request, or for room to write the response.
const TALK_TIMEOUT: Duration = Duration::from_secs(10);
/// What the gatherer itself allows a reading, whatever the agent waits.
const READING_LIMIT: Duration = Duration::from_secs(3600);
/// Anybody may knock: the kernel says who it is (`SO_PEERCRED`), and all but the agent's user and
/// root are turned away before a byte is read. The unit's runtime folder narrows it further.
const SOCKET_MODE: u32 = 0o666;

/// Why the gatherer can't serve or be asked.
#[derive(Debug, thiserror::Error)]
pub enum GathererError {
    /// The socket.
    #[error("{0}: {1}; check gatherer.socket and that its folder exists")]
    Socket(String, io::Error),
    /// Someone else serves it.
    #[error("{0}: another gatherer is listening here; stop it (systemctl stop assay-gatherer)")]
    Busy(String),
    /// There is no such user.
    #[error("gatherer.agent_user: there is no user {0:?} in /etc/passwd; create it or name another one")]
    User(String),
    /// Accounts can't be read.
    #[error(transparent)]
    Host(#[from] ReadError),
    /// The other side does not keep to the protocol.
    #[error("{0}: gatherer answered with something else than facts: {1}; both halves must be of one version")]
    Protocol(String, String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    families: Vec<String>,
    format: String,
    seconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    cut: bool,
    families: BTreeMap<String, Value>,
    format: String,
    gaps: Vec<Gap>,
}

/// Serves requests of `agent_user` and root until the process ends.
pub fn serve(host: Host, socket: &Path, agent_user: &str) -> Result<(), GathererError> {
    let allowed = uid_of(&host, agent_user)?;
    let listener = bind(socket)?;
    tracing::info!(socket = %socket.display(), user = agent_user, "gatherer is listening");
    for stream in listener.incoming() {
        let answered = stream.and_then(|stream| answer(stream, &host, allowed));
        if let Err(e) = answered {
            tracing::warn!("request not answered: {e}");
        }
    }
    Ok(())
}

/// Asks the gatherer for these families, and waits until `until`. What it can't give becomes gaps.
pub fn ask(socket: &Path, families: &[&str], until: Instant) -> Result<Gathered, GathererError> {
    let shown = socket.display().to_string();
    let fail = |e: io::Error| GathererError::Socket(shown.clone(), e);
    let stream = UnixStream::connect(socket).map_err(fail)?;
    talk(stream, socket, families, until)
}

/// The process that serves the socket, once it has answered a request for nothing: its id (SO_PEERCRED, unix(7)).
pub fn identify(socket: &Path, until: Instant) -> Result<i32, GathererError> {
    let fail = |e: io::Error| GathererError::Socket(socket.display().to_string(), e);
    let stream = UnixStream::connect(socket).map_err(fail)?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).map_err(|e| fail(e.into()))?.pid.as_raw_nonzero().get();
    talk(stream, socket, &[], until).map(|_| peer)
}

fn talk(mut stream: UnixStream, socket: &Path, families: &[&str], until: Instant) -> Result<Gathered, GathererError> {
    let shown = socket.display().to_string();
    let fail = |e: io::Error| GathererError::Socket(shown.clone(), e);
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
    // The gatherer stops a little earlier, so that what it has read still arrives.
    let seconds = left.as_secs().saturating_sub(2).max(1);
    stream.set_write_timeout(Some(TALK_TIMEOUT)).map_err(fail)?;
    let request = Request { families: families.iter().map(ToString::to_string).collect(), format: REQUEST.into(), seconds };
    send(&mut stream, &request, MAX_REQUEST).map_err(fail)?;
    let bytes = receive(&mut stream, MAX_RESPONSE, until).map_err(fail)?;
    let bad = |e: String| GathererError::Protocol(shown.clone(), e);
    let response: Response = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    if response.format != RESPONSE {
        return Err(bad(format!("format {:?}", response.format)));
    }
    if let Some(foreign) = response.families.keys().find(|n| !families.contains(&n.as_str())) {
        return Err(bad(format!("family {foreign:?} was not asked for")));
    }
    Ok(Gathered { families: response.families, gaps: response.gaps, live: true, cut: response.cut })
}

/// What a scan knows when the gatherer can't be asked: nothing, for this reason.
pub fn unreachable(families: &[&str], error: &GathererError) -> Gathered {
    let mut gaps = Gaps::new();
    for family in families {
        gaps.note(family, "", "", reason::UNREACHABLE, error.to_string(), "Start the gatherer: systemctl start assay-gatherer.");
    }
    Gathered { gaps: gaps.into_sorted(), live: true, ..Gathered::default() }
}

fn bind(socket: &Path) -> Result<UnixListener, GathererError> {
    let shown = socket.display().to_string();
    let fail = |e: io::Error| GathererError::Socket(shown.clone(), e);
    if let Ok(metadata) = socket.symlink_metadata() {
        if !metadata.file_type().is_socket() {
            return Err(fail(io::Error::new(io::ErrorKind::AlreadyExists, "something else than a socket is here")));
        }
        if UnixStream::connect(socket).is_ok() {
            return Err(GathererError::Busy(shown));
        }
        // Left behind by a gatherer that was killed.
        std::fs::remove_file(socket).map_err(fail)?;
    }
    let listener = UnixListener::bind(socket).map_err(fail)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(fail)?;
    Ok(listener)
}

fn answer(mut stream: UnixStream, host: &Host, allowed: u32) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(&stream)?.uid.as_raw();
    if peer != 0 && peer != allowed {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("uid {peer} may not ask")));
    }
    stream.set_write_timeout(Some(TALK_TIMEOUT))?;
    let bytes = receive(&mut stream, MAX_REQUEST, Instant::now() + TALK_TIMEOUT)?;
    let request: Request = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    if request.format != REQUEST {
        return Err(io::Error::other(format!("request has format {:?}", request.format)));
    }
    // An empty list of families would mean all of them.
    let asked = if request.families.is_empty() { Vec::new() } else { run::plan_families(&request.families).map_err(io::Error::other)? };
    let hosted: Vec<_> = asked.into_iter().filter(|f| matches!(f.side, Side::Host(_))).collect();
    let until = Instant::now() + Duration::from_secs(request.seconds).min(READING_LIMIT);
    let gathered = run::gather(host, &hosted, until, &|_| {}).map_err(io::Error::other)?;
    let response = Response { cut: gathered.cut, families: gathered.families, format: RESPONSE.into(), gaps: gathered.gaps };
    send(&mut stream, &response, MAX_RESPONSE)
}

fn send<T: Serialize>(stream: &mut UnixStream, message: &T, limit: usize) -> io::Result<()> {
    let bytes = canonical::to_bytes(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= limit);
    let length = length.ok_or_else(|| io::Error::other(format!("message of {} bytes is larger than {limit}", bytes.len())))?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&bytes)
}

/// Reads one message; the deadline holds for all of it, so a dripping peer gains nothing.
fn receive(stream: &mut UnixStream, limit: usize, until: Instant) -> io::Result<Vec<u8>> {
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

/// Numeric id of a user of `/etc/passwd` (passwd(5)); a number stands for itself.
fn uid_of(host: &Host, user: &str) -> Result<u32, GathererError> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    let passwd = host.read_text("/etc/passwd", crate::host::root::CONFIG_LIMIT)?;
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    found.ok_or_else(|| GathererError::User(user.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(dir: &Path, user: &str) -> std::path::PathBuf {
        let socket = dir.join("gatherer.sock");
        let (path, user) = (socket.clone(), user.to_string());
        std::thread::spawn(move || serve(Host::live().unwrap(), &path, &user));
        for _ in 0..200 {
            if UnixStream::connect(&socket).is_ok() {
                return socket;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("gatherer did not come up");
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn the_agent_gets_what_an_in_process_reading_gets() {
        let dir = tempfile::tempdir().unwrap();
        let socket = serving(dir.path(), &rustix::process::getuid().as_raw().to_string());
        let gathered = ask(&socket, &["os", "kernel"], soon()).unwrap();
        let names = ["os".to_string(), "kernel".to_string()];
        let own = run::gather(&Host::live().unwrap(), &run::plan_families(&names).unwrap(), soon(), &|_| {}).unwrap();
        assert_eq!((gathered.families.keys().collect::<Vec<_>>(), gathered.gaps), (own.families.keys().collect(), own.gaps));
        assert!(ask(&socket, &["no-such-family"], soon()).is_err());
        assert!(matches!(bind(&socket), Err(GathererError::Busy(_))));
    }

    #[test]
    fn a_hostile_request_ends_its_own_connection_only() {
        let dir = tempfile::tempdir().unwrap();
        let socket = serving(dir.path(), "0");
        for bytes in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x02{}", b"\0\0", b"\0\0\0\x05{\"a\":"] {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(bytes).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.is_empty());
        }
        assert!(ask(&socket, &[], soon()).unwrap().families.is_empty());
    }

    #[test]
    fn a_dripping_gatherer_does_not_hold_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"\0").is_ok() {
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let start = Instant::now();
        let error = ask(&socket, &["os"], start + Duration::from_millis(500)).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(5), "{error}");
    }

    #[test]
    fn only_known_users_may_ask() {
        let host = Host::live().unwrap();
        assert_eq!(uid_of(&host, "root").unwrap(), 0);
        assert_eq!(uid_of(&host, "1234").unwrap(), 1234);
        assert!(matches!(uid_of(&host, "no-such-user-here"), Err(GathererError::User(_))));
    }
}
