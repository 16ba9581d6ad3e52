//! The privileged half: reads the machine for the agent and touches no network.
//!
//! ```text
//! request   length (4 bytes, big endian)  {"families":[NAME…],"format":"assay.gather.v1","seconds":LIMIT}
//! response  length (4 bytes, big endian)  {"cut":BOOL,"families":{NAME:DOCUMENT…},"format":"assay.gathered.v1","gaps":[…]}
//!
//! request   {"families":[NAME…],"format":"assay.watch.v1","marks":{NAME:DIGEST…},"seconds":LIMIT}
//! response  {"format":"assay.watched.v1","watched":{"blind":[{"detail":…,"families":[…],"passes":BOOL}…],"changed":[NAME…],"marks":{NAME:DIGEST…}}}
//! ```
//! AF_UNIX stream, one request a connection. Readings come one after the other; a request to watch
//! waits beside them until files of its families change. Only root and the agent's user may ask
//! (SO_PEERCRED, unix(7)); a request names families and nothing else.

mod ask;
mod talk;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use ask::{ask, ask_watch, failed, identify};
use talk::{TALK_TIMEOUT, receive, send};

use super::run::{self, LIMIT_DEADLINE};
use super::watch::{self, Marks, Watched};
use crate::facts::{Family, Side};
use crate::host::{Host, ReadError, ioctl};
use crate::model::canonical;
use crate::model::gap::{Gap, Gaps, reason};

/// Version of the request.
const REQUEST: &str = "assay.gather.v1";
/// Version of the response.
const RESPONSE: &str = "assay.gathered.v1";
/// Version of the request to watch.
const WATCH_REQUEST: &str = "assay.watch.v1";
/// Version of its response.
const WATCH_RESPONSE: &str = "assay.watched.v1";
/// Largest request, bytes.
const MAX_REQUEST: usize = 16 << 10;
/// Largest response, bytes.
const MAX_RESPONSE: usize = 128 << 20;
/// Largest response to a request to watch, bytes.
const MAX_WATCHED: usize = 1 << 20;
/// Longest wait for a change.
const WATCH_LIMIT: Duration = Duration::from_secs(3600);
/// Connections at once; each has a thread of its own.
const MAX_CONNECTIONS: usize = 6;
/// Pause after the kernel refused to accept a connection (no more files, no memory).
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
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
    /// It ended or fell silent while it was asked.
    #[error("{0}: the gatherer did not answer to the end: {1}")]
    Broken(String, io::Error),
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

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WatchRequest {
    families: Vec<String>,
    format: String,
    marks: Marks,
    seconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WatchResponse {
    format: String,
    watched: Watched,
}

/// What the threads of all connections share.
struct Shared {
    host: Host,
    /// One reading at a time.
    reading: Mutex<()>,
}

/// A gatherer whose socket is bound.
pub struct Gatherer {
    listener: UnixListener,
    shared: Arc<Shared>,
    allowed: u32,
}

impl std::fmt::Debug for Gatherer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gatherer({:?})", self.listener)
    }
}

impl Gatherer {
    /// Binds the socket, for requests of `agent_user` and root.
    pub fn bind(host: Host, socket: &Path, agent_user: &str) -> Result<Self, GathererError> {
        let allowed = uid_of(&host, agent_user)?;
        let listener = bind(socket)?;
        tracing::info!(socket = %socket.display(), user = agent_user, "gatherer is listening");
        Ok(Self { listener, shared: Arc::new(Shared { host, reading: Mutex::new(()) }), allowed })
    }

