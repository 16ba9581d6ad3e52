//! The agent's side: asking the gatherer, and what a scan knows when it can't be asked.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::talk::{receive, send};
use super::{
    GathererError, MAX_REQUEST, MAX_RESPONSE, MAX_WATCHED, REQUEST, RESPONSE, Request, Response, WATCH_REQUEST, WATCH_RESPONSE, WatchRequest, WatchResponse,
};
use crate::agent::run::{Gathered, LIMIT_DEADLINE, LIMIT_GATHERER};
use crate::agent::watch::{Marks, Watched};
use crate::model::gap::{Gaps, reason};

/// Beside the wait itself: the burst that the gatherer lets end, and its look at the files.
const WATCH_LATE: Duration = Duration::from_secs(30);

/// Asks the gatherer for these families, and waits until `until`. What it can't give becomes gaps.
pub fn ask(socket: &Path, families: &[&str], until: Instant) -> Result<Gathered, GathererError> {
    // The gatherer stops a little earlier, so that what it has read still arrives.
    let seconds = seconds_until(until).saturating_sub(2).max(1);
    let request = Request { families: families.iter().map(ToString::to_string).collect(), format: REQUEST.into(), seconds };
    let response: Response = exchange(socket, &request, MAX_RESPONSE, until)?;
    check(socket, RESPONSE, &response.format, families, response.families.keys())?;
    let stopped = response.cut.then(|| LIMIT_DEADLINE.to_string()).into_iter().collect();
    Ok(Gathered { families: response.families, gaps: response.gaps, live: true, stopped })
}

/// Asks the gatherer to tell when files of these families change; it answers at `until` at the latest.
pub fn ask_watch(socket: &Path, families: &[&str], known: &Marks, until: Instant) -> Result<Watched, GathererError> {
    let families_asked = families.iter().map(ToString::to_string).collect();
    let request = WatchRequest { families: families_asked, format: WATCH_REQUEST.into(), marks: known.clone(), seconds: seconds_until(until) };
    let response: WatchResponse = exchange(socket, &request, MAX_WATCHED, until + WATCH_LATE)?;
    let named = response.watched.changed.iter().chain(response.watched.marks.keys());
    check(socket, WATCH_RESPONSE, &response.format, families, named)?;
    Ok(response.watched)
}

/// The process that serves the socket, once it has answered a request for nothing: its id (SO_PEERCRED, unix(7)).
pub fn identify(socket: &Path, until: Instant) -> Result<i32, GathererError> {
    let fail = |e: io::Error| GathererError::Socket(socket.display().to_string(), e);
    let stream = UnixStream::connect(socket).map_err(fail)?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).map_err(|e| fail(e.into()))?.pid.as_raw_nonzero().get();
    let request = Request { families: Vec::new(), format: REQUEST.into(), seconds: seconds_until(until) };
    let response: Response = talk(stream, socket, &request, MAX_RESPONSE, until)?;
    check(socket, RESPONSE, &response.format, &[], response.families.keys()).map(|()| peer)
}

/// What a scan knows when the gatherer did not answer. One that can't be reached tells nothing, for
/// this reason; one that stopped while it read (killed, out of memory) ends the scan.
pub fn failed(families: &[&str], error: &GathererError) -> Gathered {
    let (reason, remedy, stopped) = match error {
        GathererError::Broken(_, e) if e.kind() == io::ErrorKind::TimedOut => {
            (reason::TIMEOUT, "Look for a dead mount, or raise scan_deadline_seconds.", LIMIT_DEADLINE)
        }
        GathererError::Broken(..) => (reason::READ_FAILED, "See journalctl -u assay-gatherer.", LIMIT_GATHERER),
        _ => (reason::UNREACHABLE, "Start the gatherer: systemctl start assay-gatherer.", ""),
    };
    let mut gaps = Gaps::new();
    for family in families {
        gaps.note(family, "", "", reason, error.to_string(), remedy);
    }
    let stopped = [stopped.to_string()].into_iter().filter(|limit| !limit.is_empty()).collect();
    Gathered { gaps: gaps.into_sorted(), live: true, stopped, ..Gathered::default() }
}

fn exchange<T: DeserializeOwned>(socket: &Path, request: &impl serde::Serialize, limit: usize, until: Instant) -> Result<T, GathererError> {
    let stream = UnixStream::connect(socket).map_err(|e| GathererError::Socket(socket.display().to_string(), e))?;
    talk(stream, socket, request, limit, until)
}

fn talk<T: DeserializeOwned>(mut stream: UnixStream, socket: &Path, request: &impl serde::Serialize, limit: usize, until: Instant) -> Result<T, GathererError> {
    let shown = socket.display().to_string();
    let broken = |e: io::Error| GathererError::Broken(shown.clone(), e);
    send(&mut stream, request, MAX_REQUEST).map_err(broken)?;
    let bytes = receive(&mut stream, limit, until.max(Instant::now() + Duration::from_secs(1))).map_err(broken)?;
    serde_json::from_slice(&bytes).map_err(|e| GathererError::Protocol(shown.clone(), e.to_string()))
}

fn check<'a>(socket: &Path, expected: &str, format: &str, asked: &[&str], mut named: impl Iterator<Item = &'a String>) -> Result<(), GathererError> {
    let bad = |e: String| Err(GathererError::Protocol(socket.display().to_string(), e));
    if format != expected {
        return bad(format!("format {format:?}"));
    }
    match named.find(|n| !asked.contains(&n.as_str())) {
        Some(foreign) => bad(format!("family {foreign:?} was not asked for")),
        None => Ok(()),
    }
}

fn seconds_until(until: Instant) -> u64 {
    until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1)).as_secs()
}