    /// Serves requests until the process ends.
    pub fn serve(&self) {
        for stream in self.listener.incoming() {
            if let Err(e) = stream.and_then(|stream| admit(stream, &self.shared, self.allowed)) {
                tracing::warn!("request not answered: {e}");
                if !matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::QuotaExceeded) {
                    std::thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }
}

/// Turns away whom the kernel does not name as the agent's user or root, and gives the others a thread.
fn admit(stream: UnixStream, shared: &Arc<Shared>, allowed: u32) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(&stream)?.uid.as_raw();
    if peer != 0 && peer != allowed {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("uid {peer} may not ask")));
    }
    // Every thread holds the shared state: their number is what this one does not hold.
    if Arc::strong_count(shared) > MAX_CONNECTIONS {
        return Err(io::Error::new(io::ErrorKind::QuotaExceeded, format!("more than {MAX_CONNECTIONS} requests at once")));
    }
    let shared = Arc::clone(shared);
    let answering = move || {
        if let Err(e) = answer(stream, &shared) {
            tracing::warn!("request not answered: {e}");
        }
    };
    std::thread::Builder::new().name("answer".into()).spawn(answering).map(drop)
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

fn answer(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let bytes = receive(&mut stream, MAX_REQUEST, Instant::now() + TALK_TIMEOUT)?;
    let request: Value = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    match request.get("format").and_then(Value::as_str) {
        Some(REQUEST) => gather(&mut stream, shared, serde_json::from_value(request).map_err(io::Error::other)?),
        Some(WATCH_REQUEST) => watch(&mut stream, shared, serde_json::from_value(request).map_err(io::Error::other)?),
        other => Err(io::Error::other(format!("request has format {other:?}"))),
    }
}

fn gather(stream: &mut UnixStream, shared: &Shared, request: Request) -> io::Result<()> {
    let until = Instant::now() + Duration::from_secs(request.seconds).min(READING_LIMIT);
    let hosted = hosted(&request.families)?;
    let gathered = {
        let _turn = shared.reading.lock().unwrap_or_else(PoisonError::into_inner);
        run::gather(&shared.host, &hosted, until, &|_| {}).map_err(io::Error::other)?
    };
    let cut = gathered.stopped.contains(LIMIT_DEADLINE);
    let response = Response { cut, families: gathered.families, format: RESPONSE.into(), gaps: gathered.gaps };
    let sent = send(stream, &fit(response, MAX_RESPONSE), MAX_RESPONSE);
    // The next reading may be a week away.
    ioctl::release_memory();
    sent
}

fn watch(stream: &mut UnixStream, shared: &Shared, request: WatchRequest) -> io::Result<()> {
    let until = Instant::now() + Duration::from_secs(request.seconds).min(WATCH_LIMIT);
    let families = hosted(&request.families)?;
    let watched = watch::wait(&shared.host, &families, &request.marks, until, Some(stream.as_fd())).map_err(io::Error::other)?;
    match watched {
        Some(watched) => send(stream, &WatchResponse { format: WATCH_RESPONSE.into(), watched }, MAX_WATCHED),
        None => Ok(()),
    }
}

/// The host families of these names. An empty list would mean all of them.
fn hosted(names: &[String]) -> io::Result<Vec<&'static Family>> {
    let asked = if names.is_empty() { Vec::new() } else { run::plan_families(names).map_err(io::Error::other)? };
    Ok(asked.into_iter().filter(|f| matches!(f.side, Side::Host(_))).collect())
}

/// Leaves out the largest families until the rest fits, each with a gap in its place.
fn fit(mut response: Response, limit: usize) -> Response {
    let bytes = |value: &Value| canonical::to_bytes(value).map_or(usize::MAX, |b| b.len());
    let mut sizes: Vec<(usize, String)> = response.families.iter().map(|(name, value)| (bytes(value), name.clone())).collect();
    sizes.sort();
    let overhead: usize = response.gaps.iter().map(|g| 128 + 2 * (g.detail.len() + g.path.len() + g.subject.len() + g.remedy.len())).sum();
    let mut total = sizes.iter().fold(overhead + 4096, |sum, (size, name)| sum.saturating_add(*size).saturating_add(name.len() + 8));
    while total > limit
        && let Some((size, name)) = sizes.pop()
    {
        response.families.remove(&name);
        total = sizes.iter().fold(overhead + 8192, |sum, (size, name)| sum.saturating_add(*size).saturating_add(name.len() + 8));
        let mut gaps = Gaps::new();
        gaps.note(&name, "", "", reason::LIMIT_REACHED, format!("{name} has {size} bytes: more than {limit} in all can't be handed to the agent"), "");
        response.gaps.extend(gaps.into_sorted());
    }
    response
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
    use std::io::{Read as _, Write as _};

    fn serving(dir: &Path, user: &str) -> std::path::PathBuf {
        let socket = dir.join("gatherer.sock");
        let (path, user) = (socket.clone(), user.to_string());
        std::thread::spawn(move || Gatherer::bind(Host::live().unwrap(), &path, &user).unwrap().serve());
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
    fn a_watch_waits_beside_readings_and_ends_with_its_asker() {
        let dir = tempfile::tempdir().unwrap();
        let socket = serving(dir.path(), "0");
        let known = ask_watch(&socket, &["accounts"], &Marks::new(), soon()).unwrap().marks;
        assert_eq!(known.keys().collect::<Vec<_>>(), ["accounts"]);
        let (path, marks) = (socket.clone(), known.clone());
        let watching = std::thread::spawn(move || ask_watch(&path, &["accounts"], &marks, Instant::now() + Duration::from_secs(3)).unwrap());
        for _ in 0..3 {
            assert!(ask(&socket, &["os"], soon()).unwrap().families.contains_key("os"));
        }
        assert!(!watching.is_finished(), "readings did not wait for it");
        assert_eq!(watching.join().unwrap().marks, known);
        // As many askers that leave as there may be at once, twice: none of them keeps its place.
        for _ in 0..2 * MAX_CONNECTIONS {
            let request = WatchRequest { families: vec!["accounts".into()], format: WATCH_REQUEST.into(), marks: known.clone(), seconds: 3000 };
            let mut stream = UnixStream::connect(&socket).unwrap();
            send(&mut stream, &request, MAX_REQUEST).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
        let until = soon();
        while ask(&socket, &["os"], soon()).is_err() {
            assert!(Instant::now() < until, "the askers that left still hold their places");
        }
    }

    #[test]
    fn requests_beyond_the_limit_are_turned_away_and_threads_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let socket = serving(dir.path(), "0");
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        let silent: Vec<UnixStream> = (0..50).map(|_| UnixStream::connect(&socket).unwrap()).collect();
        std::thread::sleep(Duration::from_millis(500));
        assert!(threads() <= before + MAX_CONNECTIONS);
        drop(silent);
        let until = soon();
        while ask(&socket, &["os"], soon()).is_err() {
            assert!(Instant::now() < until);
        }
    }

    #[test]
    fn what_is_too_large_to_be_handed_over_is_a_gap_and_the_rest_arrives() {
        let text = |n| Value::String("x".repeat(n));
        let families = BTreeMap::from([("a".to_string(), text(40_000)), ("b".into(), text(10)), ("c".into(), text(30_000))]);
        let response = fit(Response { cut: false, families, format: RESPONSE.into(), gaps: Vec::new() }, 48_000);
        assert_eq!(response.families.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!((response.gaps[0].family.as_str(), response.gaps[0].reason.as_str()), ("a", reason::LIMIT_REACHED));
        assert!(canonical::to_bytes(&response).unwrap().len() <= 48_000);
    }

    #[test]
    fn a_gatherer_that_dies_while_it_reads_ends_the_scan_and_one_that_is_away_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let away = failed(&["os"], &ask(&socket, &["os"], soon()).unwrap_err());
        assert_eq!((away.stopped.len(), away.gaps[0].reason.as_str()), (0, reason::UNREACHABLE));
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || drop(listener.accept().unwrap()));
        let died = failed(&["os"], &ask(&socket, &["os"], soon()).unwrap_err());
        assert_eq!((died.stopped.into_iter().collect::<Vec<_>>(), died.gaps[0].reason.as_str()), (vec![run::LIMIT_GATHERER.to_string()], reason::READ_FAILED));
    }

    #[test]
    fn only_known_users_may_ask() {
        let host = Host::live().unwrap();
        assert_eq!(uid_of(&host, "root").unwrap(), 0);
        assert_eq!(uid_of(&host, "1234").unwrap(), 1234);
        assert!(matches!(uid_of(&host, "no-such-user-here"), Err(GathererError::User(_))));
    }
}
